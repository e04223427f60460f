#pragma once

#include "convkit/base/extents.h"
#include "convkit/tensor/tensor.h"

/// Pools to a given output size, whatever the input's, for 1, 2 and 3 spatial axes:
/// (N, C, spatial...) → (N, C, output_size...), or both unbatched. On each axis output o sees the
/// inputs ⌊o·in / out⌋ … ⌈(o + 1)·in / out⌉ − 1, so that windows may overlap and differ by one.
namespace convkit::ops {

/// As an output size: the input's own extent on that axis (PyTorch's None).
inline constexpr int64_t kKeepExtent = -1;

/// Parameter of adaptive pools. Required.
template <int Rank>
struct AdaptivePoolParams {
  Extents<Rank> output_size = 0;  ///< at least 1, or kKeepExtent
};

/// Throws ValueError for an output size no input could be given.
template <int Rank>
CONVKIT_API void validate(const AdaptivePoolParams<Rank>& params, const char* op);

/// The mean of each window; with output_size 1 over all positions of each image ("global average
/// pool"). Recorded; float32 or float64. Throws ShapeError, ValueError or DTypeError in words.
template <int Rank>
CONVKIT_API Tensor adaptive_avg_pool(const Tensor& x, const AdaptivePoolParams<Rank>& params);

/// The largest value of each window; among equals the first wins, and a NaN over any number.
/// Recorded; types and errors as above.
template <int Rank>
CONVKIT_API Tensor adaptive_max_pool(const Tensor& x, const AdaptivePoolParams<Rank>& params);

inline Tensor adaptive_avg_pool1d(const Tensor& x, const Extents<1>& output_size) {
  return adaptive_avg_pool<1>(x, {output_size});
}
inline Tensor adaptive_avg_pool2d(const Tensor& x, const Extents<2>& output_size) {
  return adaptive_avg_pool<2>(x, {output_size});
}
inline Tensor adaptive_avg_pool3d(const Tensor& x, const Extents<3>& output_size) {
  return adaptive_avg_pool<3>(x, {output_size});
}
inline Tensor adaptive_max_pool1d(const Tensor& x, const Extents<1>& output_size) {
  return adaptive_max_pool<1>(x, {output_size});
}
inline Tensor adaptive_max_pool2d(const Tensor& x, const Extents<2>& output_size) {
  return adaptive_max_pool<2>(x, {output_size});
}
inline Tensor adaptive_max_pool3d(const Tensor& x, const Extents<3>& output_size) {
  return adaptive_max_pool<3>(x, {output_size});
}

}  // namespace convkit::ops
