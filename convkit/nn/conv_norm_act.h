#pragma once

#include "convkit/nn/activation.h"
#include "convkit/nn/batch_norm.h"
#include "convkit/nn/conv.h"

namespace convkit::nn {

/// Convolution → batch norm → ReLU, the brick of most nets. The bias of the convolution defaults to
/// what `options.bias` says; batch norm makes it redundant, so `.bias = false` is usual.
template <int Rank>
struct ConvNormAct {
  Conv<Rank> conv;
  BatchNorm<Rank> norm;
  ReLU act{ReLUOptions{.inplace = true}};

  explicit ConvNormAct(const ConvOptions<Rank>& options)
      : conv(options), norm(options.out_channels) {}
  Tensor operator()(const Tensor& x) { return norm.then_relu(conv(x), act); }
  /// pool((*this)(x)) in fewer passes over memory: see BatchNorm::then_relu_pool.
  Tensor then_pool(const Tensor& x, const MaxPool<Rank>& pool) {
    return norm.then_relu_pool(conv(x), act, pool);
  }
  void visit(auto&& v) {
    v("conv", conv);
    v("norm", norm);
    v("act", act);
  }
};
using ConvNormAct1d = ConvNormAct<1>;
using ConvNormAct2d = ConvNormAct<2>;
using ConvNormAct3d = ConvNormAct<3>;

}  // namespace convkit::nn
