#pragma once

#include <cmath>
#include <vector>

#include "convkit/autograd/record.h"

/// The smallest differentiable operations, in any floating type, to test the tape without ops/.
namespace convkit::autograd::toy {

/// y[i] = f(i), in memory order.
template <class F>
Tensor make(const Tensor& like, F f) {
  Tensor y = empty_like(like);
  if (like.dtype() == DType::float64) {
    for (int64_t i = 0; i < y.numel(); ++i) y.mutable_data<double>()[i] = f(i);
  } else {
    for (int64_t i = 0; i < y.numel(); ++i) y.mutable_data<float>()[i] = static_cast<float>(f(i));
  }
  return y;
}

inline double get(const Tensor& t, int64_t i) {
  return t.dtype() == DType::float64 ? t.data<double>()[i]
                                     : static_cast<double>(t.data<float>()[i]);
}

/// a + b; both gradients are the very tensor that came back.
inline Tensor add(const Tensor& a, const Tensor& b) {
  return record("add", {a, b}, make(a, [&](int64_t i) { return get(a, i) + get(b, i); }),
                [](const Tensor& g, Needs) -> Gradients {
                  return {g, g};
                });
}

inline Tensor mul(const Tensor& a, const Tensor& b) {
  return record("mul", {a, b}, make(a, [&](int64_t i) { return get(a, i) * get(b, i); }),
                [a = Saved(a), b = Saved(b)](const Tensor& g, Needs needs) -> Gradients {
                  Gradients grads(2);
                  if (needs[0])
                    grads[0] = make(g, [&](int64_t i) { return get(g, i) * get(b.get(), i); });
                  if (needs[1])
                    grads[1] = make(g, [&](int64_t i) { return get(g, i) * get(a.get(), i); });
                  return grads;
                });
}

inline Tensor scale(const Tensor& a, double factor) {
  return record({"scale", factor}, {a}, make(a, [&](int64_t i) { return factor * get(a, i); }),
                [factor](const Tensor& g, Needs) -> Gradients {
                  return {make(g, [&](int64_t i) { return factor * get(g, i); })};
                });
}

/// exp(a), which saves its output.
inline Tensor exp(const Tensor& a) {
  Tensor y = make(a, [&](int64_t i) { return std::exp(get(a, i)); });
  return record("exp", {a}, y, [y = Saved(y)](const Tensor& g, Needs) -> Gradients {
    return {make(g, [&](int64_t i) { return get(g, i) * get(y.get(), i); })};
  });
}

inline Tensor sum(const Tensor& a) {
  double total = 0;
  for (int64_t i = 0; i < a.numel(); ++i) total += get(a, i);
  return record("sum", {a}, full({}, total, a.dtype()),
                [shape = a.shape(), dtype = a.dtype()](const Tensor& g, Needs) -> Gradients {
                  return {full(shape, g.item(), dtype)};
                });
}

/// The same elements under another shape, as ops::reshape does it.
inline Tensor reshape(const Tensor& a, const Shape& shape) {
  return record(
      "reshape", {a}, a.reshaped(shape),
      [from = a.shape()](const Tensor& g, Needs) -> Gradients { return {g.reshaped(from)}; });
}

/// self ← factor · self
inline void scale_in_place(Tensor& self, double factor) {
  check_in_place("scale_", self);
  const Tensor before = self;
  for (int64_t i = 0; i < self.numel(); ++i)
    self.mutable_data<float>()[i] = static_cast<float>(factor * get(self, i));
  record_in_place("scale_", {before}, self, [factor](const Tensor& g, Needs) -> Gradients {
    return {make(g, [&](int64_t i) { return factor * get(g, i); })};
  });
}

using Floats = std::vector<float>;

inline Tensor leaf(const Floats& values) {
  Tensor t = from_values(values, {static_cast<int64_t>(values.size())});
  t.set_requires_grad();
  return t;
}

inline Floats grad_of(const Tensor& t) { return t.grad().to_vector<float>(); }

}  // namespace convkit::autograd::toy
