#include "convkit/ops/arithmetic.h"

#include "convkit/autograd/record.h"
#include "convkit/ops/axes.h"
#include "convkit/ops/dispatch.h"
#include "convkit/ops/unary.h"

namespace convkit::ops {
namespace {

using autograd::Gradients;
using autograd::Needs;
using autograd::Saved;
using kernels::BinaryOp;
using kernels::UnaryOp;

Tensor product(const Tensor& a, const Tensor& b) {
  return broadcast_binary(BinaryOp::mul, a, b, broadcast_shapes(a.shape(), b.shape(), "mul"));
}
Tensor quotient(const Tensor& a, const Tensor& b) {
  return broadcast_binary(BinaryOp::div, a, b, broadcast_shapes(a.shape(), b.shape(), "div"));
}
Tensor negative(const Tensor& x) {
  Tensor y = empty_like(x);
  with_float_type(x, [&]<class T>() {
    kernels::unary_forward(UnaryOp::neg, {}, x.numel(), x.data<T>(), y.mutable_data<T>());
  });
  return y;
}

Tensor binary_forward(const char* name, BinaryOp op, const Tensor& a, const Tensor& b) {
  check_floating(name, a, "the first operand");
  check_floating(name, b, "the second operand");
  check_same_type(name, a, b);
  return broadcast_binary(op, a, b, broadcast_shapes(a.shape(), b.shape(), name));
}

Tensor number(double value, const Tensor& like) { return full({}, value, like.dtype()); }

}  // namespace

Tensor add(const Tensor& a, const Tensor& b) {
  const Tensor y = binary_forward("add", BinaryOp::add, a, b);
  const auto backward = [a_shape = a.shape(), b_shape = b.shape()](const Tensor& dy, Needs needs) {
    Gradients grads(2);
    if (needs[0]) grads[0] = sum_to_shape(dy, a_shape);
    if (needs[1]) grads[1] = sum_to_shape(dy, b_shape);
    return grads;
  };
  return autograd::record("add", {a, b}, y, backward);
}

Tensor& add_(Tensor& self, const Tensor& other) {
  check_floating("add_", self);
  check_same_type("add_", self, other, "what is added");
  CONVKIT_CHECK(broadcast_shapes(self.shape(), other.shape(), "add_") == self.shape(), ShapeError,
                "add_: ", other.shape(), " cannot be added to ", self.shape(),
                " in place, since the sum would be larger; use add()");
  autograd::check_in_place("add_", self);
  broadcast_binary_(BinaryOp::add, self, other);
  const auto backward = [shape = other.shape()](const Tensor& dy, Needs needs) {
    Gradients grads(2);
    if (needs[0]) grads[0] = dy;
    if (needs[1]) grads[1] = sum_to_shape(dy, shape);
    return grads;
  };
  autograd::record_in_place("add_", {self, other}, self, backward);
  return self;
}

Tensor sub(const Tensor& a, const Tensor& b) {
  const Tensor y = binary_forward("sub", BinaryOp::sub, a, b);
  const auto backward = [a_shape = a.shape(), b_shape = b.shape()](const Tensor& dy, Needs needs) {
    Gradients grads(2);
    if (needs[0]) grads[0] = sum_to_shape(dy, a_shape);
    if (needs[1]) grads[1] = negative(sum_to_shape(dy, b_shape));
    return grads;
  };
  return autograd::record("sub", {a, b}, y, backward);
}

Tensor mul(const Tensor& a, const Tensor& b) {
  const Tensor y = binary_forward("mul", BinaryOp::mul, a, b);
  const auto backward = [a_shape = a.shape(), b_shape = b.shape(), a = Saved(a), b = Saved(b)](
                            const Tensor& dy, Needs needs) {
    Gradients grads(2);
    if (needs[0]) grads[0] = sum_to_shape(product(dy, b.get()), a_shape);
    if (needs[1]) grads[1] = sum_to_shape(product(dy, a.get()), b_shape);
    return grads;
  };
  return autograd::record("mul", {a, b}, y, backward);
}

Tensor div(const Tensor& a, const Tensor& b) {
  const Tensor y = binary_forward("div", BinaryOp::div, a, b);
  const auto backward = [a_shape = a.shape(), b_shape = b.shape(), y = Saved(y), b = Saved(b)](
                            const Tensor& dy, Needs needs) {
    Gradients grads(2);
    const Tensor da = quotient(dy, b.get());
    if (needs[0]) grads[0] = sum_to_shape(da, a_shape);
    if (needs[1]) grads[1] = negative(sum_to_shape(product(da, y.get()), b_shape));
    return grads;
  };
  return autograd::record("div", {a, b}, y, backward);
}

Tensor add(const Tensor& a, double b) { return add(a, number(b, a)); }
Tensor sub(const Tensor& a, double b) { return sub(a, number(b, a)); }
Tensor sub(double a, const Tensor& b) { return sub(number(a, b), b); }
Tensor mul(const Tensor& a, double b) { return mul(a, number(b, a)); }
Tensor div(const Tensor& a, double b) { return div(a, number(b, a)); }
Tensor div(double a, const Tensor& b) { return div(number(a, b), b); }

Tensor neg(const Tensor& x) { return unary("neg", UnaryOp::neg, {}, x); }
Tensor exp(const Tensor& x) { return unary("exp", UnaryOp::exp, {}, x); }
Tensor log(const Tensor& x) { return unary("log", UnaryOp::log, {}, x); }
Tensor sqrt(const Tensor& x) { return unary("sqrt", UnaryOp::sqrt, {}, x); }
Tensor abs(const Tensor& x) { return unary("abs", UnaryOp::abs, {}, x); }

Tensor clamp(const Tensor& x, double min, double max) {
  CONVKIT_CHECK(min <= max, ValueError, "clamp: min (", min, ") must not exceed max (", max, ")");
  return unary({"clamp", ClampParams{min, max}}, UnaryOp::clamp, {min, max}, x);
}

}  // namespace convkit::ops
