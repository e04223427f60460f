#include "convkit/models/r3d.h"

#include "convkit/models/init.h"
#include "convkit/ops/shape.h"

namespace convkit::models {
namespace {

nn::Conv3d conv3x3x3(int64_t in, int64_t out, int64_t stride) {
  return nn::Conv3d({.in_channels = in,
                     .out_channels = out,
                     .kernel_size = 3,
                     .stride = stride,
                     .padding = 1,
                     .bias = false});
}

nn::ReLU relu_in_place() { return nn::ReLU(nn::ReLUOptions{.inplace = true}); }

// torchvision keeps each convolution with its norm in a Sequential, hence keys conv1.0, conv1.1.
struct VideoBlock : nn::Layer {
  VideoBlock(int64_t in, int64_t out, int64_t stride)
      : conv1(conv3x3x3(in, out, stride), nn::BatchNorm3d(out), relu_in_place()),
        conv2(conv3x3x3(out, out, 1), nn::BatchNorm3d(out)) {
    if (stride != 1 || in != out) {
      downsample = nn::Sequential(nn::Conv3d({.in_channels = in,
                                              .out_channels = out,
                                              .kernel_size = 1,
                                              .stride = stride,
                                              .bias = false}),
                                  nn::BatchNorm3d(out));
    }
  }
  Tensor operator()(const Tensor& x) {
    const Scope scope(path);
    const Tensor main = conv2[0](conv1(x));
    auto& norm = *conv2[1].get<nn::BatchNorm3d>();
    return norm.then_relu(main, relu, downsample.empty() ? x : downsample(x));
  }
  void visit(auto&& v) {
    v("conv1", conv1);
    v("conv2", conv2);
    v("relu", relu);
    if (!downsample.empty()) v("downsample", downsample);
  }

  nn::Sequential conv1, conv2;
  nn::ReLU relu = relu_in_place();
  nn::Sequential downsample;
};

nn::Sequential stage(int64_t in, int64_t out, int64_t stride) {
  return nn::Sequential(VideoBlock(in, out, stride), VideoBlock(out, out, 1));
}

}  // namespace

Tensor R3D::operator()(const Tensor& x) {
  return fc(ops::flatten(avgpool(layer4(layer3(layer2(layer1(stem(x)))))), 1));
}

R3D r3d_18(const ResNetOptions& options) {
  R3D net{
      .stem = nn::Sequential(nn::Conv3d({.in_channels = options.in_channels,
                                         .out_channels = 64,
                                         .kernel_size = {3, 7, 7},
                                         .stride = {1, 2, 2},
                                         .padding = {1, 3, 3},
                                         .bias = false}),
                             nn::BatchNorm3d(64), relu_in_place()),
      .layer1 = stage(64, 64, 1),
      .layer2 = stage(64, 128, 2),
      .layer3 = stage(128, 256, 2),
      .layer4 = stage(256, 512, 2),
      .avgpool = nn::AdaptiveAvgPool3d({.output_size = 1}),
      .fc = nn::Linear({.in_features = 512, .out_features = options.num_classes}),
  };
  init_convolutions(net);
  nn::init::normal_(net.fc.weight, 0.0, 0.01);
  nn::init::zeros_(net.fc.bias);
  return net;
}

}  // namespace convkit::models
