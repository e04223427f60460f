#pragma once

#include <cstdint>

#include "convkit/base/error.h"

/// Integer arithmetic that refuses to wrap around: sizes read from files and options are data.
namespace convkit {

/// a · b for non-negative sizes; throws ValueError naming `what` when it leaves int64.
inline int64_t checked_mul(int64_t a, int64_t b, const char* what = "size") {
  int64_t result = 0;
  CONVKIT_CHECK(!__builtin_mul_overflow(a, b, &result), ValueError, what, ": ", a, " · ", b,
                " does not fit into 64 bits");
  return result;
}

/// a + b; throws ValueError naming `what` when it leaves int64.
inline int64_t checked_add(int64_t a, int64_t b, const char* what = "size") {
  int64_t result = 0;
  CONVKIT_CHECK(!__builtin_add_overflow(a, b, &result), ValueError, what, ": ", a, " + ", b,
                " does not fit into 64 bits");
  return result;
}

/// ceil(a / b) for a ≥ 0, b > 0.
constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
/// The smallest multiple of `b` that is not below `a`.
constexpr int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

}  // namespace convkit
