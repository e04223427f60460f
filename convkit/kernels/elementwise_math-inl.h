// Transcendental functions on vectors of any target, total over all inputs: infinities give the
// limits and NaN gives NaN. Included once per SIMD target, hence the toggled guard.
#if defined(CONVKIT_KERNELS_ELEMENTWISE_MATH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef CONVKIT_KERNELS_ELEMENTWISE_MATH_INL_H_
#undef CONVKIT_KERNELS_ELEMENTWISE_MATH_INL_H_
#else
#define CONVKIT_KERNELS_ELEMENTWISE_MATH_INL_H_
#endif

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace convkit::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class D>
using Lane = hn::TFromD<D>;
template <class D>
using Vector = hn::Vec<D>;

template <class D>
HWY_INLINE Vector<D> constant(D d, double value) {
  return hn::Set(d, static_cast<Lane<D>>(value));
}

inline constexpr double kInfinity = std::numeric_limits<double>::infinity();

// x clamped to [low, high]; NaN stays NaN on every target. (Min and Max of NaN differ by target: on
// x86 they are the second operand.)
template <class D>
HWY_INLINE Vector<D> clamped(D d, Vector<D> x, double low, double high) {
  const auto lower = constant(d, low);
  const auto upper = constant(d, high);
#if HWY_TARGET <= HWY_SSE2
  return hn::Max(lower, hn::Min(upper, x));
#else
  return hn::IfThenElse(hn::Lt(x, lower), lower, hn::IfThenElse(hn::Gt(x, upper), upper, x));
#endif
}

// e^x within 1 ulp (Highway's polynomial, which is undefined far outside of the range and loses
// NaN).
template <class D>
HWY_INLINE Vector<D> exp_of(D d, Vector<D> x) {
  constexpr bool kSingle = sizeof(Lane<D>) == 4;
  const auto y = hn::Exp(d, clamped(d, x, kSingle ? -104.0 : -1000.0, kSingle ? 89.0 : 710.0));
  return hn::IfThenElse(hn::IsNaN(x), x, y);
}

// e^x − 1 within 4 ulp for x ≤ 0, and −1 < … < 0 there for all that is not rounded to a limit.
template <class D>
HWY_INLINE Vector<D> expm1_of(D d, Vector<D> x) {
  const auto y = hn::Expm1(d, clamped(d, x, -104.0, 0.0));
  return hn::IfThenElse(hn::IsNaN(x), x, y);
}

template <class D>
HWY_INLINE Vector<D> log_of(D d, Vector<D> x) {
  const auto zero = hn::Zero(d);
  const auto infinity = constant(d, std::numeric_limits<double>::infinity());
  auto y = hn::Log(d, x);
  y = hn::IfThenElse(hn::Eq(x, zero), hn::Neg(infinity), y);
  y = hn::IfThenElse(hn::Lt(x, zero), constant(d, std::numeric_limits<double>::quiet_NaN()), y);
  return hn::IfThenElse(hn::Or(hn::IsNaN(x), hn::Eq(x, infinity)), x, y);
}

// 1 + e^−x. In float: e^−x = 2^n·e^r, |r| ≤ ln 2 / 2, with n·ln 2 taken off in two parts as Cody
// and Waite do, and e^r = 1 + r + r²·Q(r). Q, of degree 4, is fitted to a relative error of e^r of
// 3.6e-9, a sixteenth of its rounding. Infinite from x = −89 down, 1 from 87 up.
template <class D, hwy::EnableIf<sizeof(Lane<D>) == 4>* = nullptr>
HWY_INLINE Vector<D> one_plus_exp_neg(D d, Vector<D> x) {
  constexpr double kCoefficients[] = {0.00138145394, 0.00836874545, 0.041668389, 0.166665211,
                                      0.49999994};
  const hn::RebindToSigned<D> di;
  const auto one = constant(d, 1.0);
  x = clamped(d, x, -89.0, 87.0);
  const auto n = hn::Round(hn::Mul(x, constant(d, -1.44269504)));
  auto r = hn::NegMulSub(n, constant(d, 0.693359375), x);
  r = hn::NegMulAdd(n, constant(d, -2.12194440e-4), r);
  auto q = constant(d, kCoefficients[0]);
  for (int i = 1; i < 5; ++i) q = hn::MulAdd(q, r, constant(d, kCoefficients[i]));
  const auto e_r = hn::Add(one, hn::MulAdd(hn::Mul(r, r), q, r));
  const auto exponent = hn::Add(hn::ConvertTo(di, n), hn::Set(di, 127));
  return hn::MulAdd(e_r, hn::BitCast(d, hn::ShiftLeft<23>(exponent)), one);
}
template <class D, hwy::EnableIf<sizeof(Lane<D>) == 8>* = nullptr>
HWY_INLINE Vector<D> one_plus_exp_neg(D d, Vector<D> x) {
  return hn::Add(constant(d, 1.0), exp_of(d, hn::Neg(x)));
}

template <class D>
HWY_INLINE Vector<D> sigmoid_of(D d, Vector<D> x) {
  return hn::Div(constant(d, 1.0), one_plus_exp_neg(d, x));
}

template <class D>
HWY_INLINE Vector<D> tanh_of(D d, Vector<D> x) {
  return hn::IfThenElse(hn::IsNaN(x), x, hn::Tanh(d, clamped(d, x, -30.0, 30.0)));
}

// From here on e^(−a²/2) is 0, and e^(−a²/2) times the largest number is too.
template <class D>
inline constexpr double kGaussEnd = sizeof(Lane<D>) == 4 ? 15.0 : 50.0;

// e^(−a²/2) for 0 ≤ a ≤ kGaussEnd: the rounding error of a² would cost a²/2 ulp, so it is put
// right.
template <class D>
HWY_INLINE Vector<D> gauss_of(D d, Vector<D> a) {
  const auto half = constant(d, 0.5);
  const auto square = hn::Mul(a, a);
  const auto rest = hn::MulSub(a, a, square);
  const auto y = hn::Exp(d, hn::Neg(hn::Mul(half, square)));
  return hn::NegMulAdd(hn::Mul(half, rest), y, y);
}

// Φ(−a) for 0 ≤ a ≤ 15 in float: e^(−a²/2)·t·P(t), t = 1 / (1 + a/4). P is a Chebyshev fit of
// degree 9 of erfc(a/√2)·e^(a²/2) / 2t for a ≤ 14, where floats end; with its coefficients rounded
// to float it is within 1.5e-8 of the function, a quarter of an ulp.
template <class D, hwy::EnableIf<sizeof(Lane<D>) == 4>* = nullptr>
HWY_INLINE Vector<D> normal_tail(D d, Vector<D> a) {
  constexpr double kCoefficients[] = {0.0153836031,   -0.0563454628, 0.0366152562, 0.0483180843,
                                      -0.00367795932, 0.0953755677,  0.0690116361, 0.0961508676,
                                      0.099416621,    0.0997517928};
  const auto one = constant(d, 1.0);
  const auto t = hn::Div(one, hn::MulAdd(a, constant(d, 0.25), one));
  auto p = constant(d, kCoefficients[0]);
  for (int i = 1; i < 10; ++i) p = hn::MulAdd(p, t, constant(d, kCoefficients[i]));
  return hn::Mul(gauss_of(d, a), hn::Mul(p, t));
}

// The same in double, lane by lane: it serves gradient checks.
template <class D, hwy::EnableIf<sizeof(Lane<D>) == 8>* = nullptr>
HWY_INLINE Vector<D> normal_tail(D d, Vector<D> a) {
  HWY_ALIGN double lanes[HWY_MAX_BYTES / sizeof(double)];
  hn::Store(a, d, lanes);
  for (std::size_t i = 0; i < hn::Lanes(d); ++i)
    lanes[i] = 0.5 * std::erfc(lanes[i] * 0.70710678118654752);
  return hn::Load(d, lanes);
}

// Φ(x), the distribution function of the normal distribution, accurate in both tails.
template <class D>
HWY_INLINE Vector<D> normal_cdf(D d, Vector<D> x) {
  const auto tail = normal_tail(d, clamped(d, hn::Abs(x), 0.0, kGaussEnd<D>));
  return hn::IfThenElse(hn::Lt(x, hn::Zero(d)), tail, hn::Sub(constant(d, 1.0), tail));
}

// φ(x), its density.
template <class D>
HWY_INLINE Vector<D> normal_pdf(D d, Vector<D> x) {
  return hn::Mul(constant(d, 0.39894228040143268),
                 gauss_of(d, clamped(d, hn::Abs(x), 0.0, kGaussEnd<D>)));
}

// y[i] = function(d, x[i]) over arrays. The last, partial vector goes by way of a copy, so that an
// element's result does not depend on its place. (By the same code: a second copy of every function
// would double the library's.)
template <class D, class Function>
HWY_INLINE void for_each_vector(D d, int64_t count, const Lane<D>* x, Lane<D>* y,
                                const Function& function) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  HWY_ALIGN Lane<D> in[HWY_MAX_BYTES / sizeof(Lane<D>)];
  HWY_ALIGN Lane<D> out[HWY_MAX_BYTES / sizeof(Lane<D>)];
  for (int64_t i = 0; i < count; i += lanes) {
    const int64_t left = count - i;
    const Lane<D>* from = x + i;
    Lane<D>* to = y + i;
    if (HWY_UNLIKELY(left < lanes)) {
      std::memset(in, 0, sizeof(in));
      std::memcpy(in, from, static_cast<std::size_t>(left) * sizeof(Lane<D>));
      from = in;
      to = out;
    }
    hn::StoreU(function(d, hn::LoadU(d, from)), d, to);
    if (HWY_UNLIKELY(left < lanes))
      std::memcpy(y + i, out, static_cast<std::size_t>(left) * sizeof(Lane<D>));
  }
}

// y[i] = function(d, a[i], b[i]).
template <class D, class Function>
HWY_INLINE void for_each_vector(D d, int64_t count, const Lane<D>* a, const Lane<D>* b, Lane<D>* y,
                                const Function& function) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  HWY_ALIGN Lane<D> in_a[HWY_MAX_BYTES / sizeof(Lane<D>)];
  HWY_ALIGN Lane<D> in_b[HWY_MAX_BYTES / sizeof(Lane<D>)];
  HWY_ALIGN Lane<D> out[HWY_MAX_BYTES / sizeof(Lane<D>)];
  for (int64_t i = 0; i < count; i += lanes) {
    const int64_t left = count - i;
    const Lane<D>* from_a = a + i;
    const Lane<D>* from_b = b + i;
    Lane<D>* to = y + i;
    if (HWY_UNLIKELY(left < lanes)) {
      const std::size_t bytes = static_cast<std::size_t>(left) * sizeof(Lane<D>);
      std::memset(in_a, 0, sizeof(in_a));
      std::memset(in_b, 0, sizeof(in_b));
      std::memcpy(in_a, from_a, bytes);
      std::memcpy(in_b, from_b, bytes);
      from_a = in_a;
      from_b = in_b;
      to = out;
    }
    hn::StoreU(function(d, hn::LoadU(d, from_a), hn::LoadU(d, from_b)), d, to);
    if (HWY_UNLIKELY(left < lanes))
      std::memcpy(y + i, out, static_cast<std::size_t>(left) * sizeof(Lane<D>));
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace convkit::kernels
HWY_AFTER_NAMESPACE();

#endif  // CONVKIT_KERNELS_ELEMENTWISE_MATH_INL_H_
