#pragma once

#include "convkit/graph/graph.h"

namespace convkit::onnx {

/// The rank of a node's outputs as far as it follows from the ranks of its inputs; kUnknown where
/// it does not, or is not needed. For operators of old sets, which place axes by it.
int64_t output_rank(const graph::Graph& graph, const graph::Node& node);

}  // namespace convkit::onnx
