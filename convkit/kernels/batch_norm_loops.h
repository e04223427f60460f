#pragma once

#include <cstddef>
#include <cstdint>

#include "convkit/base/memory.h"
#include "convkit/kernels/batch_norm.h"

/// The innermost loops of batch normalisation, one set per instruction set. For batch_norm.cc only.
namespace convkit::kernels {

/// Per column (a, b, c, center): four arrays in one.
template <class T>
struct Coefficients {
  explicit Coefficients(int64_t column_count)
      : columns(column_count), values(static_cast<std::size_t>(4 * columns)) {}

  const T* array(int64_t k) const { return values.data() + k * columns; }

  int64_t columns;
  Buffer<T> values;
};

/// Consecutive rows of `width` columns each.
struct Rows {
  int64_t count;
  int64_t width;
};

template <class T>
struct BatchNormLoops {
  /// mean and Σ(x − mean)² of every column; `block` rows are summed in T, the blocks in double.
  /// `scratch` holds 3 · width elements.
  void (*statistics)(const Rows& rows, int64_t block, const T* x, T* scratch, double* mean,
                     double* squares);
  /// y = (x − center)·a + b.
  void (*normalize)(const Rows& rows, const Coefficients<T>& k, const T* x, T* y);
  /// Σ dy and Σ dy·(x − center) of every column. `scratch` holds 2 · width elements.
  void (*gradient_sums)(const Rows& rows, const Coefficients<T>& k, const T* x, const T* dy,
                        T* scratch, const BatchNormSums& sums);
  /// dx = a·dy + b·(x − center) + c.
  void (*backward)(const Rows& rows, const Coefficients<T>& k, const T* x, const T* dy, T* dx);
  /// dx = a·dy.
  void (*scale)(const Rows& rows, const Coefficients<T>& k, const T* dy, T* dx);
};

/// Numbers of type T are added one after the other over this many rows, then in double.
inline constexpr int64_t kRowsPerSum = 64;

/// The loops for the instruction set of this machine; float and double.
template <class T>
BatchNormLoops<T> batch_norm_loops();

}  // namespace convkit::kernels
