#pragma once

#include <cstdint>

#include "convkit/base/export.h"
#include "convkit/kernels/reduce.h"

/// Softmax and its relatives over one axis of [outer][extent][inner] (see reduce.h), on plain
/// pointers. The largest element is subtracted first, so that nothing overflows. Arrays of double
/// serve gradient checks. Outputs may be the inputs of the same type.
namespace convkit::kernels {

enum class SoftmaxKind : uint8_t {
  softmax,      ///< y_k = e^(x_k) / Σ_j e^(x_j)
  log_softmax,  ///< y_k = x_k − log Σ_j e^(x_j)
};

template <class T>
CONVKIT_API void softmax_forward(SoftmaxKind kind, const AxisGeometry& geometry, const T* x, T* y);
/// From the forward's output y: softmax: dx_k = y_k · (dy_k − Σ_j dy_j·y_j);
/// log_softmax: dx_k = dy_k − e^(y_k) · Σ_j dy_j.
template <class T>
CONVKIT_API void softmax_backward(SoftmaxKind kind, const AxisGeometry& geometry, const T* y,
                                  const T* dy, T* dx);

/// What is needed of a row of logits to find the logarithm of a class's probability,
/// (x_k − largest) − log_sum, without losing digits.
template <class T>
struct RowStatistics {
  T largest;
  T log_sum;  ///< log Σ_j e^(x_j − largest)
};
/// statistics[r] of the dense rows x[r, 0 … classes).
template <class T>
CONVKIT_API void softmax_statistics(int64_t rows, int64_t classes, const T* x,
                                    RowStatistics<T>* statistics);
/// y[r, k] = scale[r] · softmax(x[r])_k.
template <class T>
CONVKIT_API void scaled_softmax(int64_t rows, int64_t classes, const T* x,
                                const RowStatistics<T>* statistics, const T* scale, T* y);

#define CONVKIT_DECLARE_SOFTMAX(T)                                                              \
  extern template CONVKIT_API void softmax_forward(SoftmaxKind, const AxisGeometry&, const T*,  \
                                                   T*);                                         \
  extern template CONVKIT_API void softmax_backward(SoftmaxKind, const AxisGeometry&, const T*, \
                                                    const T*, T*);                              \
  extern template CONVKIT_API void softmax_statistics(int64_t, int64_t, const T*,               \
                                                      RowStatistics<T>*);                       \
  extern template CONVKIT_API void scaled_softmax(int64_t, int64_t, const T*,                   \
                                                  const RowStatistics<T>*, const T*, T*);
CONVKIT_DECLARE_SOFTMAX(float)
CONVKIT_DECLARE_SOFTMAX(double)
#undef CONVKIT_DECLARE_SOFTMAX

}  // namespace convkit::kernels
