#pragma once

#include "convkit/nn/linear.h"
#include "convkit/nn/pool.h"
#include "convkit/nn/sequential.h"

namespace convkit::models {

struct VggOptions {
  int64_t in_channels = 3;
  int64_t num_classes = 1000;
};

/// VGG (Simonyan and Zisserman, ICLR 2015) without batch norm, with torchvision's structure and
/// keys, so that a state_dict saved from torchvision loads as it is:
///   features (3×3 convolutions with ReLU, a pool after each stage) → average to 7×7 → classifier.
/// (N, in_channels, H, W) → (N, num_classes), H and W at least 32. Convolutions start
/// Kaiming-normal (fan-out), linear layers normal with deviation 0.01, all biases 0.
struct CONVKIT_API Vgg {
  Tensor operator()(const Tensor& x);
  void visit(auto&& v) {
    v("features", features);
    v("avgpool", avgpool);
    v("classifier", classifier);
  }

  nn::Sequential features;
  nn::AdaptiveAvgPool2d avgpool;
  nn::Sequential classifier;
};

/// Thirteen convolutions and three linear layers: 138.4 million parameters.
CONVKIT_API Vgg vgg16(const VggOptions& options = {});

}  // namespace convkit::models
