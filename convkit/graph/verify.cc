#include "convkit/graph/verify.h"

#include <set>

namespace convkit::graph {
namespace {

class Verifier {
 public:
  Verifier(const Graph& graph, int depth) : graph_(graph), depth_(depth) {
    known_.assign(graph.values.size(), 0);
  }

  void run() {
    need(depth_ <= kMaxNesting, "branches nest more than ", kMaxNesting, " deep");
    for (std::size_t i = 0; i < graph_.values.size(); ++i)
      if (graph_.values[i].is_constant()) define(static_cast<ValueId>(i), "the constants");
    check_inputs();
    for (const Node& node : graph_.nodes) check_node(node);
    for (const ValueId id : graph_.outputs) {
      need(in_range(id), "an output has the id ", id, ", but there are ", graph_.values.size(),
           " values");
      need(known(id), "nothing computes the output ", named(id));
      need(depth_ > 0 || !graph_.value(id).name.empty(), "output ", id, " has no name");
    }
  }

 private:
  template <class... Parts>
  void need(bool condition, const Parts&... parts) const {
    CONVKIT_CHECK(condition, FormatError, "graph", graph_.name.empty() ? "" : " '", graph_.name,
                  graph_.name.empty() ? "" : "'", ": ", parts...);
  }

  bool in_range(ValueId id) const { return id >= 0 && id < std::ssize(graph_.values); }
  bool known(ValueId id) const { return known_[static_cast<std::size_t>(id)] != 0; }
  std::string named(ValueId id) const {
    return message("'", graph_.value(id).name, "' (", id, ")");
  }

  void define(ValueId id, const std::string& origin) {
    need(in_range(id), origin, ": there is no value ", id, " among ", graph_.values.size());
    need(!known(id), origin, ": value ", named(id), " has another origin already");
    known_[static_cast<std::size_t>(id)] = 1;
  }

  void check_inputs() {
    std::set<std::string> names;
    for (const ValueId id : graph_.inputs) {
      define(id, "the inputs");
      if (depth_ > 0) continue;
      const std::string& name = graph_.value(id).name;
      need(!name.empty(), "input ", id, " has no name");
      need(names.insert(name).second, "two inputs are named '", name, "'");
    }
  }

  static std::string range_text(int8_t least, int8_t most) {
    if (most == kAnyNumber) return message("at least ", least);
    return least == most ? message(least) : message(least, " to ", most);
  }

  void check_node(const Node& node) {
    const std::string who = message("node '", node.name, "' (", node.op, ")");
    need(static_cast<int>(node.op) < operator_count(), who, " has no operator");
    const OpInfo& row = info(node.op);
    need(row.max_inputs == kAnyNumber || std::ssize(node.inputs) <= row.max_inputs, who, " has ",
         node.inputs.size(), " inputs; the operator takes ",
         range_text(row.min_inputs, row.max_inputs));
    for (int8_t i = 0; i < row.min_inputs; ++i)
      need(node.input(static_cast<std::size_t>(i)) != kNoValue, who, ": input ", i,
           " is missing; the operator takes ", range_text(row.min_inputs, row.max_inputs));
    for (const ValueId id : node.inputs) {
      if (id == kNoValue) continue;
      need(in_range(id), who, " reads value ", id, ", but there are ", graph_.values.size());
      need(known(id), who, " reads ", named(id), ", which nothing before it computes");
    }
    need(row.max_outputs == kAnyNumber || std::ssize(node.outputs) <= row.max_outputs, who, " has ",
         node.outputs.size(), " outputs; the operator gives ",
         range_text(row.min_outputs, row.max_outputs));
    for (int8_t i = 0; i < row.min_outputs; ++i)
      need(node.output(static_cast<std::size_t>(i)) != kNoValue, who, ": output ", i,
           " is not wanted, but the operator always gives it");
    for (const ValueId id : node.outputs)
      if (id != kNoValue) define(id, who);
    check_branches(node, who);
  }

  void check_branches(const Node& node, const std::string& who) const {
    const std::size_t wanted = node.op == Op::conditional ? 2 : 0;
    need(node.branches.size() == wanted, who, " has ", node.branches.size(),
         " branches; the operator has ", wanted);
    for (const Graph& branch : node.branches) {
      need(branch.inputs.size() + 1 == node.inputs.size(), who, ": a branch has ",
           branch.inputs.size(), " inputs, but the node hands it ", node.inputs.size() - 1);
      need(branch.outputs.size() == node.outputs.size(), who, ": a branch has ",
           branch.outputs.size(), " outputs, the node ", node.outputs.size());
      Verifier(branch, depth_ + 1).run();
    }
  }

  const Graph& graph_;
  int depth_;
  std::vector<char> known_;
};

}  // namespace

void verify(const Graph& graph) { Verifier(graph, 0).run(); }

}  // namespace convkit::graph
