// The table of elementwise functions: each one's value, and its gradient as PyTorch defines it.
// Included once per SIMD target, hence the toggled guard.
#if defined(CONVKIT_KERNELS_ELEMENTWISE_FUNCTIONS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef CONVKIT_KERNELS_ELEMENTWISE_FUNCTIONS_INL_H_
#undef CONVKIT_KERNELS_ELEMENTWISE_FUNCTIONS_INL_H_
#else
#define CONVKIT_KERNELS_ELEMENTWISE_FUNCTIONS_INL_H_
#endif

#include "convkit/kernels/elementwise_math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace convkit::kernels {
namespace HWY_NAMESPACE {

// One row of the table: kernels::UnaryOp's name, the struct that computes it.
// clang-format off
#define CONVKIT_UNARY_TABLE(ROW) \
  ROW(relu, Relu) \
  ROW(leaky_relu, LeakyRelu) \
  ROW(relu6, Relu6) \
  ROW(sigmoid, Sigmoid) \
  ROW(tanh, Tanh) \
  ROW(gelu, Gelu) \
  ROW(gelu_tanh, GeluTanh) \
  ROW(silu, Silu) \
  ROW(elu, Elu) \
  ROW(softplus, Softplus) \
  ROW(mish, Mish) \
  ROW(hardswish, Hardswish) \
  ROW(hardsigmoid, Hardsigmoid) \
  ROW(neg, Neg) \
  ROW(exp, Exp) \
  ROW(log, Log) \
  ROW(sqrt, Sqrt) \
  ROW(abs, Abs) \
  ROW(clamp, Clamp)
// clang-format on

// value(d, x) and gradient(d, saved, dy), saved being x or y (see gradient_uses_output).
template <class T>
struct Function {
  T a;
  T b;
};

template <class T>
struct Relu : Function<T> {
  template <class D, class V = Vector<D>>
  HWY_INLINE V value(D d, V x) const {
    return hn::IfThenZeroElse(hn::Lt(x, hn::Zero(d)), x);
  }
  template <class D, class V = Vector<D>>
  HWY_INLINE V gradient(D d, V y, V dy) const {
    return hn::IfThenZeroElse(hn::Le(y, hn::Zero(d)), dy);
  }
};

template <class T>
struct LeakyRelu : Function<T> {
  template <class D, class V = Vector<D>>
  HWY_INLINE V value(D d, V x) const {
    return hn::IfThenElse(hn::Gt(x, hn::Zero(d)), x, hn::Mul(x, hn::Set(d, this->a)));
  }
  template <class D, class V = Vector<D>>
  HWY_INLINE V gradient(D d, V x, V dy) const {
    return hn::IfThenElse(hn::Gt(x, hn::Zero(d)), dy, hn::Mul(dy, hn::Set(d, this->a)));
  }
};

template <class T>
struct Relu6 : Function<T> {
  template <class D, class V = Vector<D>>
  HWY_INLINE V value(D d, V x) const {
    return clamped(d, x, 0.0, 6.0);
  }
  template <class D, class V = Vector<D>>
  HWY_INLINE V gradient(D d, V y, V dy) const {
    return hn::IfThenZeroElse(hn::Or(hn::Le(y, hn::Zero(d)), hn::Ge(y, constant(d, 6.0))), dy);
  }
};

template <class T>
struct Sigmoid : Function<T> {
  template <class D, class V = Vector<D>>
  HWY_INLINE V value(D d, V x) const {
    return sigmoid_of(d, x);
  }
  template <class D, class V = Vector<D>>
  HWY_INLINE V gradient(D d, V y, V dy) const {
    return hn::Mul(dy, hn::Mul(y, hn::Sub(constant(d, 1.0), y)));
  }
};

template <class T>
struct Tanh : Function<T> {
  template <class D, class V = Vector<D>>
  HWY_INLINE V value(D d, V x) const {
    return tanh_of(d, x);
  }
  template <class D, class V = Vector<D>>
  HWY_INLINE V gradient(D d, V y, V dy) const {
    return hn::Mul(dy, hn::NegMulAdd(y, y, constant(d, 1.0)));
  }
};

template <class T>
struct Gelu : Function<T> {
  template <class D, class V = Vector<D>>
  HWY_INLINE V value(D d, V x) const {
    return hn::Mul(x, normal_cdf(d, x));
  }
  template <class D, class V = Vector<D>>
  HWY_INLINE V gradient(D d, V x, V dy) const {
    return hn::Mul(dy, hn::MulAdd(x, normal_pdf(d, x), normal_cdf(d, x)));
  }
};

// (1 + tanh u) / 2 is the sigmoid of 2u, which keeps its digits for negative u.
template <class T>
struct GeluTanh : Function<T> {
  static constexpr double kScale = 1.5957691216057308;  // 2·√(2/π)
  static constexpr double kCubic = 0.044715;
  template <class D, class V = Vector<D>>
  HWY_INLINE V gate(D d, V x) const {
    const V inner = hn::MulAdd(hn::Mul(x, x), constant(d, kCubic), constant(d, 1.0));
    return sigmoid_of(d, hn::Mul(hn::Mul(x, constant(d, kScale)), inner));
  }
  template <class D, class V = Vector<D>>
  HWY_INLINE V value(D d, V x) const {
    return hn::Mul(x, gate(d, x));
  }
  template <class D, class V = Vector<D>>
  HWY_INLINE V gradient(D d, V x, V dy) const {
    x = clamped(d, x, -30.0, 30.0);  // beyond, the gate is 0 or 1 and x³ would overflow
    const V s = gate(d, x);
    const V one = constant(d, 1.0);
    const V slope =
        hn::Mul(constant(d, kScale), hn::MulAdd(hn::Mul(x, x), constant(d, 3 * kCubic), one));
    const V rest = hn::Mul(hn::Mul(s, hn::Sub(one, s)), hn::Mul(x, slope));
    return hn::Mul(dy, hn::Add(s, rest));
  }
};

template <class T>
struct Silu : Function<T> {
  template <class D, class V = Vector<D>>
  HWY_INLINE V value(D d, V x) const {
    return hn::Div(x, one_plus_exp_neg(d, x));
  }
  template <class D, class V = Vector<D>>
  HWY_INLINE V gradient(D d, V x, V dy) const {
    const V s = sigmoid_of(d, x);
    const V one = constant(d, 1.0);
    return hn::Mul(dy, hn::Mul(s, hn::MulAdd(x, hn::Sub(one, s), one)));
  }
};

template <class T>
struct Elu : Function<T> {
  template <class D, class V = Vector<D>>
  HWY_INLINE V value(D d, V x) const {
    const V below = hn::Mul(hn::Set(d, this->a), expm1_of(d, x));
    return hn::IfThenElse(hn::Gt(x, hn::Zero(d)), hn::Mul(hn::Set(d, this->b), x), below);
  }
  template <class D, class V = Vector<D>>
  HWY_INLINE V gradient(D d, V x, V dy) const {
    const V below = hn::Mul(hn::Set(d, this->a), exp_of(d, x));
    return hn::Mul(dy, hn::IfThenElse(hn::Gt(x, hn::Zero(d)), hn::Set(d, this->b), below));
  }
};

template <class T>
struct Softplus : Function<T> {
  template <class D, class V = Vector<D>>
  HWY_INLINE V value(D d, V x) const {
    const V y = hn::Add(clamped(d, x, 0.0, std::numeric_limits<T>::max()),
                        hn::Log1p(d, exp_of(d, hn::Neg(hn::Abs(x)))));
    return hn::IfThenElse(hn::Or(hn::IsNaN(x), hn::IsInf(x)), clamped(d, x, 0.0, kInfinity), y);
  }
  template <class D, class V = Vector<D>>
  HWY_INLINE V gradient(D d, V x, V dy) const {
    return hn::Mul(dy, sigmoid_of(d, x));
  }
};

// tanh(log(1 + n)) = n·(n + 2) / (n·(n + 2) + 2), n = e^x, which loses no digits.
template <class T>
struct Mish : Function<T> {
  static constexpr double kEnd = 20;  // from here on it is 1
  template <class D, class V = Vector<D>>
  HWY_INLINE V gate(D d, V x) const {
    const V two = constant(d, 2.0);
    const V n = exp_of(d, clamped(d, x, -kInfinity, kEnd));
    const V product = hn::Mul(n, hn::Add(n, two));
    return hn::Div(product, hn::Add(product, two));
  }
  template <class D, class V = Vector<D>>
  HWY_INLINE V value(D d, V x) const {
    return hn::Mul(x, gate(d, x));
  }
  template <class D, class V = Vector<D>>
  HWY_INLINE V gradient(D d, V x, V dy) const {
    x = clamped(d, x, -100.0, 100.0);  // beyond, it is 0 or 1, and ∞·0 is not
    const V t = gate(d, x);
    const V rest = hn::Mul(hn::Mul(x, sigmoid_of(d, x)), hn::NegMulAdd(t, t, constant(d, 1.0)));
    return hn::Mul(dy, hn::Add(t, rest));
  }
};

template <class T>
struct Hardsigmoid : Function<T> {
  template <class D, class V = Vector<D>>
  HWY_INLINE V value(D d, V x) const {
    return hn::Mul(clamped(d, hn::Add(x, constant(d, 3.0)), 0.0, 6.0), constant(d, 1.0 / 6.0));
  }
  template <class D, class V = Vector<D>>
  HWY_INLINE V gradient(D d, V x, V dy) const {
    const auto inside = hn::Lt(hn::Abs(x), constant(d, 3.0));
    return hn::IfThenElseZero(inside, hn::Mul(dy, constant(d, 1.0 / 6.0)));
  }
};

template <class T>
struct Hardswish : Function<T> {
  template <class D, class V = Vector<D>>
  HWY_INLINE V value(D d, V x) const {
    return hn::Mul(x, Hardsigmoid<T>().value(d, x));
  }
  template <class D, class V = Vector<D>>
  HWY_INLINE V gradient(D d, V x, V dy) const {
    const V sloped = hn::Mul(dy, hn::MulAdd(x, constant(d, 1.0 / 3.0), constant(d, 0.5)));
    const V below = hn::IfThenZeroElse(hn::Lt(x, constant(d, -3.0)), sloped);
    return hn::IfThenElse(hn::Gt(x, constant(d, 3.0)), dy, below);
  }
};

template <class T>
struct Neg : Function<T> {
  template <class D, class V = Vector<D>>
  HWY_INLINE V value(D, V x) const {
    return hn::Neg(x);
  }
  template <class D, class V = Vector<D>>
  HWY_INLINE V gradient(D, V, V dy) const {
    return hn::Neg(dy);
  }
};

template <class T>
struct Exp : Function<T> {
  template <class D, class V = Vector<D>>
  HWY_INLINE V value(D d, V x) const {
    return exp_of(d, x);
  }
  template <class D, class V = Vector<D>>
  HWY_INLINE V gradient(D, V y, V dy) const {
    return hn::Mul(dy, y);
  }
};

template <class T>
struct Log : Function<T> {
  template <class D, class V = Vector<D>>
  HWY_INLINE V value(D d, V x) const {
    return log_of(d, x);
  }
  template <class D, class V = Vector<D>>
  HWY_INLINE V gradient(D, V x, V dy) const {
    return hn::Div(dy, x);
  }
};

template <class T>
struct Sqrt : Function<T> {
  template <class D, class V = Vector<D>>
  HWY_INLINE V value(D, V x) const {
    return hn::Sqrt(x);
  }
  template <class D, class V = Vector<D>>
  HWY_INLINE V gradient(D, V y, V dy) const {
    return hn::Div(dy, hn::Add(y, y));
  }
};

template <class T>
struct Abs : Function<T> {
  template <class D, class V = Vector<D>>
  HWY_INLINE V value(D, V x) const {
    return hn::Abs(x);
  }
  template <class D, class V = Vector<D>>
  HWY_INLINE V gradient(D d, V x, V dy) const {
    const V zero = hn::Zero(d);
    const V upper = hn::IfThenElseZero(hn::Gt(x, zero), dy);
    return hn::IfThenElse(hn::Lt(x, zero), hn::Neg(dy), upper);
  }
};

template <class T>
struct Clamp : Function<T> {
  template <class D, class V = Vector<D>>
  HWY_INLINE V value(D d, V x) const {
    const V low = hn::Set(d, this->a);
    const V high = hn::Set(d, this->b);
    const V above = hn::IfThenElse(hn::Lt(x, low), low, x);
    return hn::IfThenElse(hn::Gt(above, high), high, above);
  }
  template <class D, class V = Vector<D>>
  HWY_INLINE V gradient(D d, V x, V dy) const {
    const auto inside = hn::And(hn::Ge(x, hn::Set(d, this->a)), hn::Le(x, hn::Set(d, this->b)));
    return hn::IfThenElseZero(inside, dy);
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace convkit::kernels
HWY_AFTER_NAMESPACE();

#endif  // CONVKIT_KERNELS_ELEMENTWISE_FUNCTIONS_INL_H_
