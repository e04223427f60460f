#include "convkit/nn/loss.h"

#include <gtest/gtest.h>

#include "tests/support/throws.h"

namespace convkit {
namespace {

TEST(LossLayers, ComputeTheirFunctions) {
  const Tensor x = randn({4, 3});
  const Tensor y = rand({4, 3});
  const Tensor labels = from_values<int64_t>({0, 2, 1, 1}, {4});
  const Tensor weight = rand({3});
  EXPECT_TRUE(bit_equal(nn::CrossEntropyLoss()(x, labels), ops::cross_entropy(x, labels)));
  EXPECT_TRUE(bit_equal(nn::CrossEntropyLoss({.weight = weight, .label_smoothing = 0.1})(x, labels),
                        ops::cross_entropy(x, labels, {.weight = weight, .label_smoothing = 0.1})));
  EXPECT_TRUE(bit_equal(nn::NLLLoss({.ignore_index = 1})(x, labels),
                        ops::nll_loss(x, labels, {.ignore_index = 1})));
  EXPECT_TRUE(bit_equal(nn::MSELoss()(x, y), ops::mse_loss(x, y)));
  EXPECT_TRUE(bit_equal(nn::MSELoss({.reduction = Reduction::sum})(x, y),
                        ops::mse_loss(x, y, Reduction::sum)));
  EXPECT_TRUE(bit_equal(nn::L1Loss({.reduction = Reduction::none})(x, y),
                        ops::l1_loss(x, y, Reduction::none)));
  EXPECT_TRUE(
      bit_equal(nn::SmoothL1Loss({.beta = 0.5})(x, y), ops::smooth_l1_loss(x, y, {.beta = 0.5})));
  EXPECT_TRUE(bit_equal(nn::BCEWithLogitsLoss({.pos_weight = weight})(x, y),
                        ops::binary_cross_entropy_with_logits(x, y, {.pos_weight = weight})));
}

TEST(LossLayers, NameTheLabelThatHasNoClass) {
  const nn::CrossEntropyLoss loss;
  EXPECT_ERROR(loss(ones({2, 3}), from_values<int64_t>({0, 3}, {2})), ValueError, "target[1] is 3",
               "3 classes");
}

}  // namespace
}  // namespace convkit
