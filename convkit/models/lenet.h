#pragma once

#include <array>

#include "convkit/nn/activation.h"
#include "convkit/nn/conv.h"
#include "convkit/nn/linear.h"
#include "convkit/nn/pool.h"

namespace convkit::models {

struct LeNetOptions {
  int64_t in_channels = 1;
  int64_t num_classes = 10;
  Extents<2> image_size = 28;
};

/// LeNet-5 (LeCun et al., "Gradient-Based Learning Applied to Document Recognition", 1998) in
/// today's form: ReLU for the squashing function, max pools, dense connections throughout.
/// (N, in_channels, H, W) → (N, num_classes); images of at least 12×12.
struct CONVKIT_API LeNet5 {
  /// Throws ShapeError when the image is too small for its two 5×5 layers.
  explicit LeNet5(const LeNetOptions& options = {});
  Tensor operator()(const Tensor& x);
  void visit(auto&& v) {
    v("conv1", conv1);
    v("conv2", conv2);
    v("pool", pool);
    v("relu", relu);
    v("fc1", fc1);
    v("fc2", fc2);
    v("fc3", fc3);
  }

  nn::Conv2d conv1;
  nn::Conv2d conv2;
  nn::MaxPool2d pool;
  nn::ReLU relu{nn::ReLUOptions{.inplace = true}};
  nn::Linear fc1;
  nn::Linear fc2;
  nn::Linear fc3;
};

}  // namespace convkit::models
