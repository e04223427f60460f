#pragma once

#include <cstdint>

#include "convkit/base/export.h"

/// Batch normalisation (Ioffe and Szegedy, "Batch normalization", ICML 2015) on plain pointers.
///
/// A channels-last tensor is a matrix of `rows` = batch · positions by `channels`, both at least 1:
/// x[r·channels + c]. Statistics are held in double. All outputs are overwritten; pointers need no
/// alignment; an output may be its input (y = x, dx = dy) but must not overlap it otherwise. The
/// same bits come out whatever the number of threads.
namespace convkit::kernels {

struct BatchNormGeometry {
  int64_t rows;
  int64_t channels;
  /// Elements from row to row of x, for batch_norm_forward alone (y is dense, and not x); 0:
  /// channels.
  int64_t x_pitch = 0;
};

/// What a channel is normalised with, `channels` values each:
///   x̂ = (x − mean)·invstd,  y = x̂·weight + bias,
/// or, with `relu`, y = max(x̂·weight + bias, 0). A dy below is the gradient of that y: backward,
/// the ReLU's input is computed again (with the bits of the forward), so nobody need keep it, or y.
/// NaN passes the ReLU both ways, as in PyTorch.
template <class T>
struct BatchNormAffine {
  const double* mean;
  const double* invstd;
  const T* weight = nullptr;  ///< null: 1
  const T* bias = nullptr;    ///< null: 0
  bool relu = false;
};

/// mean[c] = Σ_r x / rows and variance[c] = Σ_r (x − mean)² / rows (the biased one).
///
/// Blocks of rows that fit into the cache are summed twice, the second time around the block's own
/// mean, and merged in double (Chan, Golub and LeVeque, "Algorithms for computing the sample
/// variance", 1983): data far from zero keep their variance as far as T resolves it.
template <class T>
void batch_norm_statistics(const BatchNormGeometry& geometry, const T* x, double* mean,
                           double* variance);

/// y = (x − mean)·invstd·weight + bias, with batch or running statistics alike.
template <class T>
void batch_norm_forward(const BatchNormGeometry& geometry, const BatchNormAffine<T>& affine,
                        const T* x, T* y);

/// y = max(x̂·weight + bias + residual, 0), the end of a residual block; `affine.relu` is not read.
template <class T>
void batch_norm_add_relu_forward(const BatchNormGeometry& geometry,
                                 const BatchNormAffine<T>& affine, const T* x, const T* residual,
                                 T* y);

/// Σ_r dy and Σ_r dy·x̂ per channel: the gradients of bias and weight.
struct BatchNormSums {
  double* dy;
  double* dy_xhat;
};
template <class T>
void batch_norm_gradient_sums(const BatchNormGeometry& geometry, const BatchNormAffine<T>& affine,
                              const T* x, const T* dy, const BatchNormSums& sums);

/// For batch_norm_add_relu_forward: dresidual = dy where y > 0, else 0, which is the gradient of
/// the residual and of the normalised values both, and the sums of it. `dresidual` may be `dy`. The
/// gradient of x is what batch_norm_backward, without `relu`, makes of it.
template <class T>
void batch_norm_add_relu_gradient(const BatchNormGeometry& geometry,
                                  const BatchNormAffine<T>& affine, const T* x, const T* y,
                                  const T* dy, const BatchNormSums& sums, T* dresidual);

/// Gradient of the input when mean and invstd are the batch's own:
///   dx = weight·invstd·(dy − Σdy / rows − x̂·Σ(dy·x̂) / rows).
template <class T>
void batch_norm_backward(const BatchNormGeometry& geometry, const BatchNormAffine<T>& affine,
                         const T* x, const T* dy, const BatchNormSums& sums, T* dx);

/// Gradient of the input when mean and invstd are constants: dx = weight·invstd·dy. x is
/// read for its sign after the normalisation, with `relu` only.
template <class T>
void batch_norm_backward_constant(const BatchNormGeometry& geometry,
                                  const BatchNormAffine<T>& affine, const T* x, const T* dy, T* dx);

#define CONVKIT_DECLARE_BATCH_NORM(T)                                                            \
  extern template CONVKIT_API void batch_norm_statistics(const BatchNormGeometry&, const T*,     \
                                                         double*, double*);                      \
  extern template CONVKIT_API void batch_norm_forward(const BatchNormGeometry&,                  \
                                                      const BatchNormAffine<T>&, const T*, T*);  \
  extern template CONVKIT_API void batch_norm_add_relu_forward(                                  \
      const BatchNormGeometry&, const BatchNormAffine<T>&, const T*, const T*, T*);              \
  extern template CONVKIT_API void batch_norm_gradient_sums(const BatchNormGeometry&,            \
                                                            const BatchNormAffine<T>&, const T*, \
                                                            const T*, const BatchNormSums&);     \
  extern template CONVKIT_API void batch_norm_add_relu_gradient(                                 \
      const BatchNormGeometry&, const BatchNormAffine<T>&, const T*, const T*, const T*,         \
      const BatchNormSums&, T*);                                                                 \
  extern template CONVKIT_API void batch_norm_backward(const BatchNormGeometry&,                 \
                                                       const BatchNormAffine<T>&, const T*,      \
                                                       const T*, const BatchNormSums&, T*);      \
  extern template CONVKIT_API void batch_norm_backward_constant(                                 \
      const BatchNormGeometry&, const BatchNormAffine<T>&, const T*, const T*, T*);
CONVKIT_DECLARE_BATCH_NORM(float)
CONVKIT_DECLARE_BATCH_NORM(double)
#undef CONVKIT_DECLARE_BATCH_NORM

}  // namespace convkit::kernels
