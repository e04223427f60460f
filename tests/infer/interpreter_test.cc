// What ONNX's conformance cases of 1.12 do not cover: newer attributes, other element types, and
// the words of errors.
#include "convkit/infer/interpreter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "convkit/base/error.h"
#include "tests/support/throws.h"

namespace convkit::infer {
namespace {

using graph::Attributes;
using graph::Graph;
using graph::kNoValue;
using graph::Node;
using graph::Op;
using graph::ValueId;
using testing::ElementsAre;

// One node with as many outputs as asked for, on these inputs.
std::vector<Tensor> run(Op op, const std::vector<Tensor>& inputs, const Attributes& attributes = {},
                        int outputs = 1) {
  Node node{.op = op, .name = "node", .attributes = attributes};
  for (std::size_t i = 0; i < inputs.size(); ++i)
    node.inputs.push_back(inputs[i].defined() ? static_cast<ValueId>(i) : kNoValue);
  for (int i = 0; i < outputs; ++i) node.outputs.push_back(100 + i);
  return interpret_node(node, inputs);
}

Tensor ints(const std::vector<int64_t>& values) {
  return from_values(values, {static_cast<int64_t>(values.size())});
}

Attributes resize_attributes(const std::string& mode, const std::string& coordinates) {
  return {{"antialias", int64_t{0}},
          {"axes", std::vector<int64_t>{}},
          {"coordinate_transformation_mode", coordinates},
          {"cubic_coeff_a", -0.75},
          {"exclude_outside", int64_t{0}},
          {"extrapolation_value", 0.0},
          {"keep_aspect_ratio_policy", std::string("stretch")},
          {"mode", mode},
          {"nearest_mode", std::string("round_prefer_floor")}};
}

TEST(Interpreter, RunsAGraph) {
  Graph g;
  const ValueId x = g.add_input("x", {.dtype = DType::float32, .dims = {{{.name = "N"}, {2}}}});
  const ValueId y = g.add_input("y", {.dtype = DType::float32, .dims = {{{.name = "N"}, {2}}}});
  const ValueId sum = g.add_node(Op::add, "sum", {x, y});
  const ValueId both = g.add_node(Op::mul, "both", {sum, sum});
  g.outputs = {both, sum, x};
  std::vector<std::string> seen;
  const std::vector<Tensor> outputs =
      interpret(g, std::vector<Tensor>{full({1, 2}, 3), full({1, 2}, 4)},
                [&](const Node& node, std::span<const Tensor> results) {
                  seen.push_back(node.name);
                  EXPECT_EQ(results.size(), 1U);
                });
  EXPECT_THAT(seen, ElementsAre("sum", "both"));
  EXPECT_EQ(outputs.at(0).at({0, 0}), 49);
  EXPECT_EQ(outputs.at(1).at({0, 1}), 7);
  EXPECT_EQ(outputs.at(2).at({0, 1}), 3);

  const auto with = [&](const std::vector<Tensor>& inputs) { return interpret(g, inputs); };
  EXPECT_ERROR(with({zeros({1, 2})}), ValueError, "the net has 2 inputs, but 1 are given");
  EXPECT_ERROR(with({zeros({1, 2}), zeros({1, 3})}), ShapeError, "input 'y' has the shape 1×3",
               "the net takes float32 N×2");
  EXPECT_ERROR(with({zeros({1, 2}), zeros({1, 2}, DType::float64)}), DTypeError,
               "input 'y' is float64");
  EXPECT_ERROR(with({zeros({1, 2}), zeros({5, 2})}), ShapeError,
               "'N' is 1 in input 'x', but 5 in input 'y'");
}

TEST(Interpreter, ErrorsNameTheNode) {
  EXPECT_ERROR(run(Op::add, {zeros({2}), zeros({3})}), ShapeError, "node (Add): ");
  EXPECT_ERROR(run(Op::matmul, {zeros({2, 3}), zeros({4, 5})}), ShapeError,
               "node (MatMul): the operands 2×3 and 4×5 cannot be multiplied: 3 columns, 4 rows");
  EXPECT_ERROR(run(Op::conditional, {zeros({})}), ValueError, "cannot run by itself");
}

TEST(Interpreter, NothingPassesTheMemoryLimit) {
  const int64_t before = memory_limit();
  set_memory_limit(1 << 20);
  EXPECT_ERROR(run(Op::expand, {zeros({1}), ints({1 << 20})}), ValueError,
               "node (Expand): ", "would take 4194304 bytes", "set_memory_limit");
  set_memory_limit(before);
  EXPECT_EQ(run(Op::expand, {zeros({1}), ints({1 << 20})}).at(0).numel(), 1 << 20);
  EXPECT_ERROR(set_memory_limit(0), ValueError, "0 bytes");
}

TEST(Resize, SomeAxesOnly) {
  Attributes a = resize_attributes("nearest", "asymmetric");
  a.set("axes", std::vector<int64_t>{2});
  a.set("nearest_mode", std::string("floor"));
  const Tensor x = arange(6).reshaped({1, 2, 3});
  const Tensor y = run(Op::resize, {x, Tensor(), Tensor(), ints({6})}, a).at(0);
  EXPECT_THAT(y.to_vector<float>(), ElementsAre(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5));
}

TEST(Resize, KeepsTheAspectRatio) {
  Attributes a = resize_attributes("nearest", "half_pixel");
  a.set("axes", std::vector<int64_t>{2, 3});
  const Tensor x = zeros({1, 1, 4, 8});
  a.set("keep_aspect_ratio_policy", std::string("not_larger"));
  EXPECT_EQ(run(Op::resize, {x, Tensor(), Tensor(), ints({8, 8})}, a).at(0).shape(),
            Shape({1, 1, 4, 8}));
  a.set("keep_aspect_ratio_policy", std::string("not_smaller"));
  EXPECT_EQ(run(Op::resize, {x, Tensor(), Tensor(), ints({8, 8})}, a).at(0).shape(),
            Shape({1, 1, 8, 16}));
}

TEST(Resize, AntialiasAveragesWhatItSkips) {
  Attributes a = resize_attributes("linear", "half_pixel");
  a.set("antialias", int64_t{1});
  // Half the size: a tent over four elements, 1 3 3 1, and over the borders the border's element.
  const Tensor x = from_values({0.0F, 8.0F, 16.0F, 24.0F}, {1, 1, 4});
  const Tensor y = run(Op::resize, {x, Tensor(), Tensor(), ints({1, 1, 2})}, a).at(0);
  EXPECT_THAT(y.to_vector<float>(),
              ElementsAre((0 + 0 + 24 + 16) / 8.0F, (8 + 48 + 72 + 24) / 8.0F));
}

TEST(Resize, HalfPixelSymmetricKeepsTheMiddle) {
  // 5 · 0.5 is 2 elements, which stand 2 apart around the middle of the picture.
  const Tensor x = arange(5).reshaped({1, 1, 5});
  const Tensor y = run(Op::resize, {x, Tensor(), from_values({1.0F, 1.0F, 0.5F}, {3}), Tensor()},
                       resize_attributes("linear", "half_pixel_symmetric"))
                       .at(0);
  EXPECT_THAT(y.to_vector<float>(), ElementsAre(1, 3));
}

TEST(Resize, IntegersKeepEveryBitOfTheirNeighbours) {
  const int64_t large = std::numeric_limits<int64_t>::max();
  const Tensor x = from_values({large, int64_t{1}}, {1, 1, 2});
  const Tensor y = run(Op::resize, {x, Tensor(), Tensor(), ints({1, 1, 4})},
                       resize_attributes("nearest", "half_pixel"))
                       .at(0);
  EXPECT_THAT(y.to_vector<int64_t>(), ElementsAre(large, large, 1, 1));
}

TEST(Pad, Wraps) {
  const Tensor y = run(Op::pad, {arange(3), ints({4, 2})}, {{"mode", std::string("wrap")}}).at(0);
  EXPECT_THAT(y.to_vector<float>(), ElementsAre(2, 0, 1, 2, 0, 1, 2, 0, 1));
}

TEST(Pad, SomeAxesAndCropsWhereNegative) {
  const Tensor x = arange(6).reshaped({2, 3});
  const Tensor y = run(Op::pad, {x, ints({-1, 1}), from_values({9.0F}, {}), ints({1})},
                       {{"mode", std::string("constant")}})
                       .at(0);
  EXPECT_THAT(y.to_vector<float>(), ElementsAre(1, 2, 9, 4, 5, 9));
}

TEST(AveragePool, Dilates) {
  const Attributes a = {
      {"auto_pad", std::string("NOTSET")},       {"ceil_mode", int64_t{0}},
      {"count_include_pad", int64_t{0}},         {"dilations", std::vector<int64_t>{2}},
      {"kernel_shape", std::vector<int64_t>{2}}, {"pads", std::vector<int64_t>{1, 0}},
      {"strides", std::vector<int64_t>{}}};
  const Tensor y = run(Op::average_pool, {arange(4).reshaped({1, 1, 4})}, a).at(0);
  EXPECT_THAT(y.to_vector<float>(), ElementsAre(1, 1, 2));
}

TEST(Split, TheLastPartMayBeSmaller) {
  const auto parts = run(Op::split, {arange(7)}, {{"axis", int64_t{0}}}, 3);
  ASSERT_EQ(parts.size(), 3U);
  EXPECT_THAT(parts[0].to_vector<float>(), ElementsAre(0, 1, 2));
  EXPECT_THAT(parts[2].to_vector<float>(), ElementsAre(6));
}

TEST(Gelu, BothForms) {
  const Tensor x = from_values({-1.0F, 0.0F, 2.0F}, {3});
  const auto exact = run(Op::gelu, {x}, {{"approximate", std::string("none")}}).at(0);
  const auto approximate = run(Op::gelu, {x}, {{"approximate", std::string("tanh")}}).at(0);
  EXPECT_NEAR(exact.at({0}), -0.15865525, 1e-7);  // −Φ(−1)
  EXPECT_NEAR(exact.at({2}), 1.95449974, 1e-6);   // 2·Φ(2)
  EXPECT_NEAR(approximate.at({2}), 1.954597694, 1e-6);
}

TEST(Mish, IsXTanhSoftplus) {
  const Tensor y = run(Op::mish, {from_values({0.0F, 100.0F, -100.0F}, {3})}).at(0);
  EXPECT_EQ(y.at({0}), 0);
  EXPECT_EQ(y.at({1}), 100);
  EXPECT_NEAR(y.at({2}), 0, 1e-40);
  EXPECT_NEAR(run(Op::mish, {ones({1})}).at(0).item(), std::tanh(std::log1p(std::exp(1))), 1e-7);
}

TEST(Integers, WrapAroundAndKeepAll64Bits) {
  const int64_t large = (int64_t{1} << 62) + 1;
  const Tensor x = from_values({large}, {1});
  EXPECT_EQ(run(Op::sub, {x, ints({1})}).at(0).data<int64_t>()[0], large - 1);
  EXPECT_EQ(run(Op::add, {full({1}, 200, DType::uint8), full({1}, 100, DType::uint8)}).at(0).item(),
            44);
  const Tensor top = from_values({std::numeric_limits<uint64_t>::max()}, {1});
  const Tensor two = from_values({uint64_t{2}}, {1});
  EXPECT_EQ(run(Op::div, {top, two}).at(0).data<uint64_t>()[0], (uint64_t{1} << 63) - 1);
  EXPECT_EQ(run(Op::max, {top, two}).at(0).data<uint64_t>()[0], *top.data<uint64_t>());
  EXPECT_EQ(run(Op::greater, {top, two}).at(0).item(), 1);
  EXPECT_ERROR(run(Op::div, {ints({1}), ints({0})}), ValueError, "divided by 0");
  EXPECT_EQ(run(Op::div, {ints({INT64_MIN}), ints({-1})}).at(0).data<int64_t>()[0], INT64_MIN);
}

TEST(Cast, CutsOffFractionsAndWraps) {
  const auto cast = [](const Tensor& x, DType type) {
    return run(Op::cast, {x}, {{"to", static_cast<int64_t>(type)}}).at(0);
  };
  const Tensor x = from_values({2.9F, -2.9F, 0.5F, NAN}, {4});
  EXPECT_THAT(cast(x, DType::int32).to_vector<int32_t>(), ElementsAre(2, -2, 0, 0));
  EXPECT_THAT(cast(x, DType::boolean).to(DType::uint8).to_vector<uint8_t>(),
              ElementsAre(1, 1, 1, 1));
  EXPECT_THAT(cast(ints({300, -1}), DType::uint8).to_vector<uint8_t>(), ElementsAre(44, 255));
}

TEST(Clip, OfIntegersWithFarBounds) {
  const Tensor y =
      run(Op::clip, {ints({-5, 7}), from_values({int64_t{0}}, {}), from_values({INT64_MAX}, {})})
          .at(0);
  EXPECT_THAT(y.to_vector<int64_t>(), ElementsAre(0, 7));
}

TEST(Reduce, OfNothing) {
  const Attributes keep = {{"keepdims", int64_t{0}}, {"noop_with_empty_axes", int64_t{0}}};
  const Tensor none = zeros({2, 0});
  EXPECT_THAT(run(Op::reduce_sum, {none, ints({1})}, keep).at(0).to_vector<float>(),
              ElementsAre(0, 0));
  EXPECT_THAT(run(Op::reduce_prod, {none, ints({1})}, keep).at(0).to_vector<float>(),
              ElementsAre(1, 1));
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_THAT(run(Op::reduce_max, {none, ints({1})}, keep).at(0).to_vector<float>(),
              ElementsAre(-infinity, -infinity));
}

TEST(Reduce, OfEveryAxisOfAPictureCountsLogically) {
  const Attributes keep = {{"keepdims", int64_t{0}}, {"noop_with_empty_axes", int64_t{0}}};
  const Tensor x = arange(24).reshaped({2, 3, 2, 2});
  EXPECT_THAT(run(Op::reduce_mean, {x, ints({2, 3})}, keep).at(0).to_vector<float>(),
              ElementsAre(1.5, 5.5, 9.5, 13.5, 17.5, 21.5));
  EXPECT_THAT(run(Op::reduce_max, {x, ints({1})}, keep).at(0).to_vector<float>(),
              ElementsAre(8, 9, 10, 11, 20, 21, 22, 23));
}

TEST(Convolution, OfHalfFloatsAndDoubles) {
  const Attributes a = {{"auto_pad", std::string("NOTSET")},
                        {"dilations", std::vector<int64_t>{}},
                        {"group", int64_t{1}},
                        {"kernel_shape", std::vector<int64_t>{}},
                        {"pads", std::vector<int64_t>{}},
                        {"strides", std::vector<int64_t>{}}};
  for (const DType type : {DType::float16, DType::float32, DType::float64}) {
    const Tensor y =
        run(Op::conv, {ones({1, 2, 4}, type), ones({3, 2, 3}, type), ones({3}, type)}, a).at(0);
    EXPECT_EQ(y.dtype(), type);
    EXPECT_EQ(y.shape(), Shape({1, 3, 2}));
    EXPECT_EQ(y.at({0, 2, 1}), 7);
  }
  EXPECT_ERROR(run(Op::conv, {ones({1, 2, 4}), ones({3, 1, 3})}, a), ShapeError,
               "the input 1×2×4 has 2 channels, but the weight 3×1×3 in 1 groups takes 1 · 1");
  EXPECT_ERROR(run(Op::conv, {ones({1, 2, 4}), ones({3, 2, 5})}, a), ShapeError,
               "kernel 5 with dilation 1 spans 5", "the padded input is only 4 (4 + 0 + 0)");
}

TEST(Scatter, UpdatesMeetWhatIsThere) {
  const auto scattered = [](const char* reduction) {
    return run(Op::scatter_nd,
               {from_values({1.0F, 5.0F}, {2}), from_values({int64_t{0}, int64_t{1}}, {2, 1}),
                from_values({3.0F, 3.0F}, {2})},
               {{"reduction", std::string(reduction)}})
        .at(0)
        .to_vector<float>();
  };
  EXPECT_THAT(scattered("none"), ElementsAre(3, 3));
  EXPECT_THAT(scattered("add"), ElementsAre(4, 8));
  EXPECT_THAT(scattered("max"), ElementsAre(3, 5));
  EXPECT_THAT(scattered("min"), ElementsAre(1, 3));
}

TEST(TopK, NotANumberIsTheLargest) {
  const auto y = run(Op::top_k, {from_values({1.0F, NAN, 3.0F}, {3}), ints({2})},
                     {{"axis", int64_t{0}}, {"largest", int64_t{1}}, {"sorted", int64_t{1}}}, 2);
  EXPECT_THAT(y.at(1).to_vector<int64_t>(), ElementsAre(1, 2));
}

}  // namespace
}  // namespace convkit::infer
