#include "convkit/ops/batch_norm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "convkit/autograd/engine.h"
#include "convkit/autograd/gradcheck.h"
#include "convkit/autograd/record.h"
#include "tests/support/on_threads.h"
#include "tests/support/throws.h"

namespace convkit::ops {
namespace {

Tensor random_double(const Shape& shape, uint64_t seed) {
  Generator generator(seed);
  return randn(shape, generator, DType::float64);
}

const Shape kShapes[] = {{4, 3}, {3, 2, 5}, {2, 3, 3, 2}, {2, 2, 2, 3, 2}};

TEST(BatchNorm, HasTheNumericalGradientsOfBatchStatistics) {
  for (const Shape& shape : kShapes) {
    const auto function = [](const std::vector<Tensor>& in) {
      return batch_norm(in[0], Tensor(), Tensor(), in[1], in[2], {.training = true, .eps = 1e-3});
    };
    std::vector<Tensor> inputs = {random_double(shape, 1), random_double({shape[1]}, 2),
                                  random_double({shape[1]}, 3)};
    for (Tensor& input : inputs) input.set_requires_grad();
    EXPECT_EQ(autograd::gradcheck(function, inputs), "") << to_text(shape);
  }
}

TEST(BatchNorm, HasTheNumericalGradientsOfRunningStatistics) {
  for (const Shape& shape : kShapes) {
    const Tensor mean = random_double({shape[1]}, 4);
    const Tensor variance = full({shape[1]}, 1.7, DType::float64);
    const auto function = [&](const std::vector<Tensor>& in) {
      return batch_norm(in[0], mean, variance, in[1], in[2]);
    };
    std::vector<Tensor> inputs = {random_double(shape, 1), random_double({shape[1]}, 2),
                                  random_double({shape[1]}, 3)};
    for (Tensor& input : inputs) input.set_requires_grad();
    EXPECT_EQ(autograd::gradcheck(function, inputs), "") << to_text(shape);
  }
}

TEST(BatchNorm, HasTheNumericalGradientWithoutWeightAndBias) {
  const auto function = [](const std::vector<Tensor>& in) {
    return batch_norm(in[0], Tensor(), Tensor(), Tensor(), Tensor(), {.training = true});
  };
  EXPECT_EQ(autograd::gradcheck(function, {random_double({3, 2, 4}, 1).set_requires_grad()}), "");
}

// Channel 0 holds 1, 3 (mean 2, biased variance 1, unbiased 2), channel 1 holds −4, 4 (0, 16, 32).
const Tensor kSmall = from_values<float>({1, -4, 3, 4}, {2, 2});

TEST(BatchNorm, NormalisesWithTheBiasedVarianceAndKeepsTheUnbiasedOne) {
  Tensor mean = full({2}, 10);
  Tensor variance = full({2}, 100);
  const Tensor y =
      batch_norm(kSmall, mean, variance, from_values<float>({2, 1}, {2}),
                 from_values<float>({0, 5}, {2}), {.training = true, .momentum = 0.25, .eps = 0.0});
  EXPECT_EQ(y.to_vector<float>(), (std::vector<float>{-2, 4, 2, 6}));
  EXPECT_EQ(mean.to_vector<float>(), (std::vector<float>{8, 7.5}));
  EXPECT_EQ(variance.to_vector<float>(), (std::vector<float>{75.5, 83}));
}

TEST(BatchNorm, UsesRunningStatisticsAndLeavesThemAloneInEvaluation) {
  const Tensor mean = from_values<float>({1, 0}, {2});
  const Tensor variance = from_values<float>({4, 16}, {2});
  const Tensor y = batch_norm(kSmall, mean, variance, Tensor(), Tensor(), {.eps = 0.0});
  EXPECT_EQ(y.to_vector<float>(), (std::vector<float>{0, -1, 1, 1}));
  EXPECT_EQ(mean.to_vector<float>(), (std::vector<float>{1, 0}));
  EXPECT_EQ(variance.to_vector<float>(), (std::vector<float>{4, 16}));
}

TEST(BatchNorm, LeavesRunningStatisticsAloneOnAnEmptyBatch) {
  Tensor mean = full({3}, 10);
  Tensor variance = full({3}, 100);
  Tensor weight = ones({3}).set_requires_grad();
  Tensor x = zeros({0, 3, 4, 4}).set_requires_grad();
  const Tensor y = batch_norm(x, mean, variance, weight, Tensor(), {.training = true});
  autograd::backward(y, zeros(y.shape()));
  EXPECT_EQ(y.shape(), x.shape());
  EXPECT_EQ(x.grad().shape(), x.shape());
  EXPECT_EQ(weight.grad().to_vector<float>(), (std::vector<float>{0, 0, 0}));
  EXPECT_EQ(mean.to_vector<float>(), (std::vector<float>{10, 10, 10}));
  EXPECT_EQ(variance.to_vector<float>(), (std::vector<float>{100, 100, 100}));
}

TEST(BatchNorm, GivesTheSameBitsOnAnyNumberOfThreads) {
  const auto run = [](int threads) {
    const test::OnThreads use(threads);
    Generator generator(5);
    Tensor x = randn({6, 5, 70, 71}, generator).set_requires_grad();
    Tensor weight = randn({5}, generator).set_requires_grad();
    Tensor bias = randn({5}, generator).set_requires_grad();
    Tensor mean = zeros({5}), variance = ones({5});
    const Tensor y = batch_norm(x, mean, variance, weight, bias, {.training = true});
    const Tensor dy = randn(y.shape(), generator);
    autograd::backward(y, dy);
    return std::vector<Tensor>{y, x.grad(), weight.grad(), bias.grad(), mean, variance};
  };
  const std::vector<Tensor> one = run(1);
  for (const int threads : {2, 3}) {
    const std::vector<Tensor> several = run(threads);
    for (std::size_t i = 0; i < one.size(); ++i) EXPECT_TRUE(bit_equal(one[i], several[i])) << i;
  }
}

TEST(BatchNorm, RefusesTrainingOnOneValuePerChannel) {
  EXPECT_ERROR(
      batch_norm(zeros({1, 3, 1, 1}), Tensor(), Tensor(), Tensor(), Tensor(), {.training = true}),
      ValueError, "expected more than 1 value per channel when training", "1×3×1×1",
      "use a larger batch, or evaluation mode");
}

TEST(BatchNorm, RefusesEvaluationWithoutRunningStatistics) {
  EXPECT_ERROR(batch_norm(zeros({2, 3}), Tensor(), Tensor()), ValueError,
               "running_mean is undefined", "set training");
  EXPECT_ERROR(batch_norm(zeros({2, 3}), zeros({3}), Tensor()), ValueError,
               "running_var is undefined");
}

TEST(BatchNorm, RefusesTensorsThatDoNotFit) {
  const Tensor x = zeros({2, 3, 4, 4});
  const Tensor c = ones({3});
  EXPECT_ERROR(batch_norm(Tensor(), c, c), ValueError, "the input is undefined");
  EXPECT_ERROR(batch_norm(zeros({5}), c, c), ShapeError, "5 with 1 axes", "(N, C, spatial...)");
  EXPECT_ERROR(batch_norm(x, ones({4}), c), ShapeError, "running_mean is 4",
               "2×3×4×4 has 3 channels");
  EXPECT_ERROR(batch_norm(x, c, ones({1, 3})), ShapeError, "running_var is 1×3");
  EXPECT_ERROR(batch_norm(x, c, c, ones({2})), ShapeError, "weight is 2");
  EXPECT_ERROR(batch_norm(x, c, c, c, ones({2})), ShapeError, "bias is 2");
}

TEST(BatchNorm, RefusesOtherTypes) {
  const Tensor c = ones({3});
  EXPECT_ERROR(batch_norm(zeros({2, 3}, DType::int64), c, c), DTypeError, "int64",
               "to(DType::float32)");
  EXPECT_ERROR(batch_norm(zeros({2, 3}, DType::float64), c, c), DTypeError, "the input is float64",
               "running_mean is float32");
}

}  // namespace
}  // namespace convkit::ops
