#include "convkit/ops/reduce.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "convkit/autograd/record.h"
#include "convkit/kernels/reduce.h"
#include "convkit/ops/axes.h"
#include "convkit/ops/dispatch.h"

namespace convkit::ops {
namespace {

std::vector<int64_t> normalized(const char* name, const Shape& shape,
                                const std::vector<int64_t>& dims) {
  std::vector<int64_t> axes;
  if (dims.empty()) {
    axes.resize(static_cast<std::size_t>(shape.dim()));
    std::iota(axes.begin(), axes.end(), 0);
    return axes;
  }
  for (const int64_t dim : dims) axes.push_back(static_cast<int64_t>(shape.normalize(dim)));
  std::sort(axes.begin(), axes.end());
  const auto twice = std::adjacent_find(axes.begin(), axes.end());
  CONVKIT_CHECK(twice == axes.end(), ShapeError, name, ": axis ", twice == axes.end() ? 0 : *twice,
                " of ", shape, " is named twice in dims ", dims);
  return axes;
}

Shape without_axes(const Shape& shape, const std::vector<int64_t>& axes) {
  std::vector<int64_t> kept;
  for (int64_t axis = 0; axis < shape.dim(); ++axis)
    if (!std::binary_search(axes.begin(), axes.end(), axis)) kept.push_back(shape[axis]);
  return kept;
}

enum class Kind { sum, mean };

Tensor reduce(const char* name, Kind kind, const Tensor& x, const std::vector<int64_t>& dims,
              bool keepdim) {
  check_floating(name, x);
  const std::vector<int64_t> axes = normalized(name, x.shape(), dims);
  int64_t count = 1;
  for (const int64_t axis : axes) count *= x.size(axis);
  const double scale = kind == Kind::sum ? 1.0 : 1.0 / static_cast<double>(count);
  Tensor y = sum_over(x, axes, scale);
  if (kind == Kind::mean && count == 0) y.fill(std::numeric_limits<double>::quiet_NaN());
  const Shape kept = y.shape();
  if (!keepdim) y = y.reshaped(without_axes(x.shape(), axes));
  const auto backward = [scale, kept, shape = x.shape()](const Tensor& dy, autograd::Needs) {
    return autograd::Gradients{broadcast_binary(kernels::BinaryOp::mul, dy.reshaped(kept),
                                                full({}, scale, dy.dtype()), shape)};
  };
  return autograd::record({name, ReduceParams{axes, keepdim}}, {x}, y, backward);
}

}  // namespace

Tensor sum(const Tensor& x, const std::vector<int64_t>& dims, bool keepdim) {
  return reduce("sum", Kind::sum, x, dims, keepdim);
}

Tensor mean(const Tensor& x, const std::vector<int64_t>& dims, bool keepdim) {
  return reduce("mean", Kind::mean, x, dims, keepdim);
}

Tensor argmax(const Tensor& x, int64_t dim, bool keepdim) {
  check_floating("argmax", x);
  const auto axis = static_cast<int64_t>(x.shape().normalize(dim));
  CONVKIT_CHECK(x.size(axis) > 0, ShapeError, "argmax: axis ", axis, " of ", x.shape(),
                " is empty, so it has no largest element");
  Tensor y(x.shape().with(axis, 1), DType::int64);
  if (x.numel() > 0) {
    with_float_type(x, [&]<class T>() {
      kernels::argmax_axis(axis_geometry(x.shape(), axis), x.data<T>(), y.mutable_data<int64_t>());
    });
  }
  return keepdim ? y : y.reshaped(x.shape().without(axis));
}

}  // namespace convkit::ops
