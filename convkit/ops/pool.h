#pragma once

#include <limits>
#include <optional>

#include "convkit/base/extents.h"
#include "convkit/tensor/tensor.h"

/// Pools over sliding windows, for 1, 2 and 3 spatial axes: (N, C, spatial...) or unbatched
/// (C, spatial...) in, the same with the output sizes out. On each axis, as in PyTorch,
///
///   out = floor((in + 2·padding − dilation·(kernel_size − 1) − 1) / stride) + 1,
///
/// with ceil instead of floor in ceil_mode, but no window that would start in the padding at the
/// end.
namespace convkit::ops {

/// The default stride of a pool: its kernel_size.
inline constexpr int64_t kStrideOfKernel = std::numeric_limits<int64_t>::min();

/// Parameters of a max pool, in PyTorch's order (without return_indices). kernel_size is required.
template <int Rank>
struct MaxPoolParams {
  Extents<Rank> kernel_size = 0;
  Extents<Rank> stride = kStrideOfKernel;
  Extents<Rank> padding = 0;  ///< at most half of kernel_size; never wins
  Extents<Rank> dilation = 1;
  bool ceil_mode = false;
};

/// Parameters of an average pool, in PyTorch's order. kernel_size is required.
template <int Rank>
struct AvgPoolParams {
  Extents<Rank> kernel_size = 0;
  Extents<Rank> stride = kStrideOfKernel;
  Extents<Rank> padding = 0;  ///< at most half of kernel_size
  bool ceil_mode = false;
  bool count_include_pad = true;  ///< divide by the window's size with the zeros of the padding
  std::optional<int64_t> divisor_override = std::nullopt;  ///< divide by this instead
};

/// Throws ValueError or ShapeError for parameters that no input could satisfy.
template <int Rank>
CONVKIT_API void validate(const MaxPoolParams<Rank>& params);
template <int Rank>
CONVKIT_API void validate(const AvgPoolParams<Rank>& params);

/// The parameters with a stride in place of kStrideOfKernel.
template <class Params>
Params with_stride(Params params) {
  if (params.stride == decltype(params.stride)(kStrideOfKernel)) params.stride = params.kernel_size;
  return params;
}

/// y[n, c, o] = max_k x[n, c, o·stride − padding + k·dilation] over the k inside the input.
///
/// Among equal values the first in row-major order wins and alone receives the gradient; a NaN wins
/// over any number. Recorded; float32 or float64. Throws ShapeError, ValueError or DTypeError in
/// words. The tracer sees the parameters with the stride worked out.
template <int Rank>
CONVKIT_API Tensor max_pool(const Tensor& x, const MaxPoolParams<Rank>& params);
/// The shape of max_pool(x, params), without computing it; throws as that does.
template <int Rank>
CONVKIT_API Shape max_pool_shape(const Tensor& x, const MaxPoolParams<Rank>& params);

/// y[n, c, o] = Σ_k x[n, c, o·stride − padding + k] / size, with x = 0 in the padding.
///
/// `size` is the number of taps inside the padded input, with count_include_pad false inside the
/// input itself, or divisor_override. (What ceil_mode adds beyond the padding never counts.)
/// Recorded; types and errors as above.
template <int Rank>
CONVKIT_API Tensor avg_pool(const Tensor& x, const AvgPoolParams<Rank>& params);

inline Tensor max_pool1d(const Tensor& x, const MaxPoolParams<1>& params) {
  return max_pool(x, params);
}
inline Tensor max_pool2d(const Tensor& x, const MaxPoolParams<2>& params) {
  return max_pool(x, params);
}
inline Tensor max_pool3d(const Tensor& x, const MaxPoolParams<3>& params) {
  return max_pool(x, params);
}
inline Tensor avg_pool1d(const Tensor& x, const AvgPoolParams<1>& params) {
  return avg_pool(x, params);
}
inline Tensor avg_pool2d(const Tensor& x, const AvgPoolParams<2>& params) {
  return avg_pool(x, params);
}
inline Tensor avg_pool3d(const Tensor& x, const AvgPoolParams<3>& params) {
  return avg_pool(x, params);
}

}  // namespace convkit::ops
