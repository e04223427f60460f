#include "convkit/base/text.h"

#include <charconv>

namespace convkit {
namespace {

template <class T>
std::string shortest(T value) {
  if (value != value) return "nan";  // of either sign
  char buffer[32];
  const auto result = std::to_chars(buffer, buffer + sizeof buffer, value);
  return std::string(buffer, result.ptr);
}

}  // namespace

std::string to_text(double value) { return shortest(value); }
std::string to_text(float value) { return shortest(value); }

std::string to_text(std::span<const int64_t> values) {
  std::string text = "(";
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i != 0) text += ", ";
    text += std::to_string(values[i]);
  }
  return text + (values.size() == 1 ? ",)" : ")");
}

std::string integer_to_text(long long value) { return std::to_string(value); }
std::string integer_to_text(unsigned long long value) { return std::to_string(value); }

std::string concatenate(std::span<const std::string> parts) {
  std::string text;
  for (const std::string& part : parts) text += part;
  return text;
}

std::string with_thousands(int64_t value) {
  std::string text = std::to_string(value);
  const std::size_t sign = value < 0 ? 1 : 0;
  for (std::size_t i = text.size(); i > sign + 3; i -= 3) text.insert(i - 3, ",");
  return text;
}

}  // namespace convkit
