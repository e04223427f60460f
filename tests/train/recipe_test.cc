#include "convkit/train/recipe.h"

#include <gtest/gtest.h>

namespace convkit::train {
namespace {

TrainConfig with_schedule(const char* name, int64_t epochs = 10) {
  TrainConfig config;
  config.schedule = name;
  config.epochs = epochs;
  config.lr = 1.0;
  return config;
}

TEST(Recipe, MakesTheOptimizerThatIsNamed) {
  Tensor parameter = ones({2});
  parameter.set_requires_grad();
  TrainConfig config;
  EXPECT_EQ(make_optimizer(config, {parameter})->lr(), 0.1);
  EXPECT_EQ(make_optimizer(config, {parameter})->momentum(), 0.9);
  config.optimizer = "adamw";
  EXPECT_EQ(make_optimizer(config, {parameter})->lr(), 0.001);
  config.lr = 0.5;
  config.optimizer = "adam";
  EXPECT_EQ(make_optimizer(config, {parameter})->lr(), 0.5);
}

TEST(Recipe, KeepsAConstantRate) {
  const optim::Schedule schedule = make_schedule(with_schedule("constant"), 10);
  for (const int64_t step : {0, 50, 99}) EXPECT_EQ(schedule.at(step, 1.0).lr, 1.0);
}

TEST(Recipe, DividesByTenAtHalfAndThreeQuarters) {
  const optim::Schedule schedule = make_schedule(with_schedule("step"), 10);
  EXPECT_DOUBLE_EQ(schedule.at(49, 1.0).lr, 1.0);
  EXPECT_DOUBLE_EQ(schedule.at(50, 1.0).lr, 0.1);
  EXPECT_DOUBLE_EQ(schedule.at(75, 1.0).lr, 0.01);
}

TEST(Recipe, FallsAlongACosine) {
  const optim::Schedule schedule = make_schedule(with_schedule("cosine"), 10);
  EXPECT_DOUBLE_EQ(schedule.at(0, 1.0).lr, 1.0);
  EXPECT_NEAR(schedule.at(50, 1.0).lr, 0.5, 1e-12);
  EXPECT_LT(schedule.at(99, 1.0).lr, 0.001);
}

TEST(Recipe, RisesAndFallsInOneCycle) {
  const optim::Schedule schedule = make_schedule(with_schedule("onecycle"), 10);
  EXPECT_NEAR(schedule.at(0, 1.0).lr, 1.0 / 25, 1e-12);
  EXPECT_GT(schedule.at(29, 1.0).lr, 0.99);
  EXPECT_LT(schedule.at(99, 1.0).lr, 0.01);
  EXPECT_GT(schedule.at(99, 1.0).lr, 0);
  EXPECT_FALSE(schedule.at(0, 1.0).momentum.has_value());
}

TEST(Recipe, RisesLinearlyOverTheWarmUp) {
  TrainConfig config = with_schedule("cosine");
  config.warmup = 2;
  const optim::Schedule schedule = make_schedule(config, 10);
  EXPECT_NEAR(schedule.at(0, 1.0).lr, 0.01, 1e-12);
  EXPECT_NEAR(schedule.at(10, 1.0).lr, 0.505, 1e-12);
  EXPECT_DOUBLE_EQ(schedule.at(20, 1.0).lr, 1.0);
  EXPECT_LT(schedule.at(99, 1.0).lr, 0.001);
}

TEST(Recipe, HasARateForTheShortestRuns) {
  for (const char* name : {"constant", "step", "cosine", "onecycle"}) {
    const optim::Schedule schedule = make_schedule(with_schedule(name, 1), 1);
    schedule.check();
    EXPECT_GT(schedule.at(0, 1.0).lr, 0) << name;
  }
  TrainConfig config = with_schedule("cosine", 1);
  config.warmup = 0.9;
  make_schedule(config, 1).check();
}

}  // namespace
}  // namespace convkit::train
