#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "convkit/autograd/engine.h"
#include "convkit/autograd/gradcheck.h"
#include "convkit/autograd/record.h"
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
  BatchNormParams norm = {.training = true};
  bool affine = true;
};

// The output, the gradients and the running statistics of one or the other form.
template <int Rank>
std::vector<Tensor> results(const Setting& s, const MaxPoolParams<Rank>& pool, bool fused) {
  Generator random(5);
  const Shape channels = {s.shape[1]};
  Tensor x = randn(s.shape, random).set_requires_grad();
  Tensor weight, bias;
  if (s.affine) weight = randn(channels, random).set_requires_grad();
  if (s.affine) bias = randn(channels, random).set_requires_grad();
  const Tensor mean = randn(channels, random);
  const Tensor variance = full(channels, 1.5);
  const Tensor y =
      fused ? batch_norm_relu_max_pool<Rank>(x, mean, variance, weight, bias, {s.norm, pool})
            : max_pool(relu(batch_norm(x, mean, variance, weight, bias, s.norm)), pool);
  autograd::backward(y, randn(y.shape(), random));
  std::vector<Tensor> all = {y, x.grad(), mean, variance};
  if (s.affine) all.insert(all.end(), {weight.grad(), bias.grad()});
  return all;
}

void expect_equal(const std::vector<Tensor>& a, const std::vector<Tensor>& b,
                  const std::string& what) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i)
    EXPECT_TRUE(bit_equal(a[i], b[i])) << "tensor " << i << " of " << what;
}

template <int Rank>
void expect_bits_of_separate(const Shape& shape, const MaxPoolParams<Rank>& pool) {
  for (const bool training : {true, false})
    for (const bool affine : {true, false}) {
      const Setting s{shape, {.training = training}, affine};
      expect_equal(results(s, pool, true), results(s, pool, false),
                   message(shape, ", kernel ", pool.kernel_size, ", stride ", pool.stride,
                           training ? ", training" : "", affine ? ", affine" : ""));
    }
}

void expect_bits_over_shapes() {
  for (const int64_t channels : {3, 17, 64, 70, 150}) {
    expect_bits_of_separate<1>({3, channels, 141}, {.kernel_size = 4});
    expect_bits_of_separate<1>({2, channels, 50}, {.kernel_size = 2, .stride = 5});
    expect_bits_of_separate<1>({2, channels, 41}, {.kernel_size = 3, .stride = 2, .dilation = 2});
    expect_bits_of_separate<2>({2, channels, 17, 14},
                               {.kernel_size = 3, .stride = 2, .padding = 1});
    expect_bits_of_separate<2>({2, channels, 11, 13},
                               {.kernel_size = {3, 2}, .padding = {1, 0}, .ceil_mode = true});
    expect_bits_of_separate<3>({2, channels, 5, 6, 7}, {.kernel_size = 2});
  }
}

TEST(BatchNormPool, HasTheBitsOfTheSeparateOperations) { expect_bits_over_shapes(); }

TEST(BatchNormPool, HasTheBitsOfTheSeparateOperationsOnEveryInstructionSet) {
  test::on_every_target([] { expect_bits_over_shapes(); });
}

// Several tasks, and sums over many blocks.
TEST(BatchNormPool, HasTheBitsOfTheSeparateOperationsOnLargeTensors) {
  expect_bits_of_separate<1>({3, 64, 2501}, {.kernel_size = 4});
  expect_bits_of_separate<2>({4, 64, 41, 43}, {.kernel_size = 3, .stride = 2, .padding = 1});
  expect_bits_of_separate<2>({4, 5, 161, 163}, {.kernel_size = 2});
}

// A byte tells 255 taps and "none" apart.
TEST(BatchNormPool, TakesWindowsOfAnySize) {
  expect_bits_of_separate<2>({1, 65, 15, 34}, {.kernel_size = {15, 17}});
  expect_bits_of_separate<2>({1, 65, 16, 32}, {.kernel_size = 16});
  expect_bits_of_separate<2>({1, 3, 18, 35}, {.kernel_size = 17, .stride = 1});
}

TEST(BatchNormPool, GivesTheSameBitsOnAnyNumberOfThreads) {
  const auto expect_same = [](const auto& pool) {
    const auto on = [&](int threads) {
      const test::OnThreads use(threads);
      return results<2>({.shape = {6, 65, 40, 42}}, pool, true);
    };
    const std::vector<Tensor> one = on(1);
    for (const int threads : {2, 3}) expect_equal(on(threads), one, to_text(threads));
  };
  expect_same(MaxPoolParams<2>{.kernel_size = 2});
  expect_same(MaxPoolParams<2>{.kernel_size = 3, .stride = 2, .padding = 1});
}

TEST(BatchNormPool, HasTheNumericalGradients) {
  for (const bool training : {true, false})
    for (const int64_t stride : {1, 2, 3}) {
      const Tensor mean = full({2}, 0.1, DType::float64);
      const Tensor variance = full({2}, 1.7, DType::float64);
      const auto function = [&](const std::vector<Tensor>& in) {
        return batch_norm_relu_max_pool<2>(
            in[0], mean.clone(), variance.clone(), in[1], in[2],
            {{.training = training, .eps = 1e-3}, {.kernel_size = 2, .stride = stride}});
      };
      // No two values of a window lie within the differences' step, or the check would say so.
      EXPECT_EQ(autograd::gradcheck(function, {test::leaf({2, 2, 4, 5}, 1), test::leaf({2}, 2),
                                               test::leaf({2}, 3)}),
                "")
          << training << ", stride " << stride;
    }
}

// As in PyTorch: a NaN wins its window and lets the gradient through; infinity wins, too.
TEST(BatchNormPool, KeepsNaNAndInfinity) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  for (const bool fused : {true, false}) {
    Tensor x = from_values<float>({-1, nan, 2, 5, -3, -4, 1, infinity}, {1, 1, 8});
    x.set_requires_grad();
    const Tensor zero = zeros({1}), one = ones({1});
    const Tensor y =
        fused
            ? batch_norm_relu_max_pool<1>(x, zero, one, {}, {}, {{.eps = 0.0}, {.kernel_size = 2}})
            : max_pool1d(relu(batch_norm(x, zero, one, {}, {}, {.eps = 0.0})), {.kernel_size = 2});
    autograd::backward(y, full({1, 1, 4}, 2));
    const std::vector<float> values = y.to_vector<float>();
    EXPECT_TRUE(std::isnan(values[0]));
    EXPECT_EQ(std::vector<float>(values.begin() + 1, values.end()),
              (std::vector<float>{5, 0, infinity}));
    EXPECT_EQ(x.grad().to_vector<float>(), (std::vector<float>{0, 2, 0, 2, 0, 0, 0, 2}));
  }
}

TEST(BatchNormPool, CanGoBackTwiceAndLeavesWhatItIsGivenAlone) {
  for (const bool overlapping : {true, false}) {
    Generator random(3);
    const Tensor leaf = randn({4, 64, 12}, random).set_requires_grad();
    const Tensor x = add(leaf, leaf);
    const Tensor before_x = x.clone();
    const Tensor y = batch_norm_relu_max_pool<1>(
        x, {}, {}, {}, {}, {{.training = true}, {.kernel_size = 2, .stride = overlapping ? 1 : 2}});
    const Tensor dy = randn(y.shape(), random);
    const Tensor before = dy.clone();
    autograd::backward(y, dy, {.retain_graph = true});
    EXPECT_TRUE(bit_equal(dy, before));
    EXPECT_TRUE(bit_equal(x, before_x));
    const Tensor once = leaf.grad().clone();
    Tensor(leaf).zero_grad();
    autograd::backward(y, dy);
    EXPECT_TRUE(bit_equal(leaf.grad(), once));
    EXPECT_TRUE(bit_equal(x, before_x));
  }
}

// Where nobody holds x after the forward, its gradient takes over its memory.
TEST(BatchNormPool, GivesTheSameGradientInTheMemoryOfItsInput) {
  for (const bool training : {true, false})
    for (const int64_t channels : {3, 65})
      for (const int64_t stride : {1, 2}) {
        const auto gradient = [&](bool held) {
          Generator random(3);
          const Tensor leaf = randn({4, channels, 30}, random).set_requires_grad();
          Tensor x = add(leaf, leaf);
          const Tensor y = batch_norm_relu_max_pool<1>(
              x, zeros({channels}), ones({channels}), {}, {},
              {{.training = training}, {.kernel_size = 2, .stride = stride}});
          if (!held) x = Tensor();
          autograd::backward(y, randn(y.shape(), random));
          return leaf.grad();
        };
        EXPECT_TRUE(bit_equal(gradient(true), gradient(false))) << channels << ' ' << stride;
      }
}

TEST(BatchNormPool, GivesTheSameWithoutATape) {
  Generator random(3);
  const Tensor x = randn({2, 70, 9, 8}, random);
  const auto run = [&] {
    return batch_norm_relu_max_pool<2>(x, zeros({70}), ones({70}), {}, {},
                                       {{}, {.kernel_size = 3, .stride = 2}});
  };
  const Tensor plain = run();
  EXPECT_TRUE(bit_equal(plain, max_pool2d(relu(batch_norm(x, zeros({70}), ones({70}))),
                                          {.kernel_size = 3, .stride = 2})));
  Tensor(x).set_requires_grad();
  EXPECT_TRUE(bit_equal(run(), plain));
}

TEST(BatchNormPool, TakesAnEmptyBatch) {
  Tensor x = zeros({0, 3, 4}).set_requires_grad();
  const Tensor y = batch_norm_relu_max_pool<1>(x, zeros({3}), ones({3}), {}, {},
                                               {{.training = true}, {.kernel_size = 2}});
  EXPECT_EQ(y.shape(), Shape({0, 3, 2}));
  autograd::backward(y, zeros(y.shape()));
  EXPECT_EQ(x.grad().shape(), x.shape());
}

TEST(BatchNormPool, RefusesWhatDoesNotFit) {
  const Tensor x = zeros({2, 3, 4});
  const Tensor c = ones({3});
  EXPECT_ERROR(batch_norm_relu_max_pool<1>({}, c, c, {}, {}, {{}, {.kernel_size = 2}}), ValueError,
               "batch_norm_relu_max_pool: the input is undefined");
  EXPECT_ERROR(batch_norm_relu_max_pool<1>(x, c, ones({4}), {}, {}, {{}, {.kernel_size = 2}}),
               ShapeError, "batch_norm_relu_max_pool: running_var is 4");
  EXPECT_ERROR(batch_norm_relu_max_pool<2>(x, c, c, {}, {}, {{}, {.kernel_size = 2}}), ShapeError,
               "batch_norm_relu_max_pool: the input is 2×3×4 with 3 axes", "2 spatial axes");
  EXPECT_ERROR(batch_norm_relu_max_pool<1>(x, c, c, {}, {}, {{}, {.kernel_size = 5}}), ShapeError,
               "kernel_size 5", "along the width");
  EXPECT_ERROR(batch_norm_relu_max_pool<1>(x, c, c, {}, {}, {}), ValueError, "kernel_size is (0,)");
}

}  // namespace
}  // namespace convkit::ops
