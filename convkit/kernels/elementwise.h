#pragma once

#include <array>
#include <cstdint>

#include "convkit/base/export.h"

/// Functions of single elements, on plain pointers, for float and double. Bodies exist for every
/// SIMD target and are chosen at run time; results do not depend on the number of threads, nor on
/// where in the array an element stands. NaN in gives NaN out.
namespace convkit::kernels {

/// y = f(x). `a` and `b` are those of UnaryParams. Where a gradient has a kink, it is PyTorch's.
enum class UnaryOp : uint8_t {
  relu,        ///< max(x, 0); f' = 0 at 0
  leaky_relu,  ///< x > 0 ? x : a·x
  relu6,       ///< min(max(x, 0), 6); f' = 0 at 0 and 6
  sigmoid,     ///< 1 / (1 + e^−x)
  tanh,        ///< hyperbolic tangent
  gelu,        ///< x·Φ(x), Φ the normal distribution function (Hendrycks and Gimpel 2016)
  gelu_tanh,  ///< x·(1 + tanh(√(2/π)·(x + 0.044715·x³))) / 2, the approximation of the same paper
  silu,       ///< x / (1 + e^−x)
  elu,        ///< x > 0 ? b·x : a·(e^x − 1)
  softplus,     ///< log(1 + e^x)
  mish,         ///< x·tanh(log(1 + e^x))
  hardswish,    ///< x·min(max(x + 3, 0), 6) / 6
  hardsigmoid,  ///< min(max(x + 3, 0), 6) / 6; f' = 0 at −3 and 3
  neg,          ///< −x
  exp,
  log,
  sqrt,
  abs,    ///< |x|; f' = 0 at 0
  clamp,  ///< min(max(x, a), b); f' = 1 at a and b
};

struct UnaryParams {
  double a = 0;
  double b = 0;
};

/// Which tensor the gradient of `op` is a function of: its output (then the op may run in place),
/// or its input.
constexpr bool gradient_uses_output(UnaryOp op) {
  return op == UnaryOp::relu || op == UnaryOp::relu6 || op == UnaryOp::sigmoid ||
         op == UnaryOp::tanh || op == UnaryOp::exp || op == UnaryOp::sqrt;
}

/// y[i] = f(x[i]); y may be x.
template <class T>
CONVKIT_API void unary_forward(UnaryOp op, const UnaryParams& params, int64_t count, const T* x,
                               T* y);
/// dx[i] = f'(saved[i]) · dy[i]; `saved` is x or y as gradient_uses_output says; dx may be dy.
template <class T>
CONVKIT_API void unary_backward(UnaryOp op, const UnaryParams& params, int64_t count,
                                const T* saved, const T* dy, T* dx);

/// One of the functions, with its parameters.
struct UnaryFunction {
  UnaryOp op = UnaryOp::relu;
  UnaryParams params = {};
};
/// y[i] = f(y[i]), on this thread alone.
CONVKIT_API void apply(const UnaryFunction& function, int64_t count, float* y);

enum class BinaryOp : uint8_t { add, sub, mul, div };

/// How two operands stretch over a result: extents of the result's axes in memory order, outermost
/// first, and the distance in memory between neighbours along each (0 where an operand repeats).
/// Axes of extent 1 and axes that can be walked as one are merged by make_broadcast. The innermost
/// strides are 0 or 1.
struct Broadcast {
  static constexpr int kMaxAxes = 8;
  int axes = 0;
  std::array<int64_t, kMaxAxes> extents{};
  std::array<int64_t, kMaxAxes> a_strides{};
  std::array<int64_t, kMaxAxes> b_strides{};
};
CONVKIT_API Broadcast make_broadcast(const Broadcast& axes);

/// y[i] = a[…] op b[…], y dense. y may be a (or b) where that operand does not repeat.
template <class T>
CONVKIT_API void binary(BinaryOp op, const Broadcast& broadcast, const T* a, const T* b, T* y);

/// y[r, c] = x[r, c] > 0 ? x[r, c] : w[c]·x[r, c] (He et al. 2015), x dense rows of `channels`.
template <class T>
CONVKIT_API void prelu_forward(int64_t rows, int64_t channels, const T* x, const T* w, T* y);
/// dx[r, c] = dy[r, c] · (x[r, c] > 0 ? 1 : w[c]), and w_terms[r, c] = dy[r, c] · min(x[r, c], 0),
/// whose sum over r is the gradient of w. Either result may be null.
template <class T>
CONVKIT_API void prelu_backward(int64_t rows, int64_t channels, const T* x, const T* w, const T* dy,
                                T* dx, T* w_terms);

#define CONVKIT_DECLARE_ELEMENTWISE(T)                                                            \
  extern template CONVKIT_API void unary_forward(UnaryOp, const UnaryParams&, int64_t, const T*,  \
                                                 T*);                                             \
  extern template CONVKIT_API void unary_backward(UnaryOp, const UnaryParams&, int64_t, const T*, \
                                                  const T*, T*);                                  \
  extern template CONVKIT_API void binary(BinaryOp, const Broadcast&, const T*, const T*, T*);    \
  extern template CONVKIT_API void prelu_forward(int64_t, int64_t, const T*, const T*, T*);       \
  extern template CONVKIT_API void prelu_backward(int64_t, int64_t, const T*, const T*, const T*, \
                                                  T*, T*);
CONVKIT_DECLARE_ELEMENTWISE(float)
CONVKIT_DECLARE_ELEMENTWISE(double)
#undef CONVKIT_DECLARE_ELEMENTWISE

}  // namespace convkit::kernels
