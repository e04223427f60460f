#pragma once

#include "convkit/graph/graph.h"

namespace convkit::graph {

/// Throws FormatError, which names the node, the value and the rule, unless the graph keeps every
/// invariant of graph.h: ids in range, one origin each, inputs before their readers, as many inputs
/// and outputs as the operator has, branches where they belong (checked likewise, at most
/// kMaxNesting deep). Inputs and outputs of the outermost graph have names, each input its own.
CONVKIT_API void verify(const Graph& graph);

/// How deep conditional branches may nest.
inline constexpr int kMaxNesting = 32;

}  // namespace convkit::graph
