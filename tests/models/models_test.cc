#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "convkit/autograd/engine.h"
#include "convkit/models/lenet.h"
#include "convkit/models/m5.h"
#include "convkit/models/r3d.h"
#include "convkit/models/resnet.h"
#include "convkit/models/small_net.h"
#include "convkit/nn/functions.h"
#include "convkit/ops/reduce.h"
#include "tests/support/throws.h"
#include "tests/support/watched_step.h"

namespace convkit::models {
namespace {

template <class Net>
void expect_trains_from(Net net, const Shape& input, int64_t classes) {
  Generator generator(1);
  const Tensor y = net(randn(input, generator));
  ASSERT_EQ(y.shape(), Shape({input[0], classes}));
  ops::sum(y).backward();
  for (const auto& [key, parameter] : nn::named_parameters(net))
    EXPECT_TRUE(parameter.grad().defined()) << key << " got no gradient";
}

TEST(Models, EveryNetReachesEveryParameter) {
  expect_trains_from(LeNet5(), {2, 1, 28, 28}, 10);
  expect_trains_from(SmallNet<1>({.in_channels = 6, .num_classes = 4, .widths = {8, 16}}),
                     {3, 6, 20}, 4);
  expect_trains_from(SmallNet<2>({.widths = {4, 8, 8}}), {2, 1, 9, 8}, 10);
  expect_trains_from(SmallNet<3>({.widths = {4, 8}}), {2, 1, 5, 6, 7}, 10);
  expect_trains_from(resnet18<1>({.in_channels = 2, .num_classes = 3}), {2, 2, 128}, 3);
  expect_trains_from(resnet18<3>({.in_channels = 1, .num_classes = 3}), {2, 1, 33, 32, 20}, 3);
  expect_trains_from(M5(), {2, 1, 2000}, 10);
}

TEST(Models, HaveTorchvisionsParameterCounts) {
  // As printed by torchvision: sum(p.numel() for p in net.parameters()).
  auto r18 = resnet18<2>();
  EXPECT_EQ(nn::parameter_count(r18), 11689512);
  auto r34 = resnet34<2>();
  EXPECT_EQ(nn::parameter_count(r34), 21797672);
  auto r50 = resnet50<2>();
  EXPECT_EQ(nn::parameter_count(r50), 25557032);
  auto r3d = r3d_18();
  EXPECT_EQ(nn::parameter_count(r3d), 33371472);
}

TEST(Models, HaveTheBitsOfTheirLayersWhereSeveralRunAsOne) {
  EXPECT_THAT(test::expect_same_when_watched(M5({.num_classes = 3}), {2, 1, 1100}),
              testing::IsSupersetOf({"bn1:batch_norm", "relu:relu_", "pool:max_pool1d"}));
  EXPECT_THAT(test::expect_same_when_watched(resnet18<2>({.num_classes = 3}), {2, 3, 33, 40}),
              testing::IsSupersetOf({"bn1:batch_norm", "relu:relu_", "maxpool:max_pool2d"}));
}

TEST(Models, RefuseWhatTheyCannotBe) {
  EXPECT_ERROR(LeNet5({.image_size = {28, 9}}), ShapeError, "(28, 9)", "at least 12×12");
  EXPECT_ERROR(SmallNet<2>({.widths = {}}), ValueError, "widths is empty");
}

}  // namespace
}  // namespace convkit::models
