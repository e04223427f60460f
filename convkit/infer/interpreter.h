#pragma once

#include <functional>
#include <span>
#include <vector>

#include "convkit/graph/graph.h"

/// Runs a graph as it stands, node by node. Slow next to a compiled session, but with nothing
/// between an operator's definition and its result: the oracle of every pass and every session.
namespace convkit::infer {

/// What interpret() tells about each node that has run: its outputs in order, undefined where the
/// node's own are not wanted.
using Watcher = std::function<void(const graph::Node& node, std::span<const Tensor> outputs)>;

/// The outputs of `graph`, which verify() accepts, for these inputs, in the order of graph.inputs.
/// Values are let go when nobody needs them any more. `watch`, if set, is called after each node,
/// also those of branches that are taken.
///
/// Throws ValueError for another number of inputs, ShapeError or DTypeError for an input that the
/// graph's declared types exclude, and what the operators throw; their errors start with the node's
/// name and operator.
CONVKIT_API std::vector<Tensor> interpret(const graph::Graph& graph, std::span<const Tensor> inputs,
                                          const Watcher& watch = nullptr);

/// The checks of interpret(): throws unless the graph takes these inputs.
CONVKIT_API void check_inputs(const graph::Graph& graph, std::span<const Tensor> inputs);

/// One node by itself. `inputs` are the tensors of its inputs, undefined where none is given. Not
/// for conditional nodes (ValueError).
CONVKIT_API std::vector<Tensor> interpret_node(const graph::Node& node,
                                               std::span<const Tensor> inputs);

/// The bytes that all tensors of this process together may take when a node makes another one; the
/// machine's memory unless set. A file may ask for any number: nodes refuse, with a ValueError, to
/// pass the limit. Throws ValueError for a limit that is not positive.
CONVKIT_API void set_memory_limit(int64_t bytes);
CONVKIT_API int64_t memory_limit();

}  // namespace convkit::infer
