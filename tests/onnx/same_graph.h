#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "convkit/graph/graph.h"
#include "convkit/nn/functions.h"

namespace convkit::onnx {

/// What differs between two graphs, by names; "" where they are equal but for the numbers of their
/// values, and what is known of values that are neither inputs nor constants.
inline std::string difference(const graph::Graph& a, const graph::Graph& b) {
  using graph::ValueId;
  const auto name = [](const graph::Graph& g, ValueId id) {
    return id == graph::kNoValue ? std::string("-") : g.value(id).name;
  };
  // Two lists of values.
  const auto compare = [&](const std::vector<ValueId>& x, const std::vector<ValueId>& y,
                           const std::string& where) -> std::string {
    for (std::size_t i = 0; i < std::max(x.size(), y.size()); ++i) {
      const ValueId xi = i < x.size() ? x[i] : graph::kNoValue;
      const ValueId yi = i < y.size() ? y[i] : graph::kNoValue;
      if (name(a, xi) != name(b, yi))
        return message(where, ": value ", i, " is ", name(a, xi), " or ", name(b, yi));
      if (xi == graph::kNoValue) continue;
      const Tensor& p = a.value(xi).constant;
      const Tensor& q = b.value(yi).constant;
      if (p.defined() != q.defined() || (p.defined() && !bit_equal(p, q)))
        return message(where, ": the constant ", name(a, xi), " differs");
    }
    return "";
  };
  if (a.name != b.name) return message("names ", a.name, " and ", b.name);
  if (a.nodes.size() != b.nodes.size())
    return message(a.nodes.size(), " and ", b.nodes.size(), " nodes");
  std::string text =
      compare(a.inputs, b.inputs, "inputs") + compare(a.outputs, b.outputs, "outputs");
  for (std::size_t i = 0; i < std::min(a.inputs.size(), b.inputs.size()); ++i)
    if (!(a.value(a.inputs[i]).type == b.value(b.inputs[i]).type))
      text += message("input ", i, " is ", to_text(a.value(a.inputs[i]).type), " or ",
                      to_text(b.value(b.inputs[i]).type));
  for (std::size_t n = 0; n < a.nodes.size() && text.empty(); ++n) {
    const graph::Node& x = a.nodes[n];
    const graph::Node& y = b.nodes[n];
    if (x.op != y.op || x.name != y.name)
      return message("node ", n, " is ", x.op, " '", x.name, "' or ", y.op, " '", y.name, "'");
    if (!equal(x.attributes, y.attributes))
      return message("attributes of ", x.op, " '", x.name, "'");
    text = compare(x.inputs, y.inputs, x.name) + compare(x.outputs, y.outputs, x.name);
    if (x.branches.size() != y.branches.size()) return x.name + ": branches";
  }
  return text;
}

/// EXPECTs every tensor of the net's state_dict among the constants, by its key and to the bit.
inline void expect_state_dict(const graph::Graph& graph, nn::AnyModule& net) {
  std::map<std::string, Tensor> constants;
  for (const graph::Value& value : graph.values)
    if (value.is_constant()) constants.emplace(value.name, value.constant);
  for (const auto& [key, tensor] : nn::state_dict(net)) {
    if (key.ends_with("num_batches_tracked")) continue;  // training's
    ASSERT_TRUE(constants.contains(key)) << key;
    EXPECT_TRUE(bit_equal(constants.at(key), tensor)) << key;
  }
}

}  // namespace convkit::onnx
