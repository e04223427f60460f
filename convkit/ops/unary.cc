#include "convkit/ops/unary.h"

#include <memory>

#include "convkit/ops/dispatch.h"

namespace convkit::ops {
namespace {

Tensor gradient(kernels::UnaryOp function, const kernels::UnaryParams& params, const Tensor& saved,
                const Tensor& dy) {
  Tensor dx = autograd::memory_for_gradient(dy);
  with_float_type(dy, [&]<class T>() {
    kernels::unary_backward(function, params, dy.numel(), saved.data<T>(), dy.data<T>(),
                            dx.mutable_data<T>());
  });
  return dx;
}

void apply(kernels::UnaryOp function, const kernels::UnaryParams& params, const Tensor& x,
           Tensor& y) {
  with_float_type(x, [&]<class T>() {
    kernels::unary_forward(function, params, x.numel(), x.data<T>(), y.mutable_data<T>());
  });
}

}  // namespace

Tensor unary(const autograd::Op& op, kernels::UnaryOp function, const kernels::UnaryParams& params,
             const Tensor& x) {
  check_floating(op.name, x);
  Tensor y = empty_like(x);
  apply(function, params, x, y);
  const autograd::Saved saved(kernels::gradient_uses_output(function) ? y : x);
  return autograd::record(op, {x}, y, [=](const Tensor& dy, autograd::Needs) {
    return autograd::Gradients{gradient(function, params, saved.get(), dy)};
  });
}

void unary_(const autograd::Op& op, kernels::UnaryOp function, const kernels::UnaryParams& params,
            Tensor& x) {
  check_floating(op.name, x);
  autograd::check_in_place(op.name, x);
  apply(function, params, x, x);
  // The output can be saved only after the change has been noted, or it would count as changed.
  const auto saved = std::make_shared<autograd::Saved>();
  autograd::record_in_place(op, {x}, x, [=](const Tensor& dy, autograd::Needs) {
    return autograd::Gradients{gradient(function, params, saved->get(), dy)};
  });
  *saved = autograd::Saved(x);
}

}  // namespace convkit::ops
