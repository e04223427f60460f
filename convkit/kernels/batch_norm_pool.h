#pragma once

#include "convkit/kernels/batch_norm.h"
#include "convkit/kernels/pool.h"

/// Batch normalisation, ReLU and max pool as one operation: the tensor between norm and pool, the
/// largest of the three, is never stored, nor is its gradient.
///
///   y = max_pool(max(x̂·weight + bias, 0)),   x̂ = (x − mean)·invstd
///
/// x is [batch][in positions][channels] of the pool's geometry; layout, pointers and threads are as
/// in batch_norm.h and pool.h, `affine.relu` is not read. Values and gradients have the bits of the
/// separate operations: backward, blocks of the gradient between them are made in the cache and
/// read there. `taps` is required where there shall be a backward, with the bounds of
/// normalized_max_pool_forward.
namespace convkit::kernels {

template <class T>
void batch_norm_pool_forward(const PoolGeometry& geometry, const BatchNormAffine<T>& affine,
                             const T* x, T* y, const PoolTaps& taps);

/// Σ_r dn and Σ_r dn·x̂ per channel, dn being the gradient before the ReLU: those of bias and
/// weight. dy is that of y.
template <class T>
void batch_norm_pool_gradient_sums(const PoolGeometry& geometry, const BatchNormAffine<T>& affine,
                                   const T* x, const T* dy, const PoolTaps& taps,
                                   const BatchNormSums& sums);

/// Gradient of the input when mean and invstd are the batch's own, from these sums. dx may be x.
template <class T>
void batch_norm_pool_backward(const PoolGeometry& geometry, const BatchNormAffine<T>& affine,
                              const T* x, const T* dy, const PoolTaps& taps,
                              const BatchNormSums& sums, T* dx);

/// Gradient of the input when mean and invstd are constants.
template <class T>
void batch_norm_pool_backward_constant(const PoolGeometry& geometry,
                                       const BatchNormAffine<T>& affine, const T* dy,
                                       const PoolTaps& taps, T* dx);

#define CONVKIT_DECLARE_BATCH_NORM_POOL(T)                                                 \
  extern template CONVKIT_API void batch_norm_pool_forward(                                \
      const PoolGeometry&, const BatchNormAffine<T>&, const T*, T*, const PoolTaps&);      \
  extern template CONVKIT_API void batch_norm_pool_gradient_sums(                          \
      const PoolGeometry&, const BatchNormAffine<T>&, const T*, const T*, const PoolTaps&, \
      const BatchNormSums&);                                                               \
  extern template CONVKIT_API void batch_norm_pool_backward(                               \
      const PoolGeometry&, const BatchNormAffine<T>&, const T*, const T*, const PoolTaps&, \
      const BatchNormSums&, T*);                                                           \
  extern template CONVKIT_API void batch_norm_pool_backward_constant(                      \
      const PoolGeometry&, const BatchNormAffine<T>&, const T*, const PoolTaps&, T*);
CONVKIT_DECLARE_BATCH_NORM_POOL(float)
CONVKIT_DECLARE_BATCH_NORM_POOL(double)
#undef CONVKIT_DECLARE_BATCH_NORM_POOL

}  // namespace convkit::kernels
