#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "convkit/base/export.h"

/// Turns values into the words of messages, without the weight of <sstream>.
namespace convkit {

CONVKIT_API std::string to_text(double value);  ///< shortest form that reads back equal
CONVKIT_API std::string to_text(float value);
inline std::string to_text(bool value) { return value ? "true" : "false"; }
inline std::string to_text(char value) { return std::string(1, value); }
inline std::string to_text(std::string_view value) { return std::string(value); }
inline std::string to_text(const std::string& value) { return value; }
inline std::string to_text(const char* value) { return value; }
/// The decimal digits of an integer; out of line, as every message needs them.
CONVKIT_API std::string integer_to_text(long long value);
CONVKIT_API std::string integer_to_text(unsigned long long value);
template <std::integral T>
std::string to_text(T value) {
  using Widest = std::conditional_t<std::is_signed_v<T>, long long, unsigned long long>;
  return integer_to_text(static_cast<Widest>(value));
}
/// `(1, 2, 3)` and `(1,)`, as Python prints tuples.
CONVKIT_API std::string to_text(std::span<const int64_t> values);
inline std::string to_text(const std::vector<int64_t>& values) {
  return to_text(std::span<const int64_t>(values));
}
template <std::size_t N>
std::string to_text(const std::array<int64_t, N>& values) {
  return to_text(std::span<const int64_t>(values));
}

/// All parts one after the other.
CONVKIT_API std::string concatenate(std::span<const std::string> parts);

namespace detail {

/// How an argument of message() travels, so that few types do: literals of any length are pointers,
/// integers of any width the widest ones, small values copies.
template <class T>
auto part_of(const T& value) {
  if constexpr (std::is_array_v<T>) {
    return static_cast<const char*>(value);
  } else if constexpr (std::is_same_v<T, std::string>) {
    return std::string_view(value);
  } else if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, char>) {
    return value;
  } else if constexpr (std::is_integral_v<T>) {
    return static_cast<std::conditional_t<std::is_signed_v<T>, long long, unsigned long long>>(
        value);
  } else if constexpr (std::is_trivially_copyable_v<T> && sizeof(T) <= 2 * sizeof(void*)) {
    return value;
  } else {
    return &value;
  }
}
template <class T>
std::string text_of(const T& value) {
  return std::string(to_text(value));
}
template <class T>
requires(!std::is_same_v<T, char>) std::string text_of(const T* value) {
  return std::string(to_text(*value));
}
inline std::string text_of(const char* value) { return value; }

/// Cold and small: hundreds of checks call it, and none of them in a good run.
template <class... Parts>
[[gnu::cold, gnu::noinline]] std::string joined(Parts... parts) {
  const std::string texts[] = {text_of(parts)...};
  return concatenate(texts);
}

}  // namespace detail

/// Concatenates the text of all arguments; any type with a `to_text` found by ADL may take part.
template <class... Args>
std::string message(const Args&... args) {
  return detail::joined(detail::part_of(args)...);
}

/// `12345678` → `12,345,678`, for tables.
CONVKIT_API std::string with_thousands(int64_t value);

}  // namespace convkit
