#include "convkit/kernels/layer_norm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "convkit/base/random.h"
#include "tests/support/on_target.h"
#include "tests/support/on_threads.h"

namespace convkit::kernels {
namespace {

std::vector<float> values(int64_t count, float offset) {
  Generator random(5);
  std::vector<float> x(static_cast<std::size_t>(count));
  for (float& value : x) value = offset + static_cast<float>(random.normal());
  return x;
}

// A path through a sum has at most 130 roundings, be it of distances from the first element (the
// mean) or of squares (the variance); the mean itself is rounded once, and some products and sums
// follow.
void expect_normal_rows(int64_t rows, int64_t length, float offset) {
  constexpr double kEpsilon = 1e-5;
  const std::vector<float> x = values(rows * length, offset);
  const std::vector<float> scale = values(length, 1);
  const std::vector<float> shift = values(length, 0);
  std::vector<float> y(x.size(), NAN);
  layer_norm_rows(rows, length, kEpsilon, x.data(), scale.data(), shift.data(), y.data());
  std::vector<float> plain = x;
  layer_norm_rows(rows, length, kEpsilon, plain.data(), nullptr, nullptr, plain.data());
  for (int64_t r = 0; r < rows; ++r) {
    const float* row = x.data() + r * length;
    double mean = 0;
    for (int64_t i = 0; i < length; ++i) mean += row[i];
    mean /= static_cast<double>(length);
    double spread = 0;
    for (int64_t i = 0; i < length; ++i)
      spread += std::abs(row[i] - row[0]) / static_cast<double>(length);
    double variance = 0;
    for (int64_t i = 0; i < length; ++i) variance += (row[i] - mean) * (row[i] - mean);
    variance /= static_cast<double>(length);
    const double by = 1 / std::sqrt(variance + kEpsilon);
    for (int64_t i = 0; i < length; ++i) {
      const auto at = static_cast<std::size_t>(r * length + i);
      const auto c = static_cast<std::size_t>(i);
      const double normal = (row[i] - mean) * by;
      const double bound =
          0x1p-24 * (by * (130 * spread + 2 * std::abs(mean)) + 70 * std::abs(normal));
      ASSERT_NEAR(plain[at], normal, bound) << rows << "×" << length << ", " << i;
      ASSERT_NEAR(
          y[at], normal * scale[c] + shift[c],
          (bound + 0x1p-23 * std::abs(normal)) * std::abs(scale[c]) + 0x1p-23 * std::abs(shift[c]))
          << rows << "×" << length << ", " << i;
    }
  }
}

TEST(LayerNorm, NormalizesRowsOfAnyLengthAroundAnyOffset) {
  test::on_every_target([] {
    for (const int64_t length : {2, 7, 16, 33, 96, 768, 5000})
      for (const float offset : {0.0F, 100.0F}) expect_normal_rows(3, length, offset);
  });
}

TEST(LayerNorm, GivesTheSameBitsOnAnyNumberOfThreads) {
  const std::vector<float> x = values(300 * 96, 1);
  std::vector<float> one(x.size());
  std::vector<float> three(x.size());
  const auto run = [&](int threads, std::vector<float>& y) {
    const test::OnThreads on(threads);
    layer_norm_rows(300, 96, 1e-5, x.data(), nullptr, nullptr, y.data());
  };
  run(1, one);
  run(3, three);
  EXPECT_EQ(one, three);
}

}  // namespace
}  // namespace convkit::kernels
