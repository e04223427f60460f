#include "convkit/ops/pool.h"

#include <string>

#include "convkit/base/checked.h"
#include "convkit/base/conv_size.h"
#include "convkit/ops/pool_windows.h"
#include "convkit/ops/shape.h"

namespace convkit::ops {
namespace {

constexpr const char* kMaxNames[] = {"max_pool1d", "max_pool2d", "max_pool3d"};
constexpr const char* kAvgNames[] = {"avg_pool1d", "avg_pool2d", "avg_pool3d"};

template <class Params>
void validate_windows(const char* op, const Params& given) {
  const Params p = with_stride(given);
  for (std::size_t axis = 0; axis < p.kernel_size.values.size(); ++axis) {
    CONVKIT_CHECK(p.kernel_size[axis] >= 1, ValueError, op, ": kernel_size is ", p.kernel_size,
                  "; it is required and at least 1 on every axis");
    CONVKIT_CHECK(p.stride[axis] >= 1, ValueError, op, ": stride ", p.stride,
                  " must be at least 1 on every axis; leave it out to use kernel_size");
    CONVKIT_CHECK(p.padding[axis] >= 0, ValueError, op, ": padding ", p.padding,
                  " cannot be negative");
    CONVKIT_CHECK(p.padding[axis] <= p.kernel_size[axis] / 2, ValueError, op, ": padding ",
                  p.padding, " is more than half of kernel_size ", p.kernel_size,
                  ", so that windows could lie outside of the input; use padding ≤ ",
                  p.kernel_size[axis] / 2, ", or pad the input with ops::pad");
  }
}

// The outputs of the pool of `x` along one axis; `p` has its stride.
template <int Rank, class Params>
int64_t outputs_along(const char* op, const Tensor& x, const Params& p, int axis,
                      int64_t dilation) {
  const auto a = static_cast<std::size_t>(axis);
  const int64_t in = x.size(axis - Rank);
  const int64_t kernel = p.kernel_size[a];
  const int64_t stride = p.stride[a];
  const int64_t pad = p.padding[a];
  checked_add(checked_mul(kernel, dilation, op), checked_add(in, checked_add(stride, pad, op), op),
              op);
  const int64_t span = kernel_span(kernel, dilation);
  const int64_t rounding = p.ceil_mode ? stride - 1 : 0;
  int64_t out = conv_output_size(in, kernel, stride, pad, pad + rounding, dilation);
  if (p.ceil_mode && (out - 1) * stride >= in + pad) --out;
  CONVKIT_CHECK(out >= 1, ShapeError, op, ": kernel_size ", kernel, " with dilation ", dilation,
                " spans ", span, " along the ", name_of_axis(Rank, axis),
                ", but the padded input is only ", in + 2 * pad, " (", in, " + 2·", pad,
                "); use a smaller kernel or a larger input");
  return out;
}

// One axis of the pool of `x`; an average has a dilation of 1.
template <int Rank, class Params>
kernels::PoolAxis axis_of(const char* op, const Tensor& x, const Params& p, int axis,
                          int64_t dilation, bool count_pad) {
  const auto a = static_cast<std::size_t>(axis);
  return kernels::sliding_axis({.in = x.size(axis - Rank),
                                .out = outputs_along<Rank>(op, x, p, axis, dilation),
                                .kernel = p.kernel_size[a],
                                .stride = p.stride[a],
                                .pad = p.padding[a],
                                .dilation = dilation,
                                .count_pad = count_pad});
}

}  // namespace

template <int Rank>
void validate(const MaxPoolParams<Rank>& params) {
  const char* const op = kMaxNames[Rank - 1];
  validate_windows(op, params);
  for (const int64_t dilation : params.dilation.values)
    CONVKIT_CHECK(dilation >= 1, ValueError, op, ": dilation ", params.dilation,
                  " must be at least 1 on every axis");
}

template <int Rank>
void validate(const AvgPoolParams<Rank>& params) {
  const char* const op = kAvgNames[Rank - 1];
  validate_windows(op, params);
  CONVKIT_CHECK(params.divisor_override != 0, ValueError, op,
                ": divisor_override cannot be 0; leave it out to divide by the window's size");
}

template <int Rank>
kernels::PoolGeometry max_pool_geometry(const char* op, const Tensor& x,
                                        const MaxPoolParams<Rank>& p) {
  kernels::PoolGeometry g{.batch = x.size(0), .channels = x.size(1), .axes = {}};
  for (int axis = 0; axis < kernels::kAxes; ++axis)
    g.axes[static_cast<std::size_t>(axis)] = kernels::sliding_axis({});
  for (int axis = 0; axis < Rank; ++axis)
    g.axes[kernel_axis(Rank, axis)] =
        axis_of<Rank>(op, x, p, axis, p.dilation[static_cast<std::size_t>(axis)], false);
  return g;
}

template <int Rank>
Tensor max_pool(const Tensor& x, const MaxPoolParams<Rank>& params) {
  const char* const op = kMaxNames[Rank - 1];
  validate(params);
  check_pool_input(op, x, Rank);
  if (x.dim() == Rank + 1) return squeeze(max_pool(unsqueeze(x, 0), params), 0);
  const MaxPoolParams<Rank> p = with_stride(params);
  return max_over_windows({op, p}, x, max_pool_geometry(op, x, p));
}

template <int Rank>
Shape max_pool_shape(const Tensor& x, const MaxPoolParams<Rank>& params) {
  const char* const op = kMaxNames[Rank - 1];
  validate(params);
  check_pool_input(op, x, Rank);
  const MaxPoolParams<Rank> p = with_stride(params);
  Shape shape = x.shape();
  for (int axis = 0; axis < Rank; ++axis)
    shape =
        shape.with(axis + static_cast<int>(x.dim()) - Rank,
                   outputs_along<Rank>(op, x, p, axis, p.dilation[static_cast<std::size_t>(axis)]));
  return shape;
}

template <int Rank>
Tensor avg_pool(const Tensor& x, const AvgPoolParams<Rank>& params) {
  const char* const op = kAvgNames[Rank - 1];
  validate(params);
  check_pool_input(op, x, Rank);
  if (x.dim() == Rank + 1) return squeeze(avg_pool(unsqueeze(x, 0), params), 0);
  const AvgPoolParams<Rank> p = with_stride(params);
  kernels::PoolGeometry g{.batch = x.size(0), .channels = x.size(1), .axes = {}};
  for (int axis = 0; axis < kernels::kAxes; ++axis)
    g.axes[static_cast<std::size_t>(axis)] = kernels::sliding_axis({});
  for (int axis = 0; axis < Rank; ++axis)
    g.axes[kernel_axis(Rank, axis)] = axis_of<Rank>(op, x, p, axis, 1, p.count_include_pad);
  if (p.divisor_override) kernels::override_divisor(g, *p.divisor_override);
  return avg_over_windows({op, p}, x, std::move(g));
}

#define CONVKIT_INSTANTIATE_POOL(Rank)                                          \
  template void validate(const MaxPoolParams<Rank>&);                           \
  template void validate(const AvgPoolParams<Rank>&);                           \
  template kernels::PoolGeometry max_pool_geometry(const char*, const Tensor&,  \
                                                   const MaxPoolParams<Rank>&); \
  template Tensor max_pool(const Tensor&, const MaxPoolParams<Rank>&);          \
  template Shape max_pool_shape(const Tensor&, const MaxPoolParams<Rank>&);     \
  template Tensor avg_pool(const Tensor&, const AvgPoolParams<Rank>&);
CONVKIT_INSTANTIATE_POOL(1)
CONVKIT_INSTANTIATE_POOL(2)
CONVKIT_INSTANTIATE_POOL(3)

}  // namespace convkit::ops
