#include "convkit/kernels/pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "convkit/base/conv_size.h"
#include "convkit/base/random.h"
#include "convkit/base/text.h"
#include "convkit/kernels/pool_reference.h"
#include "tests/support/on_target.h"
#include "tests/support/on_threads.h"

namespace convkit::kernels {
namespace {

/// One pool, in both descriptions.
struct Problem {
  PoolGeometry geometry;
  std::array<ReferencePoolAxis, kAxes> axes;
  std::string text;
};

int64_t between(Generator& random, int64_t low, int64_t high) {
  return low + static_cast<int64_t>(random.below(static_cast<uint64_t>(high - low + 1)));
}

// Ranks 1 to 3; kernels, strides, pads, dilations and output sizes at random, the last with or
// without what ceil_mode adds.
Problem random_problem(Generator& random, bool maximum) {
  Problem p;
  const int64_t rank = between(random, 1, 3);
  p.geometry.batch = between(random, 1, 2);
  const int64_t channels[] = {1, 2, 3, 6, 7, 8, 13, 16, 17, 24, 31, 64, 70};
  p.geometry.channels = channels[random.below(std::size(channels))];
  p.text = message(p.geometry.batch, "×", p.geometry.channels);
  const bool count_pad = random.below(2) == 0;
  for (std::size_t axis = 0; axis < kAxes; ++axis) {
    SlidingAxis a{.count_pad = count_pad && !maximum};
    if (static_cast<int64_t>(axis) >= kAxes - rank) {
      do {
        a.in = between(random, 1, rank == 1 ? 40 : 9);
        a.kernel = between(random, 1, 5);
        a.stride = between(random, 1, 4);
        a.pad = between(random, 0, a.kernel / 2);
        a.dilation = maximum ? between(random, 1, 3) : 1;
        a.out = conv_output_size(a.in, a.kernel, a.stride, a.pad, a.pad, a.dilation);
      } while (a.out < 1);
      if (random.below(2) == 0 && a.out * a.stride < a.in + a.pad) ++a.out;
    }
    p.text += message(" [", a.in, "→", a.out, " k", a.kernel, " s", a.stride, " p", a.pad, " d",
                      a.dilation, a.count_pad ? " c]" : "]");
    p.geometry.axes[axis] = sliding_axis(a);
    p.axes[axis] = reference_axis(a);
  }
  return p;
}

Problem adaptive_problem(Generator& random) {
  Problem p;
  p.geometry.batch = between(random, 1, 2);
  p.geometry.channels = between(random, 1, 20);
  for (std::size_t axis = 0; axis < kAxes; ++axis) {
    const int64_t in = between(random, 1, 8);
    const int64_t out = between(random, 1, 10);
    p.text += message(" [", in, "→", out, "]");
    p.geometry.axes[axis] = adaptive_axis(in, out);
    p.axes[axis] = reference_adaptive_axis(in, out);
  }
  return p;
}

template <class T>
struct Results {
  std::vector<T> y, dx;
  friend bool operator==(const Results&, const Results&) = default;
};

template <class T>
Results<T> run(const PoolGeometry& g, bool maximum, bool narrow, const std::vector<T>& x,
               const std::vector<T>& dy) {
  Results<T> results{std::vector<T>(dy.size(), T{-7}), std::vector<T>(x.size(), T{-7})};
  std::vector<uint8_t> bytes(dy.size());
  std::vector<int32_t> words(dy.size());
  const PoolTaps taps{narrow ? bytes.data() : nullptr, narrow ? nullptr : words.data()};
  if (maximum) {
    max_pool_forward(g, x.data(), results.y.data(), taps);
    max_pool_backward(g, dy.data(), taps, results.dx.data());
  } else {
    avg_pool_forward(g, x.data(), results.y.data());
    avg_pool_backward(g, dy.data(), results.dx.data());
  }
  return results;
}

template <class T>
std::vector<T> values(Generator& random, int64_t count, bool ties) {
  std::vector<T> result;
  for (int64_t i = 0; i < count; ++i)
    result.push_back(static_cast<T>(ties ? static_cast<double>(random.below(4)) : random.normal()));
  return result;
}

template <class T>
bool all_near(const std::vector<T>& actual, const std::vector<double>& expected, double allowed) {
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const auto value = static_cast<double>(actual[i]);
    if (value != expected[i] && !(std::abs(value - expected[i]) <= allowed)) return false;
  }
  return actual.size() == expected.size();
}

// A maximum is exact, and its gradient sums at most `taps` values; an average sums that many and
// divides. |x| and |dy| are below 6.
template <class T>
void expect_reference(const Problem& p, bool maximum, bool ties, Generator& random) {
  const PoolGeometry& g = p.geometry;
  const auto x = values<T>(random, g.in_positions() * g.channels, ties);
  const auto dy = values<T>(random, g.out_positions() * g.channels, false);
  std::vector<double> y(dy.size()), dx(x.size());
  reference_pool(maximum, g.batch, g.channels, p.axes, x.data(), y.data(), dy.data(), dx.data());
  const double unit = sizeof(T) == 4 ? 0x1p-24 : 0x1p-53;
  const double taps = static_cast<double>(g.most_taps()) + 2.0;
  double reach = 2.0;
  for (const PoolAxis& axis : g.axes) {
    int64_t most = 0;
    for (const PoolReach& r : axis.reach) most = std::max(most, r.last - r.first + 1);
    reach *= static_cast<double>(std::max<int64_t>(1, most));
  }
  for (const bool narrow : {true, false}) {
    if (narrow && g.most_taps() > 256) continue;
    const Results<T> actual = run(g, maximum, narrow, x, dy);
    // −∞, where a window has no taps, is equal too.
    EXPECT_TRUE(all_near(actual.y, y, maximum ? 0.0 : 6 * taps * unit)) << p.text;
    EXPECT_TRUE(all_near(actual.dx, dx, 6 * reach * reach * unit)) << p.text;
    if (maximum) {
      std::vector<T> untracked(dy.size());
      max_pool_forward(g, x.data(), untracked.data(), PoolTaps{});
      EXPECT_EQ(untracked, actual.y) << p.text;
    }
  }
}

TEST(PoolKernel, MaximumAgreesWithTheReference) {
  Generator random(1);
  for (int i = 0; i < 300; ++i)
    expect_reference<float>(random_problem(random, true), true, i % 2 == 0, random);
  for (int i = 0; i < 60; ++i)
    expect_reference<double>(random_problem(random, true), true, i % 2 == 0, random);
}

TEST(PoolKernel, AverageAgreesWithTheReference) {
  Generator random(2);
  for (int i = 0; i < 300; ++i)
    expect_reference<float>(random_problem(random, false), false, false, random);
  for (int i = 0; i < 60; ++i)
    expect_reference<double>(random_problem(random, false), false, false, random);
}

TEST(PoolKernel, AdaptivePoolsAgreeWithTheReference) {
  Generator random(3);
  for (int i = 0; i < 200; ++i)
    expect_reference<float>(adaptive_problem(random), i % 2 == 0, i % 4 == 0, random);
}

Problem global_problem(int64_t batch, int64_t channels, Extents in) {
  Problem p;
  p.geometry.batch = batch;
  p.geometry.channels = channels;
  for (std::size_t axis = 0; axis < kAxes; ++axis) {
    p.geometry.axes[axis] = adaptive_axis(in[axis], 1);
    p.axes[axis] = reference_adaptive_axis(in[axis], 1);
  }
  return p;
}

TEST(PoolKernel, PoolsOverTheWholeImageWithMoreThan256Taps) {
  Generator random(4);
  for (const int64_t channels : {1, 5, 64, 200}) {
    const Problem p = global_problem(2, channels, {3, 17, 19});
    expect_reference<float>(p, true, false, random);
    expect_reference<float>(p, true, true, random);
    expect_reference<float>(p, false, false, random);
    expect_reference<double>(p, true, false, random);
  }
}

// In any lane, and beside ∞ and −∞, whose sum is NaN though no value is.
TEST(PoolKernel, TakesNaNAndInfinityAsAPlainLoopDoes) {
  constexpr int64_t kChannels = 150;
  const float infinity = std::numeric_limits<float>::infinity();
  const float special[] = {std::numeric_limits<float>::quiet_NaN(), infinity, -infinity};
  PoolGeometry g{.batch = 1, .channels = kChannels, .axes = {}};
  g.axes = {sliding_axis({}), sliding_axis({}),
            sliding_axis({.in = 21, .out = 10, .kernel = 3, .stride = 2})};
  test::on_every_target([&] {
    Generator random(8);
    std::vector<float> x(21 * kChannels), y(10 * kChannels);
    for (float& value : x)
      value = random.below(4) == 0 ? special[random.below(3)] : static_cast<float>(random.normal());
    std::vector<uint8_t> taps(y.size());
    max_pool_forward<float>(g, x.data(), y.data(), {.narrow = taps.data()});
    for (std::size_t i = 0; i < y.size(); ++i) {
      const std::size_t first = i / kChannels * 2 * kChannels + i % kChannels;
      float best = -infinity;
      uint8_t winner = 0;
      for (uint8_t tap = 0; tap < 3; ++tap) {
        const float value = x[first + tap * static_cast<std::size_t>(kChannels)];
        if (!(value > best || std::isnan(value))) continue;
        best = value;
        winner = tap;
      }
      ASSERT_TRUE(y[i] == best || (std::isnan(y[i]) && std::isnan(best))) << i;
      ASSERT_EQ(taps[i], winner) << i;
    }
  });
}

TEST(PoolKernel, TheLastNaNOfAWindowWinsAndReceivesTheGradient) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  Problem p = global_problem(1, 1, {1, 1, 5});
  const Results<float> r = run<float>(p.geometry, true, true, {9, nan, 2, nan, 11}, {3});
  EXPECT_TRUE(std::isnan(r.y[0]));
  EXPECT_EQ(r.dx, (std::vector<float>{0, 0, 0, 3, 0}));
}

TEST(PoolKernel, MinusInfinityEverywhereIsWonByTheFirst) {
  const float low = -std::numeric_limits<float>::infinity();
  Problem p = global_problem(1, 1, {1, 1, 3});
  const Results<float> r = run<float>(p.geometry, true, true, {low, low, low}, {3});
  EXPECT_EQ(r.y[0], low);
  EXPECT_EQ(r.dx, (std::vector<float>{3, 0, 0}));
}

TEST(PoolKernel, GivesTheSameBitsOnAnyNumberOfThreads) {
  Generator random(5);
  for (const bool maximum : {true, false}) {
    for (const int64_t channels : {3, 64, 160}) {
      PoolGeometry g{.batch = 3, .channels = channels, .axes = {}};
      g.axes[0] = adaptive_axis(1, 1);
      for (const std::size_t axis : {1, 2})
        g.axes[axis] = sliding_axis({.in = 41, .out = 21, .kernel = 3, .stride = 2, .pad = 1});
      const auto x = values<float>(random, g.in_positions() * channels, false);
      const auto dy = values<float>(random, g.out_positions() * channels, false);
      const auto on = [&](int threads) {
        const test::OnThreads use(threads);
        return run(g, maximum, true, x, dy);
      };
      const Results<float> one = on(1);
      for (const int threads : {2, 3}) EXPECT_EQ(on(threads), one) << threads << " threads";
    }
  }
}

TEST(PoolKernel, AgreesWithTheReferenceOnEveryInstructionSet) {
  test::on_every_target([] {
    Generator random(6);
    for (int i = 0; i < 40; ++i) {
      const bool maximum = i % 2 == 0;
      expect_reference<float>(random_problem(random, maximum), maximum, i % 4 == 0, random);
    }
  });
}

// From a slice of channels into another one, whose neighbours stay what they were.
TEST(PoolKernel, ReadsAndWritesSlicesOfChannels) {
  Generator random(14);
  for (int i = 0; i < 60; ++i) {
    const bool maximum = i % 2 == 0;
    PoolGeometry g = random_problem(random, maximum).geometry;
    const int64_t channels = g.channels;
    const int64_t in_pitch = channels + 3;
    const int64_t out_pitch = channels + 5;
    std::vector<float> x(static_cast<std::size_t>(g.in_positions() * channels));
    for (float& value : x) value = static_cast<float>(random.normal());
    std::vector<float> wide_x(static_cast<std::size_t>(g.in_positions() * in_pitch), NAN);
    for (std::size_t k = 0; k < x.size(); ++k) {
      const auto at = static_cast<int64_t>(k);
      wide_x[static_cast<std::size_t>(at / channels * in_pitch + at % channels)] = x[k];
    }
    std::vector<float> y(static_cast<std::size_t>(g.out_positions() * channels));
    std::vector<float> wide_y(static_cast<std::size_t>(g.out_positions() * out_pitch), 77.0f);
    const auto pool = [&](const std::vector<float>& from, std::vector<float>& to) {
      if (maximum)
        max_pool_forward(g, from.data(), to.data(), {});
      else
        avg_pool_forward(g, from.data(), to.data());
    };
    pool(x, y);
    g.in_pitch = in_pitch;
    g.out_pitch = out_pitch;
    pool(wide_x, wide_y);
    for (std::size_t k = 0; k < wide_y.size(); ++k) {
      const auto position = static_cast<int64_t>(k) / out_pitch;
      const auto channel = static_cast<int64_t>(k) % out_pitch;
      const float want =
          channel < channels ? y[static_cast<std::size_t>(position * channels + channel)] : 77.0f;
      ASSERT_EQ(std::bit_cast<uint32_t>(want), std::bit_cast<uint32_t>(wide_y[k]))
          << "pool " << i << ", channel " << channel << " of " << channels;
    }
  }
}

TEST(PoolKernel, DoesNothingForAnEmptyBatch) {
  PoolGeometry g{.batch = 0, .channels = 4, .axes = {}};
  for (PoolAxis& axis : g.axes) axis = adaptive_axis(3, 1);
  const std::vector<float> before(12, 5.0F);
  std::vector<float> written = before;
  max_pool_forward<float>(g, nullptr, written.data(), {});
  avg_pool_backward<float>(g, nullptr, written.data());
  EXPECT_EQ(written, before);
}

}  // namespace
}  // namespace convkit::kernels
