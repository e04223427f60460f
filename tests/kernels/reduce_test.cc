#include "convkit/kernels/reduce.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "convkit/base/random.h"
#include "convkit/base/thread_pool.h"

namespace convkit::kernels {
namespace {

const AxisGeometry kGeometries[] = {{1, 1, 1},      {1, 7, 1},   {3, 5, 1},     {1, 5, 3},
                                    {4, 6, 65},     {2, 33, 64}, {1, 70000, 1}, {1, 3000, 40},
                                    {2, 2000, 130}, {5, 1, 9},   {100, 513, 1}, {1, 2, 9000}};

std::vector<float> values(const AxisGeometry& g, uint64_t seed) {
  Generator random(seed);
  std::vector<float> x;
  for (int64_t i = 0; i < g.outer * g.extent * g.inner; ++i)
    x.push_back(static_cast<float>(random.normal()));
  return x;
}

// At most 32 elements meet in float before a block goes to double: 32 roundings of Σ|x|, and one
// of the result.
TEST(Reduce, SumsAreWithinTheErrorOfTheirBlocks) {
  for (const AxisGeometry& g : kGeometries) {
    const std::vector<float> x = values(g, 1);
    std::vector<float> y(static_cast<std::size_t>(g.outer * g.inner));
    sum_axis(g, 0.5, x.data(), y.data());
    for (int64_t o = 0; o < g.outer; ++o)
      for (int64_t i = 0; i < g.inner; ++i) {
        double sum = 0;
        double magnitude = 0;
        for (int64_t k = 0; k < g.extent; ++k) {
          const double v = x[static_cast<std::size_t>((o * g.extent + k) * g.inner + i)];
          sum += v;
          magnitude += std::abs(v);
        }
        EXPECT_NEAR(y[static_cast<std::size_t>(o * g.inner + i)], 0.5 * sum,
                    33 * 0x1p-24 * 0.5 * magnitude)
            << g.outer << " " << g.extent << " " << g.inner;
      }
  }
}

TEST(Reduce, AnEmptyAxisSumsToZero) {
  std::vector<float> y(6, 1.0F);
  sum_axis<float>({2, 0, 3}, 1, nullptr, y.data());
  EXPECT_EQ(y, std::vector<float>(6, 0.0F));
}

TEST(Reduce, SumsHaveTheSameBitsOnAnyNumberOfThreads) {
  for (const AxisGeometry& g : kGeometries) {
    const std::vector<float> x = values(g, 2);
    const auto run = [&](int threads) {
      ThreadPool pool(threads);
      const UseThreadPool use(pool);
      std::vector<float> y(static_cast<std::size_t>(g.outer * g.inner));
      sum_axis(g, 1, x.data(), y.data());
      return y;
    };
    const std::vector<float> one = run(1);
    EXPECT_EQ(run(2), one);
    EXPECT_EQ(run(3), one);
  }
}

TEST(Reduce, ArgmaxTakesTheFirstOfEqualsAndNanBeforeAll) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> x = {1, 3, 3, 2, /**/ -5, -4, -6, -4, /**/ 1, nan, 9, nan};
  std::vector<int64_t> y(3);
  argmax_axis({3, 4, 1}, x.data(), y.data());
  EXPECT_EQ(y, (std::vector<int64_t>{1, 1, 1}));
  std::vector<int64_t> columns(4);
  argmax_axis({1, 3, 4}, x.data(), columns.data());
  EXPECT_EQ(columns, (std::vector<int64_t>{0, 2, 2, 2}));
}

}  // namespace
}  // namespace convkit::kernels
