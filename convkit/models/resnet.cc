#include "convkit/models/resnet.h"

#include <array>

#include "convkit/models/init.h"
#include "convkit/ops/shape.h"

namespace convkit::models {
namespace {

template <class Block>
nn::Sequential stage(int64_t& channels_in, int64_t channels, int64_t blocks, int64_t stride) {
  nn::Sequential layer;
  for (int64_t i = 0; i < blocks; ++i) {
    layer.add(
        Block({.in_channels = channels_in, .channels = channels, .stride = i == 0 ? stride : 1}));
    channels_in = channels * Block::kExpansion;
  }
  return layer;
}

template <int Rank, class Block>
ResNet<Rank> resnet(const ResNetOptions& options, const std::array<int64_t, 4>& blocks) {
  int64_t channels = 64;
  ResNet<Rank> net{
      .conv1 = nn::Conv<Rank>({.in_channels = options.in_channels,
                               .out_channels = channels,
                               .kernel_size = 7,
                               .stride = 2,
                               .padding = 3,
                               .bias = false}),
      .bn1 = nn::BatchNorm<Rank>(channels),
      .maxpool = nn::MaxPool<Rank>({.kernel_size = 3, .stride = 2, .padding = 1}),
      .layer1 = stage<Block>(channels, 64, blocks[0], 1),
      .layer2 = stage<Block>(channels, 128, blocks[1], 2),
      .layer3 = stage<Block>(channels, 256, blocks[2], 2),
      .layer4 = stage<Block>(channels, 512, blocks[3], 2),
      .avgpool = nn::AdaptiveAvgPool<Rank>({.output_size = 1}),
      .fc = nn::Linear({.in_features = channels, .out_features = options.num_classes}),
  };
  init_convolutions(net);
  return net;
}

}  // namespace

template <int Rank>
Tensor ResNet<Rank>::operator()(const Tensor& x) {
  const Tensor stem = bn1.then_relu_pool(conv1(x), relu, maxpool);
  const Tensor features = layer4(layer3(layer2(layer1(stem))));
  return fc(ops::flatten(avgpool(features), 1));
}

template <int Rank>
ResNet<Rank> resnet18(const ResNetOptions& options) {
  return resnet<Rank, nn::BasicBlock<Rank>>(options, {2, 2, 2, 2});
}
template <int Rank>
ResNet<Rank> resnet34(const ResNetOptions& options) {
  return resnet<Rank, nn::BasicBlock<Rank>>(options, {3, 4, 6, 3});
}
template <int Rank>
ResNet<Rank> resnet50(const ResNetOptions& options) {
  return resnet<Rank, nn::Bottleneck<Rank>>(options, {3, 4, 6, 3});
}

template struct ResNet<1>;
template struct ResNet<2>;
template struct ResNet<3>;
template ResNet<1> resnet18<1>(const ResNetOptions&);
template ResNet<2> resnet18<2>(const ResNetOptions&);
template ResNet<3> resnet18<3>(const ResNetOptions&);
template ResNet<1> resnet34<1>(const ResNetOptions&);
template ResNet<2> resnet34<2>(const ResNetOptions&);
template ResNet<3> resnet34<3>(const ResNetOptions&);
template ResNet<1> resnet50<1>(const ResNetOptions&);
template ResNet<2> resnet50<2>(const ResNetOptions&);
template ResNet<3> resnet50<3>(const ResNetOptions&);

}  // namespace convkit::models
