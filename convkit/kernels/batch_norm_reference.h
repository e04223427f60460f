#pragma once

#include <vector>

#include "convkit/kernels/batch_norm.h"

/// The oracle: the formulas of batch_norm.h as loops in double. For tests.
namespace convkit::kernels {

template <class T>
void reference_batch_norm_statistics(const BatchNormGeometry& g, const T* x, double* mean,
                                     double* variance) {
  const auto rows = static_cast<double>(g.rows);
  for (int64_t c = 0; c < g.channels; ++c) {
    double sum = 0.0;
    for (int64_t r = 0; r < g.rows; ++r) sum += static_cast<double>(x[r * g.channels + c]);
    mean[c] = sum / rows;
    double squares = 0.0;
    for (int64_t r = 0; r < g.rows; ++r) {
      const double d = static_cast<double>(x[r * g.channels + c]) - mean[c];
      squares += d * d;
    }
    variance[c] = squares / rows;
  }
}

/// x̂ of one element.
template <class T>
double reference_normalized(const BatchNormGeometry& g, const BatchNormAffine<T>& affine,
                            const T* x, int64_t r, int64_t c) {
  return (static_cast<double>(x[r * g.channels + c]) - affine.mean[c]) * affine.invstd[c];
}

template <class T>
void reference_batch_norm_forward(const BatchNormGeometry& g, const BatchNormAffine<T>& affine,
                                  const T* x, double* y) {
  for (int64_t r = 0; r < g.rows; ++r) {
    for (int64_t c = 0; c < g.channels; ++c) {
      const double weight = affine.weight == nullptr ? 1.0 : static_cast<double>(affine.weight[c]);
      const double bias = affine.bias == nullptr ? 0.0 : static_cast<double>(affine.bias[c]);
      y[r * g.channels + c] = reference_normalized(g, affine, x, r, c) * weight + bias;
    }
  }
}

template <class T>
void reference_batch_norm_gradient_sums(const BatchNormGeometry& g,
                                        const BatchNormAffine<T>& affine, const T* x, const T* dy,
                                        const BatchNormSums& sums) {
  for (int64_t c = 0; c < g.channels; ++c) {
    sums.dy[c] = 0.0;
    sums.dy_xhat[c] = 0.0;
    for (int64_t r = 0; r < g.rows; ++r) {
      const auto gradient = static_cast<double>(dy[r * g.channels + c]);
      sums.dy[c] += gradient;
      sums.dy_xhat[c] += gradient * reference_normalized(g, affine, x, r, c);
    }
  }
}

/// With batch statistics; `sums` as reference_batch_norm_gradient_sums gives them.
template <class T>
void reference_batch_norm_backward(const BatchNormGeometry& g, const BatchNormAffine<T>& affine,
                                   const T* x, const T* dy, const BatchNormSums& sums, double* dx) {
  const auto rows = static_cast<double>(g.rows);
  for (int64_t r = 0; r < g.rows; ++r) {
    for (int64_t c = 0; c < g.channels; ++c) {
      const double weight = affine.weight == nullptr ? 1.0 : static_cast<double>(affine.weight[c]);
      const double xhat = reference_normalized(g, affine, x, r, c);
      const auto gradient = static_cast<double>(dy[r * g.channels + c]);
      dx[r * g.channels + c] = weight * affine.invstd[c] *
                               (gradient - sums.dy[c] / rows - xhat * sums.dy_xhat[c] / rows);
    }
  }
}

}  // namespace convkit::kernels
