#include "convkit/ops/linear.h"

#include "convkit/ops/conv_gradients.h"
#include "convkit/ops/dispatch.h"

namespace convkit::ops {
namespace {

// Rows of features are the positions of a 1×1 convolution along W.
kernels::ConvGeometry geometry_of(int64_t rows, int64_t in, int64_t out) {
  kernels::ConvGeometry g;
  g.batch = rows == 0 ? 0 : 1;
  g.in_channels = in;
  g.out_channels = out;
  if (rows > 0) g.in[2] = g.out[2] = rows;
  return g;
}

void check(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  check_floating("linear", x);
  check_same_type("linear", x, weight, "the weight");
  CONVKIT_CHECK(weight.dim() == 2 && weight.size(0) >= 1 && weight.size(1) >= 1, ShapeError,
                "linear: the weight is ", weight.shape(),
                "; it must be (out_features, in_features), at least 1×1");
  CONVKIT_CHECK(x.dim() >= 1 && x.size(-1) == weight.size(1), ShapeError, "linear: the input ",
                x.shape(), " must end in in_features = ", weight.size(1), " (weight ",
                weight.shape(), "); flatten(x, 1) makes one axis of channels and positions");
  if (!bias.defined()) return;
  check_same_type("linear", x, bias, "the bias");
  CONVKIT_CHECK(bias.dim() == 1 && bias.size(0) == weight.size(0), ShapeError,
                "linear: the bias is ", bias.shape(),
                "; it must have one value per output: ", weight.size(0));
}

}  // namespace

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  check(x, weight, bias);
  const int64_t in = weight.size(1);
  const int64_t out = weight.size(0);
  const int64_t rows = x.numel() / in;
  const kernels::ConvGeometry geometry = geometry_of(rows, in, out);
  const Tensor flat = x.reshaped({rows, in});
  Tensor y({rows, out}, x.dtype());
  with_float_type(x, [&]<class T>() {
    kernels::conv_forward(geometry, flat.data<T>(), weight.data<T>(),
                          bias.defined() ? bias.data<T>() : nullptr, y.mutable_data<T>());
  });
  const auto backward = [=, shape = x.shape(), flat = autograd::Saved(flat),
                         weight = autograd::Saved(weight)](const Tensor& dy,
                                                           autograd::Needs needs) {
    autograd::Gradients grads = with_float_type(dy, [&]<class T>() {
      return conv_gradients<T>(geometry, flat.get(), weight.get(), dy.reshaped({rows, out}), needs);
    });
    if (needs[0]) grads[0] = grads[0].reshaped(shape);
    return grads;
  };
  const Tensor result = y.reshaped(x.shape().with(-1, out));
  return autograd::record("linear", {x, weight, bias}, result, backward);
}

}  // namespace convkit::ops
