#include "convkit/kernels/softmax.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "convkit/base/random.h"
#include "convkit/base/thread_pool.h"
#include "convkit/kernels/target.h"

namespace convkit::kernels {
namespace {

constexpr double kUnit = 0x1p-24;

const AxisGeometry kGeometries[] = {{1, 1, 1},  {3, 2, 1},    {5, 10, 1}, {2, 16, 1}, {3, 17, 1},
                                    {37, 4, 1}, {2, 1000, 1}, {2, 5, 3},  {1, 33, 7}, {1, 9000, 1}};

class SoftmaxOnEveryTarget : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { set_simd_target(GetParam()); }
  void TearDown() override { set_simd_target("best"); }
};
INSTANTIATE_TEST_SUITE_P(Simd, SoftmaxOnEveryTarget, testing::ValuesIn(simd_targets()),
                         [](const auto& test) { return test.param; });

std::vector<float> values(const AxisGeometry& g, double scale, uint64_t seed) {
  Generator random(seed);
  std::vector<float> x;
  for (int64_t i = 0; i < g.outer * g.extent * g.inner; ++i)
    x.push_back(static_cast<float>(scale * random.normal()));
  return x;
}

std::size_t place(const AxisGeometry& g, int64_t row, int64_t k) {
  return static_cast<std::size_t>((row / g.inner * g.extent + k) * g.inner + row % g.inner);
}

// log Σ e^(x_k) of a row.
double log_sum(const AxisGeometry& g, const std::vector<float>& x, int64_t row) {
  double largest = -std::numeric_limits<double>::infinity();
  for (int64_t k = 0; k < g.extent; ++k) largest = std::max<double>(largest, x[place(g, row, k)]);
  double sum = 0;
  for (int64_t k = 0; k < g.extent; ++k) sum += std::exp(x[place(g, row, k)] - largest);
  return largest + std::log(sum);
}

// Relative error of a probability: the difference x − largest is rounded once (|x − largest|
// roundings after e^), e^ twice, the quotient once, and the sum of positive terms, taken in chains
// of at most 256 + 4 (blocks of 4096, 16 lanes; one lane has chains of 4096 but is the portable
// target, where the square root of that is typical: the bound below is the worst case for 1000).
TEST_P(SoftmaxOnEveryTarget, FollowsItsFormula) {
  for (const AxisGeometry& g : kGeometries) {
    const std::vector<float> x = values(g, 3, 1);
    std::vector<float> y(x.size());
    std::vector<float> log_y(x.size());
    softmax_forward(SoftmaxKind::softmax, g, x.data(), y.data());
    softmax_forward(SoftmaxKind::log_softmax, g, x.data(), log_y.data());
    for (int64_t row = 0; row < g.outer * g.inner; ++row) {
      const double normaliser = log_sum(g, x, row);
      for (int64_t k = 0; k < g.extent; ++k) {
        const std::size_t i = place(g, row, k);
        const double expected = x[i] - normaliser;
        const double chain = static_cast<double>(std::min<int64_t>(g.extent, 4096));
        const double units = 8 + 2 * std::abs(expected) + 0.5 * chain;
        EXPECT_NEAR(y[i], std::exp(expected), units * kUnit * std::exp(expected));
        EXPECT_NEAR(log_y[i], expected, units * kUnit);
      }
    }
  }
}

TEST_P(SoftmaxOnEveryTarget, GradientsFollowTheirFormula) {
  for (const AxisGeometry& g : kGeometries) {
    const std::vector<float> x = values(g, 2, 2);
    const std::vector<float> dy = values(g, 1, 3);
    for (const SoftmaxKind kind : {SoftmaxKind::softmax, SoftmaxKind::log_softmax}) {
      std::vector<float> y(x.size());
      std::vector<float> dx(x.size());
      softmax_forward(kind, g, x.data(), y.data());
      softmax_backward(kind, g, y.data(), dy.data(), dx.data());
      for (int64_t row = 0; row < g.outer * g.inner; ++row) {
        double dot = 0;
        double magnitude = 0;
        for (int64_t k = 0; k < g.extent; ++k) {
          const std::size_t i = place(g, row, k);
          const double p = kind == SoftmaxKind::softmax ? y[i] : 1.0;
          dot += p * dy[i];
          magnitude += p * std::abs(dy[i]);
        }
        for (int64_t k = 0; k < g.extent; ++k) {
          const std::size_t i = place(g, row, k);
          const double expected = kind == SoftmaxKind::softmax
                                      ? y[i] * (dy[i] - dot)
                                      : dy[i] - std::exp(double{y[i]}) * dot;
          // Sums in float chains as in the forward; a product, a difference and e^ besides.
          const double chain = static_cast<double>(std::min<int64_t>(g.extent, 4096));
          const double p = kind == SoftmaxKind::softmax ? double{y[i]} : std::exp(double{y[i]});
          const double allowed =
              kUnit * ((8 + chain) * p * magnitude + 4 * std::abs(dy[i]) + 4 * std::abs(expected));
          EXPECT_NEAR(dx[i], expected, allowed);
        }
      }
    }
  }
}

TEST_P(SoftmaxOnEveryTarget, LargeLogitsDoNotOverflowAndNanSpreads) {
  const float inf = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> x = {1e30F,    -1e30F, 1e30F, /**/ -inf, 0,    0,
                                /**/ nan, 1,      2,     /**/ -inf, -inf, -inf};
  std::vector<float> y(x.size());
  softmax_forward(SoftmaxKind::softmax, {4, 3, 1}, x.data(), y.data());
  EXPECT_EQ(std::vector<float>(y.begin(), y.begin() + 6),
            (std::vector<float>{0.5F, 0, 0.5F, 0, 0.5F, 0.5F}));
  for (std::size_t i = 6; i < 12; ++i) EXPECT_TRUE(std::isnan(y[i])) << i;
}

TEST_P(SoftmaxOnEveryTarget, StatisticsGiveBackTheProbabilities) {
  const int64_t rows = 7;
  const int64_t classes = 37;
  const std::vector<float> x = values({rows, classes, 1}, 3, 4);
  std::vector<RowStatistics<float>> statistics(static_cast<std::size_t>(rows));
  const std::vector<float> scale = {1, 2, 0, -1, 0.5F, 3, 1};
  std::vector<float> y(x.size());
  softmax_statistics(rows, classes, x.data(), statistics.data());
  scaled_softmax(rows, classes, x.data(), statistics.data(), scale.data(), y.data());
  for (int64_t row = 0; row < rows; ++row) {
    const double normaliser = log_sum({rows, classes, 1}, x, row);
    for (int64_t k = 0; k < classes; ++k) {
      const auto i = static_cast<std::size_t>(row * classes + k);
      const double p = std::exp(x[i] - normaliser);
      const double units = 12 + 2 * std::abs(x[i] - normaliser) + 0.5 * classes;
      EXPECT_NEAR(y[i], scale[static_cast<std::size_t>(row)] * p, units * kUnit * 3 * p);
    }
  }
}

TEST(Softmax, HasTheSameBitsOnAnyNumberOfThreads) {
  const AxisGeometry g{300, 101, 1};
  const std::vector<float> x = values(g, 2, 5);
  const auto run = [&](int threads) {
    ThreadPool pool(threads);
    const UseThreadPool use(pool);
    std::vector<float> y(x.size());
    softmax_forward(SoftmaxKind::log_softmax, g, x.data(), y.data());
    return y;
  };
  const std::vector<float> one = run(1);
  EXPECT_EQ(run(2), one);
  EXPECT_EQ(run(3), one);
}

}  // namespace
}  // namespace convkit::kernels
