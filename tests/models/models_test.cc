#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "convkit/autograd/engine.h"
#include "convkit/models/lenet.h"
#include "convkit/models/m5.h"
#include "convkit/models/mobilenet.h"
#include "convkit/models/r3d.h"
#include "convkit/models/resnet.h"
#include "convkit/models/small_net.h"
#include "convkit/models/vgg.h"
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
  expect_trains_from(mobilenet_v2({.num_classes = 3}), {2, 3, 64, 40}, 3);
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
  auto mobile = mobilenet_v2();
  EXPECT_EQ(nn::parameter_count(mobile), 3504872);
  auto r3d = r3d_18();
  EXPECT_EQ(nn::parameter_count(r3d), 33371472);
}

TEST(Models, HaveTheBitsOfTheirLayersWhereSeveralRunAsOne) {
  EXPECT_THAT(test::expect_same_when_watched(M5({.num_classes = 3}), {2, 1, 1100}),
              testing::IsSupersetOf({"bn1:batch_norm", "relu:relu_", "pool:max_pool1d"}));
  EXPECT_THAT(test::expect_same_when_watched(resnet18<2>({.num_classes = 3}), {2, 3, 33, 40}),
              testing::IsSupersetOf({"bn1:batch_norm", "relu:relu_", "maxpool:max_pool2d"}));
}

// The shape under a key of the state_dict; one that no net has for a key that is not there.
template <class Net>
Shape shape_of(Net& net, const std::string& wanted) {
  for (const auto& [key, tensor] : nn::state_dict(net))
    if (key == wanted) return tensor.shape();
  return {0};
}

TEST(Vgg16, HasTorchvisionsKeysAndStart) {
  auto net = vgg16({.in_channels = 1, .num_classes = 5});
  EXPECT_EQ(nn::state_dict(net).size(), 32U);
  EXPECT_EQ(shape_of(net, "features.0.weight"), (Shape{64, 1, 3, 3}));
  EXPECT_EQ(shape_of(net, "features.28.weight"), (Shape{512, 512, 3, 3}));
  EXPECT_EQ(shape_of(net, "classifier.0.weight"), (Shape{4096, 25088}));
  EXPECT_EQ(shape_of(net, "classifier.6.bias"), (Shape{5}));
  for (const auto& [key, tensor] : nn::state_dict(net)) {
    if (key.ends_with(".bias")) {
      EXPECT_TRUE(bit_equal(tensor, zeros(tensor.shape()))) << key;
    }
    if (key != "features.26.weight" && key != "classifier.3.weight") continue;
    double squares = 0;
    for (const float v : tensor.to_vector<float>()) squares += static_cast<double>(v * v);
    const double deviation = std::sqrt(squares / static_cast<double>(tensor.numel()));
    const double wanted = key.starts_with("features") ? std::sqrt(2.0 / (512 * 9)) : 0.01;
    // Of 2 million samples and more: four deviations of the estimate are 0.2 %.
    EXPECT_NEAR(deviation, wanted, wanted * 0.002) << key;
  }
}

TEST(MobileNetV2, HasTorchvisionsKeys) {
  auto net = mobilenet_v2({.num_classes = 7});
  // 52 convolutions, as many norms of five tensors, and a linear layer.
  EXPECT_EQ(nn::state_dict(net).size(), 52U + 52 * 5 + 2);
  EXPECT_EQ(shape_of(net, "features.0.0.weight"), (Shape{32, 3, 3, 3}));
  EXPECT_EQ(shape_of(net, "features.1.conv.0.0.weight"), (Shape{32, 1, 3, 3}));
  EXPECT_EQ(shape_of(net, "features.1.conv.1.weight"), (Shape{16, 32, 1, 1}));
  EXPECT_EQ(shape_of(net, "features.1.conv.2.running_var"), (Shape{16}));
  EXPECT_EQ(shape_of(net, "features.17.conv.1.0.weight"), (Shape{960, 1, 3, 3}));
  EXPECT_EQ(shape_of(net, "features.17.conv.3.weight"), (Shape{320}));
  EXPECT_EQ(shape_of(net, "features.18.0.weight"), (Shape{1280, 320, 1, 1}));
  EXPECT_EQ(shape_of(net, "classifier.1.weight"), (Shape{7, 1280}));
  EXPECT_EQ(net(zeros({2, 3, 33, 40})).shape(), (Shape{2, 7}));
}

TEST(Models, RefuseWhatTheyCannotBe) {
  EXPECT_ERROR(LeNet5({.image_size = {28, 9}}), ShapeError, "(28, 9)", "at least 12×12");
  EXPECT_ERROR(SmallNet<2>({.widths = {}}), ValueError, "widths is empty");
}

}  // namespace
}  // namespace convkit::models
