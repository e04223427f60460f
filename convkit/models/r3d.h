#pragma once

#include "convkit/models/resnet.h"

namespace convkit::models {

/// R3D-18 (Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action Recognition",
/// CVPR 2018), torchvision's video net with its keys (stem.0, layer1.0.conv1.0, …, fc):
/// (N, in_channels, frames, H, W) → (N, num_classes).
struct CONVKIT_API R3D {
  Tensor operator()(const Tensor& x);
  void visit(auto&& v) {
    v("stem", stem);
    v("layer1", layer1);
    v("layer2", layer2);
    v("layer3", layer3);
    v("layer4", layer4);
    v("avgpool", avgpool);
    v("fc", fc);
  }

  nn::Sequential stem, layer1, layer2, layer3, layer4;
  nn::AdaptiveAvgPool3d avgpool;
  nn::Linear fc;
};

/// 33.4 million parameters for 400 classes (Kinetics, torchvision's default).
CONVKIT_API R3D r3d_18(const ResNetOptions& options = {.num_classes = 400});

}  // namespace convkit::models
