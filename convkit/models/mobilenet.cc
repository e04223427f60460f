#include "convkit/models/mobilenet.h"

#include "convkit/models/init.h"
#include "convkit/nn/activation.h"
#include "convkit/nn/batch_norm.h"
#include "convkit/nn/conv.h"
#include "convkit/nn/dropout.h"
#include "convkit/nn/linear.h"
#include "convkit/ops/adaptive_pool.h"
#include "convkit/ops/arithmetic.h"
#include "convkit/ops/shape.h"

namespace convkit::models {
namespace {

struct Brick {
  int64_t in;
  int64_t out;
  int64_t kernel = 1;
  int64_t stride = 1;
  int64_t groups = 1;
};

nn::Conv2d convolution(const Brick& b) {
  return nn::Conv2d({.in_channels = b.in,
                     .out_channels = b.out,
                     .kernel_size = b.kernel,
                     .stride = b.stride,
                     .padding = b.kernel / 2,
                     .groups = b.groups,
                     .bias = false});
}

// torchvision keeps each convolution with its norm and activation in a Sequential.
nn::Sequential conv_norm_act(const Brick& b) {
  return nn::Sequential(convolution(b), nn::BatchNorm2d(b.out), nn::ReLU6());
}

struct InvertedResidual : nn::Layer {
  InvertedResidual(int64_t in, int64_t out, int64_t stride, int64_t widening)
      : is_residual(stride == 1 && in == out) {
    const int64_t wide = in * widening;
    if (widening != 1) conv.add(conv_norm_act({.in = in, .out = wide}));
    conv.add(
        conv_norm_act({.in = wide, .out = wide, .kernel = 3, .stride = stride, .groups = wide}));
    conv.add(convolution({.in = wide, .out = out}));
    conv.add(nn::BatchNorm2d(out));
  }
  Tensor operator()(const Tensor& x) {
    const Scope scope(path);
    return is_residual ? ops::add(x, conv(x)) : conv(x);
  }
  void visit(auto&& v) { v("conv", conv); }

  nn::Sequential conv;
  bool is_residual;
};

// Table 2 of the paper.
struct Stage {
  int64_t widening;
  int64_t channels;
  int64_t blocks;
  int64_t stride;  // of the first block
};
constexpr Stage kStages[] = {{1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 2},
                             {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};

}  // namespace

Tensor MobileNetV2::operator()(const Tensor& x) {
  return classifier(ops::flatten(ops::adaptive_avg_pool2d(features(x), 1), 1));
}

MobileNetV2 mobilenet_v2(const MobileNetOptions& options) {
  constexpr int64_t kLast = 1280;
  MobileNetV2 net;
  int64_t channels = 32;
  net.features.add(
      conv_norm_act({.in = options.in_channels, .out = channels, .kernel = 3, .stride = 2}));
  for (const Stage& stage : kStages) {
    for (int64_t block = 0; block < stage.blocks; ++block) {
      net.features.add(InvertedResidual(channels, stage.channels, block == 0 ? stage.stride : 1,
                                        stage.widening));
      channels = stage.channels;
    }
  }
  net.features.add(conv_norm_act({.in = channels, .out = kLast}));
  net.classifier = nn::Sequential(
      nn::Dropout(0.2), nn::Linear({.in_features = kLast, .out_features = options.num_classes}));
  init_convolutions(net);
  init_linear_layers(net);
  return net;
}

}  // namespace convkit::models
