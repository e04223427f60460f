#pragma once

#include <vector>

#include "convkit/ops/conv.h"
#include "convkit/tensor/tensor.h"

namespace convkit::ops {

/// How much to add at both ends of the last axes of a tensor, in the tensor's order of axes: for
/// (N, C, H, W), `lo = {top, left}, hi = {bottom, right}`. (PyTorch lists the last axis first.)
struct PadParams {
  std::vector<int64_t> lo;  ///< before the first element; negative crops
  std::vector<int64_t> hi;  ///< after the last element; as many numbers as lo
  PaddingMode mode = PaddingMode::zeros;
  double value = 0;  ///< what PaddingMode::zeros fills with
};

/// y[..., i, ...] = x[..., source(i − lo), ...] on each padded axis of n elements, where source(j)
/// is j inside; outside, PaddingMode::zeros puts `value`, reflect mirrors at the border element (−j
/// or 2(n − 1) − j), replicate repeats it, and circular takes j mod n.
///
/// Recorded; the gradient of an element is the sum over its copies. As in PyTorch, reflect needs
/// lo, hi < n, circular lo, hi ≤ n and replicate n ≥ 1; else, or if less than nothing is left,
/// ShapeError. ValueError if lo and hi differ in length or exceed the rank.
CONVKIT_API Tensor pad(const Tensor& x, const PadParams& params);

}  // namespace convkit::ops
