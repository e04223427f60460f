#include "convkit/kernels/reduce_columns.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "convkit/base/random.h"
#include "tests/support/on_target.h"
#include "tests/support/on_threads.h"

namespace convkit::kernels {
namespace {

template <class T>
std::vector<T> values(int64_t count) {
  Generator random(3);
  std::vector<T> x(static_cast<std::size_t>(count));
  for (T& value : x) value = static_cast<T>(random.normal());
  return x;
}

// A path has at most 64 roundings of T, and one at the end; doubles add what the last term allows.
template <class T>
void expect_sums(int64_t rows, int64_t channels) {
  const std::vector<T> x = values<T>(rows * channels);
  std::vector<T> sums(static_cast<std::size_t>(channels), static_cast<T>(NAN));
  column_sums(x.data(), rows, channels, sums.data());
  const double unit = sizeof(T) == 4 ? 0x1p-24 : 0x1p-53;
  for (int64_t c = 0; c < channels; ++c) {
    double sum = 0.0, size = 0.0;
    for (int64_t r = 0; r < rows; ++r) {
      const auto value = static_cast<double>(x[static_cast<std::size_t>(r * channels + c)]);
      sum += value;
      size += std::abs(value);
    }
    ASSERT_NEAR(static_cast<double>(sums[static_cast<std::size_t>(c)]), sum,
                (65 * unit + static_cast<double>(rows) * 0x1p-52) * size)
        << rows << "×" << channels << ", channel " << c;
  }
}

TEST(ColumnSums, AgreeWithSumsInDoubleOnEveryInstructionSet) {
  test::on_every_target([] {
    for (const int64_t rows : {0, 1, 2, 63, 64, 65, 500, 3001})
      for (const int64_t channels : {1, 2, 3, 5, 16, 17, 63, 64, 65, 128, 130, 300}) {
        expect_sums<float>(rows, channels);
        if (rows < 100) expect_sums<double>(rows, channels);
      }
  });
}

TEST(ColumnSums, HaveTheSameBitsOnAnyNumberOfThreads) {
  for (const int64_t channels : {3, 64, 300}) {
    const std::vector<float> x = values<float>(5003 * channels);
    const auto on = [&](int threads) {
      const test::OnThreads use(threads);
      std::vector<float> sums(static_cast<std::size_t>(channels));
      column_sums(x.data(), 5003, channels, sums.data());
      return sums;
    };
    const std::vector<float> one = on(1);
    for (const int threads : {2, 3}) EXPECT_EQ(on(threads), one) << channels;
  }
}

}  // namespace
}  // namespace convkit::kernels
