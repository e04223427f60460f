#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
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
template <std::integral T>
std::string to_text(T value) {
  return std::to_string(value);
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

/// Concatenates the text of all arguments; any type with a `to_text` found by ADL may take part.
template <class... Args>
std::string message(const Args&... args) {
  std::string text;
  (text.append(to_text(args)), ...);
  return text;
}

/// `12345678` → `12,345,678`, for tables.
CONVKIT_API std::string with_thousands(int64_t value);

}  // namespace convkit
