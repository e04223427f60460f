#include "convkit/ops/activation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "convkit/autograd/record.h"
#include "convkit/ops/arithmetic.h"
#include "tests/ops/gradients.h"
#include "tests/support/golden.h"
#include "tests/support/throws.h"

namespace convkit {
namespace {

using test::expect_close;
using test::expect_gradients;
using test::leaf;

constexpr double kUnit = 0x1p-24;

Tensor activation(const nlohmann::json& golden, const Tensor& x) {
  const std::string op = golden.at("op");
  if (op == "relu") return ops::relu(x);
  if (op == "leaky_relu") return ops::leaky_relu(x, golden.at("negative_slope"));
  if (op == "relu6") return ops::relu6(x);
  if (op == "sigmoid") return ops::sigmoid(x);
  if (op == "tanh") return ops::tanh(x);
  if (op == "silu") return ops::silu(x);
  if (op == "elu") return ops::elu(x, golden.at("alpha"));
  if (op == "selu") return ops::selu(x);
  if (op == "softplus") return ops::softplus(x);
  if (op == "mish") return ops::mish(x);
  if (op == "hardswish") return ops::hardswish(x);
  if (op == "gelu")
    return ops::gelu(x, golden.at("approximate") == "tanh" ? ops::GeluApproximation::tanh
                                                           : ops::GeluApproximation::none);
  throw ValueError("no such op in this test: " + op);
}

// The kernels' own tests hold each function to a few roundings (tests/kernels/elementwise_test.cc);
// here both tolerances cover the widest of them. gelu by tanh is e^u of a rounded u: where its
// value is above 1e-6, |u| is below 14, which makes 4·14 roundings.
TEST(Activation, AgreesWithPyTorchEverywhere) {
  const test::GoldenFile golden("activation");
  int checked = 0;
  for (const nlohmann::json& entry : golden.cases()) {
    const std::string op = entry.at("op");
    if (op == "prelu" || op == "softmax" || op == "log_softmax") continue;
    const std::string name = entry.at("name");
    Tensor x = golden.tensor(entry, "x").clone();
    const bool has_gradient = golden.has(entry, "grad_y");
    if (has_gradient) x.set_requires_grad();
    const Tensor y = activation(entry, x);
    expect_close(y, golden.tensor(entry, "y"), 60 * 1e-6 * kUnit, 64 * kUnit, name + " y");
    ++checked;
    if (!has_gradient) continue;
    const Tensor& grad = golden.tensor(entry, "grad_y");
    autograd::backward(y, grad);
    expect_close(x.grad(), golden.tensor(entry, "grad_x"), 4 * 32 * kUnit, 8 * kUnit,
                 name + " grad_x");
  }
  EXPECT_GT(checked, 50);
}

// k terms of the weight's gradient, summed in chains of at most 32 floats.
TEST(Activation, PreluAgreesWithPyTorch) {
  const test::GoldenFile golden("activation");
  for (const nlohmann::json& entry : golden.cases_of("prelu")) {
    const std::string name = entry.at("name");
    Tensor x = golden.tensor(entry, "x").clone();
    Tensor weight = golden.tensor(entry, "weight").clone();
    x.set_requires_grad();
    weight.set_requires_grad();
    const Tensor y = ops::prelu(x, weight);
    expect_close(y, golden.tensor(entry, "y"), 0, 2 * kUnit, name + " y");
    autograd::backward(y, golden.tensor(entry, "grad_y"));
    expect_close(x.grad(), golden.tensor(entry, "grad_x"), 0, 2 * kUnit, name + " grad_x");
    double magnitude = 0;  // of the terms
    const Tensor terms = golden.tensor(entry, "x").to(DType::float64);
    const Tensor grad = golden.tensor(entry, "grad_y").to(DType::float64);
    for (int64_t i = 0; i < terms.numel(); ++i)
      magnitude += std::abs(std::fmin(terms.data<double>()[i], 0.0) * grad.data<double>()[i]);
    expect_close(weight.grad(), golden.tensor(entry, "grad_weight"), 34 * kUnit * magnitude,
                 2 * kUnit, name + " grad_weight");
  }
}

TEST(Activation, GradientsAgreeWithDifferences) {
  using Function = std::function<Tensor(const Tensor&)>;
  const Function functions[] = {
      [](const Tensor& x) { return ops::relu(x); },
      [](const Tensor& x) { return ops::leaky_relu(x, 0.3); },
      [](const Tensor& x) { return ops::relu6(x); },
      [](const Tensor& x) { return ops::sigmoid(x); },
      [](const Tensor& x) { return ops::tanh(x); },
      [](const Tensor& x) { return ops::gelu(x); },
      [](const Tensor& x) { return ops::gelu(x, ops::GeluApproximation::tanh); },
      [](const Tensor& x) { return ops::silu(x); },
      [](const Tensor& x) { return ops::elu(x, 0.7); },
      [](const Tensor& x) { return ops::selu(x); },
      [](const Tensor& x) { return ops::softplus(x); },
      [](const Tensor& x) { return ops::mish(x); },
      [](const Tensor& x) { return ops::hardswish(x); },
      [](const Tensor& x) { return ops::hardsigmoid(x); },
  };
  for (const Function& function : functions)
    expect_gradients([&](const std::vector<Tensor>& in) { return function(in[0] * 3.0); },
                     {leaf({2, 3, 4, 5}, 1)});
}

TEST(Activation, PreluGradientsAgreeWithDifferences) {
  const auto prelu = [](const std::vector<Tensor>& in) { return ops::prelu(in[0], in[1]); };
  expect_gradients(prelu, {leaf({2, 3, 4, 5}, 2), leaf({3}, 3)});
  expect_gradients(prelu, {leaf({2, 3, 4, 5}, 4), leaf({1}, 5)});
  expect_gradients(prelu, {leaf({4, 7}, 6), leaf({7}, 7)});
  expect_gradients(prelu, {leaf({9}, 8), leaf({1}, 9)});
}

TEST(Activation, HardsigmoidFollowsItsFormula) {
  const Tensor x = from_values<float>({-4, -3, -1.5, 0, 1.5, 3, 4}, {7});
  EXPECT_EQ(ops::hardsigmoid(x).to_vector<float>(),
            (std::vector<float>{0, 0, 0.25F, 0.5F, 0.75F, 1, 1}));
  const Tensor grad = test::gradient_of(ops::hardsigmoid, x, ones({7}));
  const float sixth = 1.0F / 6;
  EXPECT_EQ(grad.to_vector<float>(), (std::vector<float>{0, 0, sixth, sixth, sixth, 0, 0}));
}

TEST(Activation, ReluPassesNanAndGivesItsGradientOn) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Tensor x = from_values<float>({nan, -1, 0, 2}, {4});
  EXPECT_TRUE(std::isnan(ops::relu(x).to_vector<float>()[0]));
  const Tensor grad = test::gradient_of(ops::relu, x, full({4}, 3));
  EXPECT_EQ(grad.to_vector<float>(), (std::vector<float>{3, 0, 0, 3}));
}

TEST(Activation, ReluInPlaceOverwritesAndKeepsItsGradient) {
  expect_gradients(
      [](const std::vector<Tensor>& in) {
        Tensor y = in[0] * 2.0;
        ops::relu_(y);
        return ops::mul(y, y);
      },
      {leaf({2, 3, 5}, 10)});
  Tensor x = from_values<float>({-1, 2, -3}, {3});
  EXPECT_EQ(&ops::relu_(x), &x);
  EXPECT_EQ(x.to_vector<float>(), (std::vector<float>{0, 2, 0}));
}

TEST(Activation, ReluInPlaceRefusesToFalsifyAGradient) {
  Tensor x = randn({4}).set_requires_grad();
  EXPECT_ERROR(ops::relu_(x), GradError, "relu_", "leaf", "out-of-place");
  Tensor y = ops::sigmoid(x);  // whose gradient needs y as it is
  ops::relu_(y);
  EXPECT_ERROR(autograd::backward(y, ones({4})), GradError, "sigmoid", "changed in place");
}

TEST(Activation, EmptyTensorsStayEmpty) {
  const Tensor x = empty({0, 3, 4});
  EXPECT_EQ(ops::gelu(x).shape(), Shape({0, 3, 4}));
  EXPECT_EQ(ops::prelu(x, ones({3})).shape(), Shape({0, 3, 4}));
}

TEST(Activation, RefusesIntegersInWords) {
  const Tensor labels = arange(4, DType::int64);
  EXPECT_ERROR(ops::relu(labels), DTypeError, "relu", "int64", "to(DType::float32)");
  EXPECT_ERROR(ops::gelu(labels), DTypeError, "gelu", "int64");
  EXPECT_ERROR(ops::prelu(labels, ones({1})), DTypeError, "prelu", "int64");
}

TEST(Activation, PreluNamesTheWeightsItCouldTake) {
  EXPECT_ERROR(ops::prelu(ones({2, 3, 4}), ones({4})), ShapeError, "prelu", "weight is 4", "2×3×4",
               "or 3");
  EXPECT_ERROR(ops::prelu(ones({5}), ones({5})), ShapeError, "prelu", "1 weight");
  EXPECT_ERROR(ops::prelu(ones({2, 3}), ones({3}, DType::float64)), DTypeError, "prelu", "float64");
}

}  // namespace
}  // namespace convkit
