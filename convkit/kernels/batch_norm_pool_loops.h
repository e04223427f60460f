#pragma once

#include "convkit/kernels/batch_norm_loops.h"
#include "convkit/kernels/pool.h"

/// The loops of a batch norm's backward that read the gradient through a max pool whose windows are
/// apart, one set per instruction set. For batch_norm_pool.cc only.
namespace convkit::kernels {

/// What stands behind the norm.
template <class T>
struct PooledGradient {
  const PoolGeometry& geometry;  ///< is_apart()
  const T* dy;
  PoolTaps taps;  ///< without those of windows that a ReLU shut
};

/// Over the input positions of `range`; x and dx start with the first of them. The bits are those
/// of the same loops in BatchNormLoops on the gradient that max_pool_backward makes.
template <class T>
struct BatchNormPoolLoops {
  void (*gradient_sums)(const PooledGradient<T>& gradient, const PoolRange& range,
                        const Coefficients<T>& k, const T* x, T* scratch,
                        const BatchNormSums& sums);
  void (*backward)(const PooledGradient<T>& gradient, const PoolRange& range,
                   const Coefficients<T>& k, const T* x, T* dx);
};

/// The loops for the instruction set of this machine; float and double.
template <class T>
BatchNormPoolLoops<T> batch_norm_pool_loops();

}  // namespace convkit::kernels
