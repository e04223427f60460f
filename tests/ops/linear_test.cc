#include "convkit/ops/linear.h"

#include <gtest/gtest.h>

#include <cmath>

#include "convkit/ops/shape.h"
#include "ops/gradients.h"
#include "support/golden.h"
#include "support/throws.h"

namespace convkit {
namespace {

using test::expect_close;
using test::expect_gradients;
using test::leaf;

// A sum of k products of normally distributed numbers (below 5 each, so below 25): each term takes
// part in at most k + 1 roundings.
double sum_error(double terms) { return (terms + 1) * 0x1p-24 * 25 * terms; }

TEST(Linear, AgreesWithPyTorch) {
  const test::GoldenFile golden("linear");
  for (const nlohmann::json& entry : golden.cases_of("linear")) {
    const std::string name = entry.at("name");
    Tensor x = golden.tensor(entry, "x").clone();
    Tensor weight = golden.tensor(entry, "weight").clone();
    Tensor bias = golden.optional_tensor(entry, "bias");
    if (bias.defined()) bias = bias.clone();
    x.set_requires_grad();
    weight.set_requires_grad();
    if (bias.defined()) bias.set_requires_grad();
    const Tensor y = ops::linear(x, weight, bias);
    expect_close(y, golden.tensor(entry, "y"), sum_error(entry.at("k")), 0, name + " y");
    autograd::backward(y, golden.tensor(entry, "grad_y"));
    expect_close(x.grad(), golden.tensor(entry, "grad_x"), sum_error(entry.at("k_grad_x")), 0,
                 name + " grad_x");
    const double rows = sum_error(entry.at("k_grad_weight"));
    expect_close(weight.grad(), golden.tensor(entry, "grad_weight"), rows, 0,
                 name + " grad_weight");
    if (bias.defined())
      expect_close(bias.grad(), golden.tensor(entry, "grad_bias"), rows, 0, name + " grad_bias");
  }
}

TEST(Linear, GradientsAgreeWithDifferences) {
  const auto linear = [](const std::vector<Tensor>& t) { return ops::linear(t[0], t[1], t[2]); };
  expect_gradients(linear, {leaf({3, 4}, 1), leaf({5, 4}, 2), leaf({5}, 3)});
  expect_gradients(linear, {leaf({2, 3, 4}, 4), leaf({5, 4}, 5), leaf({5}, 6)});
  expect_gradients(linear, {leaf({2, 2, 3, 4}, 7), leaf({2, 4}, 8), Tensor()});
  expect_gradients(linear, {leaf({4}, 9), leaf({3, 4}, 10), leaf({3}, 11)});
}

TEST(Linear, TreatsEachVectorOfTheLastAxisAlike) {
  const Tensor x = randn({2, 3, 4, 5});
  const Tensor weight = randn({6, 5});
  const Tensor y = ops::linear(x, weight);
  for (int64_t n = 0; n < 2; ++n)
    for (int64_t i = 0; i < 3; ++i)
      for (int64_t j = 0; j < 4; ++j) {
        const Tensor row = ops::select(ops::select(ops::select(x, 0, n), 0, i), 0, j);
        const Tensor alone = ops::linear(row, weight);
        for (int64_t o = 0; o < 6; ++o)
          EXPECT_NEAR(y.at({n, i, j, o}), alone.at({o}), sum_error(5));
      }
}

TEST(Linear, NamesFeaturesThatDoNotFit) {
  const Tensor weight = ones({5, 4});
  EXPECT_ERROR(ops::linear(ones({2, 3}), weight), ShapeError, "linear", "2×3", "in_features = 4",
               "5×4");
  EXPECT_ERROR(ops::linear(ones({2, 3, 4, 4, 4}), ones({5, 64})), ShapeError, "flatten");
  EXPECT_ERROR(ops::linear(full({}, 1), weight), ShapeError, "scalar");
  EXPECT_ERROR(ops::linear(ones({2, 4}), ones({4})), ShapeError, "weight is 4");
  EXPECT_ERROR(ops::linear(ones({2, 4}), weight, ones({4})), ShapeError, "bias is 4", ": 5");
  EXPECT_ERROR(ops::linear(ones({2, 4}, DType::float64), weight), DTypeError, "float64", "float32");
  EXPECT_ERROR(ops::linear(arange(4, DType::uint8), weight), DTypeError, "uint8");
}

}  // namespace
}  // namespace convkit
