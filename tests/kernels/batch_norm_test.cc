#include "convkit/kernels/batch_norm.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "convkit/base/memory.h"
#include "convkit/base/random.h"
#include "convkit/kernels/batch_norm_reference.h"
#include "tests/support/on_target.h"
#include "tests/support/on_threads.h"

namespace convkit::kernels {
namespace {

const int64_t kChannels[] = {1, 2, 3, 5, 8, 15, 16, 17, 24, 33, 63, 64, 65, 100, 131, 256};
const int64_t kRows[] = {1, 2, 7, 66, 257, 1000};

template <class T>
struct Case {
  Case(BatchNormGeometry geometry, double offset, double deviation, uint64_t seed) : g(geometry) {
    Generator random(seed);
    const auto count = static_cast<std::size_t>(g.rows * g.channels);
    const auto channels = static_cast<std::size_t>(g.channels);
    for (std::size_t i = 0; i < count; ++i) {
      x.push_back(static_cast<T>(offset + deviation * random.normal()));
      dy.push_back(static_cast<T>(random.normal()));
    }
    for (std::size_t c = 0; c < channels; ++c) {
      weight.push_back(static_cast<T>(random.normal()));
      bias.push_back(static_cast<T>(random.normal()));
    }
    mean.resize(channels);
    variance.resize(channels);
    invstd.resize(channels);
    reference_batch_norm_statistics(g, x.data(), mean.data(), variance.data());
    for (std::size_t c = 0; c < channels; ++c) invstd[c] = 1.0 / std::sqrt(variance[c] + 1e-5);
  }
  BatchNormAffine<T> affine() const {
    return {mean.data(), invstd.data(), weight.data(), bias.data()};
  }

  BatchNormGeometry g;
  std::vector<T> x, dy, weight, bias;
  std::vector<double> mean, variance, invstd;  // of the reference
};

template <class T>
constexpr double kUnit = sizeof(T) == 4 ? 0x1p-24 : 0x1p-53;

/// The largest error met, as a multiple of what is allowed. One EXPECT per tensor: one for each of
/// a million elements takes seconds.
struct Worst {
  void add(double actual, double expected, double allowed) {
    const double error = std::abs(actual - expected);
    if (!(error <= allowed))
      excess = std::max(excess, std::isnan(error) ? HUGE_VAL : error / allowed);
  }
  double excess = 0.0;
};

// At most 64 rows are summed in T: no more than 64 roundings on any path, and one for each
// difference. Σ|x − center| ≤ rows·deviation by Cauchy and Schwarz; the squares are of one sign, so
// their error is relative. Doubles add a few units more, covered by the last terms.
template <class T>
void expect_statistics(const Case<T>& t) {
  std::vector<double> mean(t.mean.size());
  std::vector<double> variance(t.mean.size());
  batch_norm_statistics(t.g, t.x.data(), mean.data(), variance.data());
  Worst mean_error, variance_error;
  const double in_double = 8.0 * static_cast<double>(t.g.rows) * 0x1p-53;
  for (std::size_t c = 0; c < mean.size(); ++c) {
    const double deviation = std::sqrt(t.variance[c]);
    mean_error.add(mean[c], t.mean[c], 65 * kUnit<T> * deviation + in_double * std::abs(t.mean[c]));
    variance_error.add(variance[c], t.variance[c],
                       68 * kUnit<T> * t.variance[c] + in_double * t.variance[c] +
                           std::pow(in_double * t.mean[c], 2));
  }
  EXPECT_EQ(mean_error.excess, 0.0) << t.g.rows << "×" << t.g.channels;
  EXPECT_EQ(variance_error.excess, 0.0) << t.g.rows << "×" << t.g.channels;
}

// Rounded: the difference, each coefficient, the product and the sum.
template <class T>
void expect_forward(const Case<T>& t) {
  std::vector<T> y(t.x.size());
  std::vector<double> expected(t.x.size());
  batch_norm_forward(t.g, t.affine(), t.x.data(), y.data());
  reference_batch_norm_forward(t.g, t.affine(), t.x.data(), expected.data());
  Worst error;
  const double from_mean = 8 * 0x1p-53;
  for (std::size_t i = 0; i < y.size(); ++i) {
    const std::size_t c = i % t.mean.size();
    const auto bias = std::abs(static_cast<double>(t.bias[c]));
    const double gain = t.invstd[c] * std::abs(static_cast<double>(t.weight[c]));
    const double center_error = kUnit<T> * std::abs(t.mean[c]) * gain;  // moved into the constant
    error.add(static_cast<double>(y[i]), expected[i],
              5 * kUnit<T> * (std::abs(expected[i]) + 2 * bias + center_error) +
                  from_mean * std::abs(t.mean[c]) * gain);
  }
  EXPECT_EQ(error.excess, 0.0) << t.g.rows << "×" << t.g.channels;
}

// Again at most 64 roundings, of Σ|dy| and Σ|dy·(x − center)|, and one for each difference and
// product.
template <class T>
void expect_backward(const Case<T>& t) {
  const std::size_t channels = t.mean.size();
  std::vector<double> sum(channels), product(channels), expected_sum(channels),
      expected_product(channels);
  batch_norm_gradient_sums(t.g, t.affine(), t.x.data(), t.dy.data(), {sum.data(), product.data()});
  reference_batch_norm_gradient_sums(t.g, t.affine(), t.x.data(), t.dy.data(),
                                     {expected_sum.data(), expected_product.data()});
  Worst sum_error, product_error;
  for (std::size_t c = 0; c < channels; ++c) {
    double size = 0.0;
    double product_size = 0.0;
    for (std::size_t i = c; i < t.x.size(); i += channels) {
      const double gradient = std::abs(static_cast<double>(t.dy[i]));
      size += gradient;
      product_size +=
          gradient *
          (std::abs(static_cast<double>(t.x[i]) - t.mean[c]) + kUnit<T> * std::abs(t.mean[c])) *
          t.invstd[c];
    }
    sum_error.add(sum[c], expected_sum[c], 64 * kUnit<T> * size);
    product_error.add(
        product[c], expected_product[c],
        66 * kUnit<T> * product_size + 8 * 0x1p-53 * t.invstd[c] * std::abs(t.mean[c]) * size);
  }
  EXPECT_EQ(sum_error.excess, 0.0) << t.g.rows << "×" << t.g.channels;
  EXPECT_EQ(product_error.excess, 0.0) << t.g.rows << "×" << t.g.channels;

  std::vector<T> dx(t.x.size());
  std::vector<double> expected(t.x.size());
  const BatchNormSums sums{expected_sum.data(), expected_product.data()};
  batch_norm_backward(t.g, t.affine(), t.x.data(), t.dy.data(), sums, dx.data());
  reference_batch_norm_backward(t.g, t.affine(), t.x.data(), t.dy.data(), sums, expected.data());
  std::vector<T> scaled(t.x.size());
  batch_norm_backward_constant(t.g, t.affine(), t.x.data(), t.dy.data(), scaled.data());
  Worst error, scaled_error;
  const auto rows = static_cast<double>(t.g.rows);
  for (std::size_t i = 0; i < dx.size(); ++i) {
    const std::size_t c = i % channels;
    const double gain = t.invstd[c] * std::abs(static_cast<double>(t.weight[c]));
    const double xhat =
        (std::abs(static_cast<double>(t.x[i]) - t.mean[c]) + kUnit<T> * std::abs(t.mean[c])) *
        t.invstd[c];
    const double size =
        gain * (std::abs(static_cast<double>(t.dy[i])) + std::abs(expected_sum[c]) / rows +
                xhat * std::abs(expected_product[c]) / rows);
    error.add(static_cast<double>(dx[i]), expected[i], 6 * kUnit<T> * size);
    scaled_error.add(static_cast<double>(scaled[i]),
                     gain * std::copysign(1.0, t.weight[c]) * static_cast<double>(t.dy[i]),
                     3 * kUnit<T> * size);
  }
  EXPECT_EQ(error.excess, 0.0) << t.g.rows << "×" << t.g.channels;
  EXPECT_EQ(scaled_error.excess, 0.0) << t.g.rows << "×" << t.g.channels;
}

template <class T>
void expect_all(double offset, double deviation) {
  uint64_t seed = 1;
  for (const int64_t channels : kChannels) {
    for (const int64_t rows : kRows) {
      const Case<T> t({rows, channels}, offset, deviation, ++seed);
      expect_statistics(t);
      expect_forward(t);
      expect_backward(t);
    }
  }
}

TEST(BatchNormKernel, AgreesWithTheReference) { expect_all<float>(0.5, 2.0); }
TEST(BatchNormKernel, AgreesWithTheReferenceInDouble) { expect_all<double>(0.5, 2.0); }
TEST(BatchNormKernel, KeepsTheVarianceOfDataFarFromZero) { expect_all<float>(3e4, 1.0); }
TEST(BatchNormKernel, AgreesWithTheReferenceOnTinyAndHugeData) {
  expect_all<float>(0.0, 1e-6);
  expect_all<float>(-1e6, 1e7);
}

TEST(BatchNormKernel, IsNotMisledByAFirstRowFarFromTheOthers) {
  Case<float> t({4000, 24}, 1000.0, 1.0, 7);
  for (std::size_t c = 0; c < 24; ++c) t.x[c] = -1000.0F;
  reference_batch_norm_statistics(t.g, t.x.data(), t.mean.data(), t.variance.data());
  expect_statistics(t);
}

TEST(BatchNormKernel, GivesVarianceZeroForConstantData) {
  for (const int64_t channels : {1, 3, 16, 65}) {
    const std::vector<float> x(static_cast<std::size_t>(777 * channels), 0.1F);
    std::vector<double> mean(static_cast<std::size_t>(channels)), variance(mean.size());
    batch_norm_statistics({777, channels}, x.data(), mean.data(), variance.data());
    for (std::size_t c = 0; c < mean.size(); ++c) {
      EXPECT_NEAR(mean[c], static_cast<double>(0.1F), 1e-15);
      EXPECT_LT(variance[c], 1e-18);
    }
  }
}

TEST(BatchNormKernel, TakesWeightOneAndBiasZeroWhenTheyAreNull) {
  const Case<float> t({50, 6}, 1.0, 1.0, 3);
  const std::vector<float> one(6, 1.0F), zero(6, 0.0F);
  std::vector<float> y(t.x.size()), expected(t.x.size());
  batch_norm_forward<float>(t.g, {t.mean.data(), t.invstd.data()}, t.x.data(), y.data());
  batch_norm_forward<float>(t.g, {t.mean.data(), t.invstd.data(), one.data(), zero.data()},
                            t.x.data(), expected.data());
  EXPECT_EQ(y, expected);
}

TEST(BatchNormKernel, ReadsASliceOfChannels) {
  for (const int64_t channels : {1, 7, 16, 33, 64, 131})
    for (const bool relu : {false, true}) {
      Case<float> dense({257, channels}, 0.5, 2.0, 5);
      const BatchNormAffine<float> affine{dense.mean.data(), dense.invstd.data(),
                                          dense.weight.data(), dense.bias.data(), relu};
      std::vector<float> y(dense.x.size());
      batch_norm_forward(dense.g, affine, dense.x.data(), y.data());
      const int64_t pitch = channels + 9;
      std::vector<float> wide(static_cast<std::size_t>(257 * pitch), NAN);
      for (int64_t i = 0; i < 257 * channels; ++i)
        wide[static_cast<std::size_t>(i / channels * pitch + i % channels)] =
            dense.x[static_cast<std::size_t>(i)];
      std::vector<float> sliced(y.size());
      batch_norm_forward({257, channels, pitch}, affine, wide.data(), sliced.data());
      EXPECT_EQ(std::memcmp(y.data(), sliced.data(), y.size() * sizeof(float)), 0)
          << channels << " channels";
    }
}

TEST(BatchNormKernel, MayWriteOverItsInput) {
  const Case<float> t({500, 19}, 1.0, 1.0, 3);
  std::vector<float> y(t.x.size()), in_place = t.x;
  batch_norm_forward(t.g, t.affine(), t.x.data(), y.data());
  batch_norm_forward(t.g, t.affine(), in_place.data(), in_place.data());
  EXPECT_EQ(y, in_place);
}

// Everything the kernels compute for one case, for comparisons bit by bit.
std::vector<double> all_results(const Case<float>& t) {
  const std::size_t channels = t.mean.size();
  std::vector<double> mean(channels), variance(channels), sum(channels), product(channels);
  std::vector<float> y(t.x.size()), dx(t.x.size());
  batch_norm_statistics(t.g, t.x.data(), mean.data(), variance.data());
  batch_norm_forward(t.g, t.affine(), t.x.data(), y.data());
  const BatchNormSums sums{sum.data(), product.data()};
  batch_norm_gradient_sums(t.g, t.affine(), t.x.data(), t.dy.data(), sums);
  batch_norm_backward(t.g, t.affine(), t.x.data(), t.dy.data(), sums, dx.data());
  std::vector<double> all;
  for (const auto* part : {&mean, &variance, &sum, &product})
    all.insert(all.end(), part->begin(), part->end());
  all.insert(all.end(), y.begin(), y.end());
  all.insert(all.end(), dx.begin(), dx.end());
  return all;
}

// What is beyond all caches is stored past them, where it is aligned to cache lines.
TEST(BatchNormKernel, GivesLargeOutputsTheSameBitsWhereverTheyLie) {
  const Case<float> t({.rows = 66'000, .channels = 64}, 0.5, 2.0, 5);
  const std::size_t count = t.x.size();
  const std::vector<double> zeros(64);
  std::vector<double> dy(zeros), dy_xhat(zeros);
  const BatchNormSums sums{dy.data(), dy_xhat.data()};
  test::on_every_target([&] {
    for (const bool relu : {false, true}) {
      BatchNormAffine<float> affine = t.affine();
      affine.relu = relu;
      batch_norm_gradient_sums(t.g, affine, t.x.data(), t.dy.data(), sums);
      const auto expect_same = [&](const char* what, const auto& run) {
        Buffer<float> aligned(count);
        Buffer<float> unaligned(count + 1);
        run(aligned.data());
        run(unaligned.data() + 1);
        EXPECT_EQ(std::memcmp(aligned.data(), unaligned.data() + 1, count * sizeof(float)), 0)
            << what << (relu ? " with ReLU" : "");
      };
      expect_same("forward", [&](float* y) { batch_norm_forward(t.g, affine, t.x.data(), y); });
      expect_same("backward", [&](float* dx) {
        batch_norm_backward(t.g, affine, t.x.data(), t.dy.data(), sums, dx);
      });
      expect_same("backward of constants", [&](float* dx) {
        batch_norm_backward_constant(t.g, affine, t.x.data(), t.dy.data(), dx);
      });
    }
  });
}

TEST(BatchNormKernel, GivesTheSameBitsOnAnyNumberOfThreads) {
  for (const BatchNormGeometry g :
       {BatchNormGeometry{100003, 3}, BatchNormGeometry{9001, 40}, BatchNormGeometry{2500, 300}}) {
    const Case<float> t(g, 5.0, 1.0, 11);
    const auto on = [&t](int threads) {
      const test::OnThreads use(threads);
      return all_results(t);
    };
    const std::vector<double> one = on(1);
    for (const int threads : {2, 3})
      EXPECT_EQ(on(threads), one) << threads << " threads, " << g.rows << "×" << g.channels;
  }
}

TEST(BatchNormKernel, AgreesWithTheReferenceOnEveryInstructionSet) {
  test::on_every_target([] {
    for (const int64_t channels : {3, 24, 67}) {
      const Case<float> t({333, channels}, 1.0, 2.0, 5);
      expect_statistics(t);
      expect_forward(t);
      expect_backward(t);
    }
  });
}

}  // namespace
}  // namespace convkit::kernels
