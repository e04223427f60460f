#pragma once

#include <span>

#include "convkit/infer/steps/step.h"

/// For the sources of infer only: what is known of a node's outputs before it runs.
namespace convkit::infer {

/// The facts of each output of a node that has no step of its own, from those of its inputs:
/// constants where all it depends on is constant and small, else types and shapes where they do not
/// depend on numbers that are not known yet. A node that throws has no facts.
std::vector<Facts> facts_of_outputs(const graph::Node& node, std::span<const Facts> inputs);

Facts facts_of(const Tensor& constant);

}  // namespace convkit::infer
