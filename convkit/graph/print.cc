#include "convkit/graph/print.h"

namespace convkit::graph {
namespace {

constexpr int64_t kMostElementsShown = 8;

// Without a name, by number.
std::string name_of_value(const Graph& graph, ValueId id) {
  if (id == kNoValue) return "-";
  const std::string& name = graph.value(id).name;
  return name.empty() ? message("%", id) : name;
}

std::string constant_text(const Tensor& constant) {
  std::string text = to_text(type_of(constant));
  if (constant.numel() > kMostElementsShown || constant.dim() > 1) return text;
  text += " =";
  const Tensor flat = constant.reshaped({constant.numel()});
  for (int64_t i = 0; i < flat.numel(); ++i) {
    text += ' ';
    text += is_floating(flat.dtype()) ? to_text(static_cast<float>(flat.at({i})))
                                      : to_text(flat.to(DType::int64).data<int64_t>()[i]);
  }
  return text;
}

std::string names(const Graph& graph, const std::vector<ValueId>& ids) {
  std::string text;
  for (std::size_t i = 0; i < ids.size(); ++i)
    text += (i == 0 ? "" : ", ") + name_of_value(graph, ids[i]);
  return text;
}

void append(std::string& text, const Graph& graph, const std::string& indent) {
  const auto declare = [&](const char* kind, ValueId id) {
    text +=
        message(indent, kind, name_of_value(graph, id), ": ", to_text(graph.value(id).type), "\n");
  };
  for (const ValueId id : graph.inputs) declare("in   ", id);
  for (const Value& value : graph.values)
    if (value.is_constant())
      text += message(indent, "c    ", value.name, ": ", constant_text(value.constant), "\n");
  for (const Node& node : graph.nodes) {
    text += message(indent, node.name, node.name.empty() ? "" : ": ", names(graph, node.outputs),
                    " = ", node.op, "(", names(graph, node.inputs), ")");
    for (const auto& [key, value] : node.attributes.entries())
      text += message(" ", key, "=", to_text(value));
    text += '\n';
    for (std::size_t i = 0; i < node.branches.size(); ++i) {
      text += message(indent, i == 0 ? "  then" : "  else", "\n");
      append(text, node.branches[i], indent + "    ");
    }
  }
  for (const ValueId id : graph.outputs) declare("out  ", id);
}

std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    if (c == '\n') {
      result += "\\n";
    } else {
      result += c;
    }
  }
  return result + "\"";
}

}  // namespace

std::string to_text(const Graph& graph) {
  std::string text = message("graph '", graph.name, "'\n");
  append(text, graph, "  ");
  return text;
}

std::string to_dot(const Graph& graph) {
  std::string text = message("digraph ", quoted(graph.name),
                             " {\n  node [shape=box, style=rounded, fontname=Helvetica]\n"
                             "  edge [fontname=Helvetica, fontsize=10]\n");
  const Uses uses = uses_of(graph);
  const auto origin = [&](ValueId id) {
    const int32_t producer = uses.producer[static_cast<std::size_t>(id)];
    return producer == Uses::kNoNode ? message("v", id) : message("n", producer);
  };
  for (const ValueId id : graph.inputs)
    text += message("  v", id, " [shape=ellipse, label=", quoted(name_of_value(graph, id)), "]\n");
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    std::string label = message(node.op);
    if (!node.name.empty()) label += "\n" + node.name;
    for (const ValueId id : node.inputs)
      if (id != kNoValue && graph.value(id).is_constant())
        label +=
            message("\n", name_of_value(graph, id), ": ", constant_text(graph.value(id).constant));
    for (const auto& [key, value] : node.attributes.entries())
      label += message("\n", key, " = ", to_text(value));
    text += message("  n", n, " [label=", quoted(label), "]\n");
    for (const ValueId id : node.inputs)
      if (id != kNoValue && !graph.value(id).is_constant())
        text += message("  ", origin(id), " -> n", n,
                        " [label=", quoted(to_text(graph.value(id).type)), "]\n");
  }
  for (std::size_t i = 0; i < graph.outputs.size(); ++i) {
    const ValueId id = graph.outputs[i];
    text += message("  o", i, " [shape=ellipse, label=", quoted(name_of_value(graph, id)), "]\n");
    if (!graph.value(id).is_constant())
      text += message("  ", origin(id), " -> o", i,
                      " [label=", quoted(to_text(graph.value(id).type)), "]\n");
  }
  return text + "}\n";
}

}  // namespace convkit::graph
