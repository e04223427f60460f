#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "convkit/autograd/engine.h"
#include "convkit/autograd/gradcheck.h"
#include "convkit/ops/activation.h"
#include "convkit/ops/arithmetic.h"
#include "convkit/ops/batch_norm.h"
#include "tests/ops/gradients.h"
#include "tests/support/on_target.h"
#include "tests/support/on_threads.h"
#include "tests/support/throws.h"

namespace convkit::ops {
namespace {

struct Setting {
  Shape shape;
  bool training;
  bool affine;
  bool residual;
};

std::vector<Setting> settings() {
  std::vector<Setting> all;
  for (const Shape& shape : {Shape{4, 3}, Shape{3, 19, 50}, Shape{2, 64, 9, 7},
                             Shape{2, 130, 3, 4, 5}, Shape{2, 5, 150, 151}})
    for (const bool training : {true, false})
      for (const bool affine : {true, false})
        for (const bool residual : {true, false})
          all.push_back({shape, training, affine, residual});
  return all;
}

// The output, the gradients and the running statistics of one or the other form.
std::vector<Tensor> results(const Setting& s, bool fused) {
  Generator random(5);
  const Shape channels = {s.shape[1]};
  Tensor x = randn(s.shape, random).set_requires_grad();
  Tensor residual, weight, bias;
  if (s.residual) residual = randn(s.shape, random).set_requires_grad();
  if (s.affine) weight = randn(channels, random).set_requires_grad();
  if (s.affine) bias = randn(channels, random).set_requires_grad();
  const Tensor mean = randn(channels, random);
  const Tensor variance = full(channels, 1.5);
  const BatchNormParams params{.training = s.training};
  Tensor y;
  if (fused) {
    y = batch_norm_relu(x, residual, mean, variance, weight, bias, params);
  } else {
    y = batch_norm(x, mean, variance, weight, bias, params);
    y = relu(s.residual ? add(y, residual) : y);
  }
  autograd::backward(y, randn(y.shape(), random));
  std::vector<Tensor> all = {y, x.grad(), mean, variance};
  if (s.residual) all.push_back(residual.grad());
  if (s.affine) all.insert(all.end(), {weight.grad(), bias.grad()});
  return all;
}

void expect_equal(const std::vector<Tensor>& a, const std::vector<Tensor>& b, const Setting& s) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i)
    EXPECT_TRUE(bit_equal(a[i], b[i]))
        << "tensor " << i << " of " << to_text(s.shape) << (s.training ? ", training" : "")
        << (s.affine ? ", affine" : "") << (s.residual ? ", residual" : "");
}

TEST(BatchNormRelu, HasTheBitsOfTheSeparateOperations) {
  for (const Setting& s : settings()) expect_equal(results(s, true), results(s, false), s);
}

TEST(BatchNormRelu, HasTheBitsOfTheSeparateOperationsOnEveryInstructionSet) {
  test::on_every_target([] {
    for (const bool residual : {true, false}) {
      const Setting s{{3, 19, 50}, true, true, residual};
      expect_equal(results(s, true), results(s, false), s);
    }
  });
}

TEST(BatchNormRelu, GivesTheSameBitsOnAnyNumberOfThreads) {
  for (const bool residual : {true, false}) {
    const Setting s{{6, 5, 70, 71}, true, true, residual};
    const auto on = [&](int threads) {
      const test::OnThreads use(threads);
      return results(s, true);
    };
    const std::vector<Tensor> one = on(1);
    for (const int threads : {2, 3}) expect_equal(on(threads), one, s);
  }
}

TEST(BatchNormRelu, HasTheNumericalGradients) {
  for (const bool training : {true, false}) {
    const Tensor mean = full({3}, 0.1, DType::float64);
    const Tensor variance = full({3}, 1.7, DType::float64);
    const auto function = [&](const std::vector<Tensor>& in) {
      return batch_norm_relu(in[0], in.size() > 3 ? in[3] : Tensor(), mean.clone(),
                             variance.clone(), in[1], in[2], {.training = training, .eps = 1e-3});
    };
    // No value lies within the differences' step of the kink, or the check would say so.
    std::vector<Tensor> inputs = {test::leaf({4, 3, 2}, 1), test::leaf({3}, 2), test::leaf({3}, 3)};
    EXPECT_EQ(autograd::gradcheck(function, inputs), "") << training;
    inputs.push_back(test::leaf({4, 3, 2}, 4));
    EXPECT_EQ(autograd::gradcheck(function, inputs), "") << training;
  }
}

// As torch.relu: NaN stays, and lets the gradient through.
TEST(BatchNormRelu, KeepsNaN) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  Tensor x = from_values<float>({nan, -4, 3, 4}, {2, 2}).set_requires_grad();
  const Tensor zero = zeros({2}), one = ones({2});
  Tensor y = batch_norm_relu(x, Tensor(), zero, one, Tensor(), Tensor(), {.eps = 0.0});
  EXPECT_TRUE(std::isnan(y.to_vector<float>()[0]));
  EXPECT_EQ(y.to_vector<float>()[1], 0.0F);
  autograd::backward(y, full({2, 2}, 2));
  EXPECT_EQ(x.grad().to_vector<float>(), (std::vector<float>{2, 0, 2, 2}));

  Tensor residual = from_values<float>({0, nan, -9, 1}, {2, 2}).set_requires_grad();
  y = batch_norm_relu(zeros({2, 2}), residual, zero, one, Tensor(), Tensor(), {.eps = 0.0});
  EXPECT_TRUE(std::isnan(y.to_vector<float>()[1]));
  autograd::backward(y, full({2, 2}, 2));
  EXPECT_EQ(residual.grad().to_vector<float>(), (std::vector<float>{0, 2, 0, 2}));
}

TEST(BatchNormRelu, LeavesTheGradientItIsGivenAlone) {
  for (const bool with_residual : {true, false}) {
    Generator random(3);
    Tensor x = randn({4, 6, 5}, random).set_requires_grad();
    Tensor residual;
    if (with_residual) residual = randn({4, 6, 5}, random).set_requires_grad();
    const Tensor y =
        batch_norm_relu(x, residual, Tensor(), Tensor(), Tensor(), Tensor(), {.training = true});
    const Tensor dy = randn(y.shape(), random);
    const Tensor before = dy.clone();
    autograd::backward(y, dy, {.retain_graph = true});
    EXPECT_TRUE(bit_equal(dy, before));
    const Tensor once = x.grad().clone();
    x.zero_grad();
    autograd::backward(y, dy);
    EXPECT_TRUE(bit_equal(x.grad(), once));
  }
}

TEST(BatchNormRelu, DoesNotMindABiasThatChangesBeforeTheBackward) {
  const Setting s{{3, 4, 5}, true, true, false};
  const auto gradient = [&](bool change) {
    Generator random(5);
    Tensor x = randn(s.shape, random).set_requires_grad();
    Tensor bias = randn({4}, random);
    const Tensor y =
        batch_norm_relu(x, Tensor(), Tensor(), Tensor(), Tensor(), bias, {.training = true});
    if (change) bias.fill(-100.0);
    autograd::backward(y, randn(y.shape(), random));
    return x.grad();
  };
  EXPECT_TRUE(bit_equal(gradient(true), gradient(false)));
}

TEST(BatchNormRelu, TakesAnEmptyBatch) {
  Tensor x = zeros({0, 3, 4}).set_requires_grad();
  Tensor residual = zeros({0, 3, 4}).set_requires_grad();
  const Tensor y =
      batch_norm_relu(x, residual, zeros({3}), ones({3}), Tensor(), Tensor(), {.training = true});
  autograd::backward(y, zeros(y.shape()));
  EXPECT_EQ(x.grad().shape(), x.shape());
  EXPECT_EQ(residual.grad().shape(), x.shape());
}

TEST(BatchNormRelu, RefusesWhatDoesNotFit) {
  const Tensor x = zeros({2, 3, 4});
  const Tensor c = ones({3});
  EXPECT_ERROR(batch_norm_relu(Tensor(), Tensor(), c, c), ValueError,
               "batch_norm_relu: the input is undefined");
  EXPECT_ERROR(batch_norm_relu(x, zeros({2, 3, 1}), c, c), ShapeError,
               "batch_norm_relu: the residual is 2×3×1, the input 2×3×4", "must be equal");
  EXPECT_ERROR(batch_norm_relu(x, zeros({2, 3, 4}, DType::float64), c, c), DTypeError,
               "the residual is float64");
  EXPECT_ERROR(batch_norm_relu(x, Tensor(), c, ones({4})), ShapeError,
               "batch_norm_relu: running_var is 4");
}

}  // namespace
}  // namespace convkit::ops
