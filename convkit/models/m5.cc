#include "convkit/models/m5.h"

#include "convkit/ops/shape.h"

namespace convkit::models {
namespace {

nn::Conv1d three_taps(int64_t in, int64_t out) {
  return nn::Conv1d({.in_channels = in, .out_channels = out, .kernel_size = 3, .padding = 1});
}

}  // namespace

M5::M5(const M5Options& options)
    : conv1({.in_channels = options.in_channels,
             .out_channels = 64,
             .kernel_size = 79,
             .stride = 4,
             .padding = 39}),
      bn1(64),
      conv2(three_taps(64, 64)),
      bn2(64),
      conv3(three_taps(64, 128)),
      bn3(128),
      conv4(three_taps(128, 256)),
      bn4(256),
      pool({.kernel_size = 4}),
      avgpool({.output_size = 1}),
      fc({.in_features = 256, .out_features = options.num_classes}) {}

Tensor M5::operator()(const Tensor& x) {
  Tensor y = bn1.then_relu_pool(conv1(x), relu, pool);
  y = bn2.then_relu_pool(conv2(y), relu, pool);
  y = bn3.then_relu_pool(conv3(y), relu, pool);
  y = bn4.then_relu_pool(conv4(y), relu, pool);
  return fc(ops::flatten(avgpool(y), 1));
}

}  // namespace convkit::models
