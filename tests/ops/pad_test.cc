#include "convkit/ops/pad.h"

#include <gtest/gtest.h>

#include "convkit/base/thread_pool.h"
#include "tests/ops/gradients.h"
#include "tests/support/throws.h"

namespace convkit {
namespace {

using test::expect_gradients;
using test::leaf;

std::vector<float> padded_row(const std::vector<float>& row, int64_t lo, int64_t hi,
                              PaddingMode mode, double value = 0) {
  const auto count = static_cast<int64_t>(row.size());
  return ops::pad(from_values(row, {1, 1, count}), {{lo}, {hi}, mode, value}).to_vector<float>();
}

TEST(Pad, FollowsPyTorchOnARow) {
  const std::vector<float> x = {1, 2, 3, 4};
  EXPECT_EQ(padded_row(x, 2, 1, PaddingMode::zeros), (std::vector<float>{0, 0, 1, 2, 3, 4, 0}));
  EXPECT_EQ(padded_row(x, 1, 1, PaddingMode::zeros, 9), (std::vector<float>{9, 1, 2, 3, 4, 9}));
  EXPECT_EQ(padded_row(x, 3, 2, PaddingMode::reflect),
            (std::vector<float>{4, 3, 2, 1, 2, 3, 4, 3, 2}));
  EXPECT_EQ(padded_row(x, 2, 3, PaddingMode::replicate),
            (std::vector<float>{1, 1, 1, 2, 3, 4, 4, 4, 4}));
  EXPECT_EQ(padded_row(x, 4, 2, PaddingMode::circular),
            (std::vector<float>{1, 2, 3, 4, 1, 2, 3, 4, 1, 2}));
}

TEST(Pad, NegativeAmountsCrop) {
  const std::vector<float> x = {1, 2, 3, 4};
  EXPECT_EQ(padded_row(x, -1, -2, PaddingMode::zeros), (std::vector<float>{2}));
  EXPECT_EQ(padded_row(x, -1, 2, PaddingMode::zeros), (std::vector<float>{2, 3, 4, 0, 0}));
  EXPECT_EQ(padded_row(x, -1, 1, PaddingMode::circular), (std::vector<float>{2, 3, 4, 1}));
  EXPECT_EQ(padded_row(x, 1, -1, PaddingMode::replicate), (std::vector<float>{1, 1, 2, 3}));
  EXPECT_EQ(padded_row(x, -4, 0, PaddingMode::zeros).size(), 0U);
}

int64_t source(PaddingMode mode, int64_t j, int64_t n) {
  if (j >= 0 && j < n) return j;
  if (mode == PaddingMode::replicate) return j < 0 ? 0 : n - 1;
  if (mode == PaddingMode::circular) return (j + n) % n;
  if (mode == PaddingMode::reflect) return j < 0 ? -j : 2 * n - 2 - j;
  return -1;
}

TEST(Pad, EachAxisIsPaddedAtBothEndsInEveryRank) {
  for (const PaddingMode mode :
       {PaddingMode::zeros, PaddingMode::reflect, PaddingMode::replicate, PaddingMode::circular}) {
    const Tensor x = randn({2, 3, 3, 4, 5});
    const ops::PadParams params{{1, 2, 0}, {2, 0, 3}, mode, 0.5};
    const Tensor y = ops::pad(x, params);
    ASSERT_EQ(y.shape(), Shape({2, 3, 6, 6, 8}));
    for (int64_t n = 0; n < 2; ++n)
      for (int64_t c = 0; c < 3; ++c)
        for (int64_t d = 0; d < 6; ++d)
          for (int64_t h = 0; h < 6; ++h)
            for (int64_t w = 0; w < 8; ++w) {
              const int64_t i = source(mode, d - 1, 3);
              const int64_t j = source(mode, h - 2, 4);
              const int64_t k = source(mode, w, 5);
              const double expected = i < 0 || j < 0 || k < 0 ? 0.5 : x.at({n, c, i, j, k});
              ASSERT_EQ(y.at({n, c, d, h, w}), expected) << to_text(mode);
            }
  }
}

TEST(Pad, ReachesChannelsAndBatchToo) {
  const Tensor x = arange(4).reshaped({2, 1, 2});
  const Tensor y = ops::pad(x, {{1, 1, 0}, {0, 1, 0}});
  EXPECT_EQ(y.shape(), Shape({3, 3, 2}));
  EXPECT_EQ(y.to_vector<float>(),
            (std::vector<float>{0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 2, 3, 0, 0}));
  EXPECT_EQ(ops::pad(arange(3), {{1}, {1}}).to_vector<float>(),
            (std::vector<float>{0, 0, 1, 2, 0}));
}

TEST(Pad, OfNothingKeepsTheElements) {
  const Tensor x = randn({2, 3, 4, 5});
  EXPECT_TRUE(bit_equal(ops::pad(x, {}), x));
  EXPECT_TRUE(bit_equal(ops::pad(x, {{0, 0}, {0, 0}, PaddingMode::reflect}), x));
}

TEST(Pad, GradientsAgreeWithDifferences) {
  for (const PaddingMode mode :
       {PaddingMode::zeros, PaddingMode::reflect, PaddingMode::replicate, PaddingMode::circular}) {
    expect_gradients(
        [=](const auto& t) {
          return ops::pad(t[0], {{2}, {1}, mode});
        },
        {leaf({2, 3, 4}, 1)});
    expect_gradients(
        [=](const auto& t) {
          return ops::pad(t[0], {{1, 2}, {2, 0}, mode, 1});
        },
        {leaf({2, 3, 3, 4}, 2)});
    expect_gradients(
        [=](const auto& t) {
          return ops::pad(t[0], {{1, 0, 1}, {0, 1, 1}, mode});
        },
        {leaf({1, 2, 2, 3, 2}, 3)});
    expect_gradients(
        [=](const auto& t) {
          return ops::pad(t[0], {{-1, 1}, {1, -2}, mode});
        },
        {leaf({2, 2, 3, 4}, 4)});
    expect_gradients(
        [=](const auto& t) {
          return ops::pad(t[0], {{2}, {1}, mode});
        },
        {leaf({4}, 5)});
  }
}

TEST(Pad, GradientsHaveTheSameBitsOnAnyNumberOfThreads) {
  const Tensor x = randn({3, 5, 9, 11});
  const Tensor grad = randn({3, 5, 15, 17});
  const auto run = [&](int threads) {
    ThreadPool pool(threads);
    const UseThreadPool use(pool);
    return test::gradient_of(
        [](const Tensor& t) {
          return ops::pad(t, {{3, 3}, {3, 3}, PaddingMode::reflect});
        },
        x, grad);
  };
  const Tensor one = run(1);
  EXPECT_TRUE(bit_equal(run(2), one));
  EXPECT_TRUE(bit_equal(run(3), one));
}

TEST(Pad, RefusesWhatPyTorchRefusesInWords) {
  const Tensor x = ones({2, 3, 4});
  EXPECT_ERROR(ops::pad(x, {{INT64_MAX}, {INT64_MAX}, PaddingMode::zeros}), ValueError,
               "(9223372036854775807, 9223372036854775807)", "beyond");
  EXPECT_ERROR(ops::pad(x, {{4}, {0}, PaddingMode::reflect}), ShapeError, "reflect", "(4, 0)",
               "2×3×4", "less than its 4");
  EXPECT_ERROR(ops::pad(x, {{0}, {5}, PaddingMode::circular}), ShapeError, "circular", "(0, 5)",
               "4 elements", "more than once");
  EXPECT_ERROR(ops::pad(empty({2, 3, 0}), {{1}, {0}, PaddingMode::replicate}), ShapeError, "empty",
               "replicate");
  EXPECT_ERROR(ops::pad(x, {{-3}, {-2}}), ShapeError, "axis 2", "crop less");
  EXPECT_ERROR(ops::pad(x, {{1, 1}, {1}}), ValueError, "(1, 1)", "(1,)", "same axes");
  EXPECT_ERROR(ops::pad(x, {{1, 1, 1, 1}, {1, 1, 1, 1}}), ValueError, "4 axes", "has 3");
  EXPECT_ERROR(ops::pad(arange(3, DType::int64), {{1}, {1}}), DTypeError, "pad", "int64");
}

}  // namespace
}  // namespace convkit
