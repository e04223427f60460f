#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "convkit/graph/graph.h"
#include "convkit/graph/verify.h"
#include "convkit/infer/interpreter.h"
#include "tests/support/golden.h"
#include "tests/support/relative_difference.h"

/// Small graphs for tests, with ONNX's attributes.
namespace convkit::test {

using graph::Graph;
using graph::Op;
using graph::ValueId;
using Ints = std::vector<int64_t>;

inline graph::Attributes conv_attributes(const Ints& pads, const Ints& strides = {},
                                         int64_t group = 1) {
  return {{"auto_pad", std::string("NOTSET")},
          {"dilations", Ints{}},
          {"group", group},
          {"kernel_shape", Ints{}},
          {"pads", pads},
          {"strides", strides}};
}

inline graph::Attributes pool_attributes(const Ints& kernel, const Ints& strides,
                                         const Ints& pads) {
  return {{"auto_pad", std::string("NOTSET")},
          {"ceil_mode", int64_t{0}},
          {"dilations", Ints{}},
          {"kernel_shape", kernel},
          {"pads", pads},
          {"strides", strides},
          {"storage_order", int64_t{0}},
          {"count_include_pad", int64_t{0}}};
}

/// A graph in the making, with random constants.
struct Builder {
  Graph graph = Graph();
  Generator random{7};

  int count = 0;

  std::string name(const char* what) { return what + std::to_string(count++); }
  ValueId input(const Shape& shape) {
    return graph.add_input(name("x"), graph::type_of(Tensor(shape, DType::float32)));
  }
  ValueId constant(const Tensor& tensor) { return graph.add_constant(name("c"), tensor); }
  ValueId random_constant(const Shape& shape) { return constant(randn(shape, random)); }
  ValueId node(Op op, std::vector<ValueId> inputs, graph::Attributes attributes = {}) {
    return graph.add_node(op, name("n"), std::move(inputs), std::move(attributes));
  }
  ValueId conv(ValueId x, const Shape& weight, const Ints& pads, const Ints& strides = {},
               int64_t group = 1) {
    return node(Op::conv, {x, random_constant(weight), random_constant({weight[0]})},
                conv_attributes(pads, strides, group));
  }
  ValueId batch_norm(ValueId x, int64_t channels) {
    return node(Op::batch_normalization,
                {x, random_constant({channels}), random_constant({channels}),
                 random_constant({channels}), constant(rand({channels}, random))},
                {{"epsilon", 1e-5}, {"momentum", 0.9}, {"training_mode", int64_t{0}}});
  }
  Graph finish(std::vector<ValueId> outputs) {
    graph.outputs = std::move(outputs);
    graph::verify(graph);
    return graph;
  }
};

inline std::vector<Tensor> random_inputs(const Graph& graph, uint64_t seed = 3) {
  Generator random(seed);
  std::vector<Tensor> inputs;
  for (const ValueId id : graph.inputs)
    inputs.push_back(randn(*graph.value(id).type.shape(), random));
  return inputs;
}

/// The operators of the nodes, in order.
inline std::vector<Op> ops_of(const Graph& graph) {
  std::vector<Op> ops;
  for (const graph::Node& node : graph.nodes) ops.push_back(node.op);
  return ops;
}

/// EXPECTs what sums in another order leave of `expected`, or the same integers.
inline void expect_same_sums(const Tensor& actual, const Tensor& expected,
                             const std::string& what) {
  if (expected.dtype() == DType::float32)
    EXPECT_LE(relative_difference(actual, expected), kExactDifference) << what;
  else
    EXPECT_TRUE(bit_equal(actual, expected)) << what;
}

/// EXPECTs equal outputs of both, up to the order of sums.
inline void expect_equal_outputs(const Graph& expected, const Graph& actual) {
  graph::verify(actual);
  const std::vector<Tensor> inputs = random_inputs(expected);
  const std::vector<Tensor> a = infer::interpret(actual, inputs);
  const std::vector<Tensor> e = infer::interpret(expected, inputs);
  ASSERT_EQ(a.size(), e.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    expect_same_sums(a[i], e[i], "output " + std::to_string(i));
    EXPECT_EQ(actual.value(actual.outputs[i]).name, expected.value(expected.outputs[i]).name);
  }
}

}  // namespace convkit::test
