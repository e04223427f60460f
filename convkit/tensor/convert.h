#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "convkit/tensor/dtype.h"

/// Element conversions between the types a tensor can hold.
namespace convkit {

template <class T>
double to_double(T value) {
  if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>) {
    return static_cast<double>(to_float(value));
  } else {
    return static_cast<double>(value);
  }
}

/// Rounds to the nearest representable value; integers saturate and NaN becomes 0.
template <class T>
T element_from_double(double value) {
  if constexpr (std::is_same_v<T, Half>) {
    return to_half(static_cast<float>(value));
  } else if constexpr (std::is_same_v<T, BFloat16>) {
    return to_bfloat16(static_cast<float>(value));
  } else if constexpr (std::is_same_v<T, bool>) {
    return value != 0;
  } else if constexpr (std::is_integral_v<T>) {
    if (std::isnan(value)) return T{0};
    // The largest 64-bit integers are not doubles: compare with the power of two above them.
    if (value >= static_cast<double>(std::numeric_limits<T>::max()))
      return std::numeric_limits<T>::max();
    if (value <= static_cast<double>(std::numeric_limits<T>::min()))
      return std::numeric_limits<T>::min();
    return static_cast<T>(std::nearbyint(value));
  } else {
    return static_cast<T>(value);
  }
}

/// target[i] = source[i] converted, for `count` elements in any common order.
void convert_elements(DType source_type, const void* source, DType target_type, void* target,
                      int64_t count);
/// source[index] of any type.
double element_as_double(DType type, const void* source, int64_t index);

}  // namespace convkit
