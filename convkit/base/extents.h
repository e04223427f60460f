#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "convkit/base/error.h"

namespace convkit {

/// One number per spatial axis, written `3` (the same for all) or `{3, 5, 7}` (D, H, W).
template <int Rank>
struct Extents {
  std::array<int64_t, Rank> values{};

  constexpr Extents(int64_t all = 0) {  // NOLINT(google-explicit-constructor): options read `= 3`
    values.fill(all);
  }
  /// Throws ShapeError unless there is one number or one per axis.
  Extents(std::initializer_list<int64_t> each) {  // NOLINT(google-explicit-constructor)
    CONVKIT_CHECK(each.size() == 1 || each.size() == Rank, ShapeError, "expected one number or ",
                  Rank, " (one per spatial axis), not ", each.size());
    if (each.size() == 1) values.fill(*each.begin());
    if (each.size() == Rank) std::copy(each.begin(), each.end(), values.begin());
  }
  constexpr Extents(const std::array<int64_t, Rank>& each)  // NOLINT(google-explicit-constructor)
      : values(each) {}

  constexpr int64_t operator[](std::size_t axis) const { return values[axis]; }
  constexpr int64_t& operator[](std::size_t axis) { return values[axis]; }
  friend constexpr bool operator==(const Extents&, const Extents&) = default;
};

/// `(3, 5, 7)`, as Python prints tuples.
template <int Rank>
std::string to_text(const Extents<Rank>& extents) {
  return to_text(extents.values);
}

}  // namespace convkit
