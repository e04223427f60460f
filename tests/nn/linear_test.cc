#include "convkit/nn/linear.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "convkit/nn/flatten.h"
#include "convkit/nn/functions.h"
#include "convkit/nn/sequential.h"
#include "convkit/ops/linear.h"
#include "tests/support/throws.h"

namespace convkit {
namespace {

TEST(LinearLayer, ComputesItsFormula) {
  const nn::Linear fc({.in_features = 5, .out_features = 3});
  const Tensor x = randn({4, 5});
  EXPECT_TRUE(bit_equal(fc(x).detach(), ops::linear(x, fc.weight, fc.bias).detach()));
  EXPECT_EQ(fc(randn({2, 7, 5})).shape(), Shape({2, 7, 3}));
}

TEST(LinearLayer, StartsUniformWithinOneOverTheRootOfItsInputs) {
  manual_seed(1);
  nn::Linear fc({.in_features = 400, .out_features = 50});
  const auto largest = [](const Tensor& tensor) {
    float most = 0;
    for (const float v : tensor.to_vector<float>()) most = std::max(most, std::abs(v));
    return most;
  };
  // Of n uniform values, the largest misses its bound by 20/n with probability e^−20.
  EXPECT_LE(largest(fc.weight), 0.05F);
  EXPECT_GE(largest(fc.weight), 0.05F * (1 - 20.0F / 20000));
  EXPECT_LE(largest(fc.bias), 0.05F);
  EXPECT_GE(largest(fc.bias), 0.05F * (1 - 20.0F / 50));
}

TEST(LinearLayer, HasPyTorchsNamesAndText) {
  nn::Linear fc({.in_features = 8, .out_features = 2});
  const nn::StateDict state = nn::state_dict(fc);
  ASSERT_EQ(state.size(), 2U);
  EXPECT_EQ(state[0].first, "weight");
  EXPECT_EQ(state[0].second.shape(), Shape({2, 8}));
  EXPECT_EQ(state[1].first, "bias");
  EXPECT_EQ(fc.describe(), "Linear(in_features=8, out_features=2, bias=True)");
  nn::Linear plain({.in_features = 8, .out_features = 2, .bias = false});
  EXPECT_EQ(nn::state_dict(plain).size(), 1U);
  EXPECT_EQ(plain.describe(), "Linear(in_features=8, out_features=2, bias=False)");
}

TEST(LinearLayer, RefusesForgottenOptionsAndNamesItsPlace) {
  EXPECT_ERROR(nn::Linear({.out_features = 3}), ValueError, "in_features is 0", "required");
  EXPECT_ERROR(nn::Linear({.in_features = 3}), ValueError, "out_features is 0", "required");
  nn::Sequential net(nn::Flatten(), nn::Linear({.in_features = 10, .out_features = 3}));
  nn::train(net);
  EXPECT_ERROR(net(ones({2, 3, 4})), ShapeError, "1: linear", "2×12", "in_features = 10");
}

TEST(FlattenLayer, KeepsTheLogicalOrder) {
  const Tensor x = arange(48).reshaped({2, 3, 2, 4});
  EXPECT_EQ(nn::Flatten()(x).shape(), Shape({2, 24}));
  EXPECT_EQ(nn::Flatten()(x).to_vector<float>(), arange(48).to_vector<float>());
  EXPECT_EQ(nn::Flatten({.start_dim = 2})(x).shape(), Shape({2, 3, 8}));
  EXPECT_EQ(nn::Flatten().describe(), "Flatten(start_dim=1, end_dim=-1)");
}

}  // namespace
}  // namespace convkit
