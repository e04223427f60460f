#include "convkit/graph/graph.h"

#include <algorithm>

namespace convkit::graph {
namespace {

ValueId find_named(const Graph& graph, const std::vector<ValueId>& among, std::string_view name,
                   const char* what) {
  for (const ValueId id : among)
    if (graph.value(id).name == name) return id;
  std::string names;
  for (const ValueId id : among) names += (names.empty() ? "" : ", ") + graph.value(id).name;
  throw ValueError(message("the net has no ", what, " '", name, "'; ",
                           names.empty() ? message("it has no ", what, "s") : "there is " + names));
}

}  // namespace

std::optional<Shape> ValueType::shape() const {
  if (!dims || std::ssize(*dims) > kMaxDim) return std::nullopt;
  std::vector<int64_t> extents;
  for (const Dim& dim : *dims) {
    if (!dim.known()) return std::nullopt;
    extents.push_back(dim.extent);
  }
  return Shape(extents);
}

ValueType type_of(const Tensor& tensor) {
  ValueType type{.dtype = tensor.dtype(), .dims = std::vector<Dim>{}};
  for (const int64_t extent : tensor.shape()) type.dims->push_back({.extent = extent});
  return type;
}

bool accepts(const ValueType& type, const Tensor& tensor) {
  if (type.dtype && *type.dtype != tensor.dtype()) return false;
  if (!type.dims) return true;
  if (type.rank() != tensor.dim()) return false;
  for (int64_t axis = 0; axis < tensor.dim(); ++axis) {
    const Dim& dim = (*type.dims)[static_cast<std::size_t>(axis)];
    if (dim.known() && dim.extent != tensor.size(axis)) return false;
  }
  return true;
}

std::string to_text(const ValueType& type) {
  std::string text(type.dtype ? name_of(*type.dtype) : "?");
  if (!type.dims) return text + " ...";
  if (type.dims->empty()) return text + " scalar";
  for (std::size_t axis = 0; axis < type.dims->size(); ++axis) {
    const Dim& dim = (*type.dims)[axis];
    text += axis == 0 ? " " : "×";
    text += dim.known() ? convkit::to_text(dim.extent) : dim.name.empty() ? "?" : dim.name;
  }
  return text;
}

ValueId Graph::add_value(std::string_view value_name, ValueType type) {
  values.push_back({.name = std::string(value_name), .type = std::move(type)});
  return static_cast<ValueId>(values.size() - 1);
}

ValueId Graph::add_input(std::string_view value_name, ValueType type) {
  inputs.push_back(add_value(value_name, std::move(type)));
  return inputs.back();
}

ValueId Graph::add_constant(std::string_view value_name, Tensor constant) {
  const ValueId id = add_value(value_name, type_of(constant));
  value(id).constant = std::move(constant);
  return id;
}

ValueId Graph::add_node(Op op, std::string_view node_name, std::vector<ValueId> node_inputs,
                        Attributes attributes) {
  const ValueId output = add_value(node_name);
  nodes.push_back({.op = op,
                   .name = std::string(node_name),
                   .inputs = std::move(node_inputs),
                   .outputs = {output},
                   .attributes = std::move(attributes)});
  return output;
}

ValueId Graph::find_input(std::string_view value_name) const {
  return find_named(*this, inputs, value_name, "input");
}

ValueId Graph::find_output(std::string_view value_name) const {
  return find_named(*this, outputs, value_name, "output");
}

std::string title(const Node& node) {
  return node.name.empty() ? message(node.op) : message(node.name, " (", node.op, ")");
}

Uses uses_of(const Graph& graph) {
  Uses uses;
  uses.producer.assign(graph.values.size(), Uses::kNoNode);
  uses.consumers.resize(graph.values.size());
  uses.output_count.assign(graph.values.size(), 0);
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    const auto node = static_cast<int32_t>(n);
    for (const ValueId id : graph.nodes[n].outputs)
      if (id != kNoValue) uses.producer[static_cast<std::size_t>(id)] = node;
    for (const ValueId id : graph.nodes[n].inputs) {
      if (id == kNoValue) continue;
      std::vector<int32_t>& readers = uses.consumers[static_cast<std::size_t>(id)];
      if (readers.empty() || readers.back() != node) readers.push_back(node);
    }
  }
  for (const ValueId id : graph.outputs) ++uses.output_count[static_cast<std::size_t>(id)];
  return uses;
}

}  // namespace convkit::graph
