#pragma once

#include <functional>
#include <set>

#include "convkit/graph/graph.h"

/// Changes that many passes make.
namespace convkit::graph {

/// Every node, and the graph's outputs, read `replacement` where they read `old`.
CONVKIT_API void replace_uses(Graph& graph, ValueId old, ValueId replacement);

/// Drops the nodes of which nothing is read, and the values nobody needs any more; all ids change.
/// Inputs and outputs stay. Optional outputs that nobody reads become kNoValue. Returns how many
/// nodes went.
CONVKIT_API int64_t remove_dead(Graph& graph);

/// The numbers 0 ... needs.size() - 1 in an order in which each comes after all that it needs, the
/// smaller first wherever two may come (Kahn's algorithm). Calls `on_cycle`, which has to throw,
/// with the smallest number that needs itself, directly or through others, or needs such a one.
CONVKIT_API std::vector<std::size_t> dependency_order(
    const std::vector<std::set<std::size_t>>& needs,
    const std::function<void(std::size_t)>& on_cycle);

/// Puts the nodes in an order in which every input is computed before it is read, keeping the
/// present order wherever it serves. Throws FormatError naming a node on a cycle.
CONVKIT_API void sort_nodes(Graph& graph);

/// Puts the nodes of one branch of a conditional node in its place.
CONVKIT_API void inline_branch(Graph& graph, std::size_t node, bool condition);

}  // namespace convkit::graph
