#pragma once

#include "convkit/tensor/tensor.h"

/// Arithmetic of tensors, as PyTorch's: operands of float32 (or float64) of one type, whose shapes
/// broadcast (axes aligned at the end, an extent of 1 stretches; ShapeError otherwise). A number in
/// place of an operand is taken in the other's type. All recorded; where an operand was stretched,
/// its gradient is the sum over the copies.
namespace convkit::ops {

CONVKIT_API Tensor add(const Tensor& a, const Tensor& b);  ///< a + b
CONVKIT_API Tensor sub(const Tensor& a, const Tensor& b);  ///< a − b
CONVKIT_API Tensor mul(const Tensor& a, const Tensor& b);  ///< a · b, by elements
CONVKIT_API Tensor div(const Tensor& a, const Tensor& b);  ///< a / b, by elements
CONVKIT_API Tensor add(const Tensor& a, double b);
CONVKIT_API Tensor sub(const Tensor& a, double b);
CONVKIT_API Tensor sub(double a, const Tensor& b);
CONVKIT_API Tensor mul(const Tensor& a, double b);
CONVKIT_API Tensor div(const Tensor& a, double b);
CONVKIT_API Tensor div(double a, const Tensor& b);

/// self ← self + other, `other` stretched to self's shape; returns self. Throws GradError where
/// overwriting self would falsify a gradient.
CONVKIT_API Tensor& add_(Tensor& self, const Tensor& other);

CONVKIT_API Tensor neg(const Tensor& x);   ///< −x
CONVKIT_API Tensor exp(const Tensor& x);   ///< e^x
CONVKIT_API Tensor log(const Tensor& x);   ///< natural logarithm; −∞ at 0, NaN below
CONVKIT_API Tensor sqrt(const Tensor& x);  ///< √x; NaN below 0
CONVKIT_API Tensor abs(const Tensor& x);   ///< |x|; gradient 0 at 0

/// Attributes of clamp for a tracer.
struct ClampParams {
  double min;
  double max;
};
/// min(max(x, min), max); the gradient is 1 on the borders. Throws ValueError if min > max.
CONVKIT_API Tensor clamp(const Tensor& x, double min, double max);

}  // namespace convkit::ops

/// x + y, 2 * x, −x, … for tensors; see ops::add and its kin.
namespace convkit {

inline Tensor operator+(const Tensor& a, const Tensor& b) { return ops::add(a, b); }
inline Tensor operator-(const Tensor& a, const Tensor& b) { return ops::sub(a, b); }
inline Tensor operator*(const Tensor& a, const Tensor& b) { return ops::mul(a, b); }
inline Tensor operator/(const Tensor& a, const Tensor& b) { return ops::div(a, b); }
inline Tensor operator+(const Tensor& a, double b) { return ops::add(a, b); }
inline Tensor operator+(double a, const Tensor& b) { return ops::add(b, a); }
inline Tensor operator-(const Tensor& a, double b) { return ops::sub(a, b); }
inline Tensor operator-(double a, const Tensor& b) { return ops::sub(a, b); }
inline Tensor operator*(const Tensor& a, double b) { return ops::mul(a, b); }
inline Tensor operator*(double a, const Tensor& b) { return ops::mul(b, a); }
inline Tensor operator/(const Tensor& a, double b) { return ops::div(a, b); }
inline Tensor operator/(double a, const Tensor& b) { return ops::div(a, b); }
inline Tensor operator-(const Tensor& x) { return ops::neg(x); }

}  // namespace convkit
