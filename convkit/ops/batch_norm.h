#pragma once

#include "convkit/ops/pool.h"
#include "convkit/tensor/tensor.h"

namespace convkit::ops {

/// Parameters of batch normalisation, with torch.nn.functional.batch_norm's names and defaults.
struct BatchNormParams {
  bool training = false;  ///< statistics of the batch; otherwise the running ones
  double momentum = 0.1;  ///< weight of the new statistics in the running ones
  double eps = 1e-5;      ///< added to the variance
};

/// Batch normalisation (Ioffe and Szegedy 2015) over all axes but the channels, axis 1:
///
///   y = (x − mean) / √(variance + eps) · weight + bias,   x, y: (N, C) or (N, C, spatial...)
///
/// with one mean and variance per channel: in training those of the batch (biased: Σ(x − mean)² / M
/// over its M = N · positions values), otherwise running_mean and running_var. weight and bias are
/// (C) or undefined, for 1 and 0.
///
/// Training also updates the running statistics in place, where given, with the unbiased variance:
///   running ← (1 − momentum) · running + momentum · batch,   batch variance · M / (M − 1);
/// an empty batch leaves them alone.
///
/// All tensors have the type of x, float32 or float64 (DTypeError). Throws ShapeError for an x of
/// rank < 2 or tensors without C values, ValueError for an undefined x, for training on one value
/// per channel (whose variance is 0), or without running statistics outside of training.
/// On the tape the inputs are x, weight, bias, running_mean, running_var.
CONVKIT_API Tensor batch_norm(const Tensor& x, const Tensor& running_mean,
                              const Tensor& running_var, const Tensor& weight = Tensor(),
                              const Tensor& bias = Tensor(), const BatchNormParams& params = {});

/// y = max(batch_norm(x, …) + residual, 0) in one pass over memory, and one backward with one pass
/// for the sums and one for the gradients: neither the normalised values nor their sum with the
/// residual are ever kept. `residual` has the shape of x; undefined, nothing is added. Values and
/// gradients have the bits of relu(add(batch_norm(x, …), residual)); errors are those of
/// batch_norm, and ShapeError or DTypeError for a residual unlike x. On the tape the inputs are
/// those of batch_norm, and the residual.
CONVKIT_API Tensor batch_norm_relu(const Tensor& x, const Tensor& residual,
                                   const Tensor& running_mean, const Tensor& running_var,
                                   const Tensor& weight = Tensor(), const Tensor& bias = Tensor(),
                                   const BatchNormParams& params = {});

template <int Rank>
struct BatchNormPoolParams {
  BatchNormParams norm = {};
  MaxPoolParams<Rank> pool = {};
};

/// y = max_pool(max(batch_norm(x, …), 0)): (N, C, spatial...) with Rank spatial axes in, the
/// pool's output size out. After the statistics one pass normalises, rectifies and pools; the
/// tensor between norm and pool is never stored, nor its gradient. Values and gradients have the
/// bits of max_pool(relu(batch_norm(x, …))); errors are those of batch_norm and max_pool. On the
/// tape the inputs are those of batch_norm.
template <int Rank>
CONVKIT_API Tensor batch_norm_relu_max_pool(const Tensor& x, const Tensor& running_mean,
                                            const Tensor& running_var, const Tensor& weight,
                                            const Tensor& bias,
                                            const BatchNormPoolParams<Rank>& params);

}  // namespace convkit::ops
