#include "convkit/ops/dropout.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "convkit/base/thread_pool.h"
#include "tests/ops/gradients.h"
#include "tests/support/throws.h"

namespace convkit {
namespace {

TEST(Dropout, DropsAFractionPAndScalesTheRest) {
  for (const double p : {0.1, 0.5, 0.75}) {
    Generator generator(3);
    const int64_t count = 100000;
    const std::vector<float> y = ops::dropout(ones({count}), p, true, generator).to_vector<float>();
    const auto zeros = std::count(y.begin(), y.end(), 0.0F);
    const auto kept = std::count(y.begin(), y.end(), static_cast<float>(1 / (1 - p)));
    EXPECT_EQ(zeros + kept, count);
    // Six deviations of a binomial distribution.
    EXPECT_NEAR(static_cast<double>(zeros), p * count, 6 * std::sqrt(p * (1 - p) * count));
  }
}

TEST(Dropout, OfWholeChannelsDropsAllPositionsOfAChannel) {
  Generator generator(4);
  const Tensor y = ops::dropout2d(ones({20, 30, 4, 5}), 0.5, true, generator);
  int64_t dropped = 0;
  for (int64_t n = 0; n < 20; ++n)
    for (int64_t c = 0; c < 30; ++c) {
      const double first = y.at({n, c, 0, 0});
      EXPECT_TRUE(first == 0 || first == 2);
      dropped += first == 0 ? 1 : 0;
      for (int64_t h = 0; h < 4; ++h)
        for (int64_t w = 0; w < 5; ++w) EXPECT_EQ(y.at({n, c, h, w}), first);
    }
  EXPECT_NEAR(static_cast<double>(dropped), 300, 6 * std::sqrt(150));
}

TEST(Dropout, OfWholeChannelsTakesUnbatchedInput) {
  Generator generator(5);
  const Tensor y = ops::dropout1d(ones({50, 7}), 0.5, true, generator);
  for (int64_t c = 0; c < 50; ++c)
    for (int64_t l = 0; l < 7; ++l) EXPECT_EQ(y.at({c, l}), y.at({c, 0}));
  EXPECT_EQ(ops::dropout3d(ones({2, 3, 2, 2, 2}), 0.5, true, generator).dim(), 5);
}

TEST(Dropout, PassesItsInputOnOutsideTraining) {
  Generator generator(6);
  const Tensor x = randn({4, 5});
  EXPECT_EQ(ops::dropout(x, 0.5, false, generator).impl(), x.impl());
  EXPECT_EQ(ops::dropout(x, 0, true, generator).impl(), x.impl());
  EXPECT_EQ(generator.position(), 0U);  // nothing was drawn
}

TEST(Dropout, WithPOfOneDropsEverything) {
  Generator generator(7);
  Tensor x = ones({10}).set_requires_grad();
  const Tensor y = ops::dropout(x, 1, true, generator);
  EXPECT_EQ(y.to_vector<float>(), std::vector<float>(10, 0));
  autograd::backward(y, ones({10}));
  EXPECT_EQ(x.grad().to_vector<float>(), std::vector<float>(10, 0));
}

TEST(Dropout, TheGradientPassesWhereTheInputDid) {
  for (const bool channels : {false, true}) {
    Generator generator(8);
    Tensor x = ones({3, 4, 5, 2}).set_requires_grad();
    const Tensor y =
        channels ? ops::dropout2d(x, 0.5, true, generator) : ops::dropout(x, 0.5, true, generator);
    autograd::backward(y, ones(x.shape()));
    EXPECT_TRUE(bit_equal(x.grad(), y.detach()));
  }
}

TEST(Dropout, TheMaskDependsOnTheGeneratorAloneAndChangesWithEachCall) {
  const auto run = [](int threads, uint64_t seed) {
    ThreadPool pool(threads);
    const UseThreadPool use(pool);
    Generator generator(seed);
    return ops::dropout(ones({70001}), 0.5, true, generator);
  };
  const Tensor one = run(1, 9);
  EXPECT_TRUE(bit_equal(run(2, 9), one));
  EXPECT_TRUE(bit_equal(run(3, 9), one));
  EXPECT_FALSE(bit_equal(run(1, 10), one));
  Generator generator(9);
  const Tensor first = ops::dropout(ones({100}), 0.5, true, generator);
  EXPECT_FALSE(bit_equal(ops::dropout(ones({100}), 0.5, true, generator), first));
}

TEST(Dropout, FollowsTheNumbersOfASplitStream) {
  Generator generator(12);
  Generator same(12);
  const std::vector<float> y = ops::dropout(ones({203}), 0.4, true, generator).to_vector<float>();
  Generator stream = same.split(same.next_u64());
  for (const float v : y) {
    const bool dropped = static_cast<double>(stream.next_u32()) * 0x1p-32 < 0.4;
    EXPECT_EQ(v == 0, dropped);
  }
}

TEST(Dropout, GradientsAgreeWithDifferences) {
  test::expect_gradients(
      [](const std::vector<Tensor>& t) {
        Generator generator(11);
        return ops::dropout3d(ops::dropout(t[0], 0.3, true, generator), 0.5, true, generator);
      },
      {test::leaf({2, 3, 2, 2, 2}, 1)});
}

TEST(Dropout, RefusesWrongProbabilitiesAndRanks) {
  EXPECT_ERROR(ops::dropout(ones({3}), 1.5), ValueError, "dropout", "p (1.5)", "between 0 and 1");
  EXPECT_ERROR(ops::dropout(ones({3}), -0.1, false), ValueError, "p (-0.1)");
  EXPECT_ERROR(ops::dropout2d(ones({3, 4}), 0.5), ShapeError, "dropout2d", "3×4", "2 axes");
  EXPECT_ERROR(ops::dropout(arange(3, DType::int64), 0.5), DTypeError, "dropout", "int64");
}

}  // namespace
}  // namespace convkit
