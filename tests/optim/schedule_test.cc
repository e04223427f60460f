#include "convkit/optim/schedule.h"

#include <gtest/gtest.h>

#include <cmath>

#include "convkit/optim/adam.h"
#include "convkit/optim/sgd.h"
#include "tests/support/throws.h"

namespace convkit::optim {
namespace {

SGD make_sgd(double lr = 0.1) { return SGD({zeros({1})}, {.lr = lr, .momentum = 0.9}); }

TEST(LrScheduler, StartsAtStepZeroAndCounts) {
  SGD sgd = make_sgd(1);
  LrScheduler scheduler(sgd, LinearLR{.start_factor = 0.5, .total_iters = 2});
  EXPECT_EQ(scheduler.step_count(), 0);
  EXPECT_EQ(sgd.lr(), 0.5);
  scheduler.step();
  EXPECT_EQ(sgd.lr(), 0.75);
  scheduler.step();
  EXPECT_EQ(scheduler.step_count(), 2);
  EXPECT_EQ(scheduler.last_lrs(), std::vector<double>{1});
}

TEST(LrScheduler, ResumesBySettingTheStepCount) {
  const Schedule schedule = warm_up_cosine({.warm_up = 10, .total = 50});
  SGD straight = make_sgd();
  LrScheduler all(straight, schedule);
  for (int i = 0; i < 33; ++i) all.step();

  SGD before = make_sgd();
  LrScheduler first(before, schedule);
  for (int i = 0; i < 20; ++i) first.step();
  const StateDict saved = before.state_dict();
  // Whether the schedule is attached before the state is loaded or after must not matter.
  for (const bool load_first : {true, false}) {
    SGD after = make_sgd();
    if (load_first) after.load_state_dict(saved);
    LrScheduler second(after, schedule);
    if (!load_first) after.load_state_dict(saved);
    second.set_step_count(20);
    EXPECT_EQ(after.lr(), before.lr());
    for (int i = 0; i < 13; ++i) second.step();
    EXPECT_EQ(after.lr(), straight.lr());
  }
}

TEST(LrScheduler, GivesEachGroupItsOwnRate) {
  SGD sgd({{{zeros({1})}, {.lr = 1}}, {{zeros({1})}, {.lr = 0.1}}});
  LrScheduler scheduler(sgd, ExponentialLR{.gamma = 0.5});
  scheduler.step();
  EXPECT_EQ(sgd.lr(0), 0.5);
  EXPECT_EQ(sgd.lr(1), 0.05);
}

TEST(ExponentialLR, IsAPowerOfGamma) {
  const Schedule schedule = ExponentialLR{.gamma = 0.9};
  for (int64_t t = 0; t < 20; ++t)
    EXPECT_NEAR(schedule.at(t, 0.3).lr, 0.3 * std::pow(0.9, static_cast<double>(t)), 1e-15);
}

TEST(OneCycleLR, MovesTheMomentumAgainstTheRate) {
  Adam adam({zeros({1})});
  LrScheduler scheduler(adam, OneCycleLR{.max_lr = 0.1, .total_steps = 10});
  EXPECT_NEAR(adam.lr(), 0.1 / 25, 1e-15);
  EXPECT_NEAR(adam.momentum(), 0.95, 1e-15);
  scheduler.set_step_count(2);  // 0.3 · 10 − 1
  EXPECT_NEAR(adam.lr(), 0.1, 1e-15);
  EXPECT_NEAR(adam.momentum(), 0.85, 1e-15);
  scheduler.set_step_count(9);
  EXPECT_NEAR(adam.lr(), 0.1 / 25 / 1e4, 1e-15);
  EXPECT_NEAR(adam.momentum(), 0.95, 1e-15);
}

TEST(OneCycleLR, KeepsItsLastRatesBeyondTheEnd) {
  const Schedule schedule = OneCycleLR{.max_lr = 0.1, .total_steps = 10};
  EXPECT_EQ(schedule.at(10, 1).lr, schedule.at(9, 1).lr);
  EXPECT_EQ(schedule.at(1000, 1).lr, schedule.at(9, 1).lr);
}

TEST(OneCycleLR, IsFiniteForTheShortestRuns) {
  for (const bool three_phase : {false, true}) {
    for (const double pct_start : {0.0, 0.3, 0.5, 1.0}) {
      for (int64_t total = 1; total <= 6; ++total) {
        const Schedule schedule = OneCycleLR{.max_lr = 0.1,
                                             .total_steps = total,
                                             .pct_start = pct_start,
                                             .three_phase = three_phase};
        for (int64_t t = 0; t <= total; ++t)
          EXPECT_TRUE(std::isfinite(schedule.at(t, 1).lr)) << total << " " << t << " " << pct_start;
      }
    }
  }
}

TEST(WarmUpCosine, RisesThenFallsToTheEnd) {
  const Schedule schedule =
      warm_up_cosine({.warm_up = 4, .total = 20, .start_factor = 0.5, .eta_min = 0.01});
  EXPECT_NEAR(schedule.at(0, 0.1).lr, 0.05, 1e-15);
  EXPECT_NEAR(schedule.at(4, 0.1).lr, 0.1, 1e-15);
  EXPECT_NEAR(schedule.at(12, 0.1).lr, 0.055, 1e-15);
  EXPECT_NEAR(schedule.at(20, 0.1).lr, 0.01, 1e-15);
  const Schedule cosine_alone = warm_up_cosine({.total = 20});
  EXPECT_NEAR(cosine_alone.at(0, 0.1).lr, 0.1, 1e-15);
  EXPECT_NEAR(cosine_alone.at(10, 0.1).lr, 0.05, 1e-15);
}

TEST(Schedule, RefusesOptionsOutOfRange) {
  SGD sgd = make_sgd();
  EXPECT_ERROR(LrScheduler(sgd, StepLR{}), ValueError, "step_size (0) is required");
  EXPECT_ERROR(LrScheduler(sgd, MultiStepLR{.milestones = {3, -1}}), ValueError, "milestone -1");
  EXPECT_ERROR(LrScheduler(sgd, ExponentialLR{}), ValueError, "gamma (0) is required");
  EXPECT_ERROR(LrScheduler(sgd, CosineAnnealingLR{}), ValueError, "T_max (0) is required");
  EXPECT_ERROR(LrScheduler(sgd, LinearLR{.start_factor = 0}), ValueError, "start_factor (0)");
  EXPECT_ERROR(LrScheduler(sgd, LinearLR{.end_factor = 1.5}), ValueError, "end_factor (1.5)");
  EXPECT_ERROR(LrScheduler(sgd, LinearLR{.total_iters = 0}), ValueError, "total_iters (0)");
  EXPECT_ERROR(LrScheduler(sgd, OneCycleLR{}), ValueError, "max_lr is required");
  EXPECT_ERROR(LrScheduler(sgd, OneCycleLR{.max_lr = 0.1}), ValueError, "total_steps (0)",
               "epochs (0)");
  EXPECT_ERROR(LrScheduler(sgd, OneCycleLR{.max_lr = {0.1, 0.2, 0.3}, .total_steps = 5}),
               ValueError, "max_lr has 3 values", "1 parameter groups");
  EXPECT_ERROR(LrScheduler(sgd, OneCycleLR{.max_lr = 1, .total_steps = 5, .pct_start = 1.2}),
               ValueError, "pct_start (1.2)");
  EXPECT_ERROR(LrScheduler(sgd, OneCycleLR{.max_lr = 1, .total_steps = 5, .div_factor = 0}),
               ValueError, "div_factor (0)");
  EXPECT_ERROR(LrScheduler(sgd, SequentialLR{{StepLR{.step_size = 1}}, {3}}), ValueError,
               "1 schedulers");
  EXPECT_ERROR(LrScheduler(sgd, SequentialLR{{StepLR{.step_size = 1}, StepLR{.step_size = 1},
                                              StepLR{.step_size = 1}},
                                             {5, 5}}),
               ValueError, "milestones (5, 5)");
  EXPECT_ERROR(LrScheduler(sgd, SequentialLR{{StepLR{.step_size = 1}, StepLR{}}, {5}}), ValueError,
               "step_size (0)");
  EXPECT_ERROR(warm_up_cosine({.warm_up = 5, .total = 5}), ValueError, "warm_up (5)", "total (5)");
  LrScheduler scheduler(sgd, StepLR{.step_size = 1});
  EXPECT_ERROR(scheduler.set_step_count(-1), ValueError, "step -1");
  EXPECT_EQ(scheduler.step_count(), 0);
}

}  // namespace
}  // namespace convkit::optim
