#include "convkit/ops/shape.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "convkit/autograd/record.h"
#include "convkit/base/checked.h"
#include "convkit/base/thread_pool.h"
#include "convkit/ops/axes.h"
#include "convkit/tensor/layout.h"

namespace convkit::ops {
namespace {

using autograd::Gradients;
using autograd::Needs;

Tensor recorded_reshape(const char* name, const Tensor& x, const Shape& shape) {
  // detach() gives a handle of its own where nothing moves.
  const Tensor y = x.shape() == shape ? x.detach() : x.reshaped(shape);
  return autograd::record(
      {name, ReshapeParams{shape}}, {x}, y,
      [from = x.shape()](const Tensor& dy, Needs) { return Gradients{dy.reshaped(from)}; });
}

Shape with_inferred_extent(const Tensor& x, const std::vector<int64_t>& wanted) {
  std::vector<int64_t> extents = wanted;
  int64_t known = 1;
  auto unknown = extents.end();
  for (auto extent = extents.begin(); extent != extents.end(); ++extent) {
    CONVKIT_CHECK(*extent >= -1, ShapeError, "reshape: ", wanted,
                  " has a negative extent other than the -1 that is to be worked out");
    if (*extent >= 0) {
      known = checked_mul(known, *extent, "reshape: number of elements");
      continue;
    }
    CONVKIT_CHECK(unknown == extents.end(), ShapeError, "reshape: ", wanted,
                  " has more than one -1; only one extent can be worked out");
    unknown = extent;
  }
  if (unknown != extents.end()) {
    CONVKIT_CHECK(known > 0 && x.numel() % known == 0, ShapeError, "reshape: ", x.shape(), " has ",
                  x.numel(), " elements, which the other extents of ", wanted, " (", known,
                  " in all) do not divide");
    *unknown = x.numel() / known;
  }
  return extents;
}

Tensor permuted(const Tensor& x, const std::vector<int64_t>& dims) {
  std::vector<int64_t> extents;
  extents.reserve(dims.size());
  for (const int64_t dim : dims) extents.push_back(x.size(dim));
  Tensor y(extents, x.dtype());
  permute_memory(x.shape(), dims, item_size(x.dtype()), x.raw_data(), y.raw_mutable_data());
  return y;
}

// One run of `bytes` from every outer index of `from` to the same of `into`.
struct Side {
  int64_t offset;  ///< in bytes
  int64_t stride;  ///< from one outer index to the next, in bytes
};
void copy_runs(int64_t outer, int64_t bytes, const void* from, Side source, void* into,
               Side target) {
  if (bytes == 0) return;
  constexpr int64_t kBytesPerTask = 1 << 17;
  parallel_ranges(outer, kBytesPerTask / bytes, [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o)
      std::memcpy(static_cast<std::byte*>(into) + target.offset + o * target.stride,
                  static_cast<const std::byte*>(from) + source.offset + o * source.stride,
                  static_cast<std::size_t>(bytes));
  });
}

// The part [begin, begin + part's extent) of axis `dim` of `whole`, copied out of or into it.
enum class Way { out, in };
void copy_part(Way way, Tensor& whole, Tensor& part, int64_t dim, int64_t begin) {
  if (part.numel() == 0) return;
  const auto item = static_cast<int64_t>(item_size(whole.dtype()));
  const kernels::AxisGeometry g = axis_geometry(whole.shape(), dim);
  const int64_t run = part.size(dim) * g.inner * item;
  const Side in_whole{begin * g.inner * item, g.extent * g.inner * item};
  const Side in_part{0, run};
  if (way == Way::out)
    copy_runs(g.outer, run, whole.raw_data(), in_whole, part.raw_mutable_data(), in_part);
  else
    copy_runs(g.outer, run, part.raw_data(), in_part, whole.raw_mutable_data(), in_whole);
}

// Every step-th element from `start` on, between a long axis and a short one.
void copy_steps(Way way, Tensor& whole, Tensor& part, const SliceParams& p) {
  if (part.numel() == 0) return;
  if (p.step == 1) return copy_part(way, whole, part, p.dim, p.start);
  const auto item = static_cast<int64_t>(item_size(whole.dtype()));
  const kernels::AxisGeometry g = axis_geometry(whole.shape(), p.dim);
  const int64_t count = part.size(p.dim);
  const int64_t run = g.inner * item;
  for (int64_t k = 0; k < count; ++k) {
    const Side in_whole{(p.start + k * p.step) * run, g.extent * run};
    const Side in_part{k * run, count * run};
    if (way == Way::out)
      copy_runs(g.outer, run, whole.raw_data(), in_whole, part.raw_mutable_data(), in_part);
    else
      copy_runs(g.outer, run, part.raw_data(), in_part, whole.raw_mutable_data(), in_whole);
  }
}

}  // namespace

Tensor reshape(const Tensor& x, const std::vector<int64_t>& shape) {
  return recorded_reshape("reshape", x, with_inferred_extent(x, shape));
}

Tensor flatten(const Tensor& x, int64_t start_dim, int64_t end_dim) {
  if (x.dim() == 0) return recorded_reshape("flatten", x, {1});
  const auto start = static_cast<int64_t>(x.shape().normalize(start_dim));
  const auto end = static_cast<int64_t>(x.shape().normalize(end_dim));
  CONVKIT_CHECK(start <= end, ShapeError, "flatten: start_dim (", start_dim,
                ") comes after end_dim (", end_dim, ") in ", x.shape());
  std::vector<int64_t> extents(x.shape().begin(), x.shape().begin() + start);
  int64_t flat = 1;
  for (int64_t axis = start; axis <= end; ++axis) flat *= x.size(axis);
  extents.push_back(flat);
  extents.insert(extents.end(), x.shape().begin() + end + 1, x.shape().end());
  return recorded_reshape("flatten", x, extents);
}

Tensor squeeze(const Tensor& x, int64_t dim) {
  return recorded_reshape("squeeze", x, x.size(dim) == 1 ? x.shape().without(dim) : x.shape());
}

Tensor squeeze(const Tensor& x) {
  std::vector<int64_t> extents;
  for (const int64_t extent : x.shape())
    if (extent != 1) extents.push_back(extent);
  return recorded_reshape("squeeze", x, extents);
}

Tensor unsqueeze(const Tensor& x, int64_t dim) {
  return recorded_reshape("unsqueeze", x, x.shape().with_inserted(dim, 1));
}

Tensor permute(const Tensor& x, const std::vector<int64_t>& dims) {
  std::vector<int64_t> axes;
  std::vector<int64_t> inverse(static_cast<std::size_t>(x.dim()), -1);
  for (const int64_t dim : dims) {
    const std::size_t axis = x.shape().normalize(dim);
    CONVKIT_CHECK(inverse[axis] < 0, ShapeError, "permute: ", dims, " names axis ", axis, " twice");
    inverse[axis] = static_cast<int64_t>(axes.size());
    axes.push_back(static_cast<int64_t>(axis));
  }
  CONVKIT_CHECK(axes.size() == inverse.size(), ShapeError, "permute: ", dims, " names ",
                dims.size(), " axes, but ", x.shape(), " has ", x.dim());
  const auto backward = [inverse](const Tensor& dy, Needs) {
    return Gradients{permuted(dy, inverse)};
  };
  return autograd::record({"permute", PermuteParams{axes}}, {x}, permuted(x, axes), backward);
}

Tensor transpose(const Tensor& x, int64_t dim0, int64_t dim1) {
  std::vector<int64_t> dims(static_cast<std::size_t>(x.dim()));
  std::iota(dims.begin(), dims.end(), 0);
  std::swap(dims[x.shape().normalize(dim0)], dims[x.shape().normalize(dim1)]);
  return permute(x, dims);
}

Tensor concat(std::span<const Tensor> tensors, int64_t dim) {
  CONVKIT_CHECK(!tensors.empty(), ValueError, "concat: there are no tensors; give at least one");
  const Tensor& first = tensors[0];
  const auto axis = static_cast<int64_t>(first.shape().normalize(dim));
  std::vector<int64_t> starts;
  int64_t extent = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const Tensor& x = tensors[i];
    CONVKIT_CHECK(x.dtype() == first.dtype(), DTypeError, "concat: tensor 0 is ", first.dtype(),
                  ", but tensor ", i, " is ", x.dtype(), "; convert one of them with to()");
    CONVKIT_CHECK(x.dim() == first.dim() && x.shape().with(axis, 0) == first.shape().with(axis, 0),
                  ShapeError, "concat along axis ", axis, ": tensor 0 is ", first.shape(),
                  ", but tensor ", i, " is ", x.shape(), "; the other axes must agree");
    starts.push_back(extent);
    extent += x.size(axis);
  }
  Tensor y(first.shape().with(axis, extent), first.dtype());
  std::vector<Tensor> inputs(tensors.begin(), tensors.end());
  std::vector<Shape> shapes;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    copy_part(Way::in, y, inputs[i], axis, starts[i]);
    shapes.push_back(inputs[i].shape());
  }
  const auto backward = [=](const Tensor& dy, Needs needs) {
    Gradients grads(shapes.size());
    Tensor whole = dy;
    for (std::size_t i = 0; i < shapes.size(); ++i) {
      if (!needs[i]) continue;
      grads[i] = Tensor(shapes[i], dy.dtype());
      copy_part(Way::out, whole, grads[i], axis, starts[i]);
    }
    return grads;
  };
  return autograd::record({"concat", ConcatParams{axis}}, inputs, y, backward);
}

Tensor slice(const Tensor& x, int64_t dim, int64_t start, int64_t stop, int64_t step) {
  const auto axis = static_cast<int64_t>(x.shape().normalize(dim));
  CONVKIT_CHECK(step >= 1, ValueError, "slice: step (", step, ") must be at least 1");
  const int64_t extent = x.size(axis);
  const auto position = [extent](int64_t p) {
    return std::clamp<int64_t>(p < 0 ? p + extent : p, 0, extent);
  };
  const SliceParams params{axis, position(start), std::max(position(start), position(stop)), step};
  const int64_t span = params.stop - params.start;
  const int64_t count = span / step + (span % step != 0 ? 1 : 0);
  Tensor y(x.shape().with(axis, count), x.dtype());
  Tensor whole = x;
  copy_steps(Way::out, whole, y, params);
  const auto backward = [params, shape = x.shape()](const Tensor& dy, Needs) {
    Tensor dx = zeros(shape, dy.dtype());
    Tensor part = dy;
    copy_steps(Way::in, dx, part, params);
    return Gradients{dx};
  };
  return autograd::record({"slice", params}, {x}, y, backward);
}

Tensor select(const Tensor& x, int64_t dim, int64_t index) {
  const auto axis = static_cast<int64_t>(x.shape().normalize(dim));
  const int64_t extent = x.size(axis);
  const int64_t positive = index < 0 ? index + extent : index;
  CONVKIT_CHECK(positive >= 0 && positive < extent, ShapeError, "select: index ", index,
                " is outside axis ", axis, " of ", x.shape());
  return squeeze(slice(x, axis, positive, positive + 1), axis);
}

}  // namespace convkit::ops
