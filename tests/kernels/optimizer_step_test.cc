#include "convkit/kernels/optimizer_step.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "convkit/base/random.h"
#include "convkit/kernels/optimizer_step_reference.h"
#include "tests/support/on_target.h"

namespace convkit::kernels {
namespace {

using test::on_every_target;

const int64_t kCounts[] = {0, 1, 3, 4, 7, 8, 15, 16, 17, 31, 33, 64, 1001};

template <class T>
struct Arrays {
  explicit Arrays(int64_t count) {
    Generator random(static_cast<uint64_t>(count) + 1);
    for (int64_t i = 0; i < count; ++i) {
      parameter.push_back(static_cast<T>(random.normal()));
      gradient.push_back(static_cast<T>(random.normal()));
      state.push_back(static_cast<T>(random.normal()));
      square.push_back(static_cast<T>(random.uniform_double()));
      largest.push_back(static_cast<T>(random.uniform_double()));
    }
  }
  AdamMoments<T> moments(bool amsgrad) {
    return {state.data(), square.data(), amsgrad ? largest.data() : nullptr};
  }
  std::vector<T> parameter, gradient, state, square, largest;
};

// All operands are below 8 in magnitude (normal deviates of a few hundred draws) and each result
// takes at most eight roundings, each of an intermediate below 32.
template <class T>
void expect_near(const std::vector<T>& actual, const std::vector<T>& expected, const char* what) {
  const double bound = 8 * 32 * (sizeof(T) == 4 ? 0x1p-24 : 0x1p-53);
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i)
    ASSERT_NEAR(actual[i], expected[i], bound) << what << "[" << i << "] of " << actual.size();
}

template <class T>
void expect_sgd(const SgdStep& step, int64_t count) {
  Arrays<T> actual(count);
  Arrays<T> expected(count);
  const auto buffer = [&](Arrays<T>& a) { return step.momentum != 0 ? a.state.data() : nullptr; };
  sgd_step(step, count, actual.gradient.data(), actual.parameter.data(), buffer(actual));
  reference::sgd_step(step, count, expected.gradient.data(), expected.parameter.data(),
                      buffer(expected));
  expect_near(actual.parameter, expected.parameter, "parameter");
  expect_near(actual.state, expected.state, "momentum buffer");
  EXPECT_EQ(actual.gradient, expected.gradient);
}

template <class T>
void expect_adam(const AdamStep& step, int64_t count, bool amsgrad) {
  Arrays<T> actual(count);
  Arrays<T> expected(count);
  adam_step(step, count, actual.gradient.data(), actual.parameter.data(), actual.moments(amsgrad));
  reference::adam_step(step, count, expected.gradient.data(), expected.parameter.data(),
                       expected.moments(amsgrad));
  expect_near(actual.parameter, expected.parameter, "parameter");
  expect_near(actual.state, expected.state, "exp_avg");
  expect_near(actual.square, expected.square, "exp_avg_sq");
  expect_near(actual.largest, expected.largest, "max_exp_avg_sq");
}

TEST(SgdStep, MatchesTheReferenceForEveryCountAndOption) {
  const SgdStep steps[] = {
      {.lr = 0.1},
      {.lr = 0.1, .weight_decay = 0.3},
      {.lr = 0.1, .momentum = 0.9},
      {.lr = 0.1, .momentum = 0.9, .first = true},
      {.lr = 0.2, .momentum = 0.7, .dampening = 0.4, .weight_decay = 0.1},
      {.lr = 0.2, .momentum = 0.7, .weight_decay = 0.1, .nesterov = true},
      {.lr = 0.2, .momentum = 0.7, .weight_decay = 0.1, .nesterov = true, .maximize = true},
      {.lr = 0.2, .maximize = true},
  };
  on_every_target([&] {
    for (const SgdStep& step : steps) {
      for (const int64_t count : kCounts) {
        expect_sgd<float>(step, count);
        expect_sgd<double>(step, count);
      }
    }
  });
}

TEST(AdamStep, MatchesTheReferenceForEveryCountAndOption) {
  const AdamStep steps[] = {
      {.step_size = 0.1, .beta1 = 0.9, .beta2 = 0.99, .eps = 0.5, .second_moment_scale = 0.4},
      {.step_size = 0.1, .beta1 = 0.5, .beta2 = 0.9, .eps = 0.5, .weight_decay = 0.2},
      {.step_size = 0.1, .beta1 = 0.5, .beta2 = 0.9, .eps = 0.5, .shrink = 0.8},
      {.step_size = 0.1, .beta1 = 0.5, .beta2 = 0.9, .eps = 0.5, .maximize = true},
  };
  on_every_target([&] {
    for (const AdamStep& step : steps) {
      for (const int64_t count : kCounts) {
        for (const bool amsgrad : {false, true}) {
          expect_adam<float>(step, count, amsgrad);
          expect_adam<double>(step, count, amsgrad);
        }
      }
    }
  });
}

// A piece of an array must come out as in the whole: tasks cut arrays anywhere.
void expect_the_same_bits_for_every_cut() {
  const AdamStep adam{.step_size = 0.1,
                      .beta1 = 0.9,
                      .beta2 = 0.99,
                      .eps = 1e-8,
                      .second_moment_scale = 0.4,
                      .weight_decay = 0.01,
                      .shrink = 0.99};
  const SgdStep sgd{.lr = 0.1, .momentum = 0.9, .weight_decay = 0.01, .nesterov = true};
  constexpr int64_t kCount = 103;
  Arrays<float> whole(kCount);
  sgd_step(sgd, kCount, whole.gradient.data(), whole.parameter.data(), whole.state.data());
  adam_step(adam, kCount, whole.gradient.data(), whole.parameter.data(), whole.moments(true));
  for (const int64_t cut : {1, 5, 16, 50, 102}) {
    Arrays<float> a(kCount);
    for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, cut}, {cut, kCount}}) {
      sgd_step(sgd, end - begin, a.gradient.data() + begin, a.parameter.data() + begin,
               a.state.data() + begin);
      adam_step(adam, end - begin, a.gradient.data() + begin, a.parameter.data() + begin,
                {a.state.data() + begin, a.square.data() + begin, a.largest.data() + begin});
    }
    EXPECT_EQ(a.parameter, whole.parameter) << cut;
    EXPECT_EQ(a.state, whole.state) << cut;
    EXPECT_EQ(a.square, whole.square) << cut;
    EXPECT_EQ(a.largest, whole.largest) << cut;
  }
}

TEST(OptimizerStep, GivesTheSameBitsHoweverTheArrayIsCut) {
  on_every_target(expect_the_same_bits_for_every_cut);
}

TEST(AdamStep, LeavesAParameterWithoutAnyGradientInPlace) {
  float parameter = 3;
  float gradient = 0;
  float state[3] = {};
  adam_step({.step_size = 0.1, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8}, 1, &gradient, &parameter,
            {&state[0], &state[1], &state[2]});
  EXPECT_EQ(parameter, 3) << "0 / (0 + eps) is 0";
}

}  // namespace
}  // namespace convkit::kernels
