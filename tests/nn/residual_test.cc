#include "convkit/nn/residual.h"

#include <gtest/gtest.h>

#include "convkit/nn/conv_norm_act.h"
#include "convkit/nn/functions.h"
#include "convkit/ops/activation.h"
#include "convkit/ops/arithmetic.h"
#include "tests/support/golden.h"

namespace convkit::nn {
namespace {

// Weights that are not all alike, so that a wrong path shows.
template <class M>
void randomise(M& net) {
  Generator generator(9);
  for_each_tensor(net, [&](const std::string&, Tensor& tensor, bool is_parameter) {
    if (is_parameter) tensor.copy_from(randn(tensor.shape(), generator));
  });
}

TEST(BasicBlock, AddsTheInputItselfWhenTheShapesAgree) {
  BasicBlock2d block({.in_channels = 4, .channels = 4});
  EXPECT_TRUE(block.downsample.empty());
  randomise(block);
  eval(block);
  Generator generator(10);
  const Tensor x = randn({2, 4, 6, 6}, generator);
  const Tensor main = block.bn2(block.conv2(ops::relu(block.bn1(block.conv1(x)))));
  EXPECT_TRUE(bit_equal(block(x), ops::relu(main + x)));
}

TEST(BasicBlock, DownsamplesTheInputNotTheMainPath) {
  BasicBlock2d block({.in_channels = 4, .channels = 6, .stride = 2});
  ASSERT_EQ(block.downsample.size(), 2U);
  randomise(block);
  eval(block);
  Generator generator(10);
  const Tensor x = randn({2, 4, 7, 6}, generator);
  const Tensor main = block.bn2(block.conv2(ops::relu(block.bn1(block.conv1(x)))));
  const Tensor y = block(x);
  EXPECT_EQ(y.shape(), Shape({2, 6, 4, 3}));
  EXPECT_TRUE(bit_equal(y, ops::relu(main + block.downsample(x))));
}

TEST(BasicBlock, OnlyTheFirstConvolutionStridesAndTheSecondTakesTheBlocksWidth) {
  const BasicBlock1d block({.in_channels = 4, .channels = 6, .stride = 2});
  EXPECT_EQ(block.conv1.options.stride, Extents<1>(2));
  EXPECT_EQ(block.conv2.options.stride, Extents<1>(1));
  EXPECT_EQ(block.conv2.options.in_channels, 6);
}

TEST(Bottleneck, WidensFourfoldAndStridesInTheMiddle) {
  Bottleneck3d block({.in_channels = 8, .channels = 3, .stride = 2});
  EXPECT_EQ(block.conv1.options.stride, Extents<3>(1));
  EXPECT_EQ(block.conv2.options.stride, Extents<3>(2));
  EXPECT_EQ(block(zeros({1, 8, 4, 4, 4})).shape(), Shape({1, 12, 2, 2, 2}));
}

TEST(ResidualBlocks, HaveTorchvisionsKeys) {
  BasicBlock2d block({.in_channels = 4, .channels = 6, .stride = 2});
  std::string keys;
  for (const auto& [key, tensor] : named_parameters(block)) keys += key + " ";
  EXPECT_EQ(keys,
            "conv1.weight bn1.weight bn1.bias conv2.weight bn2.weight bn2.bias "
            "downsample.0.weight downsample.1.weight downsample.1.bias ");
}

TEST(ConvNormAct, IsTheThreeInOrder) {
  ConvNormAct1d layer({.in_channels = 2, .out_channels = 3, .kernel_size = 3, .bias = false});
  eval(layer);
  Generator generator(4);
  const Tensor x = randn({2, 2, 9}, generator);
  EXPECT_TRUE(bit_equal(layer(x), ops::relu(layer.norm(layer.conv(x)))));
}

}  // namespace
}  // namespace convkit::nn
