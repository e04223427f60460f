#pragma once

#include <string>

#include "convkit/graph/graph.h"

/// A graph for people to read.
namespace convkit::graph {

/// One line per input, constant, node and output:
///
///     graph 'tiny'
///       in   x: float32 N×3×8×8
///       c    conv.weight: float32 4×3×3×3
///       conv1: y = Conv(x, conv.weight) group=1 strides=(1, 1)
///       out  y: float32 ...
///
/// Small constants are printed with their elements; branches are indented below their node.
CONVKIT_API std::string to_text(const Graph& graph);

/// The same as a Graphviz program: `dot -Tsvg`. Nodes are boxes with their attributes, edges carry
/// the types of values; constants stand inside the node that reads them, by shape.
CONVKIT_API std::string to_dot(const Graph& graph);

}  // namespace convkit::graph
