#pragma once

#include "convkit/nn/activation.h"
#include "convkit/nn/batch_norm.h"
#include "convkit/nn/conv.h"
#include "convkit/nn/sequential.h"

/// Residual blocks of He et al., "Deep Residual Learning for Image Recognition" (CVPR 2016), as in
/// torchvision, for 1, 2 and 3 spatial axes. Both compute
///   y = ReLU(F(x) + shortcut(x)),
/// where the shortcut takes the block's *input*: x itself, or downsample(x) = BN(Conv1×1(x)) when
/// the stride is not 1 or the channel counts differ.
namespace convkit::nn {

/// Options of a residual block. `channels` are those of its 3×3 convolutions; it puts out
/// channels · expansion.
struct BlockOptions {
  int64_t in_channels = 0;
  int64_t channels = 0;
  int64_t stride = 1;
};

/// F = BN(Conv3×3(ReLU(BN(Conv3×3(x, stride))))); only the first convolution has the stride, the
/// second takes `channels` in.
template <int Rank>
struct CONVKIT_API BasicBlock : Layer {
  static constexpr int64_t kExpansion = 1;

  explicit BasicBlock(const BlockOptions& options);
  Tensor operator()(const Tensor& x);
  void visit(auto&& v) {
    v("conv1", conv1);
    v("bn1", bn1);
    v("relu", relu);
    v("conv2", conv2);
    v("bn2", bn2);
    if (!downsample.empty()) v("downsample", downsample);
  }

  Conv<Rank> conv1;
  BatchNorm<Rank> bn1;
  ReLU relu{ReLUOptions{.inplace = true}};
  Conv<Rank> conv2;
  BatchNorm<Rank> bn2;
  Sequential downsample;  ///< empty when the shortcut is x itself
};

/// F = BN(Conv1×1(ReLU(BN(Conv3×3(ReLU(BN(Conv1×1(x))), stride))))), four times as wide at the end.
/// The stride stands in the 3×3 convolution, as in torchvision ("ResNet V1.5").
template <int Rank>
struct CONVKIT_API Bottleneck : Layer {
  static constexpr int64_t kExpansion = 4;

  explicit Bottleneck(const BlockOptions& options);
  Tensor operator()(const Tensor& x);
  void visit(auto&& v) {
    v("conv1", conv1);
    v("bn1", bn1);
    v("conv2", conv2);
    v("bn2", bn2);
    v("conv3", conv3);
    v("bn3", bn3);
    v("relu", relu);
    if (!downsample.empty()) v("downsample", downsample);
  }

  Conv<Rank> conv1;
  BatchNorm<Rank> bn1;
  Conv<Rank> conv2;
  BatchNorm<Rank> bn2;
  Conv<Rank> conv3;
  BatchNorm<Rank> bn3;
  ReLU relu{ReLUOptions{.inplace = true}};
  Sequential downsample;  ///< empty when the shortcut is x itself
};

using BasicBlock1d = BasicBlock<1>;
using BasicBlock2d = BasicBlock<2>;
using BasicBlock3d = BasicBlock<3>;
using Bottleneck1d = Bottleneck<1>;
using Bottleneck2d = Bottleneck<2>;
using Bottleneck3d = Bottleneck<3>;

}  // namespace convkit::nn
