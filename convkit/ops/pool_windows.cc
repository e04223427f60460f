#include "convkit/ops/pool_windows.h"

#include <limits>
#include <memory>
#include <utility>

#include "convkit/ops/dispatch.h"

namespace convkit::ops {
namespace {

using kernels::PoolGeometry;
using kernels::PoolTaps;

constexpr const char* kAxisNames[] = {"depth", "height", "width"};
constexpr const char* kSpatial[] = {"L", "H, W", "D, H, W"};

}  // namespace

const char* name_of_axis(int rank, int axis) { return kAxisNames[kernel_axis(rank, axis)]; }

void check_pool_input(const std::string& op, const Tensor& x, int rank) {
  CONVKIT_CHECK(x.defined(), ValueError, op, ": the input is undefined (never assigned)");
  const char* const spatial = kSpatial[rank - 1];
  CONVKIT_CHECK(x.dim() == rank + 1 || x.dim() == rank + 2, ShapeError, op, ": the input is ",
                x.shape(), " with ", x.dim(), " axes; it must be (N, C, ", spatial,
                ") or unbatched (C, ", spatial, ")");
  check_floating(op.c_str(), x);
  for (int axis = 0; axis < rank; ++axis)
    CONVKIT_CHECK(x.size(axis - rank) >= 1, ShapeError, op, ": the input ", x.shape(),
                  " is empty along its ", name_of_axis(rank, axis));
}

Shape pooled_shape(const Tensor& x, const PoolGeometry& g) {
  Shape shape = x.shape();
  const auto rank = static_cast<int>(x.dim()) - 2;
  for (int axis = 0; axis < rank; ++axis)
    shape = shape.with(axis + 2, g.axes[kernel_axis(rank, axis)].out());
  return shape;
}

Tensor empty_taps(const Shape& shape, int64_t taps) {
  CONVKIT_CHECK(taps <= std::numeric_limits<int32_t>::max(), ValueError, "max pool: windows of ",
                taps, " elements are too large to learn through; at most 2147483647");
  return empty(shape, taps <= 256 ? DType::uint8 : DType::int32);
}

PoolTaps taps_in(Tensor taps) {
  if (!taps.defined()) return {};
  if (taps.dtype() == DType::uint8) return {.narrow = taps.mutable_data<uint8_t>()};
  return {.wide = taps.mutable_data<int32_t>()};
}

Tensor max_over_windows(const autograd::Op& op, const Tensor& x, PoolGeometry geometry) {
  const auto g = std::make_shared<const PoolGeometry>(std::move(geometry));
  Tensor y = empty(pooled_shape(x, *g), x.dtype());
  const Tensor taps = autograd::will_record({x}) ? empty_taps(y.shape(), g->most_taps()) : Tensor();
  with_float_type(x, [&]<class T>() {
    kernels::max_pool_forward(*g, x.data<T>(), y.mutable_data<T>(), taps_in(taps));
  });
  return autograd::record(
      op, {x}, y,
      [g, taps, shape = x.shape()](const Tensor& dy, autograd::Needs) -> autograd::Gradients {
        Tensor dx = empty(shape, dy.dtype());
        with_float_type(dy, [&]<class T>() {
          kernels::max_pool_backward(*g, dy.data<T>(), taps_in(taps), dx.mutable_data<T>());
        });
        return {dx};
      });
}

Tensor avg_over_windows(const autograd::Op& op, const Tensor& x, PoolGeometry geometry) {
  const auto g = std::make_shared<const PoolGeometry>(std::move(geometry));
  Tensor y = empty(pooled_shape(x, *g), x.dtype());
  with_float_type(
      x, [&]<class T>() { kernels::avg_pool_forward(*g, x.data<T>(), y.mutable_data<T>()); });
  return autograd::record(
      op, {x}, y, [g, shape = x.shape()](const Tensor& dy, autograd::Needs) -> autograd::Gradients {
        Tensor dx = empty(shape, dy.dtype());
        with_float_type(dy, [&]<class T>() {
          kernels::avg_pool_backward(*g, dy.data<T>(), dx.mutable_data<T>());
        });
        return {dx};
      });
}

}  // namespace convkit::ops
