#include "convkit/ops/axes.h"

#include <algorithm>
#include <numeric>

#include "convkit/ops/dispatch.h"
#include "convkit/tensor/layout.h"

namespace convkit::ops {
namespace {

// Distance in memory from one result element to the next along each axis; 0 where x repeats.
std::vector<int64_t> stretched_strides(const Shape& shape, const Shape& result) {
  std::vector<int64_t> strides = memory_strides(shape);
  for (int64_t axis = 0; axis < shape.dim(); ++axis)
    if (shape[axis] == 1 && result[axis] != 1) strides[static_cast<std::size_t>(axis)] = 0;
  return strides;
}

void run_binary(kernels::BinaryOp op, const Tensor& a, const Tensor& b, Tensor& y) {
  const Shape& shape = y.shape();
  if (y.numel() == 0) return;
  // Leading axes of extent 1 may change which axis is innermost in memory: then elements move.
  const Tensor a_full = a.reshaped(with_leading_ones(a.shape(), shape.dim()));
  const Tensor b_full = b.reshaped(with_leading_ones(b.shape(), shape.dim()));
  const std::vector<int64_t> a_strides = stretched_strides(a_full.shape(), shape);
  const std::vector<int64_t> b_strides = stretched_strides(b_full.shape(), shape);
  kernels::Broadcast axes;
  for (const int64_t axis : memory_order(shape.dim())) {
    const auto i = static_cast<std::size_t>(axes.axes++);
    axes.extents[i] = shape[axis];
    axes.a_strides[i] = a_strides[static_cast<std::size_t>(axis)];
    axes.b_strides[i] = b_strides[static_cast<std::size_t>(axis)];
  }
  axes = kernels::make_broadcast(axes);
  with_float_type(y, [&]<class T>() {
    kernels::binary(op, axes, a_full.data<T>(), b_full.data<T>(), y.mutable_data<T>());
  });
}

}  // namespace

kernels::AxisGeometry axis_geometry(const Shape& shape, int64_t axis) {
  const std::size_t position = shape.normalize(axis);
  const int64_t extent = shape[axis];
  const int64_t inner = memory_strides(shape)[position];
  return {shape.numel() / (extent * inner), extent, inner};
}

std::vector<int64_t> memory_order(int64_t rank) {
  // Extents of 2 make all strides different.
  const Shape shape(std::vector<int64_t>(static_cast<std::size_t>(rank), 2));
  const std::vector<int64_t> strides = memory_strides(shape);
  std::vector<int64_t> axes(strides.size());
  std::iota(axes.begin(), axes.end(), 0);
  std::sort(axes.begin(), axes.end(), [&](int64_t a, int64_t b) {
    return strides[static_cast<std::size_t>(a)] > strides[static_cast<std::size_t>(b)];
  });
  return axes;
}

Shape with_leading_ones(const Shape& shape, int64_t rank) {
  std::vector<int64_t> extents(static_cast<std::size_t>(rank - shape.dim()), 1);
  extents.insert(extents.end(), shape.begin(), shape.end());
  return extents;
}

Tensor broadcast_binary(kernels::BinaryOp op, const Tensor& a, const Tensor& b,
                        const Shape& shape) {
  Tensor y(shape, a.dtype());
  run_binary(op, a, b, y);
  return y;
}

void broadcast_binary_(kernels::BinaryOp op, Tensor& self, const Tensor& other) {
  run_binary(op, self, other, self);
}

Tensor sum_over(const Tensor& x, std::span<const int64_t> axes, double scale) {
  Shape result = x.shape();
  for (const int64_t axis : axes) result = result.with(axis, 1);
  if (x.numel() == 0) return zeros(result, x.dtype());
  // Neighbours in memory that are both summed, or both kept, are one axis.
  struct Group {
    int64_t extent;
    bool summed;
  };
  std::vector<Group> groups;
  for (const int64_t axis : memory_order(x.dim())) {
    if (x.size(axis) == 1) continue;
    const bool summed = std::find(axes.begin(), axes.end(), axis) != axes.end();
    if (groups.empty() || groups.back().summed != summed) groups.push_back({1, summed});
    groups.back().extent *= x.size(axis);
  }
  std::size_t first_summed = groups.size();
  for (std::size_t i = groups.size(); i-- > 0;)
    if (groups[i].summed) first_summed = i;
  if (first_summed == groups.size()) {  // nothing longer than 1 to sum over
    groups.push_back({1, true});
    first_summed = groups.size() - 1;
  }
  Tensor y = x;
  for (std::size_t i = groups.size(); i-- > first_summed;) {
    if (!groups[i].summed) continue;
    kernels::AxisGeometry geometry{1, groups[i].extent, 1};
    for (std::size_t j = 0; j < groups.size(); ++j) {
      if (j < i) geometry.outer *= groups[j].extent;
      if (j > i) geometry.inner *= groups[j].extent;
    }
    groups[i].extent = 1;
    const bool last = i == first_summed;
    Tensor sums(last ? result : Shape{geometry.outer * geometry.inner}, x.dtype());
    with_float_type(x, [&]<class T>() {
      kernels::sum_axis(geometry, last ? scale : 1.0, y.data<T>(), sums.mutable_data<T>());
    });
    y = sums;
  }
  return y;
}

Tensor sum_to_shape(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  const Shape full = with_leading_ones(shape, x.dim());
  std::vector<int64_t> axes;
  for (int64_t axis = 0; axis < x.dim(); ++axis)
    if (full[axis] == 1 && x.size(axis) != 1) axes.push_back(axis);
  return sum_over(x, axes).reshaped(shape);
}

}  // namespace convkit::ops
