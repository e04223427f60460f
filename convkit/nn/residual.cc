#include "convkit/nn/residual.h"

namespace convkit::nn {
namespace {

template <int Rank>
Conv<Rank> conv3x3(int64_t in, int64_t out, int64_t stride) {
  return Conv<Rank>({.in_channels = in,
                     .out_channels = out,
                     .kernel_size = 3,
                     .stride = stride,
                     .padding = 1,
                     .bias = false});
}

template <int Rank>
Conv<Rank> conv1x1(int64_t in, int64_t out, int64_t stride = 1) {
  return Conv<Rank>(
      {.in_channels = in, .out_channels = out, .kernel_size = 1, .stride = stride, .bias = false});
}

template <int Rank>
Sequential shortcut(const BlockOptions& o, int64_t out) {
  if (o.stride == 1 && o.in_channels == out) return Sequential();
  return Sequential(conv1x1<Rank>(o.in_channels, out, o.stride), BatchNorm<Rank>(out));
}

// What the main path is added to.
Tensor identity_of(const Tensor& x, Sequential& downsample) {
  return downsample.empty() ? x : downsample(x);
}

}  // namespace

template <int Rank>
BasicBlock<Rank>::BasicBlock(const BlockOptions& o)
    : conv1(conv3x3<Rank>(o.in_channels, o.channels, o.stride)),
      bn1(o.channels),
      conv2(conv3x3<Rank>(o.channels, o.channels, 1)),
      bn2(o.channels),
      downsample(shortcut<Rank>(o, o.channels * kExpansion)) {}

template <int Rank>
Tensor BasicBlock<Rank>::operator()(const Tensor& x) {
  const Scope scope(path);
  const Tensor main = conv2(bn1.then_relu(conv1(x), relu));
  return bn2.then_relu(main, relu, identity_of(x, downsample));
}

template <int Rank>
Bottleneck<Rank>::Bottleneck(const BlockOptions& o)
    : conv1(conv1x1<Rank>(o.in_channels, o.channels)),
      bn1(o.channels),
      conv2(conv3x3<Rank>(o.channels, o.channels, o.stride)),
      bn2(o.channels),
      conv3(conv1x1<Rank>(o.channels, o.channels * kExpansion)),
      bn3(o.channels * kExpansion),
      downsample(shortcut<Rank>(o, o.channels * kExpansion)) {}

template <int Rank>
Tensor Bottleneck<Rank>::operator()(const Tensor& x) {
  const Scope scope(path);
  const Tensor main = conv3(bn2.then_relu(conv2(bn1.then_relu(conv1(x), relu)), relu));
  return bn3.then_relu(main, relu, identity_of(x, downsample));
}

template struct BasicBlock<1>;
template struct BasicBlock<2>;
template struct BasicBlock<3>;
template struct Bottleneck<1>;
template struct Bottleneck<2>;
template struct Bottleneck<3>;

}  // namespace convkit::nn
