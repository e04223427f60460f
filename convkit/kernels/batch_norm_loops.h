#pragma once

#include <cstddef>
#include <cstdint>

#include "convkit/base/memory.h"
#include "convkit/kernels/batch_norm.h"

/// The innermost loops of batch normalisation, one set per instruction set. For batch_norm.cc only.
namespace convkit::kernels {

/// Per column (a, b, c, center, shift): five arrays in one. (x − center)·a + shift is what the
/// normalisation gives, also to backward loops.
template <class T>
struct Coefficients {
  explicit Coefficients(int64_t column_count)
      : columns(column_count), values(static_cast<std::size_t>(5 * columns)) {}

  const T* array(int64_t k) const { return values.data() + k * columns; }

  int64_t columns;
  Buffer<T> values;
};

/// Consecutive rows of `width` columns each.
struct Rows {
  int64_t count;
  int64_t width;
  bool streams = false;  ///< what is written goes past the caches: whole lines of memory
};

/// What the sums of a backward are taken over.
template <class T>
struct Gradient {
  const T* x;
  const T* dy;
  const T* y = nullptr;  ///< Gate::output: the ReLU's output
  T* through = nullptr;  ///< Gate::output: dy where y > 0 (or NaN), else 0

  Gradient from(int64_t element) const {
    return {x + element, dy + element, y == nullptr ? y : y + element,
            through == nullptr ? through : through + element};
  }
};

/// What a loop does about a ReLU behind the normalisation.
enum class Gate {
  none,        ///< there is none
  recomputed,  ///< its input is computed again, from x
  output,      ///< its output is given
};

template <class T>
struct BatchNormLoops {
  /// mean and Σ(x − mean)² of every column; `block` rows are summed in T, the blocks in double.
  /// `scratch` holds 3 · width elements.
  void (*statistics)(const Rows& rows, int64_t block, const T* x, T* scratch, double* mean,
                     double* squares);
  /// y = (x − center)·a + shift.
  void (*normalize)(const Rows& rows, const Coefficients<T>& k, const T* x, T* y);
  /// y = relu((x − center)·a + shift + residual); without a residual (null), there is none.
  void (*normalize_relu)(const Rows& rows, const Coefficients<T>& k, const T* x, const T* residual,
                         T* y);
  /// Σ dy and Σ dy·(x − center) of every column. `scratch` holds 2 · width elements.
  void (*gradient_sums)(const Rows& rows, const Coefficients<T>& k, const Gradient<T>& gradient,
                        T* scratch, const BatchNormSums& sums);
  /// The same of dy where the ReLU is open; with Gate::output, which keeps that in
  /// gradient.through.
  void (*gradient_sums_recomputed)(const Rows& rows, const Coefficients<T>& k,
                                   const Gradient<T>& gradient, T* scratch,
                                   const BatchNormSums& sums);
  void (*gradient_sums_output)(const Rows& rows, const Coefficients<T>& k,
                               const Gradient<T>& gradient, T* scratch, const BatchNormSums& sums);
  /// dx = a·dy + b·(x − center) + c; `relu`: of dy where the ReLU is open.
  void (*backward)(const Rows& rows, const Coefficients<T>& k, const T* x, const T* dy, T* dx);
  void (*backward_relu)(const Rows& rows, const Coefficients<T>& k, const T* x, const T* dy, T* dx);
  /// dx = a·dy; the second, of dy where the ReLU is open.
  void (*scale)(const Rows& rows, const Coefficients<T>& k, const T* x, const T* dy, T* dx);
  void (*scale_relu)(const Rows& rows, const Coefficients<T>& k, const T* x, const T* dy, T* dx);
};

/// Numbers of type T are added one after the other over this many rows, then in double.
inline constexpr int64_t kRowsPerSum = 64;

/// The loops for the instruction set of this machine; float and double.
template <class T>
BatchNormLoops<T> batch_norm_loops();

}  // namespace convkit::kernels
