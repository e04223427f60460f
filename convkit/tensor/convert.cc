#include "convkit/tensor/convert.h"

#include <cstring>
#include <utility>

namespace convkit {
namespace {

template <class From, class To>
To convert(From value) {
  // Between integers a detour over double would lose the low bits of 64-bit values.
  if constexpr (std::is_integral_v<From> && std::is_integral_v<To> && !std::is_same_v<To, bool> &&
                !std::is_same_v<From, bool>) {
    if (std::cmp_greater(value, std::numeric_limits<To>::max()))
      return std::numeric_limits<To>::max();
    if (std::cmp_less(value, std::numeric_limits<To>::min())) return std::numeric_limits<To>::min();
    return static_cast<To>(value);
  } else if constexpr (std::is_integral_v<From> && std::is_floating_point_v<To>) {
    return static_cast<To>(value);  // rounds once, also for 64-bit integers
  } else {
    return element_from_double<To>(to_double(value));
  }
}

}  // namespace

void convert_elements(DType source_type, const void* source, DType target_type, void* target,
                      int64_t count) {
  if (source_type == target_type) {
    std::memmove(target, source, static_cast<std::size_t>(count) * item_size(source_type));
    return;
  }
  visit_dtype(source_type, [&]<class From>() {
    visit_dtype(target_type, [&]<class To>() {
      const From* from = static_cast<const From*>(source);
      To* to = static_cast<To*>(target);
      for (int64_t i = 0; i < count; ++i) to[i] = convert<From, To>(from[i]);
    });
  });
}

double element_as_double(DType type, const void* source, int64_t index) {
  return visit_dtype(type,
                     [&]<class T>() { return to_double(static_cast<const T*>(source)[index]); });
}

}  // namespace convkit
