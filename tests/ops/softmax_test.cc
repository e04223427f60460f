#include "convkit/ops/softmax.h"

#include <gtest/gtest.h>

#include "tests/ops/gradients.h"
#include "tests/support/golden.h"
#include "tests/support/throws.h"

namespace convkit {
namespace {

using test::expect_close;
using test::expect_gradients;
using test::leaf;

constexpr double kUnit = 0x1p-24;

// The kernels' own tests derive the error of a probability: 8 + 2·|log p| + k/2 roundings. Here
// |log p| is at most 110 where p is above what is flushed to 0.
TEST(Softmax, AgreesWithPyTorchAlongEveryAxis) {
  const test::GoldenFile golden("activation");
  for (const char* op : {"softmax", "log_softmax"}) {
    for (const nlohmann::json& entry : golden.cases_of(op)) {
      const std::string name = entry.at("name");
      const double terms = entry.at("k");
      const int64_t dim = entry.at("dim");
      Tensor x = golden.tensor(entry, "x").clone();
      const bool has_gradient = golden.has(entry, "grad_y");
      if (has_gradient) x.set_requires_grad();
      const bool logarithm = std::string(op) == "log_softmax";
      const Tensor y = logarithm ? ops::log_softmax(x, dim) : ops::softmax(x, dim);
      const double units = 30 + terms / 2;
      expect_close(y, golden.tensor(entry, "y"), logarithm ? units * kUnit : 1.2e-38, units * kUnit,
                   name + " y");
      if (!has_gradient) continue;
      const Tensor& grad = golden.tensor(entry, "grad_y");
      autograd::backward(y, grad);
      // dx is a sum of terms p·dy (or dy), each with the error of a probability, |dy| ≤ 5.
      const double absolute = logarithm ? 5 * terms * units * kUnit : 10 * units * kUnit;
      expect_close(x.grad(), golden.tensor(entry, "grad_x"), absolute, units * kUnit,
                   name + " grad_x");
    }
  }
}

TEST(Softmax, GradientsAgreeWithDifferences) {
  for (const int64_t dim : {0, 1, 2, 3}) {
    expect_gradients([=](const auto& t) { return ops::softmax(t[0], dim); },
                     {leaf({2, 3, 4, 5}, 1)});
    expect_gradients([=](const auto& t) { return ops::log_softmax(t[0], dim); },
                     {leaf({2, 3, 4, 5}, 2)});
  }
  expect_gradients([](const auto& t) { return ops::softmax(t[0], -1); }, {leaf({6}, 3)});
}

TEST(Softmax, OfAScalarIsOne) {
  EXPECT_EQ(ops::softmax(full({}, 5), 0).item(), 1);
  EXPECT_EQ(ops::log_softmax(full({}, 5), -1).item(), 0);
}

TEST(Softmax, OfNothingIsNothing) {
  EXPECT_EQ(ops::softmax(empty({0, 3, 4}), 1).shape(), Shape({0, 3, 4}));
}

TEST(Softmax, RefusesAxesThatDoNotExistAndIntegers) {
  EXPECT_ERROR(ops::softmax(ones({2, 3}), 2), ShapeError, "axis 2", "2×3");
  EXPECT_ERROR(ops::log_softmax(ones({2, 3}), -3), ShapeError, "axis -3");
  EXPECT_ERROR(ops::softmax(full({}, 1), 1), ShapeError, "axis 1", "scalar");
  EXPECT_ERROR(ops::softmax(arange(3, DType::int64), 0), DTypeError, "softmax", "int64");
}

}  // namespace
}  // namespace convkit
