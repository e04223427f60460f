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

/// Concatenates the text of all arguments; any type with a `to_text` found by ADL may take part.
/// Cold and small: hundreds of checks call it, and none of them in a good run.
template <class... Args>
[[gnu::cold, gnu::noinline]] std::string message(const Args&... args) {
  const std::string parts[] = {std::string(to_text(args))...};
  return concatenate(parts);
}

/// `12345678` → `12,345,678`, for tables.
CONVKIT_API std::string with_thousands(int64_t value);

}  // namespace convkit
