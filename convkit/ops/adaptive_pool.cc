#include "convkit/ops/adaptive_pool.h"

#include "convkit/base/checked.h"
#include "convkit/ops/pool_windows.h"
#include "convkit/ops/shape.h"

namespace convkit::ops {
namespace {

constexpr const char* kMaxNames[] = {"adaptive_max_pool1d", "adaptive_max_pool2d",
                                     "adaptive_max_pool3d"};
constexpr const char* kAvgNames[] = {"adaptive_avg_pool1d", "adaptive_avg_pool2d",
                                     "adaptive_avg_pool3d"};

using PoolWindows = Tensor (*)(const autograd::Op& op, const Tensor& x,
                               kernels::PoolGeometry geometry);

template <int Rank>
Tensor adaptive_pool(const char* op, PoolWindows pool, const Tensor& x,
                     const AdaptivePoolParams<Rank>& params) {
  validate(params, op);
  check_pool_input(op, x, Rank);
  if (x.dim() == Rank + 1)
    return squeeze(adaptive_pool<Rank>(op, pool, unsqueeze(x, 0), params), 0);
  kernels::PoolGeometry g{.batch = x.size(0), .channels = x.size(1), .axes = {}};
  for (kernels::PoolAxis& axis : g.axes) axis = kernels::adaptive_axis(1, 1);
  for (int axis = 0; axis < Rank; ++axis) {
    const int64_t in = x.size(axis + 2);
    const int64_t wanted = params.output_size[static_cast<std::size_t>(axis)];
    const int64_t out = wanted == kKeepExtent ? in : wanted;
    checked_mul(in, out, op);
    g.axes[kernel_axis(Rank, axis)] = kernels::adaptive_axis(in, out);
  }
  return pool({op, params}, x, std::move(g));
}

}  // namespace

template <int Rank>
void validate(const AdaptivePoolParams<Rank>& params, const char* op) {
  for (const int64_t out : params.output_size.values)
    CONVKIT_CHECK(out >= 1 || out == kKeepExtent, ValueError, op, ": output_size is ",
                  params.output_size,
                  "; it is required and at least 1 on every axis, or -1 to keep the input's");
}

template <int Rank>
Tensor adaptive_avg_pool(const Tensor& x, const AdaptivePoolParams<Rank>& params) {
  return adaptive_pool<Rank>(kAvgNames[Rank - 1], &avg_over_windows, x, params);
}

template <int Rank>
Tensor adaptive_max_pool(const Tensor& x, const AdaptivePoolParams<Rank>& params) {
  return adaptive_pool<Rank>(kMaxNames[Rank - 1], &max_over_windows, x, params);
}

#define CONVKIT_INSTANTIATE_ADAPTIVE_POOL(Rank)                                      \
  template void validate(const AdaptivePoolParams<Rank>&, const char*);              \
  template Tensor adaptive_avg_pool(const Tensor&, const AdaptivePoolParams<Rank>&); \
  template Tensor adaptive_max_pool(const Tensor&, const AdaptivePoolParams<Rank>&);
CONVKIT_INSTANTIATE_ADAPTIVE_POOL(1)
CONVKIT_INSTANTIATE_ADAPTIVE_POOL(2)
CONVKIT_INSTANTIATE_ADAPTIVE_POOL(3)

}  // namespace convkit::ops
