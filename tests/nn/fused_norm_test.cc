#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "convkit/autograd/engine.h"
#include "convkit/autograd/record.h"
#include "convkit/nn/conv_norm_act.h"
#include "convkit/nn/functions.h"
#include "convkit/nn/residual.h"
#include "convkit/nn/sequential.h"

// Batch norm, residual and ReLU run as one operation where nobody watches.
namespace convkit::nn {
namespace {

using ::testing::ElementsAre;
using ::testing::IsSupersetOf;

class Names final : public autograd::Tracer {
 public:
  void on_operation(const autograd::Event& event) override {
    seen.push_back(event.path + ":" + event.op.name);
  }
  std::vector<std::string> seen;
};

// Output, gradients and running statistics of one training step of a copy of `net`.
template <class Net>
std::vector<Tensor> step_of(const Net& original, const Shape& shape) {
  Net net = clone(original);
  Generator random(4);
  for_each_tensor(net, [&](const std::string&, Tensor& tensor, bool is_parameter) {
    if (is_parameter) tensor.copy_from(randn(tensor.shape(), random));
  });
  Tensor x = randn(shape, random).set_requires_grad();
  const Tensor y = net(x);
  autograd::backward(y, randn(y.shape(), random));
  std::vector<Tensor> all = {y, x.grad()};
  for_each_tensor(net, [&](const std::string&, Tensor& tensor, bool is_parameter) {
    all.push_back(is_parameter ? tensor.grad() : tensor);
  });
  return all;
}

// The separate layers, which run while a tracer listens, give the same bits; returns what it saw.
template <class Net>
std::vector<std::string> expect_same_when_watched(const Net& net, const Shape& shape) {
  const std::vector<Tensor> fused = step_of(net, shape);
  Names names;
  std::vector<Tensor> watched;
  {
    const autograd::TraceScope trace(names);
    watched = step_of(net, shape);
  }
  EXPECT_EQ(fused.size(), watched.size());
  for (std::size_t i = 0; i < fused.size(); ++i) EXPECT_TRUE(bit_equal(fused[i], watched[i])) << i;
  return names.seen;
}

TEST(FusedNorm, ConvNormActHasTheBitsOfItsLayers) {
  EXPECT_THAT(
      expect_same_when_watched(
          ConvNormAct2d({.in_channels = 3, .out_channels = 5, .kernel_size = 3}), {2, 3, 9, 8}),
      IsSupersetOf({"norm:batch_norm", "act:relu_"}));
}

TEST(FusedNorm, ResidualBlocksHaveTheBitsOfTheirLayers) {
  EXPECT_THAT(
      expect_same_when_watched(BasicBlock2d({.in_channels = 4, .channels = 4}), {2, 4, 6, 5}),
      IsSupersetOf({"bn1:batch_norm", "bn2:batch_norm", "relu:relu_"}));
  expect_same_when_watched(BasicBlock1d({.in_channels = 4, .channels = 6, .stride = 2}), {2, 4, 9});
  expect_same_when_watched(Bottleneck2d({.in_channels = 8, .channels = 2}), {2, 8, 4, 5});
  expect_same_when_watched(Bottleneck3d({.in_channels = 8, .channels = 3, .stride = 2}),
                           {2, 8, 4, 4, 4});
}

TEST(FusedNorm, SequentialPairsABatchNormWithTheReluBehindIt) {
  const Sequential net(Conv2d({.in_channels = 3, .out_channels = 5, .kernel_size = 3}),
                       BatchNorm2d(5), ReLU(), BatchNorm2d(5), GELU(), ReLU(),
                       Conv2d({.in_channels = 5, .out_channels = 2, .kernel_size = 1}),
                       BatchNorm2d(2));
  EXPECT_THAT(expect_same_when_watched(net, {2, 3, 9, 8}),
              ElementsAre("0:conv2d", "1:batch_norm", "2:relu", "3:batch_norm", "4:gelu", "5:relu",
                          "6:conv2d", "7:batch_norm"));
}

}  // namespace
}  // namespace convkit::nn
