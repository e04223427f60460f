#pragma once

#include "convkit/nn/pool.h"
#include "convkit/nn/sequential.h"

namespace convkit::models {

struct MobileNetOptions {
  int64_t in_channels = 3;
  int64_t num_classes = 1000;
};

/// MobileNetV2 (Sandler et al., CVPR 2018), with torchvision's structure and keys, so that a
/// state_dict saved from torchvision loads as it is:
///   features (inverted residual blocks: widen by 1×1, filter each channel by 3×3, narrow by 1×1)
///   → global average → classifier (dropout, linear).
/// (N, in_channels, H, W) → (N, num_classes). Convolutions start Kaiming-normal (fan-out), the
/// linear layer normal with deviation 0.01 and bias 0.
struct CONVKIT_API MobileNetV2 {
  Tensor operator()(const Tensor& x);
  void visit(auto&& v) {
    v("features", features);
    v("classifier", classifier);
  }

  nn::Sequential features;
  nn::Sequential classifier;
};

/// 3.5 million parameters.
CONVKIT_API MobileNetV2 mobilenet_v2(const MobileNetOptions& options = {});

}  // namespace convkit::models
