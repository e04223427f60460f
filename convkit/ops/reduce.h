#pragma once

#include <vector>

#include "convkit/tensor/tensor.h"

/// Reductions, as PyTorch's. Sums have one order whatever the number of threads.
namespace convkit::ops {

/// Attributes of sum and mean for a tracer: the axes, normalised and ascending.
struct ReduceParams {
  std::vector<int64_t> dims;
  bool keepdim;
};

/// Σ x over the axes `dims` (which may count from the end; none given means all). The axes go, or
/// stay with extent 1 if keepdim. Recorded. Throws ShapeError for an axis that does not exist or is
/// named twice, DTypeError unless floating.
CONVKIT_API Tensor sum(const Tensor& x, const std::vector<int64_t>& dims = {},
                       bool keepdim = false);

/// The sum divided by the number of elements it takes in; NaN where that is none.
CONVKIT_API Tensor mean(const Tensor& x, const std::vector<int64_t>& dims = {},
                        bool keepdim = false);

/// Index (int64) of the first largest element along axis `dim`; NaN counts as the largest. Not
/// differentiable. Throws ShapeError for an axis that does not exist or is empty.
CONVKIT_API Tensor argmax(const Tensor& x, int64_t dim, bool keepdim = false);

}  // namespace convkit::ops
