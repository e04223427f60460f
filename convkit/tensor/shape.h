#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "convkit/base/error.h"

namespace convkit {

/// The most axes a tensor may have.
inline constexpr int64_t kMaxDim = 8;

/// Extents of a tensor's axes in PyTorch's logical order, e.g. (N, C, H, W). Extents are ≥ 0.
class CONVKIT_API Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> extents)  // NOLINT(google-explicit-constructor)
      : Shape(std::span<const int64_t>(extents.begin(), extents.size())) {}
  Shape(const std::vector<int64_t>& extents)  // NOLINT(google-explicit-constructor)
      : Shape(std::span<const int64_t>(extents)) {}
  /// Throws ShapeError for more than kMaxDim axes or a negative extent.
  explicit Shape(std::span<const int64_t> extents);

  /// Number of axes.
  int64_t dim() const { return dim_; }
  /// Product of the extents (1 without axes); throws ValueError if it, zeros aside, leaves int64.
  int64_t numel() const;
  /// Extent of an axis; a negative axis counts from the end. Throws ShapeError when there is
  /// no such axis.
  int64_t operator[](int64_t axis) const { return extents_[normalize(axis)]; }
  /// The axis as 0 … dim() − 1; throws ShapeError when there is no such axis.
  std::size_t normalize(int64_t axis) const;

  const int64_t* begin() const { return extents_.data(); }
  const int64_t* end() const { return extents_.data() + dim_; }
  std::vector<int64_t> to_vector() const { return {begin(), end()}; }
  operator std::span<const int64_t>() const {  // NOLINT(google-explicit-constructor)
    return {begin(), static_cast<std::size_t>(dim_)};
  }

  /// A copy with one extent replaced, one axis inserted, or one removed.
  Shape with(int64_t axis, int64_t extent) const;
  Shape with_inserted(int64_t axis, int64_t extent) const;
  Shape without(int64_t axis) const;

  friend bool operator==(const Shape& a, const Shape& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  }

 private:
  std::array<int64_t, kMaxDim> extents_{};
  int64_t dim_ = 0;
};

/// `2×3×32×32`; `scalar` without axes.
CONVKIT_API std::string to_text(const Shape& shape);

/// The shape two operands broadcast to, by NumPy's rule: axes are aligned at the end, and an extent
/// of 1 stretches. Throws ShapeError naming `what` when they do not fit.
CONVKIT_API Shape broadcast_shapes(const Shape& a, const Shape& b, const char* what);

}  // namespace convkit
