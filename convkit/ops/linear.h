#pragma once

#include "convkit/tensor/tensor.h"

namespace convkit::ops {

/// y[..., o] = bias[o] + Σ_i x[..., i] · weight[o, i]
///
/// with x: (..., in_features), weight: (out_features, in_features), bias: (out_features) or
/// undefined, y: (..., out_features); any number of leading axes, also none. Runs as a 1×1
/// convolution. Recorded. Throws ShapeError when features do not fit, DTypeError unless all are
/// float32 (or all float64).
CONVKIT_API Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias = Tensor());

}  // namespace convkit::ops
