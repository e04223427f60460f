#include "convkit/graph/edit.h"

#include <algorithm>
#include <queue>

namespace convkit::graph {
namespace {

void renumber(std::vector<ValueId>& ids, const std::vector<ValueId>& renumbered) {
  for (ValueId& id : ids)
    if (id != kNoValue) id = renumbered[index_of(id)];
}

}  // namespace

void replace_uses(Graph& graph, ValueId old, ValueId replacement) {
  for (Node& node : graph.nodes)
    std::replace(node.inputs.begin(), node.inputs.end(), old, replacement);
  std::replace(graph.outputs.begin(), graph.outputs.end(), old, replacement);
}

int64_t remove_dead(Graph& graph) {
  std::vector<char> needed(graph.values.size(), 0);
  const auto need = [&](ValueId id) {
    if (id != kNoValue) needed[index_of(id)] = 1;
  };
  std::for_each(graph.outputs.begin(), graph.outputs.end(), need);
  std::vector<char> alive(graph.nodes.size(), 0);
  for (std::size_t n = graph.nodes.size(); n-- > 0;) {
    Node& node = graph.nodes[n];
    const auto is_read = [&](ValueId id) { return id != kNoValue && needed[index_of(id)] != 0; };
    if (!std::any_of(node.outputs.begin(), node.outputs.end(), is_read)) continue;
    alive[n] = 1;
    std::for_each(node.inputs.begin(), node.inputs.end(), need);
    const auto optional = static_cast<std::size_t>(int{info(node.op).min_outputs});
    if (node.op == Op::conditional || node.op == Op::split) continue;
    for (std::size_t i = optional; i < node.outputs.size(); ++i)
      if (!is_read(node.outputs[i])) node.outputs[i] = kNoValue;
  }
  for (std::size_t n = 0; n < graph.nodes.size(); ++n)
    if (alive[n] != 0)
      std::for_each(graph.nodes[n].outputs.begin(), graph.nodes[n].outputs.end(), need);
  std::for_each(graph.inputs.begin(), graph.inputs.end(), need);

  std::vector<Node> nodes;
  for (std::size_t n = 0; n < graph.nodes.size(); ++n)
    if (alive[n] != 0) nodes.push_back(std::move(graph.nodes[n]));
  const int64_t removed = std::ssize(graph.nodes) - std::ssize(nodes);
  graph.nodes = std::move(nodes);

  std::vector<ValueId> renumbered(graph.values.size(), kNoValue);
  std::vector<Value> values;
  for (std::size_t i = 0; i < graph.values.size(); ++i) {
    if (needed[i] == 0) continue;
    renumbered[i] = static_cast<ValueId>(values.size());
    values.push_back(std::move(graph.values[i]));
  }
  graph.values = std::move(values);
  for (Node& node : graph.nodes) {
    renumber(node.inputs, renumbered);
    renumber(node.outputs, renumbered);
  }
  renumber(graph.inputs, renumbered);
  renumber(graph.outputs, renumbered);
  return removed;
}

std::vector<std::size_t> dependency_order(const std::vector<std::set<std::size_t>>& needs,
                                          const std::function<void(std::size_t)>& on_cycle) {
  std::vector<std::size_t> missing(needs.size());
  std::vector<std::vector<std::size_t>> readers(needs.size());
  std::priority_queue<std::size_t, std::vector<std::size_t>, std::greater<>> ready;
  for (std::size_t n = 0; n < needs.size(); ++n) {
    missing[n] = needs[n].size();
    for (const std::size_t needed : needs[n]) readers[needed].push_back(n);
    if (missing[n] == 0) ready.push(n);
  }
  std::vector<std::size_t> order;
  order.reserve(needs.size());
  while (!ready.empty()) {
    const std::size_t n = ready.top();
    ready.pop();
    order.push_back(n);
    for (const std::size_t reader : readers[n])
      if (--missing[reader] == 0) ready.push(reader);
  }
  const auto stuck = std::find_if(missing.begin(), missing.end(), [](auto m) { return m != 0; });
  if (stuck != missing.end()) on_cycle(static_cast<std::size_t>(stuck - missing.begin()));
  return order;
}

void sort_nodes(Graph& graph) {
  const Uses uses = uses_of(graph);
  std::vector<std::set<std::size_t>> needs(graph.nodes.size());
  for (std::size_t n = 0; n < graph.nodes.size(); ++n)
    for (const ValueId id : graph.nodes[n].inputs)
      if (id != kNoValue && uses.producer[index_of(id)] != Uses::kNoNode)
        needs[n].insert(static_cast<std::size_t>(uses.producer[index_of(id)]));
  const std::vector<std::size_t> order = dependency_order(needs, [&](std::size_t n) {
    throw FormatError(message("graph '", graph.name, "': node '", graph.nodes[n].name, "' (",
                              graph.nodes[n].op,
                              ") reads a value that is computed from its own output: the nodes "
                              "form a cycle"));
  });
  std::vector<Node> nodes;
  nodes.reserve(order.size());
  for (const std::size_t n : order) nodes.push_back(std::move(graph.nodes[n]));
  graph.nodes = std::move(nodes);
}

void inline_branch(Graph& graph, std::size_t node, bool condition) {
  Node conditional = std::move(graph.nodes[node]);
  Graph branch = std::move(conditional.branches[condition ? 0 : 1]);
  std::vector<ValueId> mapped(branch.values.size(), kNoValue);
  for (std::size_t i = 0; i < branch.inputs.size(); ++i)
    mapped[index_of(branch.inputs[i])] = conditional.inputs[i + 1];
  for (std::size_t i = 0; i < branch.values.size(); ++i) {
    if (mapped[i] != kNoValue) continue;
    mapped[i] = static_cast<ValueId>(graph.values.size());
    graph.values.push_back(std::move(branch.values[i]));
  }
  for (Node& inner : branch.nodes) {
    renumber(inner.inputs, mapped);
    renumber(inner.outputs, mapped);
  }
  renumber(branch.outputs, mapped);
  const auto at = graph.nodes.begin() + static_cast<std::ptrdiff_t>(node);
  graph.nodes.insert(graph.nodes.erase(at), std::make_move_iterator(branch.nodes.begin()),
                     std::make_move_iterator(branch.nodes.end()));
  for (std::size_t i = 0; i < conditional.outputs.size(); ++i)
    if (conditional.outputs[i] != kNoValue)
      replace_uses(graph, conditional.outputs[i], branch.outputs[i]);
}

}  // namespace convkit::graph
