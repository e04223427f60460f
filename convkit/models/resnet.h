#pragma once

#include <vector>

#include "convkit/nn/linear.h"
#include "convkit/nn/pool.h"
#include "convkit/nn/residual.h"

namespace convkit::models {

struct ResNetOptions {
  int64_t in_channels = 3;
  int64_t num_classes = 1000;
};

/// ResNet (He et al., CVPR 2016) over Rank spatial axes, with torchvision's structure and keys, so
/// that a 2-D state_dict saved from torchvision loads as it is:
///   conv1 (7, stride 2) → bn1 → relu → maxpool (3, stride 2) → layer1…4 → global average → fc.
/// (N, in_channels, spatial...) → (N, num_classes). Convolutions start Kaiming-normal (fan-out).
template <int Rank>
struct CONVKIT_API ResNet {
  Tensor operator()(const Tensor& x);
  void visit(auto&& v) {
    v("conv1", conv1);
    v("bn1", bn1);
    v("relu", relu);
    v("maxpool", maxpool);
    v("layer1", layer1);
    v("layer2", layer2);
    v("layer3", layer3);
    v("layer4", layer4);
    v("avgpool", avgpool);
    v("fc", fc);
  }

  nn::Conv<Rank> conv1;
  nn::BatchNorm<Rank> bn1;
  nn::ReLU relu{nn::ReLUOptions{.inplace = true}};
  nn::MaxPool<Rank> maxpool;
  nn::Sequential layer1, layer2, layer3, layer4;
  nn::AdaptiveAvgPool<Rank> avgpool;
  nn::Linear fc;
};

/// BasicBlock × {2, 2, 2, 2}, {3, 4, 6, 3} and Bottleneck × {3, 4, 6, 3}: 11.7, 21.8 and 25.6
/// million parameters over two axes.
template <int Rank = 2>
CONVKIT_API ResNet<Rank> resnet18(const ResNetOptions& options = {});
template <int Rank = 2>
CONVKIT_API ResNet<Rank> resnet34(const ResNetOptions& options = {});
template <int Rank = 2>
CONVKIT_API ResNet<Rank> resnet50(const ResNetOptions& options = {});

}  // namespace convkit::models
