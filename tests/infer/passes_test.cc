// Each pass on a small graph: what it leaves, and equal outputs.
#include "convkit/infer/passes/passes.h"

#include <gmock/gmock.h>

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

TEST(FoldConstants, ComputesWhatDependsOnNoInput) {
  Builder b;
  const ValueId x = b.input({2, 3, 4, 4});
  const ValueId sum = b.node(Op::add, {b.random_constant({3, 1, 1}), b.random_constant({})});
  const ValueId root = b.node(Op::sqrt, {b.node(Op::abs, {sum})});
  Graph g = b.finish({b.node(Op::mul, {x, root})});
  const Graph before = g;
  EXPECT_EQ(fold_constants(g), 3);
  EXPECT_THAT(ops_of(g), ElementsAre(Op::mul));
  expect_equal_outputs(before, g);
}

TEST(FoldConstants, LeavesWhatWouldBeTooLarge) {
  Builder b;
  const ValueId x = b.input({1});
  const ValueId huge = b.node(Op::constant_of_shape, {b.constant(int64s({1 << 20, 1 << 20}))},
                              {{"value", zeros({1})}});
  const ValueId size = b.node(Op::size, {huge});
  Graph g = b.finish({b.node(Op::mul, {x, b.node(Op::cast, {size}, {{"to", int64_t{0}}})})});
  EXPECT_EQ(fold_constants(g), 0);
}

TEST(RemoveIdentities, KeepsTheNamesOfOutputs) {
  Builder b;
  const ValueId x = b.input({2, 3});
  const ValueId relu = b.node(Op::relu, {b.node(Op::identity, {x})});
  const ValueId out = b.node(Op::identity, {b.node(Op::dropout, {relu}, {{"seed", int64_t{0}}})});
  const ValueId given = b.node(Op::identity, {x});
  Graph g = b.finish({out, given});
  const Graph before = g;
  EXPECT_EQ(remove_identities(g), 3);
  // An output cannot be an input under another name.
  EXPECT_THAT(ops_of(g), testing::UnorderedElementsAre(Op::relu, Op::identity));
  expect_equal_outputs(before, g);
}

TEST(RemoveIdentities, KeepsDropoutWhoseMaskIsReadOrThatTrains) {
  Builder b;
  const ValueId x = b.input({8});
  b.node(Op::dropout, {x, b.constant(full({}, 0.5)), b.constant(full({}, 1, DType::boolean))},
         {{"seed", int64_t{1}}});
  Graph g = b.finish({b.graph.nodes[0].outputs[0]});
  EXPECT_EQ(remove_identities(g), 0);
}

TEST(MergeTransposes, LeavesOneOrNone) {
  Builder b;
  const ValueId x = b.input({2, 3, 4});
  const auto turned = [&](ValueId value, const Ints& perm) {
    return b.node(Op::transpose, {value}, {{"perm", perm}});
  };
  const ValueId once = turned(turned(x, {1, 2, 0}), {0, 2, 1});
  const ValueId back = b.node(Op::relu, {turned(turned(x, {1, 2, 0}), {2, 0, 1})});
  Graph g = b.finish({once, back});
  const Graph before = g;
  EXPECT_EQ(merge_transposes(g), 3);
  EXPECT_THAT(ops_of(g), ElementsAre(Op::transpose, Op::relu));
  expect_equal_outputs(before, g);
}

TEST(GemmToConv, TakesScalesAndTranspositionsIntoTheWeight) {
  Builder b;
  const ValueId x = b.input({4, 6});
  const auto gemm = [&](const Shape& weight, std::vector<ValueId> c, bool transposed) {
    std::vector<ValueId> inputs = {x, b.random_constant(weight)};
    inputs.insert(inputs.end(), c.begin(), c.end());
    return b.node(Op::gemm, inputs,
                  {{"alpha", 0.5},
                   {"beta", 2.0},
                   {"transA", int64_t{0}},
                   {"transB", int64_t{transposed ? 1 : 0}}});
  };
  const ValueId row = b.random_constant({1, 5});
  const ValueId rows = b.random_constant({4, 5});
  Graph g = b.finish({gemm({6, 5}, {row}, false), gemm({5, 6}, {b.random_constant({})}, true),
                      gemm({5, 6}, {}, true), gemm({5, 6}, {rows}, true),
                      b.node(Op::matmul, {x, b.random_constant({6, 3})})});
  const Graph before = g;
  EXPECT_EQ(gemm_to_conv(g), 4);
  EXPECT_THAT(ops_of(g), ElementsAre(Op::fused_conv, Op::fused_conv, Op::fused_conv, Op::gemm,
                                     Op::fused_conv));
  expect_equal_outputs(before, g);
}

TEST(FoldAffine, TakesBatchNormAndArithmeticIntoTheWeights) {
  Builder b;
  const ValueId x = b.input({2, 4, 6, 5});
  ValueId y = b.batch_norm(b.conv(x, {6, 2, 3, 3}, {1, 1, 1, 1}, {}, 2), 6);
  y = b.node(Op::mul, {b.random_constant({6, 1, 1}), y});
  y = b.node(Op::sub, {b.random_constant({1, 6, 1, 1}), y});
  y = b.node(Op::div, {y, b.constant(full({}, 3))});
  Graph g = b.finish({y});
  const Graph before = g;
  EXPECT_EQ(fold_affine(g), 4);
  EXPECT_THAT(ops_of(g), ElementsAre(Op::conv));
  expect_equal_outputs(before, g);
}

TEST(FoldAffine, KnowsTheChannelsOfTransposedConvolutions) {
  Builder b;
  const ValueId x = b.input({2, 4, 5});
  graph::Attributes attributes = test::conv_attributes({1, 1}, {2}, 2);
  attributes.set("output_padding", Ints{});
  attributes.set("output_shape", Ints{});
  const ValueId y = b.node(Op::conv_transpose, {x, b.random_constant({4, 3, 3})}, attributes);
  Graph g = b.finish({b.batch_norm(y, 6)});
  const Graph before = g;
  EXPECT_EQ(fold_affine(g), 1);
  EXPECT_THAT(ops_of(g), ElementsAre(Op::conv_transpose));
  expect_equal_outputs(before, g);
}

TEST(FoldAffine, LeavesConvolutionsThatOthersReadAndConstantsThatVaryInSpace) {
  Builder b;
  const ValueId x = b.input({1, 2, 4, 4});
  const ValueId read_twice = b.conv(x, {3, 2, 1, 1}, {});
  const ValueId once = b.conv(x, {3, 2, 1, 1}, {});
  Graph g = b.finish({b.batch_norm(read_twice, 3), read_twice,
                      b.node(Op::mul, {once, b.random_constant({3, 1, 4})})});
  EXPECT_EQ(fold_affine(g), 0);
}

TEST(FoldPads, AddsToTheConvolutionsOwn) {
  Builder b;
  const ValueId x = b.input({1, 2, 5, 6});
  const ValueId pads = b.constant(int64s({0, 0, 1, 2, 0, 0, 0, 1}));
  const ValueId padded = b.node(Op::pad, {x, pads}, {{"mode", std::string("constant")}});
  const ValueId reflected = b.node(Op::pad, {x, pads}, {{"mode", std::string("reflect")}});
  Graph g =
      b.finish({b.conv(padded, {3, 2, 3, 3}, {0, 1, 0, 0}), b.conv(reflected, {3, 2, 3, 3}, {})});
  const Graph before = g;
  EXPECT_EQ(fold_pads(g), 1);
  EXPECT_THAT(ops_of(g), testing::UnorderedElementsAre(Op::pad, Op::conv, Op::conv));
  expect_equal_outputs(before, g);
}

TEST(FuseResiduals, AddsBeforeTheStore) {
  Builder b;
  const ValueId x = b.input({2, 4, 5, 5});
  // The other operand is computed after the convolution that takes it in.
  const ValueId y = b.conv(x, {4, 4, 3, 3}, {1, 1, 1, 1});
  const ValueId sum = b.node(Op::add, {y, b.node(Op::sigmoid, {x})});
  // Here the convolution is stretched: its residual is larger than itself.
  const ValueId small = b.conv(b.node(Op::global_average_pool, {x}), {4, 4, 1, 1}, {});
  Graph g = b.finish({sum, b.node(Op::add, {x, small})});
  const Graph before = g;
  EXPECT_EQ(fuse_residuals(g), 2);
  EXPECT_THAT(ops_of(g),
              ElementsAre(Op::sigmoid, Op::fused_conv, Op::global_average_pool, Op::fused_conv));
  expect_equal_outputs(before, g);
}

TEST(FuseResiduals, LeavesAConvolutionAddedToItselfOrWithLimits) {
  Builder b;
  const ValueId x = b.input({1, 2, 3, 3});
  const ValueId y = b.conv(x, {2, 2, 1, 1}, {});
  const ValueId limited = b.node(Op::relu, {b.conv(x, {2, 2, 1, 1}, {})});
  Graph g = b.finish({b.node(Op::add, {y, y}), b.node(Op::add, {limited, x})});
  fuse_activations(g);
  EXPECT_EQ(fuse_residuals(g), 0);
}

TEST(FuseActivations, JoinsLimits) {
  Builder b;
  const ValueId x = b.input({1, 2, 4, 4});
  ValueId y = b.node(Op::relu, {b.conv(x, {5, 2, 3, 3}, {})});
  y = b.node(Op::clip, {y, b.constant(full({}, -1)), b.constant(full({}, 0.5))});
  Graph g = b.finish({y});
  const Graph before = g;
  EXPECT_EQ(fuse_activations(g), 2);
  EXPECT_THAT(ops_of(g), ElementsAre(Op::fused_conv));
  EXPECT_EQ(g.nodes[0].attributes.number("low"), 0);
  EXPECT_EQ(g.nodes[0].attributes.number("high"), 0.5);
  expect_equal_outputs(before, g);
}

TEST(FuseActivations, MakesOneFunctionTheLastAct) {
  Builder b;
  const ValueId x = b.input({1, 4, 5, 5});
  const ValueId sum = b.node(Op::add, {b.conv(x, {4, 4, 3, 3}, {1, 1, 1, 1}), x});
  ValueId y = b.node(Op::leaky_relu, {b.node(Op::relu, {sum})}, {{"alpha", 0.25}});
  // What follows is none of the convolution's any more.
  y = b.batch_norm(b.node(Op::relu, {y}), 4);
  Graph g = b.finish({b.node(Op::hard_sigmoid, {y}, {{"alpha", 0.3}, {"beta", 0.5}})});
  const Graph before = g;
  fuse_residuals(g);
  EXPECT_EQ(fuse_activations(g), 2);
  EXPECT_EQ(fold_affine(g), 0);
  EXPECT_EQ(fuse_residuals(g), 0);
  EXPECT_THAT(ops_of(g),
              ElementsAre(Op::fused_conv, Op::relu, Op::batch_normalization, Op::hard_sigmoid));
  EXPECT_EQ(g.nodes[0].attributes.text("function"), "LeakyRelu");
  EXPECT_EQ(g.nodes[0].attributes.number("alpha"), 0.25);
  expect_equal_outputs(before, g);
}

TEST(Optimize, MakesAResidualBlockTwoConvolutions) {
  Builder b;
  const ValueId x = b.input({1, 4, 6, 6});
  const ValueId first = b.node(Op::relu, {b.batch_norm(b.conv(x, {4, 4, 3, 3}, {1, 1, 1, 1}), 4)});
  const ValueId second = b.batch_norm(b.conv(first, {4, 4, 3, 3}, {1, 1, 1, 1}), 4);
  Graph g = b.finish({b.node(Op::relu, {b.node(Op::add, {second, x})})});
  const Graph before = g;
  EXPECT_GT(optimize(g), 0);
  EXPECT_THAT(ops_of(g), ElementsAre(Op::fused_conv, Op::fused_conv));
  EXPECT_EQ(g.nodes[1].input(3), g.inputs[0]);
  expect_equal_outputs(before, g);
}

}  // namespace
}  // namespace convkit::infer
