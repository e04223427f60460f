#include "convkit/models/lenet.h"

#include "convkit/ops/shape.h"

namespace convkit::models {
namespace {

// The first layer keeps the size (padding 2), each pool halves it, the second layer takes 4.
int64_t features_after(const Extents<2>& image) {
  int64_t count = 16;
  for (const int64_t extent : image.values) {
    const int64_t left = (extent / 2 - 4) / 2;
    CONVKIT_CHECK(left >= 1, ShapeError, "LeNet5: images of ", image,
                  " are too small for its two 5×5 layers and two pools; use at least 12×12");
    count *= left;
  }
  return count;
}

}  // namespace

LeNet5::LeNet5(const LeNetOptions& options)
    : conv1(
          {.in_channels = options.in_channels, .out_channels = 6, .kernel_size = 5, .padding = 2}),
      conv2({.in_channels = 6, .out_channels = 16, .kernel_size = 5}),
      pool({.kernel_size = 2}),
      fc1({.in_features = features_after(options.image_size), .out_features = 120}),
      fc2({.in_features = 120, .out_features = 84}),
      fc3({.in_features = 84, .out_features = options.num_classes}) {}

Tensor LeNet5::operator()(const Tensor& x) {
  Tensor y = pool(relu(conv1(x)));
  y = ops::flatten(pool(relu(conv2(y))), 1);
  return fc3(relu(fc2(relu(fc1(y)))));
}

}  // namespace convkit::models
