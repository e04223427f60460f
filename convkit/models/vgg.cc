#include "convkit/models/vgg.h"

#include "convkit/models/init.h"
#include "convkit/nn/activation.h"
#include "convkit/nn/conv.h"
#include "convkit/nn/dropout.h"
#include "convkit/ops/shape.h"

namespace convkit::models {
namespace {

nn::ReLU relu_in_place() { return nn::ReLU(nn::ReLUOptions{.inplace = true}); }

void add_stage(nn::Sequential& features, int64_t in, int64_t out, int convolutions) {
  for (int i = 0; i < convolutions; ++i) {
    features.add(nn::Conv2d(
        {.in_channels = i == 0 ? in : out, .out_channels = out, .kernel_size = 3, .padding = 1}));
    features.add(relu_in_place());
  }
  features.add(nn::MaxPool2d({.kernel_size = 2}));
}

}  // namespace

Tensor Vgg::operator()(const Tensor& x) {
  return classifier(ops::flatten(avgpool(features(x)), 1));
}

Vgg vgg16(const VggOptions& options) {
  constexpr int64_t kFeatures = 512 * 7 * 7;
  constexpr int64_t kHidden = 4096;
  Vgg net{.features = {}, .avgpool = nn::AdaptiveAvgPool2d({.output_size = 7}), .classifier = {}};
  add_stage(net.features, options.in_channels, 64, 2);
  add_stage(net.features, 64, 128, 2);
  add_stage(net.features, 128, 256, 3);
  add_stage(net.features, 256, 512, 3);
  add_stage(net.features, 512, 512, 3);
  net.classifier = nn::Sequential(
      nn::Linear({.in_features = kFeatures, .out_features = kHidden}), relu_in_place(),
      nn::Dropout(0.5), nn::Linear({.in_features = kHidden, .out_features = kHidden}),
      relu_in_place(), nn::Dropout(0.5),
      nn::Linear({.in_features = kHidden, .out_features = options.num_classes}));
  init_convolutions(net);
  init_linear_layers(net);
  return net;
}

}  // namespace convkit::models
