#include "convkit/base/text.h"

#include <charconv>
#include <cstdarg>

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

namespace detail {

std::string joined(const char* letters, ...) {
  std::string text;
  std::va_list words;
  va_start(words, letters);
  for (; *letters != '\0'; ++letters) {
    switch (*letters) {
      case 's':
        text += va_arg(words, const char*);
        break;
      case 'v':
        text += *va_arg(words, const std::string_view*);
        break;
      case 'b':
        text += to_text(va_arg(words, int) != 0);
        break;
      case 'c':
        text += static_cast<char>(va_arg(words, int));
        break;
      case 'i':
        text += integer_to_text(va_arg(words, long long));
        break;
      case 'u':
        text += integer_to_text(va_arg(words, unsigned long long));
        break;
      case 'f':
        text += to_text(static_cast<float>(va_arg(words, double)));
        break;
      case 'd':
        text += to_text(va_arg(words, double));
        break;
      default: {
        const OtherPart& part = *va_arg(words, const OtherPart*);
        text += part.text(part.value);
      }
    }
  }
  va_end(words);
  return text;
}

}  // namespace detail

std::string with_thousands(int64_t value) {
  std::string text = std::to_string(value);
  const std::size_t sign = value < 0 ? 1 : 0;
  for (std::size_t i = text.size(); i > sign + 3; i -= 3) text.insert(i - 3, ",");
  return text;
}

}  // namespace convkit
