#pragma once

#include <cstdint>

#include "convkit/base/memory.h"

/// What kernels know of caches. Internal to kernels/.
namespace convkit::kernels {

/// Floats of a cache line.
inline constexpr int64_t kLineFloats = static_cast<int64_t>(kAlignment / sizeof(float));

/// An output of more bytes than this is in no cache at all when it is read next: to store it by way
/// of them would read it first.
inline constexpr int64_t kFarBytes = int64_t{16} << 20;

/// Whether `count` elements at `out`, in rows `pitch` elements apart, are far and can be stored
/// past the caches: rows begin at a line. Who does so ends with hwy::FlushStream(), before others
/// read.
template <class T>
bool is_far(const T* out, int64_t count, int64_t pitch) {
  constexpr auto kSize = static_cast<int64_t>(sizeof(T));
  constexpr auto kLineBytes = static_cast<int64_t>(kAlignment);
  return count * kSize > kFarBytes && pitch * kSize % kLineBytes == 0 &&
         reinterpret_cast<std::uintptr_t>(out) % kAlignment == 0;
}

}  // namespace convkit::kernels
