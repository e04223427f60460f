#pragma once

#include "convkit/tensor/tensor.h"

/// For the sources of ops only: the element types that arithmetic is done in.
namespace convkit::ops {

/// Throws DTypeError unless `x` is float32 or float64.
inline void check_floating(const char* op, const Tensor& x, const char* what = "the input") {
  CONVKIT_CHECK(x.dtype() == DType::float32 || x.dtype() == DType::float64, DTypeError, op, ": ",
                what, " is ", x.dtype(),
                ", but arithmetic is done in float32 (or float64);"
                " convert it with to(DType::float32)");
}

/// Throws DTypeError unless the two have one type.
inline void check_same_type(const char* op, const Tensor& a, const Tensor& b,
                            const char* what = "the second operand") {
  CONVKIT_CHECK(a.dtype() == b.dtype(), DTypeError, op, ": the input is ", a.dtype(), ", but ",
                what, " is ", b.dtype(), "; convert one of them with to()");
}

/// Calls f.template operator()<float or double>(), as the (checked) type of `x` says.
template <class F>
decltype(auto) with_float_type(const Tensor& x, F&& f) {
  return x.dtype() == DType::float64 ? f.template operator()<double>()
                                     : f.template operator()<float>();
}

}  // namespace convkit::ops
