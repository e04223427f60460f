#include "convkit/nn/conv.h"

#include <gtest/gtest.h>

#include "convkit/nn/functions.h"
#include "tests/support/conv_case.h"
#include "tests/support/golden.h"
#include "tests/support/throws.h"

namespace convkit::nn {
namespace {

TEST(Conv, AgreesWithPyTorchOnEveryGoldenGeometry) {
  const test::GoldenFile golden("conv");
  ASSERT_GE(golden.cases().size(), 400U);
  for (const auto& c : golden.cases()) {
    const test::ConvCaseResult result = test::run_conv_case(golden, c);
    EXPECT_LE(result.worst, 1) << c.at("name") << ": " << result.where;
  }
}

TEST(Conv, ComputesTheSizeTheFormulaSays) {
  // floor((224 + 3 + 3 - 1·(7 - 1) - 1) / 2) + 1 = 112, ResNet's first layer.
  EXPECT_EQ(conv_output_size(224, 7, 2, 3, 3, 1), 112);
  EXPECT_EQ(conv_output_size(5, 3, 1, 0, 0, 3), -1);
  Conv2d conv({.in_channels = 3, .out_channels = 4, .kernel_size = 7, .stride = 2, .padding = 3});
  EXPECT_EQ(conv(zeros({2, 3, 20, 31})).shape(), Shape({2, 4, 10, 16}));
}

TEST(Conv, TakesOneNumberOrOnePerAxis) {
  Conv3d conv({.in_channels = 1,
               .out_channels = 2,
               .kernel_size = {1, 2, 3},
               .stride = {1, 2, 1},
               .padding = {0, 1, 2},
               .dilation = 1});
  EXPECT_EQ(conv(zeros({1, 1, 4, 5, 6})).shape(), Shape({1, 2, 4, 3, 8}));
  EXPECT_EQ(conv.weight.shape(), Shape({2, 1, 1, 2, 3}));
}

TEST(Conv, SamePaddingWithStrideGivesTheCeilingOfTheQuotient) {
  Conv1d conv({.in_channels = 1,
               .out_channels = 1,
               .kernel_size = 4,
               .stride = 3,
               .padding = Padding::same});
  for (int64_t length = 1; length < 12; ++length)
    EXPECT_EQ(conv(zeros({1, 1, length})).size(2), (length + 2) / 3) << length;
}

TEST(Conv, PadsTheTwoEndsDifferently) {
  Conv1d conv({.in_channels = 1,
               .out_channels = 1,
               .kernel_size = 3,
               .padding = ConvPadding<1>::ends(2, 0),
               .bias = false});
  conv.weight.fill(1);
  const Tensor x = from_values<float>({1, 2, 3, 4}, {1, 1, 4});
  EXPECT_EQ(conv(x).to_vector<float>(), (std::vector<float>{1, 3, 6, 9}));
}

TEST(Conv, StartsWithinPyTorchsBounds) {
  manual_seed(3);
  // fan_in = 8 / 2 · 3 · 3 = 36, so that both bounds are 1/6 (the groups count).
  Conv2d conv({.in_channels = 8, .out_channels = 64, .kernel_size = 3, .groups = 2});
  double largest = 0;
  for (const float w : conv.weight.to_vector<float>())
    largest = std::max(largest, std::abs(double(w)));
  EXPECT_LE(largest, 1.0 / 6);
  EXPECT_GE(largest, 0.99 / 6);  // 2304 draws: the largest is nearer to the bound than 1 %
  largest = 0;
  for (const float b : conv.bias.to_vector<float>())
    largest = std::max(largest, std::abs(double(b)));
  EXPECT_LE(largest, 1.0 / 6);
}

TEST(Conv, DescribesItselfAsPyTorchDoes) {
  EXPECT_EQ(
      Conv2d({.in_channels = 3, .out_channels = 8, .kernel_size = 3, .padding = 1}).describe(),
      "Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))");
  EXPECT_EQ(Conv1d({.in_channels = 4,
                    .out_channels = 8,
                    .kernel_size = 3,
                    .dilation = 2,
                    .groups = 2,
                    .bias = false,
                    .padding_mode = PaddingMode::reflect})
                .describe(),
            "Conv1d(4, 8, kernel_size=(3,), stride=(1,), dilation=(2,), groups=2, bias=False,"
            " padding_mode=reflect)");
}

TEST(Conv, RefusesOptionsThatNoInputCouldSatisfy) {
  EXPECT_ERROR(Conv2d({.out_channels = 8, .kernel_size = 3}), ValueError, "in_channels is 0",
               "required");
  EXPECT_ERROR(
      Conv2d({.in_channels = 3, .out_channels = 8, .kernel_size = 3, .padding = 1LL << 62}),
      ValueError, "4611686018427387904 is more than", "2147483647");
  EXPECT_ERROR(Conv2d({.in_channels = 3, .kernel_size = 3}), ValueError, "out_channels is 0");
  EXPECT_ERROR(Conv2d({.in_channels = 3, .out_channels = 8}), ValueError, "kernel_size is (0, 0)");
  EXPECT_ERROR(Conv2d({.in_channels = 3, .out_channels = 8, .kernel_size = 3, .stride = 0}),
               ValueError, "stride (0, 0)", "at least 1");
  EXPECT_ERROR(Conv2d({.in_channels = 3, .out_channels = 8, .kernel_size = 3, .dilation = {1, 0}}),
               ValueError, "dilation (1, 0)");
  EXPECT_ERROR(Conv2d({.in_channels = 3, .out_channels = 8, .kernel_size = 3, .padding = -1}),
               ValueError, "padding (-1, -1)", "negative");
  EXPECT_ERROR(Conv2d({.in_channels = 6, .out_channels = 8, .kernel_size = 3, .groups = 4}),
               ShapeError, "in_channels (6) must be divisible by groups (4)");
  EXPECT_ERROR(Conv2d({.in_channels = 8, .out_channels = 6, .kernel_size = 3, .groups = 4}),
               ShapeError, "out_channels (6) must be divisible by groups (4)");
  EXPECT_ERROR(Conv2d({.in_channels = 8, .out_channels = 6, .kernel_size = 3, .groups = -1}),
               ValueError, "groups (-1)");
  EXPECT_ERROR(Conv2d({.in_channels = 3, .out_channels = 8, .kernel_size = {3, 3, 3}}), ShapeError,
               "expected one number or 2", "not 3");
}

TEST(Conv, RefusesInputsThatDoNotFitAndSaysWhy) {
  Conv2d conv({.in_channels = 3, .out_channels = 8, .kernel_size = 7, .padding = 2, .dilation = 2});
  EXPECT_ERROR(conv(zeros({1, 3, 5, 5})), ShapeError, "kernel 7 with dilation 2 spans 13",
               "padded input is only 9 (5 + 2 + 2)", "use padding ≥ 4");
  EXPECT_ERROR(conv(zeros({1, 4, 20, 20})), ShapeError, "1×4×20×20 has 4 channels", "= 3");
  EXPECT_ERROR(conv(zeros({4, 20})), ShapeError, "2 axes", "(N, C, H, W)");
  EXPECT_ERROR(conv(zeros({1, 3, 0, 20})), ShapeError, "empty along its height");
  EXPECT_ERROR(conv(zeros({1, 3, 20, 20}, DType::int64)), DTypeError, "int64",
               "to(DType::float32)");
  EXPECT_ERROR(conv(zeros({1, 3, 20, 20}, DType::float64)), DTypeError, "float64",
               "weight is float32");
  EXPECT_ERROR(conv(Tensor()), ValueError, "input is undefined");
}

struct PathStem {
  Conv2d conv{{.in_channels = 3, .out_channels = 8, .kernel_size = 3}};
  Tensor operator()(const Tensor& x) { return conv(x); }
  void visit(auto&& v) { v("conv", conv); }
};
struct PathNet {
  PathStem stem;
  Tensor operator()(const Tensor& x) { return stem(x); }
  void visit(auto&& v) { v("stem", stem); }
};

TEST(Conv, NamesItsPathInErrors) {
  PathNet net;
  EXPECT_EQ(parameters(net).size(), 2U);
  EXPECT_ERROR(net(zeros({1, 1, 8, 8})), ShapeError, "stem.conv: conv2d: the input 1×1×8×8");
}

TEST(Conv, AnEmptyBatchGivesAnEmptyResultAndZeroGradients) {
  Conv2d conv({.in_channels = 3, .out_channels = 2, .kernel_size = 3});
  const Tensor y = conv(zeros({0, 3, 8, 8}));
  EXPECT_EQ(y.shape(), Shape({0, 2, 6, 6}));
}

}  // namespace
}  // namespace convkit::nn
