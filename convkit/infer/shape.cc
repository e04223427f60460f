#include <algorithm>
#include <cmath>

#include "convkit/base/checked.h"
#include "convkit/infer/elements.h"
#include "convkit/infer/operators.h"

namespace convkit::infer {
namespace {

using graph::Op;

// The axes that input 1 names, each once, ascending.
Integers axes_of(const Call& call, int64_t rank) {
  Integers axes;
  for (const int64_t axis : integers_of(call.input(1), "axes"))
    axes.push_back(static_cast<int64_t>(normal_axis(axis, rank)));
  std::sort(axes.begin(), axes.end());
  CONVKIT_CHECK(std::adjacent_find(axes.begin(), axes.end()) == axes.end(), ShapeError, "axes ",
                axes, " names an axis twice");
  return axes;
}

Shape shape_from(const Tensor& tensor) { return Shape(integers_of(tensor, "the shape")); }

}  // namespace

Tensors run_shape(const Call& call) {
  const Shape& shape = call.input(0).shape();
  if (call.op() == Op::size) return {from_values({shape.numel()}, {})};
  const int64_t rank = shape.dim();
  const auto clipped = [&](int64_t position) {
    return std::clamp(position < 0 ? position + rank : position, int64_t{0}, rank);
  };
  const int64_t start = clipped(call.integer("start"));
  const int64_t end = call.node.attributes.has("end") ? clipped(call.integer("end")) : rank;
  const Integers extents(shape.begin() + start, shape.begin() + std::max(start, end));
  return {from_values(extents, {std::ssize(extents)})};
}

Tensors run_reshape(const Call& call) {
  const Tensor& x = call.input(0);
  Integers extents = integers_of(call.input(1), "the shape");
  int64_t known = 1;
  std::size_t unknown = extents.size();
  for (std::size_t i = 0; i < extents.size(); ++i) {
    if (extents[i] == 0 && !call.flag("allowzero")) {
      CONVKIT_CHECK(static_cast<int64_t>(i) < x.dim(), ShapeError, "the shape ", extents,
                    " takes over extent ", i, ", which the input ", x.shape(), " has not");
      extents[i] = x.shape().begin()[i];
    }
    if (extents[i] == -1) {
      CONVKIT_CHECK(unknown == extents.size(), ShapeError, "the shape ", extents,
                    " leaves more than one extent open");
      unknown = i;
    } else {
      CONVKIT_CHECK(extents[i] >= 0, ShapeError, "the shape ", extents, " has negative extents");
      known = checked_mul(known, extents[i]);
    }
  }
  if (unknown < extents.size()) {
    CONVKIT_CHECK(known > 0 && x.numel() % known == 0, ShapeError, "the input ", x.shape(), " has ",
                  x.numel(), " elements, which the shape ", extents, " does not divide");
    extents[unknown] = x.numel() / known;
  }
  return {x.reshaped(Shape(extents))};
}

Tensors run_flatten(const Call& call) {
  const Tensor& x = call.input(0);
  const int64_t given = call.integer("axis");
  const int64_t axis = given < 0 ? given + x.dim() : given;
  CONVKIT_CHECK(axis >= 0 && axis <= x.dim(), ShapeError, "axis ", given, " is not one of ",
                x.dim());
  int64_t rows = 1;
  int64_t columns = 1;
  for (int64_t i = 0; i < x.dim(); ++i) (i < axis ? rows : columns) *= x.size(i);
  return {x.reshaped({rows, columns})};
}

Tensors run_squeeze(const Call& call) {
  const Tensor& x = call.input(0);
  const Integers axes = call.has(1) ? axes_of(call, x.dim()) : Integers{};
  Integers extents;
  for (int64_t i = 0; i < x.dim(); ++i) {
    const bool named = std::find(axes.begin(), axes.end(), i) != axes.end();
    CONVKIT_CHECK(!named || x.size(i) == 1, ShapeError, "axis ", i, " of the input ", x.shape(),
                  " has the extent ", x.size(i), ", not 1");
    const bool goes = call.has(1) ? named : x.size(i) == 1;
    if (!goes) extents.push_back(x.size(i));
  }
  return {x.reshaped(Shape(extents))};
}

Tensors run_unsqueeze(const Call& call) {
  const Tensor& x = call.input(0);
  const int64_t rank = x.dim() + call.input(1).numel();
  Integers extents = x.shape().to_vector();
  for (const int64_t axis : axes_of(call, rank)) extents.insert(extents.begin() + axis, 1);
  return {x.reshaped(Shape(extents))};
}

Tensors run_constant_of_shape(const Call& call) {
  const Tensor& value = call.node.attributes.tensor("value");
  Tensor y = make(shape_from(call.input(0)), value.dtype());
  copy(y.shape().to_vector(), item_size(y.dtype()), place_of(y),
       {value.raw_data(), Integers(static_cast<std::size_t>(y.dim()), 0)});
  return {y};
}

Tensors run_range(const Call& call) {
  const DType type = call.input(0).dtype();
  for (const std::size_t i : {std::size_t{0}, std::size_t{1}, std::size_t{2}}) {
    CONVKIT_CHECK(call.input(i).numel() == 1, ShapeError, "input ", i, " has the shape ",
                  call.input(i).shape(), ", but should be one number");
    CONVKIT_CHECK(call.input(i).dtype() == type, DTypeError,
                  "the inputs are of more than one type");
  }
  constexpr double kMostElements = 0x1p53;
  const double start = call.input(0).item();
  const double delta = call.input(2).item();
  CONVKIT_CHECK(delta != 0, ValueError, "the step is 0");
  const double count = std::ceil((call.input(1).item() - start) / delta);
  CONVKIT_CHECK(count <= kMostElements, ValueError, "the range would have ", count, " elements");
  const int64_t elements = count > 0 ? static_cast<int64_t>(count) : 0;
  Tensor y = make({elements}, type);
  const int64_t first = uses_reals(type) ? 0 : integer_of(call.input(0), "start");
  const int64_t step = uses_reals(type) ? 0 : integer_of(call.input(2), "delta");
  for (int64_t i = 0; i < elements; ++i) {
    if (uses_reals(type)) {
      const double value = start + static_cast<double>(i) * delta;
      store(type, y.raw_mutable_data(), i, 1, 1, &value);
    } else {
      const auto value = static_cast<int64_t>(
          static_cast<uint64_t>(first) + static_cast<uint64_t>(i) * static_cast<uint64_t>(step));
      store(type, y.raw_mutable_data(), i, 1, 1, &value);
    }
  }
  return {y};
}

Tensors run_eye_like(const Call& call) {
  const Tensor& x = call.input(0);
  CONVKIT_CHECK(x.dim() == 2, ShapeError, "the input has the shape ", x.shape(),
                ", but should be a matrix");
  DType type = x.dtype();
  if (call.node.attributes.has("dtype")) type = static_cast<DType>(call.integer("dtype"));
  const int64_t k = call.integer("k");
  Tensor y = make(x.shape(), type);
  y.fill(0);
  const int64_t one = 1;
  for (int64_t row = 0; row < x.size(0); ++row) {
    if (k < -row || k >= x.size(1) - row) continue;
    store(type, y.raw_mutable_data(), row * x.size(1) + row + k, 1, 1, &one);
  }
  return {y};
}

}  // namespace convkit::infer
