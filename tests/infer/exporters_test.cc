// What exporters write in many nodes, which the passes and the plan make few of: each on a small
// graph, with equal outputs; and what only looks like it.
#include <gmock/gmock.h>

#include "convkit/infer/passes/passes.h"
#include "convkit/infer/session.h"
#include "tests/infer/nodes.h"

namespace convkit::infer {
namespace {

using graph::Graph;
using graph::Op;
using graph::ValueId;
using test::Builder;
using test::expect_equal_outputs;
using test::Ints;
using test::ops_of;
using testing::ElementsAre;

Tensor int64s(const Ints& values) { return from_values(values, {std::ssize(values)}); }

ValueId number(Builder& b, double value) { return b.constant(full({}, value)); }
ValueId turned(Builder& b, ValueId x, const Ints& perm) {
  return b.node(Op::transpose, {x}, {{"perm", perm}});
}
ValueId mean(Builder& b, ValueId x, int64_t axis) {
  return b.node(Op::reduce_mean, {x, b.constant(int64s({axis}))},
                {{"keepdims", int64_t{1}}, {"noop_with_empty_axes", int64_t{0}}});
}
ValueId reshaped(Builder& b, ValueId x, const Ints& shape) {
  return b.node(Op::reshape, {x, b.constant(int64s(shape))}, {{"allowzero", int64_t{0}}});
}

// What fuse_functions leaves of a product, whose outputs stay the same.
template <class Build>
std::vector<Op> fused(const Build& build) {
  Builder b;
  const ValueId x = b.input({2, 3, 4, 5});
  Graph g = b.finish({build(b, x)});
  const Graph before = g;
  fuse_functions(g);
  expect_equal_outputs(before, g);
  return ops_of(g);
}

ValueId erf_of(Builder& b, ValueId x) {
  const ValueId scaled = b.node(Op::div, {x, number(b, 1.41421354)});
  return b.node(Op::add, {b.node(Op::erf, {scaled}), number(b, 1)});
}

TEST(FuseFunctions, FindsGeluHoweverItsHalfIsPlaced) {
  EXPECT_THAT(fused([](Builder& b, ValueId x) {
                return b.node(Op::mul, {b.node(Op::mul, {x, erf_of(b, x)}), number(b, 0.5)});
              }),
              ElementsAre(Op::gelu));
  EXPECT_THAT(fused([](Builder& b, ValueId x) {
                return b.node(Op::mul, {erf_of(b, x), b.node(Op::mul, {number(b, 0.5), x})});
              }),
              ElementsAre(Op::gelu));
  EXPECT_THAT(fused([](Builder& b, ValueId x) {
                const ValueId half = b.node(Op::div, {erf_of(b, x), number(b, 2)});
                return b.node(Op::mul, {x, half});
              }),
              ElementsAre(Op::gelu));
}

TEST(FuseFunctions, FindsWhatMultipliesAValueByItsGate) {
  EXPECT_THAT(fused([](Builder& b, ValueId x) {
                return b.node(Op::mul, {b.node(Op::sigmoid, {x}), x});
              }),
              ElementsAre(Op::swish));
  EXPECT_THAT(fused([](Builder& b, ValueId x) {
                return b.node(Op::mul, {x, b.node(Op::hard_sigmoid, {x},
                                                  {{"alpha", 1.0 / 6}, {"beta", 0.5}})});
              }),
              ElementsAre(Op::hard_swish));
  EXPECT_THAT(fused([](Builder& b, ValueId x) {
                const ValueId sum = b.node(Op::add, {x, number(b, 3)});
                const ValueId clip = b.node(Op::clip, {sum, number(b, 0), number(b, 6)});
                return b.node(Op::div, {b.node(Op::mul, {x, clip}), number(b, 6)});
              }),
              ElementsAre(Op::hard_swish));
  EXPECT_THAT(fused([](Builder& b, ValueId x) {
                return b.node(Op::mul, {x, b.node(Op::tanh, {b.node(Op::softplus, {x})})});
              }),
              ElementsAre(Op::mish));
  EXPECT_THAT(fused([](Builder& b, ValueId x) {
                return b.node(Op::pow, {x, number(b, 2)});
              }),
              ElementsAre(Op::mul));
}

TEST(FuseFunctions, LeavesWhatOnlyLooksLikeOne) {
  // The gate of another value.
  EXPECT_THAT(fused([](Builder& b, ValueId x) {
                return b.node(Op::mul, {b.node(Op::neg, {x}), b.node(Op::sigmoid, {x})});
              }),
              ElementsAre(Op::neg, Op::sigmoid, Op::mul));
  // Without its half.
  EXPECT_THAT(fused([](Builder& b, ValueId x) {
                return b.node(Op::mul, {x, erf_of(b, x)});
              }),
              ElementsAre(Op::div, Op::erf, Op::add, Op::mul));
  EXPECT_THAT(
      fused([](Builder& b, ValueId x) {
        return b.node(Op::mul, {x, b.node(Op::hard_sigmoid, {x}, {{"alpha", 0.2}, {"beta", 0.5}})});
      }),
      ElementsAre(Op::hard_sigmoid, Op::mul));
  // Twice the value.
  EXPECT_THAT(fused([](Builder& b, ValueId x) {
                const ValueId twice = b.node(Op::mul, {x, number(b, 2)});
                return b.node(Op::mul, {twice, b.node(Op::sigmoid, {x})});
              }),
              ElementsAre(Op::mul, Op::sigmoid, Op::mul));
  // Integers, whose sixths are whole.
  EXPECT_THAT(
      fused([](Builder& b, ValueId x) {
        const auto whole = [&](double value) { return b.constant(full({}, value, DType::int64)); };
        const ValueId n = b.node(Op::cast, {b.node(Op::mul, {x, number(b, 9)})},
                                 {{"to", static_cast<int64_t>(DType::int64)}});
        const ValueId clip = b.node(Op::clip, {b.node(Op::add, {n, whole(3)}), whole(0), whole(6)});
        return b.node(Op::div, {b.node(Op::mul, {n, clip}), whole(6)});
      }),
      ElementsAre(Op::mul, Op::cast, Op::add, Op::clip, Op::mul, Op::div));
  EXPECT_THAT(fused([](Builder& b, ValueId x) {
                return b.node(Op::pow, {b.node(Op::abs, {x}), number(b, 3)});
              }),
              ElementsAre(Op::abs, Op::pow));
}

ValueId layer_norm(Builder& b, ValueId x, int64_t axis, const Shape& list) {
  const ValueId off = b.node(Op::sub, {x, mean(b, x, axis)});
  const ValueId variance = mean(b, b.node(Op::pow, {off, number(b, 2)}), axis);
  const ValueId root = b.node(Op::sqrt, {b.node(Op::add, {variance, b.constant(full({}, 1e-5))})});
  const ValueId scaled = b.node(Op::mul, {b.node(Op::div, {off, root}), b.random_constant(list)});
  return b.node(Op::add, {scaled, b.random_constant(list)});
}

TEST(FuseLayerNorm, FindsTheLastAxisAndLeavesOthers) {
  Builder b;
  const ValueId x = b.input({2, 3, 4, 8});
  Graph g = b.finish({layer_norm(b, x, -1, {8}), layer_norm(b, x, 3, {8})});
  const Graph before = g;
  fuse_functions(g);
  EXPECT_EQ(fuse_layer_norm(g), 2);
  EXPECT_THAT(ops_of(g), ElementsAre(Op::layer_normalization, Op::layer_normalization));
  expect_equal_outputs(before, g);

  Builder other;
  Graph channels = other.finish({layer_norm(other, other.input({2, 3, 4, 8}), 1, {3, 1, 1})});
  fuse_functions(channels);
  EXPECT_EQ(fuse_layer_norm(channels), 0);
}

// As ConvNeXt has it: to channels-last and back around a normalisation and two products.
Graph channels_last_block(const Shape& input, const Ints& there, const Ints& back) {
  Builder b;
  const ValueId x = b.input(input);
  const auto rank = static_cast<std::size_t>(input.dim());
  Shape depthwise({input[1], 1});
  while (depthwise.dim() < input.dim()) depthwise = depthwise.with_inserted(2, 3);
  const Ints pads(2 * (rank - 2), 1);
  const ValueId conv = b.conv(x, depthwise, pads, {}, input[1]);
  const ValueId normal = layer_norm(b, turned(b, conv, there), -1, {input[1]});
  const auto product = [&](ValueId value, int64_t from, int64_t to) {
    const ValueId y = b.node(Op::matmul, {value, b.random_constant({from, to})});
    return b.node(Op::add, {b.random_constant({to}), y});
  };
  const ValueId wide = product(normal, input[1], 4 * input[1]);
  const ValueId gelu = b.node(Op::mul, {b.node(Op::mul, {wide, erf_of(b, wide)}), number(b, 0.5)});
  const ValueId narrow = turned(b, product(gelu, 4 * input[1], input[1]), back);
  Shape scale({input[1]});
  while (scale.dim() + 1 < input.dim()) scale = scale.with_inserted(1, 1);
  const ValueId scaled = b.node(Op::mul, {b.random_constant(scale), narrow});
  return b.finish({b.node(Op::add, {scaled, x})});
}

TEST(SinkTransposes, EndsThemWhereANetGoesToChannelsLastAndBack) {
  for (const Graph& before :
       {channels_last_block({2, 6, 5, 4}, {0, 2, 3, 1}, {0, 3, 1, 2}),
        channels_last_block({2, 6, 9}, {0, 2, 1}, {0, 2, 1}),
        channels_last_block({1, 4, 3, 5, 2}, {0, 2, 3, 4, 1}, {0, 4, 1, 2, 3})}) {
    Graph g = before;
    optimize(g);
    EXPECT_THAT(ops_of(g),
                ElementsAre(Op::conv, Op::layer_normalization, Op::fused_conv, Op::fused_conv));
    EXPECT_EQ(g.nodes[2].attributes.text("function"), "Gelu");
    expect_equal_outputs(before, g);
    const std::vector<Tensor> inputs = test::random_inputs(before);
    const Session session(before, {.exactness = Exactness::exact});
    test::expect_same_sums(session.run(inputs)[0], interpret(before, inputs)[0], "session");
    for (const StepDescription& step : session.steps(inputs))
      EXPECT_NE(step.algorithm, "interpreter");
  }
}

TEST(SinkTransposes, KeepsOneThatOthersReadAndConstantsInTheirPlace) {
  Builder b;
  const ValueId x = b.input({2, 3, 4, 5});
  const ValueId last = turned(b, x, {0, 2, 3, 1});
  const ValueId read_twice = b.node(Op::add, {b.node(Op::relu, {last}), last});
  // Stretched along two axes, of fewer axes than x, and from the left.
  const ValueId other = turned(b, b.node(Op::abs, {x}), {3, 1, 0, 2});
  const ValueId minus = b.node(Op::sub, {b.random_constant({3, 1, 4}), other});
  Graph g = b.finish({read_twice, minus, b.node(Op::exp, {turned(b, x, {1, 0, 2, 3})})});
  const Graph before = g;
  EXPECT_GT(sink_transposes(g), 0);
  EXPECT_THAT(ops_of(g), ElementsAre(Op::transpose, Op::relu, Op::add, Op::abs, Op::sub,
                                     Op::transpose, Op::exp, Op::transpose));
  expect_equal_outputs(before, g);
}

int64_t count_steps(const Session& session, std::span<const Tensor> inputs, std::string_view op) {
  int64_t count = 0;
  for (const StepDescription& step : session.steps(inputs)) count += step.op == op ? 1 : 0;
  return count;
}

// EXPECTs the interpreter's outputs, and says how many transpositions are left.
int64_t transposes_left(const Graph& g) {
  const std::vector<Tensor> inputs = test::random_inputs(g);
  const Session session(g, {.exactness = Exactness::exact});
  EXPECT_TRUE(bit_equal(session.run(inputs)[0], interpret(g, inputs)[0]));
  return count_steps(session, inputs, "Transpose");
}

TEST(Session, ShufflesChannelsInOneStep) {
  const auto shuffle = [](const Ints& split, const Ints& perm, const Ints& joined) {
    Builder b;
    const ValueId x = b.node(Op::relu, {b.input({2, 12, 5, 7})});
    const ValueId mixed = reshaped(b, turned(b, reshaped(b, x, split), perm), joined);
    return b.finish({b.node(Op::neg, {mixed})});
  };
  EXPECT_EQ(transposes_left(shuffle({2, 3, 4, 5, 7}, {0, 2, 1, 3, 4}, {2, 12, 5, 7})), 0);
  EXPECT_EQ(transposes_left(shuffle({2, 2, 6, 5, 7}, {0, 2, 1, 3, 4}, {0, -1, 5, 7})), 0);
  // Other axes, and another shape afterwards.
  EXPECT_EQ(transposes_left(shuffle({2, 3, 4, 5, 7}, {0, 2, 1, 4, 3}, {2, 12, 7, 5})), 1);
  EXPECT_EQ(transposes_left(shuffle({2, 3, 4, 7, 5}, {0, 2, 1, 3, 4}, {2, 12, 5, 7})), 1);
  EXPECT_EQ(transposes_left(shuffle({2, 3, 4, 5, 7}, {0, 2, 1, 3, 4}, {2, 12, 35})), 1);
}

TEST(Session, CutsChannelsInStepsOfItsOwn) {
  Builder b;
  const ValueId x = b.node(Op::relu, {b.input({2, 7, 3, 4})});
  const auto cut = [&](int64_t from, int64_t to, int64_t step) {
    return b.node(Op::slice, {x, b.constant(int64s({from})), b.constant(int64s({to})),
                              b.constant(int64s({1})), b.constant(int64s({step}))});
  };
  const ValueId split = b.node(Op::split, {x, b.constant(int64s({2, 1, 4}))},
                               {{"axis", int64_t{-3}}, {"num_outputs", int64_t{3}}});
  b.graph.nodes.back().outputs.push_back(b.graph.add_value("middle"));
  b.graph.nodes.back().outputs.push_back(b.graph.add_value("last"));
  const ValueId middle = b.graph.nodes.back().outputs[1];
  const ValueId last = b.graph.nodes.back().outputs[2];
  const Graph g = b.finish({b.node(Op::neg, {cut(1, 4, 1)}), b.node(Op::neg, {cut(-2, 100, 1)}),
                            b.node(Op::neg, {cut(6, 0, -2)}), b.node(Op::neg, {split}),
                            b.node(Op::neg, {middle}), b.node(Op::neg, {last})});
  const std::vector<Tensor> inputs = test::random_inputs(g);
  const Session session(g);
  const std::vector<Tensor> actual = session.run(inputs);
  const std::vector<Tensor> expected = interpret(g, inputs);
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_TRUE(bit_equal(actual[i], expected[i])) << i;
  EXPECT_EQ(count_steps(session, inputs, "Slice"), 6);
  EXPECT_EQ(count_steps(session, inputs, "Split"), 0);
}

// As operator sets before 18 have it, and with groups that are no channels.
TEST(ChannelGroups, InstanceNormalizationBetweenReshapesIsOneStep) {
  for (const int64_t groups : {3, 4, 1}) {
    Builder b;
    const ValueId x = b.input({2, 6, 5, 4});
    const ValueId split = reshaped(b, b.node(Op::relu, {x}), {0, groups, -1});
    const ValueId normal = b.node(Op::instance_normalization,
                                  {split, b.random_constant({groups}), b.random_constant({groups})},
                                  {{"epsilon", 1e-5}});
    const ValueId whole = reshaped(b, normal, {2, 6, 5, 4});
    const ValueId scaled = b.node(Op::mul, {whole, b.random_constant({6, 1, 1})});
    const Graph g = b.finish({b.node(Op::add, {scaled, b.random_constant({6, 1, 1})})});
    const std::vector<Tensor> inputs = test::random_inputs(g);
    const Session session(g);
    test::expect_same_sums(session.run(inputs)[0], interpret(g, inputs)[0], "session");
    const std::vector<StepDescription> steps = session.steps(inputs);
    EXPECT_EQ(steps.size(), groups == 4 ? 6U : 4U);
    if (groups != 4) {
      EXPECT_THAT(steps[1].fused, ElementsAre("InstanceNormalization", "Reshape"));
    }
  }
}

}  // namespace
}  // namespace convkit::infer
