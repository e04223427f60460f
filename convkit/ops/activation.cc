#include "convkit/ops/activation.h"

#include "convkit/ops/axes.h"
#include "convkit/ops/dispatch.h"
#include "convkit/ops/unary.h"

namespace convkit::ops {

using kernels::UnaryOp;

Tensor relu(const Tensor& x) { return unary("relu", UnaryOp::relu, {}, x); }

Tensor& relu_(Tensor& x) {
  unary_("relu_", UnaryOp::relu, {}, x);
  return x;
}

Tensor leaky_relu(const Tensor& x, double negative_slope) {
  return unary({"leaky_relu", LeakyReluParams{negative_slope}}, UnaryOp::leaky_relu,
               {negative_slope, 0}, x);
}

Tensor relu6(const Tensor& x) { return unary("relu6", UnaryOp::relu6, {}, x); }
Tensor sigmoid(const Tensor& x) { return unary("sigmoid", UnaryOp::sigmoid, {}, x); }
Tensor tanh(const Tensor& x) { return unary("tanh", UnaryOp::tanh, {}, x); }

Tensor gelu(const Tensor& x, GeluApproximation approximate) {
  const bool by_tanh = approximate == GeluApproximation::tanh;
  return unary({"gelu", GeluParams{approximate}}, by_tanh ? UnaryOp::gelu_tanh : UnaryOp::gelu, {},
               x);
}

Tensor silu(const Tensor& x) { return unary("silu", UnaryOp::silu, {}, x); }

Tensor elu(const Tensor& x, double alpha) {
  return unary({"elu", EluParams{alpha}}, UnaryOp::elu, {alpha, 1}, x);
}

Tensor selu(const Tensor& x) {
  return unary("selu", UnaryOp::elu, {kSeluScale * kSeluAlpha, kSeluScale}, x);
}

Tensor softplus(const Tensor& x) { return unary("softplus", UnaryOp::softplus, {}, x); }
Tensor mish(const Tensor& x) { return unary("mish", UnaryOp::mish, {}, x); }
Tensor hardswish(const Tensor& x) { return unary("hardswish", UnaryOp::hardswish, {}, x); }
Tensor hardsigmoid(const Tensor& x) { return unary("hardsigmoid", UnaryOp::hardsigmoid, {}, x); }

Tensor prelu(const Tensor& x, const Tensor& weight) {
  check_floating("prelu", x);
  check_same_type("prelu", x, weight, "the weight");
  const int64_t channels = x.dim() >= 2 ? x.size(1) : 1;
  CONVKIT_CHECK(weight.dim() == 1 && (weight.size(0) == 1 || weight.size(0) == channels),
                ShapeError, "prelu: the weight is ", weight.shape(), ", but an input of ",
                x.shape(), " takes 1 weight, or ", channels, " (one per channel)");
  // Channels are innermost in memory, so the tensor is rows of them, or of single elements.
  const int64_t row = weight.size(0);
  const int64_t rows = x.numel() / row;
  Tensor y = empty_like(x);
  with_float_type(x, [&]<class T>() {
    kernels::prelu_forward(rows, row, x.data<T>(), weight.data<T>(), y.mutable_data<T>());
  });
  const auto backward = [=, x = autograd::Saved(x), weight = autograd::Saved(weight)](
                            const Tensor& dy, autograd::Needs needs) {
    autograd::Gradients grads(2);
    if (needs[0]) grads[0] = empty_like(dy);
    Tensor terms;
    if (needs[1]) terms = Tensor({rows, row}, dy.dtype());
    with_float_type(dy, [&]<class T>() {
      kernels::prelu_backward(rows, row, x.get().data<T>(), weight.get().data<T>(), dy.data<T>(),
                              needs[0] ? grads[0].mutable_data<T>() : nullptr,
                              needs[1] ? terms.mutable_data<T>() : nullptr);
    });
    if (needs[1]) grads[1] = sum_over(terms, std::vector<int64_t>{0}).reshaped({row});
    return grads;
  };
  return autograd::record("prelu", {x, weight}, y, backward);
}

}  // namespace convkit::ops
