#pragma once

#include <cstddef>
#include <string>

#include "convkit/autograd/record.h"
#include "convkit/kernels/pool.h"
#include "convkit/ops/pool.h"

/// For the sources of pools only: what sliding and adaptive pools share once their windows are
/// known.
namespace convkit::ops {

/// Where axis `axis` of `rank` spatial ones stands among the kernels' three: the last ones.
constexpr std::size_t kernel_axis(int rank, int axis) {
  return static_cast<std::size_t>(kernels::kAxes - rank) + static_cast<std::size_t>(axis);
}
/// "depth", "height" or "width".
const char* name_of_axis(int rank, int axis);

/// Throws unless `x` is a floating tensor (N, C, spatial...), or (C, spatial...), with `rank`
/// spatial axes of at least one element.
void check_pool_input(const std::string& op, const Tensor& x, int rank);

/// The windows of a max pool over `x`, which check_pool_input took; `params` are valid and have
/// their stride. Throws ShapeError in `op`'s words where none fits.
template <int Rank>
kernels::PoolGeometry max_pool_geometry(const char* op, const Tensor& x,
                                        const MaxPoolParams<Rank>& params);
Shape pooled_shape(const Tensor& x, const kernels::PoolGeometry& geometry);
/// Memory for the winners of a max pool, one byte each where that tells `taps` of them apart.
Tensor empty_taps(const Shape& shape, int64_t taps);
kernels::PoolTaps taps_in(Tensor taps);  ///< none where `taps` is undefined

/// The pool of `x`, (N, C, spatial...), over the windows of `geometry`, recorded as `op`.
Tensor max_over_windows(const autograd::Op& op, const Tensor& x, kernels::PoolGeometry geometry);
Tensor avg_over_windows(const autograd::Op& op, const Tensor& x, kernels::PoolGeometry geometry);

}  // namespace convkit::ops
