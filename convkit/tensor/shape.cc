#include "convkit/tensor/shape.h"

#include "convkit/base/checked.h"

namespace convkit {

Shape::Shape(std::span<const int64_t> extents) : dim_(static_cast<int64_t>(extents.size())) {
  CONVKIT_CHECK(dim_ <= kMaxDim, ShapeError, "a tensor has at most ", kMaxDim, " axes, not ", dim_);
  for (const int64_t extent : extents)
    CONVKIT_CHECK(extent >= 0, ShapeError,
                  "extents of a shape cannot be negative: ", to_text(extents));
  std::copy(extents.begin(), extents.end(), extents_.begin());
}

int64_t Shape::numel() const {
  // Extents beside a 0 count too: strides are products of them.
  int64_t count = 1;
  bool is_empty = false;
  for (const int64_t extent : *this) {
    is_empty = is_empty || extent == 0;
    count = checked_mul(count, extent == 0 ? 1 : extent, "number of elements");
  }
  return is_empty ? 0 : count;
}

std::size_t Shape::normalize(int64_t axis) const {
  const int64_t positive = axis < 0 ? axis + dim_ : axis;
  CONVKIT_CHECK(positive >= 0 && positive < dim_, ShapeError, "axis ", axis,
                " does not exist in shape ", to_text(*this), " with ", dim_, " axes");
  return static_cast<std::size_t>(positive);
}

Shape Shape::with(int64_t axis, int64_t extent) const {
  std::vector<int64_t> extents = to_vector();
  extents[normalize(axis)] = extent;
  return extents;
}

Shape Shape::with_inserted(int64_t axis, int64_t extent) const {
  std::vector<int64_t> extents = to_vector();
  const int64_t positive = axis < 0 ? axis + dim_ + 1 : axis;
  CONVKIT_CHECK(positive >= 0 && positive <= dim_, ShapeError, "cannot insert axis ", axis,
                " into shape ", to_text(*this));
  extents.insert(extents.begin() + positive, extent);
  return extents;
}

Shape Shape::without(int64_t axis) const {
  std::vector<int64_t> extents = to_vector();
  extents.erase(extents.begin() + static_cast<int64_t>(normalize(axis)));
  return extents;
}

std::string to_text(const Shape& shape) {
  if (shape.dim() == 0) return "scalar";
  std::string text;
  for (const int64_t extent : shape) {
    if (!text.empty()) text += "×";
    text += std::to_string(extent);
  }
  return text;
}

Shape broadcast_shapes(const Shape& a, const Shape& b, const char* what) {
  const int64_t rank = std::max(a.dim(), b.dim());
  std::vector<int64_t> extents(static_cast<std::size_t>(rank));
  for (int64_t i = 1; i <= rank; ++i) {
    const int64_t in_a = i <= a.dim() ? a[-i] : 1;
    const int64_t in_b = i <= b.dim() ? b[-i] : 1;
    CONVKIT_CHECK(in_a == in_b || in_a == 1 || in_b == 1, ShapeError, what, ": shapes ", a, " and ",
                  b, " do not broadcast: axis ", rank - i, " has ", in_a, " and ", in_b,
                  "; extents must be equal or 1");
    extents[static_cast<std::size_t>(rank - i)] = in_a == 1 ? in_b : in_a;
  }
  return extents;
}

}  // namespace convkit
