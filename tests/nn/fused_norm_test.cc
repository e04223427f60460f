#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "convkit/nn/conv_norm_act.h"
#include "convkit/nn/functions.h"
#include "convkit/nn/residual.h"
#include "convkit/nn/sequential.h"
#include "tests/support/throws.h"
#include "tests/support/watched_step.h"

// Batch norm, residual, ReLU and max pool run as one operation where nobody watches.
namespace convkit::nn {
namespace {

using ::testing::ElementsAre;
using ::testing::IsSupersetOf;

using test::expect_same_when_watched;

TEST(FusedNorm, ConvNormActHasTheBitsOfItsLayers) {
  EXPECT_THAT(
      expect_same_when_watched(
          ConvNormAct2d({.in_channels = 3, .out_channels = 5, .kernel_size = 3}), {2, 3, 9, 8}),
      IsSupersetOf({"norm:batch_norm", "act:relu_"}));
}

TEST(FusedNorm, ResidualBlocksHaveTheBitsOfTheirLayers) {
  EXPECT_THAT(
      expect_same_when_watched(BasicBlock2d({.in_channels = 4, .channels = 4}), {2, 4, 6, 5}),
      IsSupersetOf({"bn1:batch_norm", "bn2:batch_norm", "relu:relu_"}));
  expect_same_when_watched(BasicBlock1d({.in_channels = 4, .channels = 6, .stride = 2}), {2, 4, 9});
  expect_same_when_watched(Bottleneck2d({.in_channels = 8, .channels = 2}), {2, 8, 4, 5});
  expect_same_when_watched(Bottleneck3d({.in_channels = 8, .channels = 3, .stride = 2}),
                           {2, 8, 4, 4, 4});
}

TEST(FusedNorm, SequentialPairsABatchNormWithTheReluBehindIt) {
  const Sequential net(Conv2d({.in_channels = 3, .out_channels = 5, .kernel_size = 3}),
                       BatchNorm2d(5), ReLU(), BatchNorm2d(5), GELU(), ReLU(),
                       Conv2d({.in_channels = 5, .out_channels = 2, .kernel_size = 1}),
                       BatchNorm2d(2));
  EXPECT_THAT(expect_same_when_watched(net, {2, 3, 9, 8}),
              ElementsAre("0:conv2d", "1:batch_norm", "2:relu", "3:batch_norm", "4:gelu", "5:relu",
                          "6:conv2d", "7:batch_norm"));
}

TEST(FusedNorm, SequentialPairsThemWithTheMaxPoolBehind) {
  const Sequential net(Conv2d({.in_channels = 3, .out_channels = 5, .kernel_size = 3}),
                       BatchNorm2d(5), ReLU(), MaxPool2d({.kernel_size = 3, .stride = 2}),
                       ConvNormAct2d({.in_channels = 5, .out_channels = 7, .kernel_size = 1}),
                       MaxPool2d(2), BatchNorm2d(7), ReLU());
  EXPECT_THAT(
      expect_same_when_watched(net, {2, 3, 13, 12}),
      ElementsAre("0:conv2d", "1:batch_norm", "2:relu", "3:max_pool2d", "4.conv:conv2d",
                  "4.norm:batch_norm", "4.act:relu_", "5:max_pool2d", "6:batch_norm", "7:relu"));
}

TEST(FusedNorm, APoolDoesNotChangeWhatTheNormRemembers) {
  const auto expect_same = [](const BatchNormOptions& options) {
    BatchNorm1d fused(options), apart(options);
    MaxPool1d pool(2);
    const ReLU relu;
    Generator random(2);
    for (int step = 0; step < 4; ++step) {
      if (step == 3) {
        eval(fused);
        eval(apart);
      }
      const Tensor x = randn({3, 4, 10}, random);
      EXPECT_TRUE(bit_equal(fused.then_relu_pool(x, relu, pool), pool(relu(apart(x))))) << step;
    }
    if (!options.track_running_stats) return;
    EXPECT_TRUE(bit_equal(fused.running_mean, apart.running_mean));
    EXPECT_TRUE(bit_equal(fused.running_var, apart.running_var));
    EXPECT_EQ(fused.num_batches_tracked.to_vector<int64_t>()[0], 3);
  };
  expect_same({.num_features = 4});
  expect_same({.num_features = 4, .momentum = std::nullopt});
  expect_same({.num_features = 4, .affine = false, .track_running_stats = false});
}

TEST(FusedNorm, ErrorsNameTheLayerThatRefuses) {
  BatchNorm1d norm(4);
  norm.path = "stem.norm";
  MaxPool1d pool(9);
  pool.path = "stem.pool";
  EXPECT_ERROR(norm.then_relu_pool(zeros({2, 4, 8}), ReLU(), pool), ShapeError,
               "stem.pool: max_pool1d: kernel_size 9");
  EXPECT_ERROR(norm.then_relu_pool(zeros({2, 5, 9}), ReLU(), pool), ShapeError,
               "stem.norm: BatchNorm1d", "5 channels");
  EXPECT_ERROR(norm.then_relu_pool(Tensor(), ReLU(), pool), ValueError,
               "stem.norm: BatchNorm1d: the input is undefined");
}

}  // namespace
}  // namespace convkit::nn
