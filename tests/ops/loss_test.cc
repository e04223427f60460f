#include "convkit/ops/loss.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "convkit/base/thread_pool.h"
#include "convkit/ops/arithmetic.h"
#include "convkit/ops/softmax.h"
#include "tests/ops/gradients.h"
#include "tests/support/golden.h"
#include "tests/support/throws.h"

namespace convkit {
namespace {

using test::expect_close;
using test::expect_gradients;
using test::leaf;

constexpr double kUnit = 0x1p-24;

Reduction reduction_of(const nlohmann::json& entry) {
  const std::string name = entry.at("reduction");
  if (name == "none") return Reduction::none;
  return name == "mean" ? Reduction::mean : Reduction::sum;
}

Tensor loss_of(const test::GoldenFile& golden, const nlohmann::json& entry, const Tensor& x,
               const Tensor& target) {
  const std::string op = entry.at("op");
  const Tensor weight = golden.optional_tensor(entry, "weight");
  const Reduction reduction = reduction_of(entry);
  if (op == "mse_loss") return ops::mse_loss(x, target, reduction);
  if (op == "l1_loss") return ops::l1_loss(x, target, reduction);
  if (op == "nll_loss")
    return ops::nll_loss(x, target, {weight, entry.at("ignore_index"), reduction});
  if (op == "cross_entropy")
    return ops::cross_entropy(
        x, target, {weight, entry.at("ignore_index"), reduction, entry.at("label_smoothing")});
  return ops::binary_cross_entropy_with_logits(
      x, target, {weight, reduction, golden.optional_tensor(entry, "pos_weight")});
}

// A position's loss is a weighted sum (Σ weights ≤ 2 for indices, ≤ C·2 otherwise) of logarithms
// log p = (x − largest) − log Σ, with |log p| ≤ M = largest difference of logits + log C: four
// roundings of M and 0.5·C of the sum. The reductions add in double. Gradients are weighted
// differences of probabilities (see tests/kernels/softmax_test.cc). For the other losses the same
// with M = the largest magnitude squared (mse) or at all.
TEST(Loss, AgreesWithPyTorchInEveryForm) {
  const test::GoldenFile golden("loss");
  int checked = 0;
  for (const nlohmann::json& entry : golden.cases()) {
    const std::string name = entry.at("name");
    Tensor x = golden.tensor(entry, "x").clone();
    Tensor target = golden.tensor(entry, "target").clone();
    x.set_requires_grad();
    if (golden.has(entry, "grad_target")) target.set_requires_grad();
    const Tensor y = loss_of(golden, entry, x, target);
    double magnitude = 1;
    for (const float v : golden.tensor(entry, "x").to_vector<float>())
      magnitude = std::max(magnitude, 2.0 * std::abs(v));
    if (entry.at("op") == "mse_loss") magnitude *= magnitude;
    const double count = entry.at("k");
    const double terms = entry.at("reduction") == "sum" ? count : 1;
    const double units = (8 + 0.5 * std::min(count, 100.0)) * 4;
    expect_close(y, golden.tensor(entry, "y"), units * kUnit * magnitude * terms, units * kUnit,
                 name + " y");
    autograd::backward(y, golden.tensor(entry, "grad_y"));
    const bool probabilities = entry.at("op") == "cross_entropy";
    expect_close(x.grad(), golden.tensor(entry, "grad_x"),
                 units * kUnit * (probabilities ? 10 : std::min(magnitude, 20.0)), units * kUnit,
                 name + " grad_x");
    if (target.requires_grad())
      expect_close(target.grad(), golden.tensor(entry, "grad_target"),
                   units * kUnit * magnitude * 4, units * kUnit, name + " grad_target");
    ++checked;
  }
  EXPECT_GT(checked, 200);
}

Tensor labels(const std::vector<int64_t>& values, const Shape& shape) {
  return from_values(values, shape);
}

TEST(Loss, GradientsOfCrossEntropyAgreeWithDifferences) {
  const Tensor weight = from_values<double>({0.5, 1, 2}, {3});
  const Tensor target = labels({0, 2, 1, 1, 0, 2}, {2, 3});
  for (const Reduction reduction : {Reduction::none, Reduction::mean, Reduction::sum}) {
    for (const double smoothing : {0.0, 0.2}) {
      const ops::CrossEntropyParams params{weight, 1, reduction, smoothing};
      expect_gradients([&](const auto& t) { return ops::cross_entropy(t[0], target, params); },
                       {leaf({2, 3, 3}, 1)});
      expect_gradients(
          [&](const auto& t) { return ops::cross_entropy(t[0], ops::softmax(t[1], 1), params); },
          {leaf({2, 3, 2, 2}, 2), leaf({2, 3, 2, 2}, 3)});
    }
    expect_gradients(
        [&](const auto& t) {
          return ops::nll_loss(t[0], target, {weight, 1, reduction});
        },
        {leaf({2, 3, 3}, 4)});
  }
}

TEST(Loss, GradientsOfElementLossesAgreeWithDifferences) {
  const Tensor weight = rand({3}).to(DType::float64) + 0.5;
  const Tensor pos_weight = rand({3}).to(DType::float64) + 0.5;
  for (const Reduction reduction : {Reduction::none, Reduction::mean, Reduction::sum}) {
    const std::vector<Tensor> in = {leaf({4, 3}, 1), leaf({4, 3}, 2)};
    expect_gradients([&](const auto& t) { return ops::mse_loss(t[0], t[1], reduction); }, in);
    expect_gradients([&](const auto& t) { return ops::l1_loss(t[0], t[1], reduction); }, in);
    expect_gradients(
        [&](const auto& t) {
          return ops::smooth_l1_loss(t[0], t[1], {reduction, 0.7});
        },
        in);
    expect_gradients(
        [&](const auto& t) {
          return ops::binary_cross_entropy_with_logits(t[0], t[1], {weight, reduction, pos_weight});
        },
        in);
  }
}

TEST(Loss, SmoothL1FollowsItsFormula) {
  const Tensor x = from_values<float>({0, 1, 3, -3}, {4});
  const Tensor y = ops::smooth_l1_loss(x, zeros({4}), {Reduction::none, 2});
  EXPECT_EQ(y.to_vector<float>(), (std::vector<float>{0, 0.25F, 2, 2}));
  EXPECT_EQ(ops::smooth_l1_loss(x, zeros({4}), {Reduction::none, 0}).to_vector<float>(),
            (std::vector<float>{0, 1, 3, 3}));
  EXPECT_ERROR(ops::smooth_l1_loss(x, x, {.beta = -1}), ValueError, "beta (-1)");
}

TEST(Loss, CrossEntropyOfConfidentLogitsKeepsItsDigits) {
  // log(1 + e^−16): a rounded probability would give 1.19e-7.
  const Tensor x = from_values<float>({16, 0, 1e4F, 0}, {2, 2});
  const std::vector<float> y =
      ops::cross_entropy(x, labels({0, 1}, {2}), {.reduction = Reduction::none}).to_vector<float>();
  EXPECT_NEAR(y[0], std::log1p(std::exp(-16.0)), 2e-9);
  EXPECT_EQ(y[1], 1e4F);
}

TEST(Loss, MeanOverNothingButIgnoredLabelsIsNan) {
  const Tensor y = ops::cross_entropy(ones({2, 3}), labels({-100, -100}, {2}));
  EXPECT_TRUE(std::isnan(y.item()));
}

TEST(Loss, TakesLabelsOfAnyIntegerType) {
  const Tensor x = randn({3, 4});
  const Tensor wanted = ops::cross_entropy(x, labels({3, 0, 1}, {3}));
  EXPECT_TRUE(bit_equal(ops::cross_entropy(x, from_values<uint8_t>({3, 0, 1}, {3})), wanted));
  EXPECT_TRUE(bit_equal(ops::cross_entropy(x, from_values<int32_t>({3, 0, 1}, {3})), wanted));
}

TEST(Loss, IsTheSameOnAnyNumberOfThreads) {
  const Tensor x = randn({40, 10, 9, 9});
  std::vector<int64_t> classes;
  Generator generator(1);
  for (int i = 0; i < 40 * 81; ++i) classes.push_back(static_cast<int64_t>(generator.below(10)));
  const Tensor target = labels(classes, {40, 9, 9});
  const auto run = [&](int threads) {
    ThreadPool pool(threads);
    const UseThreadPool use(pool);
    return test::gradient_of([&](const Tensor& t) { return ops::cross_entropy(t, target); }, x,
                             ones({}));
  };
  const Tensor one = run(1);
  EXPECT_TRUE(bit_equal(run(2), one));
  EXPECT_TRUE(bit_equal(run(3), one));
}

TEST(Loss, NamesALabelOutsideTheClasses) {
  const Tensor x = ones({3, 10});
  EXPECT_ERROR(ops::cross_entropy(x, labels({0, 10, 1}, {3})), ValueError, "cross_entropy",
               "target[1] is 10", "10 classes, 0 to 9", "ignore_index (-100)");
  EXPECT_ERROR(ops::cross_entropy(x, labels({0, 1, -1}, {3})), ValueError, "target[2] is -1");
  EXPECT_ERROR(ops::nll_loss(x, labels({99, 1, 2}, {3})), ValueError, "nll_loss",
               "target[0] is 99");
}

TEST(Loss, NamesShapesThatDoNotFit) {
  const Tensor x = ones({3, 10});
  EXPECT_ERROR(ops::cross_entropy(x, labels({0, 1}, {2})), ShapeError, "target is 2", ": 3");
  EXPECT_ERROR(ops::cross_entropy(x, labels({0, 1, 2}, {3, 1})), ShapeError, "target is 3×1");
  EXPECT_ERROR(ops::cross_entropy(full({}, 1), labels({0}, {})), ShapeError, "scalar");
  EXPECT_ERROR(ops::cross_entropy(x, labels({0, 1, 2}, {3}), {.weight = ones({9})}), ShapeError,
               "weight is 9", ": 10");
  EXPECT_ERROR(ops::mse_loss(ones({3}), ones({3, 1})), ShapeError, "mse_loss", "3×1", "reshape");
  EXPECT_ERROR(ops::l1_loss(ones({3}), ones({4})), ShapeError, "l1_loss", "3", "4");
  EXPECT_ERROR(ops::binary_cross_entropy_with_logits(ones({2, 3}), ones({2, 3}),
                                                     {.weight = ones({2, 2, 3})}),
               ShapeError, "weight", "2×2×3", "2×3");
  EXPECT_ERROR(
      ops::binary_cross_entropy_with_logits(ones({2, 3}), ones({2, 3}), {.pos_weight = ones({2})}),
      ShapeError, "broadcast");
}

TEST(Loss, NamesTypesAndOptionsThatDoNotFit) {
  const Tensor x = ones({3, 10});
  EXPECT_ERROR(ops::cross_entropy(x, ones({3})), DTypeError, "float32", "integers");
  EXPECT_ERROR(ops::cross_entropy(x, zeros({3, 10}, DType::int64)), DTypeError, "probabilities",
               "int64");
  EXPECT_ERROR(ops::cross_entropy(x, labels({0, 1, 2}, {3}), {.label_smoothing = 1.5}), ValueError,
               "label_smoothing (1.5)");
  EXPECT_ERROR(ops::mse_loss(ones({3}), arange(3, DType::int64)), DTypeError, "target is int64");
  Tensor weight = ones({10}).set_requires_grad();
  EXPECT_ERROR(ops::cross_entropy(x, labels({0, 1, 2}, {3}), {.weight = weight}), GradError,
               "constant");
}

}  // namespace
}  // namespace convkit
