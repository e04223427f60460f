#pragma once

#include "convkit/autograd/record.h"
#include "convkit/kernels/conv.h"

/// For the sources of ops only: what is computed by a convolution has a convolution's gradients.
namespace convkit::ops {

/// Those of x, weight and bias that are needed, when `dy` of any shape with the elements of y flows
/// back; all tensors hold T.
template <class T>
autograd::Gradients conv_gradients(const kernels::ConvGeometry& g, const Tensor& x,
                                   const Tensor& weight, const Tensor& dy, autograd::Needs needs) {
  autograd::Gradients grads(3);
  if (needs[0]) {
    grads[0] = empty_like(x);
    kernels::conv_backward_input(g, dy.data<T>(), weight.data<T>(), grads[0].mutable_data<T>());
  }
  if (needs[1]) {
    grads[1] = empty_like(weight);
    kernels::conv_backward_weight(g, x.data<T>(), dy.data<T>(), grads[1].mutable_data<T>());
  }
  if (needs[2]) {
    grads[2] = empty({g.out_channels}, dy.dtype());
    kernels::channel_sums(dy.data<T>(), dy.numel() / g.out_channels, g.out_channels,
                          grads[2].mutable_data<T>());
  }
  return grads;
}

}  // namespace convkit::ops
