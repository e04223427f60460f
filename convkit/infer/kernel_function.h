#pragma once

#include <optional>

#include "convkit/graph/graph.h"
#include "convkit/kernels/elementwise.h"

/// For the sources of infer only: activations that are a kernel, and those at the end of a
/// convolution.
namespace convkit::infer {

/// The kernel of the function that a node applies to each element of its float32 input, if there is
/// one.
std::optional<kernels::UnaryFunction> kernel_function(const graph::Node& node);

/// Makes `activation`, which has a kernel, the end of a FusedConv without one.
void set_function(graph::Node& fused_conv, const graph::Node& activation);
void remove_function(graph::Node& fused_conv);
/// The end of a FusedConv as a node of its own, without inputs and outputs, if it has one.
std::optional<graph::Node> function_of(const graph::Node& fused_conv);

}  // namespace convkit::infer
