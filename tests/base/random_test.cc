#include "convkit/base/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <thread>
#include <vector>

#include "convkit/base/thread_pool.h"

namespace convkit {
namespace {

// The known-answer vectors that Random123 publishes for philox4x32-10.
TEST(Philox, GivesTheKnownAnswers) {
  using Block = std::array<uint32_t, 4>;
  EXPECT_EQ(philox(0, {0, 0, 0, 0}), (Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox(0xffffffffffffffff, {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}),
            (Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  // The digits of pi as counter and key.
  EXPECT_EQ(philox(0x299f31d0a4093822, {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}),
            (Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Generator, NumbersItsStreamByBlockAndLane) {
  Generator generator(0x123456789abcdef0, 0xfedcba9876543210);
  for (uint32_t i = 0; i < 20; ++i) {
    const auto block = philox(0x123456789abcdef0, {i / 4, 0, 0x76543210, 0xfedcba98});
    EXPECT_EQ(generator.next_u32(), block[i % 4]) << i;
  }
  // Beyond 2³² blocks the counter carries into its second word.
  generator.set_position((uint64_t{1} << 34) + 1);
  EXPECT_EQ(generator.next_u32(), philox(0x123456789abcdef0, {0, 1, 0x76543210, 0xfedcba98})[1]);
}

TEST(Generator, MovesToAnyPosition) {
  Generator straight(7);
  std::vector<uint32_t> numbers;
  numbers.reserve(40);
  for (int i = 0; i < 40; ++i) numbers.push_back(straight.next_u32());
  EXPECT_EQ(straight.position(), 40U);
  Generator jumping(7);
  for (const std::size_t i : {39U, 0U, 13U, 12U, 1U, 38U}) {
    jumping.set_position(i);
    EXPECT_EQ(jumping.next_u32(), numbers[i]) << i;
  }
}

TEST(Generator, CopiesGoOnIndependently) {
  Generator a(3);
  a.next_u32();
  Generator b = a;
  const uint32_t from_a = a.next_u32();
  EXPECT_EQ(b.next_u32(), from_a);
  a.next_u32();
  EXPECT_EQ(b.position() + 1, a.position());
}

TEST(Generator, DiffersBySeedAndStream) {
  std::set<uint64_t> first;
  for (uint64_t seed = 0; seed < 50; ++seed)
    for (uint64_t stream = 0; stream < 50; ++stream)
      first.insert(Generator(seed, stream).next_u64());
  EXPECT_EQ(first.size(), 2500U);
}

TEST(Generator, SplitsIntoStreamsThatDoNotRepeat) {
  const Generator parent(42);
  std::set<uint64_t> seen;
  for (uint64_t i = 0; i < 2000; ++i) {
    Generator child = parent.split(i);
    EXPECT_EQ(child.position(), 0U);
    seen.insert(child.next_u64());
    for (uint64_t j = 0; j < 3; ++j) seen.insert(child.split(j).next_u64());
  }
  EXPECT_EQ(seen.size(), 8000U);
  EXPECT_EQ(parent.split(5).stream(), parent.split(5).stream()) << "a pure function of the index";
}

// The correlation of n pairs of independent numbers has the deviation 1/√n.
TEST(Generator, SplitStreamsAreUncorrelated) {
  constexpr int kCount = 20000;
  const Generator parent(1);
  for (uint64_t i = 0; i < 8; ++i) {
    Generator a = parent.split(i);
    Generator b = parent.split(i + 1);
    double product = 0;
    for (int k = 0; k < kCount; ++k)
      product += (a.uniform_double() - 0.5) * (b.uniform_double() - 0.5);
    EXPECT_NEAR(product / kCount * 12, 0, 6 / std::sqrt(kCount)) << i;
  }
}

// Pearson's statistic over 256 cells: mean 255, deviation √510 = 22.6.
TEST(Generator, IsUniformInEveryByte) {
  Generator generator(2);
  constexpr int kCount = 1 << 16;
  std::array<std::array<int, 256>, 4> counts{};
  for (int i = 0; i < kCount; ++i) {
    const uint32_t number = generator.next_u32();
    for (unsigned byte = 0; byte < 4; ++byte) ++counts[byte][(number >> (8 * byte)) & 0xFF];
  }
  for (const auto& cells : counts) {
    double statistic = 0;
    for (const int count : cells)
      statistic += std::pow(count - kCount / 256.0, 2) / (kCount / 256.0);
    EXPECT_NEAR(statistic, 255, 6 * 22.6);
  }
}

TEST(Generator, UniformStaysBelowOne) {
  Generator generator(3);
  double mean = 0;
  constexpr int kCount = 100000;
  for (int i = 0; i < kCount; ++i) {
    const float f = generator.uniform();
    const double d = generator.uniform_double();
    ASSERT_TRUE(f >= 0 && f < 1 && d >= 0 && d < 1);
    mean += (static_cast<double>(f) + d) / (2 * kCount);
  }
  EXPECT_NEAR(mean, 0.5, 6 * std::sqrt(1.0 / 12 / (2 * kCount)));
}

TEST(Generator, BelowIsUniformAndBounded) {
  Generator generator(4);
  std::array<int, 7> counts{};
  constexpr int kCount = 70000;
  for (int i = 0; i < kCount; ++i) {
    const uint64_t drawn = generator.below(7);
    ASSERT_LT(drawn, 7U);
    ++counts[drawn];
  }
  for (const int count : counts) EXPECT_NEAR(count, kCount / 7.0, 6 * std::sqrt(kCount / 7.0));
  EXPECT_EQ(generator.below(1), 0U);
  for (int i = 0; i < 10; ++i) EXPECT_LE(generator.below(UINT64_MAX), UINT64_MAX - 1);
}

// Moments of n standard normals: deviations 1/√n, √(2/n), √(15/n), √(96/n).
void expect_normal(const std::vector<double>& values) {
  const auto n = static_cast<double>(values.size());
  double moments[4] = {};
  for (const double z : values)
    for (int k = 0; k < 4; ++k) moments[k] += std::pow(z, k + 1) / n;
  EXPECT_NEAR(moments[0], 0, 6 / std::sqrt(n));
  EXPECT_NEAR(moments[1], 1, 6 * std::sqrt(2 / n));
  EXPECT_NEAR(moments[2], 0, 6 * std::sqrt(15 / n));
  EXPECT_NEAR(moments[3], 3, 6 * std::sqrt(96 / n));
}

TEST(Generator, NormalHasTheNormalMoments) {
  Generator generator(5);
  std::vector<double> values(50000);
  for (double& value : values) value = generator.normal();
  expect_normal(values);
}

TEST(Generator, FillNormalHasTheNormalMomentsAndUncorrelatedNeighbours) {
  Generator generator(6);
  std::vector<double> values(50000);
  generator.fill_normal(values.data(), 50000);
  EXPECT_EQ(generator.position(), 100000U);
  expect_normal(values);
  double product = 0;
  for (std::size_t i = 0; i < values.size(); i += 2) product += values[i] * values[i + 1] / 25000;
  EXPECT_NEAR(product, 0, 6 / std::sqrt(25000.0)) << "the two halves of a pair";
}

TEST(Generator, FillUniformGivesWhatSingleCallsGive) {
  for (const uint64_t start : {0U, 1U, 6U}) {
    for (const int64_t count : {0, 1, 5, 16384, 40001}) {
      Generator one(8);
      one.set_position(start);
      Generator many = one;
      std::vector<float> floats(static_cast<std::size_t>(count));
      many.fill_uniform(floats.data(), count);
      for (const float value : floats) ASSERT_EQ(value, one.uniform());
      std::vector<double> doubles(static_cast<std::size_t>(count));
      many.fill_uniform(doubles.data(), count);
      for (const double value : doubles) ASSERT_EQ(value, one.uniform_double());
      EXPECT_EQ(many.position(), one.position());
      EXPECT_EQ(many.next_u32(), one.next_u32());
    }
  }
}

TEST(Generator, FillsTheSameBitsForAnyNumberOfThreads) {
  std::vector<std::vector<float>> filled;
  for (const int threads : {1, 2, 3}) {
    ThreadPool pool(threads);
    const UseThreadPool use(pool);
    Generator generator(9);
    generator.set_position(3);
    filled.emplace_back(100001);
    generator.fill_normal(filled.back().data(), 100001);
    EXPECT_EQ(generator.position(), 3U + 200004U);
  }
  EXPECT_EQ(filled[0], filled[1]);
  EXPECT_EQ(filled[0], filled[2]);
}

TEST(DefaultGenerator, RestartsWithASeedAndBelongsToItsThread) {
  manual_seed(5);
  const uint32_t first = default_generator().next_u32();
  std::thread([] { manual_seed(6); }).join();
  EXPECT_EQ(default_generator().seed(), 5U);
  manual_seed(5);
  EXPECT_EQ(default_generator().next_u32(), first);
  EXPECT_EQ(Generator(5).next_u32(), first);
}

}  // namespace
}  // namespace convkit
