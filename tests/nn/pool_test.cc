#include "convkit/nn/pool.h"

#include <gtest/gtest.h>

#include "convkit/nn/functions.h"
#include "convkit/nn/sequential.h"
#include "tests/support/throws.h"

namespace convkit::nn {
namespace {

TEST(PoolLayer, DescribesItselfAsPyTorchDoes) {
  EXPECT_EQ(MaxPool2d({.kernel_size = 3, .stride = 2, .padding = 1}).describe(),
            "MaxPool2d(kernel_size=3, stride=2, padding=1, dilation=1, ceil_mode=False)");
  EXPECT_EQ(MaxPool2d({.kernel_size = {3, 2}, .ceil_mode = true}).describe(),
            "MaxPool2d(kernel_size=(3, 2), stride=(3, 2), padding=0, dilation=1, ceil_mode=True)");
  EXPECT_EQ(AvgPool3d(2).describe(), "AvgPool3d(kernel_size=2, stride=2, padding=0)");
  EXPECT_EQ(AdaptiveAvgPool2d({.output_size = {1, ops::kKeepExtent}}).describe(),
            "AdaptiveAvgPool2d(output_size=(1, None))");
  EXPECT_EQ(AdaptiveMaxPool1d(3).describe(), "AdaptiveMaxPool1d(output_size=3)");
}

TEST(PoolLayer, PoolsAsItsOptionsSay) {
  const Tensor x = randn({2, 3, 8, 8});
  EXPECT_TRUE(bit_equal(MaxPool2d({.kernel_size = 3, .stride = 2, .padding = 1})(x),
                        ops::max_pool2d(x, {.kernel_size = 3, .stride = 2, .padding = 1})));
  EXPECT_TRUE(
      bit_equal(AvgPool2d({.kernel_size = 3, .padding = 1, .count_include_pad = false})(x),
                ops::avg_pool2d(x, {.kernel_size = 3, .padding = 1, .count_include_pad = false})));
  EXPECT_TRUE(bit_equal(AdaptiveAvgPool2d(3)(x), ops::adaptive_avg_pool2d(x, 3)));
  EXPECT_TRUE(bit_equal(AdaptiveMaxPool2d(3)(x), ops::adaptive_max_pool2d(x, 3)));
  EXPECT_EQ(MaxPool1d(4)(zeros({3, 9})).shape(), (Shape{3, 2}));
  EXPECT_EQ(AdaptiveAvgPool3d(1)(zeros({2, 3, 4, 5, 6})).shape(), (Shape{2, 3, 1, 1, 1}));
  EXPECT_EQ(AdaptiveAvgPool2d({.output_size = {1, -1}})(x).shape(), (Shape{2, 3, 1, 8}));
}

TEST(PoolLayer, HasNoParametersAndTakesItsPlaceInANet) {
  Sequential net{MaxPool2d(2), AvgPool2d(2), AdaptiveMaxPool2d(1)};
  EXPECT_TRUE(state_dict(net).empty());
  EXPECT_EQ(net(zeros({2, 3, 8, 8})).shape(), (Shape{2, 3, 1, 1}));
}

TEST(PoolLayer, RefusesImpossibleOptionsWhenItIsMade) {
  EXPECT_ERROR(MaxPool2d(MaxPool2dOptions{}), ValueError, "kernel_size is (0, 0)", "required");
  EXPECT_ERROR(MaxPool1d({.kernel_size = 2, .stride = 0}), ValueError, "stride (0");
  EXPECT_ERROR(MaxPool2d({.kernel_size = 2, .padding = 2}), ValueError, "half of kernel_size");
  EXPECT_ERROR(AvgPool2d({.kernel_size = 2, .divisor_override = 0}), ValueError,
               "divisor_override");
  EXPECT_ERROR(AdaptiveAvgPool2d(AdaptivePoolOptions<2>{}), ValueError,
               "AdaptiveAvgPool2d: output_size is (0, 0)", "required");
}

TEST(PoolLayer, NamesItsPathInErrors) {
  MaxPool2d pool(5);
  pool.path = "stem.pool";
  EXPECT_ERROR(pool(zeros({1, 1, 4, 9})), ShapeError, "stem.pool: max_pool2d: kernel_size 5",
               "along the height", "only 4");
}

}  // namespace
}  // namespace convkit::nn
