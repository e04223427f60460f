#include "convkit/ops/linear.h"

#include <gtest/gtest.h>

#include <cmath>

#include "convkit/ops/arithmetic.h"
#include "convkit/ops/shape.h"
#include "tests/ops/gradients.h"
#include "tests/support/golden.h"
#include "tests/support/throws.h"

namespace convkit {
namespace {

using test::expect_close;
using test::expect_gradients;
using test::leaf;

// A sum of k products is off by at most (k + 2) · 2⁻²⁴ · Σ|products| (Higham, "Accuracy and
// Stability of Numerical Algorithms", §3.1); `sizes` holds Σ|products| of every element.
double sum_error(double terms, const Tensor& sizes) {
  double largest = 0;
  for (const float size : sizes.to_vector<float>()) largest = std::fmax(largest, size);
  return (terms + 2) * 0x1p-24 * largest;
}

// y and the gradients of {x, weight, bias}.
std::vector<Tensor> results_of(std::vector<Tensor> leaves, const Tensor& dy) {
  for (Tensor& leaf : leaves)
    if (leaf.defined()) leaf = leaf.clone().set_requires_grad();
  std::vector<Tensor> results = {ops::linear(leaves[0], leaves[1], leaves[2])};
  autograd::backward(results[0], dy);
  for (const Tensor& leaf : leaves) results.push_back(leaf.defined() ? leaf.grad() : Tensor());
  return results;
}

TEST(Linear, AgreesWithPyTorch) {
  const test::GoldenFile golden("linear");
  for (const nlohmann::json& entry : golden.cases_of("linear")) {
    std::vector<Tensor> leaves = {golden.tensor(entry, "x"), golden.tensor(entry, "weight"),
                                  golden.optional_tensor(entry, "bias")};
    const Tensor& dy = golden.tensor(entry, "grad_y");
    const std::vector<Tensor> actual = results_of(leaves, dy);
    for (Tensor& leaf : leaves)
      if (leaf.defined()) leaf = ops::abs(leaf);
    const std::vector<Tensor> sizes = results_of(leaves, ops::abs(dy));
    const char* const roles[] = {"y", "grad_x", "grad_weight", "grad_bias"};
    const char* const terms[] = {"k", "k_grad_x", "k_grad_weight", "k_grad_weight"};
    for (std::size_t r = 0; r < actual.size(); ++r)
      if (actual[r].defined())
        expect_close(actual[r], golden.tensor(entry, roles[r]),
                     sum_error(entry.at(terms[r]), sizes[r]), 0,
                     message(entry.at("name").get<std::string>(), " ", roles[r]));
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
  const double allowed = 2 * sum_error(5, ops::linear(ops::abs(x), ops::abs(weight)));
  for (int64_t n = 0; n < 2; ++n)
    for (int64_t i = 0; i < 3; ++i)
      for (int64_t j = 0; j < 4; ++j) {
        const Tensor row = ops::select(ops::select(ops::select(x, 0, n), 0, i), 0, j);
        const Tensor alone = ops::linear(row, weight);
        for (int64_t o = 0; o < 6; ++o) EXPECT_NEAR(y.at({n, i, j, o}), alone.at({o}), allowed);
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
