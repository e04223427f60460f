#include "convkit/kernels/fft.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <numbers>
#include <random>

#include "convkit/base/error.h"
#include "tests/kernels/conv_check.h"
#include "tests/support/throws.h"

namespace convkit::test {
namespace {

using kernels::fft_kernels;
using kernels::FftLine;
using kernels::FftPlan;
using kernels::is_fft_length;
using Signal = std::vector<std::complex<double>>;

Signal naive_transform(const Signal& from, bool inverse) {
  const auto n = static_cast<int64_t>(from.size());
  std::vector<std::complex<double>> roots(from.size());
  for (int64_t i = 0; i < n; ++i)
    roots[static_cast<std::size_t>(i)] =
        std::polar(1.0, (inverse ? 2.0 : -2.0) * std::numbers::pi * static_cast<double>(i) /
                            static_cast<double>(n));
  Signal to(from.size());
  for (int64_t k = 0; k < n; ++k)
    for (int64_t i = 0; i < n; ++i)
      to[static_cast<std::size_t>(k)] +=
          from[static_cast<std::size_t>(i)] * roots[static_cast<std::size_t>(i * k % n)];
  return to;
}

// Elements of one transform with signals in every lane, `step` floats apart.
struct Elements {
  Elements(int64_t count, int64_t pitch)
      : length(count), step(pitch), floats(static_cast<std::size_t>(count * pitch), -7.0f) {}
  float& at(int64_t n, int64_t part, int64_t lane) {
    return floats[static_cast<std::size_t>(n * step + part * fft_kernels().lanes + lane)];
  }
  std::complex<double> number(int64_t n, int64_t lane) {
    return {static_cast<double>(at(n, 0, lane)), static_cast<double>(at(n, 1, lane))};
  }
  int64_t length;
  int64_t step;
  std::vector<float> floats;
};

double norm(const Signal& signal) {
  double sum = 0.0;
  for (const auto& value : signal) sum += std::norm(value);
  return std::sqrt(sum);
}

// ‖error‖₂ ≤ log₂(n) · η · ‖exact‖₂ with η a few roundings (Higham, Accuracy and Stability of
// Numerical Algorithms, theorem 24.2: η = μ + γ₄·(√2 + μ), where γ₄ ≈ 4u and μ ≤ u: 8u).
void expect_transform(int64_t length, bool inverse, bool twiddled, std::mt19937& random) {
  const int64_t lanes = fft_kernels().lanes;
  const FftPlan plan(length);
  Elements from(length, 2 * lanes + 3);
  Elements to(length, 2 * lanes + 5);
  std::uniform_real_distribution<float> values(-1.0f, 1.0f);
  for (int64_t n = 0; n < length; ++n)
    for (const int64_t part : {0, 1})
      for (int64_t lane = 0; lane < lanes; ++lane) from.at(n, part, lane) = values(random);
  std::vector<float> twiddles(static_cast<std::size_t>(3 * length));
  for (int64_t n = 0; n < length; ++n) {
    const double angle = 0.1 * static_cast<double>(n);
    twiddles[static_cast<std::size_t>(3 * n)] = static_cast<float>(std::cos(angle));
    twiddles[static_cast<std::size_t>(3 * n + 1)] = static_cast<float>(std::sin(angle));
  }
  std::vector<float> scratch(static_cast<std::size_t>(4 * lanes * length));
  FftLine line{from.floats.data(), from.step, to.floats.data(), to.step};
  if (twiddled) line.twiddles = twiddles.data();
  line.twiddle_step = 3;
  fft_kernels().transform(plan, line, inverse, scratch.data());
  for (int64_t lane = 0; lane < lanes; ++lane) {
    Signal signal;
    for (int64_t n = 0; n < length; ++n) {
      signal.push_back(from.number(n, lane));
      const double angle = (inverse ? -0.1 : 0.1) * static_cast<double>(n);
      if (twiddled) signal.back() *= std::polar(1.0, angle);
    }
    Signal error = naive_transform(signal, inverse);
    const double allowed =
        0x1p-24 * 8.0 * (std::log2(static_cast<double>(length)) + 1.0) * norm(error);
    for (int64_t n = 0; n < length; ++n) error[static_cast<std::size_t>(n)] -= to.number(n, lane);
    EXPECT_LE(norm(error), allowed) << "length " << length << " lane " << lane;
  }
  for (int64_t n = 0; n < length; ++n)
    for (int64_t gap = 2 * lanes; gap < to.step; ++gap)
      EXPECT_EQ(to.floats[static_cast<std::size_t>(n * to.step + gap)], -7.0f);
}

TEST(Fft, IsTheNaiveTransformForEveryLength) {
  std::mt19937 random(1);
  for (const std::string& target : engine_targets()) {
    const OnTarget limited(target);
    for (int64_t length = 1; length <= 512; ++length) {
      if (!is_fft_length(length)) continue;
      for (const bool inverse : {false, true})
        for (const bool twiddled : {false, true})
          expect_transform(length, inverse, twiddled, random);
    }
  }
}

TEST(Fft, RefusesALengthWithOtherFactors) {
  EXPECT_FALSE(is_fft_length(0));
  EXPECT_FALSE(is_fft_length(14));
  EXPECT_ERROR(FftPlan(14), ValueError, "length 14", "2^a");
}

TEST(Fft, TransformsInPlace) {
  const int64_t lanes = fft_kernels().lanes;
  std::mt19937 random(2);
  for (const int64_t length : {1, 2, 5, 8, 30, 64, 128}) {
    const FftPlan plan(length);
    std::vector<float> place = random_floats(2 * lanes * length, random);
    std::vector<float> apart(place.size());
    std::vector<float> scratch(2 * place.size());
    fft_kernels().transform(plan, {place.data(), 2 * lanes, apart.data(), 2 * lanes}, false,
                            scratch.data());
    fft_kernels().transform(plan, {place.data(), 2 * lanes, place.data(), 2 * lanes}, false,
                            scratch.data());
    EXPECT_EQ(place, apart) << length;
  }
}

}  // namespace
}  // namespace convkit::test
