#pragma once

#include "convkit/tensor/tensor.h"

namespace convkit::ops {

/// Attributes of softmax and log_softmax for a tracer.
struct SoftmaxParams {
  int64_t dim;
};

/// y_k = e^(x_k) / Σ_j e^(x_j), k and j running over axis `dim` (which may count from the end), for
/// each index of the other axes; computed after subtracting the largest x_j. y has x's shape.
/// Recorded. Throws ShapeError for an axis that does not exist, DTypeError unless floating.
CONVKIT_API Tensor softmax(const Tensor& x, int64_t dim);

/// log softmax(x, dim) = x_k − log Σ_j e^(x_j), without losing digits where a probability is small.
CONVKIT_API Tensor log_softmax(const Tensor& x, int64_t dim);

}  // namespace convkit::ops
