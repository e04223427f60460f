#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "convkit/base/error.h"

namespace convkit {

/// Element types. Arithmetic is done in float32 (and float64, by the slow reference kernels that
/// gradient checks use); the others are what files hold, labels, and indices.
enum class DType : uint8_t {
  float32,
  float64,
  float16,
  bfloat16,
  int8,
  uint8,
  int16,
  uint16,
  int32,
  uint32,
  int64,
  uint64,
  boolean,
};

/// Bits of an IEEE half, and of a bfloat16; converted, never computed with.
struct Half {
  uint16_t bits;
};
struct BFloat16 {
  uint16_t bits;
};

CONVKIT_API std::size_t item_size(DType dtype);
/// PyTorch's name: "float32", "bool", ...
CONVKIT_API std::string_view name_of(DType dtype);
CONVKIT_API bool is_floating(DType dtype);
inline std::string_view to_text(DType dtype) { return name_of(dtype); }

CONVKIT_API float to_float(Half value);
CONVKIT_API float to_float(BFloat16 value);
CONVKIT_API Half to_half(float value);          ///< round to nearest even; overflow gives infinity
CONVKIT_API BFloat16 to_bfloat16(float value);  ///< round to nearest even

/// The DType of a C++ element type.
template <class T>
inline constexpr DType kDTypeOf = [] {
  static_assert(sizeof(T) == 0, "no tensor has this element type");
  return DType::float32;
}();
template <>
inline constexpr DType kDTypeOf<float> = DType::float32;
template <>
inline constexpr DType kDTypeOf<double> = DType::float64;
template <>
inline constexpr DType kDTypeOf<Half> = DType::float16;
template <>
inline constexpr DType kDTypeOf<BFloat16> = DType::bfloat16;
template <>
inline constexpr DType kDTypeOf<int8_t> = DType::int8;
template <>
inline constexpr DType kDTypeOf<uint8_t> = DType::uint8;
template <>
inline constexpr DType kDTypeOf<int16_t> = DType::int16;
template <>
inline constexpr DType kDTypeOf<uint16_t> = DType::uint16;
template <>
inline constexpr DType kDTypeOf<int32_t> = DType::int32;
template <>
inline constexpr DType kDTypeOf<uint32_t> = DType::uint32;
template <>
inline constexpr DType kDTypeOf<int64_t> = DType::int64;
template <>
inline constexpr DType kDTypeOf<uint64_t> = DType::uint64;
template <>
inline constexpr DType kDTypeOf<bool> = DType::boolean;

/// Calls `f.template operator()<T>()` with the C++ type of `dtype`.
template <class F>
decltype(auto) visit_dtype(DType dtype, F&& f) {
  switch (dtype) {
    case DType::float32:
      return f.template operator()<float>();
    case DType::float64:
      return f.template operator()<double>();
    case DType::float16:
      return f.template operator()<Half>();
    case DType::bfloat16:
      return f.template operator()<BFloat16>();
    case DType::int8:
      return f.template operator()<int8_t>();
    case DType::uint8:
      return f.template operator()<uint8_t>();
    case DType::int16:
      return f.template operator()<int16_t>();
    case DType::uint16:
      return f.template operator()<uint16_t>();
    case DType::int32:
      return f.template operator()<int32_t>();
    case DType::uint32:
      return f.template operator()<uint32_t>();
    case DType::int64:
      return f.template operator()<int64_t>();
    case DType::uint64:
      return f.template operator()<uint64_t>();
    case DType::boolean:
      break;
  }
  return f.template operator()<bool>();
}

}  // namespace convkit
