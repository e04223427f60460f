#include "convkit/ops/softmax.h"

#include "convkit/autograd/record.h"
#include "convkit/kernels/softmax.h"
#include "convkit/ops/axes.h"
#include "convkit/ops/dispatch.h"

namespace convkit::ops {
namespace {

using kernels::SoftmaxKind;

Tensor apply(const char* name, SoftmaxKind kind, const Tensor& x, int64_t dim) {
  check_floating(name, x);
  if (x.dim() > 0)
    dim = static_cast<int64_t>(x.shape().normalize(dim));
  else
    CONVKIT_CHECK(dim == 0 || dim == -1, ShapeError, name, ": axis ", dim,
                  " does not exist in a scalar");
  kernels::AxisGeometry geometry{0, 1, 1};
  if (x.dim() == 0) geometry.outer = 1;
  if (x.dim() > 0 && x.numel() > 0) geometry = axis_geometry(x.shape(), dim);
  Tensor y = empty_like(x);
  with_float_type(x, [&]<class T>() {
    kernels::softmax_forward(kind, geometry, x.data<T>(), y.mutable_data<T>());
  });
  const auto backward = [=, y = autograd::Saved(y)](const Tensor& dy, autograd::Needs) {
    Tensor dx = empty_like(dy);
    with_float_type(dy, [&]<class T>() {
      kernels::softmax_backward(kind, geometry, y.get().data<T>(), dy.data<T>(),
                                dx.mutable_data<T>());
    });
    return autograd::Gradients{dx};
  };
  return autograd::record({name, SoftmaxParams{dim}}, {x}, y, backward);
}

}  // namespace

Tensor softmax(const Tensor& x, int64_t dim) {
  return apply("softmax", SoftmaxKind::softmax, x, dim);
}

Tensor log_softmax(const Tensor& x, int64_t dim) {
  return apply("log_softmax", SoftmaxKind::log_softmax, x, dim);
}

}  // namespace convkit::ops
