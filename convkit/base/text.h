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

namespace detail {

/// A value of any type with a `to_text` found by ADL.
struct OtherPart {
  const void* value;
  std::string (*text)(const void* value);
};

/// How an argument of message() travels: as one of few types, each with a letter that says which.
/// Literals of any length are pointers, integers of any width the widest ones.
template <class T>
auto part_of(const T& value) {
  if constexpr (std::is_array_v<T>) {
    return static_cast<const char*>(value);
  } else if constexpr (std::is_convertible_v<const T&, std::string_view> && !std::is_pointer_v<T>) {
    return std::string_view(value);
  } else if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, char> ||
                       std::is_same_v<T, const char*>) {
    return value;
  } else if constexpr (std::is_integral_v<T>) {
    return static_cast<std::conditional_t<std::is_signed_v<T>, long long, unsigned long long>>(
        value);
  } else if constexpr (std::is_floating_point_v<T>) {
    return value;
  } else {
    return OtherPart{
        &value, [](const void* of) { return std::string(to_text(*static_cast<const T*>(of))); }};
  }
}
template <class Part>
constexpr char letter_of() {
  if (std::is_same_v<Part, const char*>) return 's';
  if (std::is_same_v<Part, std::string_view>) return 'v';
  if (std::is_same_v<Part, bool>) return 'b';
  if (std::is_same_v<Part, char>) return 'c';
  if (std::is_same_v<Part, long long>) return 'i';
  if (std::is_same_v<Part, unsigned long long>) return 'u';
  if (std::is_same_v<Part, float>) return 'f';
  if (std::is_same_v<Part, double>) return 'd';
  return 'o';
}
template <class... Parts>
inline constexpr char kLetters[] = {letter_of<Parts>()..., '\0'};

/// What is more than a word goes by its address.
template <class Part>
auto word_of(const Part& part) {
  if constexpr (std::is_class_v<Part>) {
    return &part;
  } else {
    return part;
  }
}

/// The text of all parts, whose types `letters` tells. One function for the hundreds of messages,
/// each of which only lists its arguments: as a template it would be there once for each.
[[gnu::cold]] CONVKIT_API std::string joined(const char* letters, ...);

template <class... Parts>
[[gnu::always_inline]] inline std::string joined_parts(const Parts&... parts) {
  return joined(kLetters<Parts...>, word_of(parts)...);
}

}  // namespace detail

/// Concatenates the text of all arguments; any type with a `to_text` found by ADL may take part.
template <class... Args>
[[gnu::always_inline]] inline std::string message(const Args&... args) {
  return detail::joined_parts(detail::part_of(args)...);
}

/// `12345678` → `12,345,678`, for tables.
CONVKIT_API std::string with_thousands(int64_t value);

}  // namespace convkit
