#include "convkit/nn/dropout.h"

#include <gtest/gtest.h>

#include "convkit/nn/functions.h"
#include "convkit/nn/sequential.h"
#include "tests/support/throws.h"

namespace convkit {
namespace {

TEST(DropoutLayers, DropInTrainingOnly) {
  nn::Sequential net(nn::Dropout({.p = 0.5}), nn::Dropout2d(0.5));
  const Tensor x = ones({4, 8, 3, 3});
  EXPECT_FALSE(bit_equal(net(x), x));
  nn::eval(net);
  EXPECT_EQ(net(x).impl(), x.impl());
  nn::train(net);
  EXPECT_FALSE(bit_equal(net(x), x));
}

TEST(DropoutLayers, FollowTheSeedOfTheThread) {
  const nn::Dropout dropout;
  const Tensor x = ones({1000});
  manual_seed(5);
  const Tensor first = dropout(x);
  const Tensor second = dropout(x);
  manual_seed(5);
  EXPECT_TRUE(bit_equal(dropout(x), first));
  EXPECT_TRUE(bit_equal(dropout(x), second));
  EXPECT_FALSE(bit_equal(first, second));
}

TEST(DropoutLayers, GoOnFromTheGeneratorsSavedPosition) {
  const nn::Dropout dropout(0.3);
  const Tensor x = ones({1000});
  manual_seed(6);
  dropout(x);
  const uint64_t position = default_generator().position();
  const Tensor next = dropout(x);
  manual_seed(6);
  default_generator().set_position(position);
  EXPECT_TRUE(bit_equal(dropout(x), next));
}

TEST(DropoutLayers, HaveTheRankOfTheirName) {
  EXPECT_EQ(nn::Dropout1d()(ones({2, 3, 4})).dim(), 3);
  EXPECT_EQ(nn::Dropout3d()(ones({2, 3, 4, 5, 6})).dim(), 5);
  EXPECT_ERROR(nn::Dropout3d()(ones({2, 3})), ShapeError, "dropout3d", "2×3");
}

TEST(DropoutLayers, PrintAsPyTorchDoes) {
  EXPECT_EQ(nn::Dropout().describe(), "Dropout(p=0.5, inplace=False)");
  EXPECT_EQ(nn::Dropout2d({.p = 0.25}).describe(), "Dropout2d(p=0.25, inplace=False)");
}

TEST(DropoutLayers, RefuseWhatIsNoProbability) {
  EXPECT_ERROR(nn::Dropout({.p = 2}), ValueError, "Dropout: p (2)", "between 0 and 1");
  EXPECT_ERROR(nn::Dropout1d(-1.0), ValueError, "Dropout1d: p (-1)");
}

}  // namespace
}  // namespace convkit
