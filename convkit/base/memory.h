#pragma once

#include <cstddef>
#include <utility>

#include "convkit/base/export.h"

namespace convkit {

/// Every buffer starts at a multiple of this many bytes (a cache line, an AVX-512 register).
inline constexpr std::size_t kAlignment = 64;

/// The pages of memory that a block is to lie on, where the system has a choice and the block has
/// 4 MiB or more. Huge ones (Linux: madvise) save looking up addresses in every use, but the system
/// takes longer to hand them out, which does not pay for what is written once, as packed weights.
enum class Pages { huge, ordinary };

/// Returns `bytes` of uninitialised memory aligned to kAlignment, taken from a cache of freed
/// blocks where one of that size is at hand: a training step repeats the same sizes, and fresh
/// pages from the system cost more than the arithmetic on them. Never null, also for 0 bytes.
/// Throws std::bad_alloc. Thread-safe.
CONVKIT_API void* allocate(std::size_t bytes, Pages pages = Pages::huge);
/// Gives back what allocate(bytes) returned; `bytes` must be the same.
CONVKIT_API void deallocate(void* pointer, std::size_t bytes) noexcept;

/// What the cache of freed blocks holds, and its limit: a block that would exceed it drives out
/// those cached before. So that changing shapes do not grow memory, the cache also stays below 64
/// MiB and twice what was in use at once.
CONVKIT_API std::size_t cached_bytes();
CONVKIT_API void set_cache_limit(std::size_t bytes);  ///< default: 1 GiB
CONVKIT_API void release_cached_memory();
/// Bytes handed out and not yet given back, and the largest such figure since the last reset.
CONVKIT_API std::size_t allocated_bytes();
CONVKIT_API std::size_t peak_allocated_bytes();
CONVKIT_API void reset_peak_allocated_bytes();
/// How many blocks have been asked of the system so far, the cache having none of their size: work
/// that repeats leaves it as it is.
CONVKIT_API std::size_t system_allocations();

/// An owned array of trivially copyable elements from allocate(); move-only.
template <class T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::size_t count, Pages pages = Pages::huge)
      : data_(static_cast<T*>(allocate(count * sizeof(T), pages))), count_(count) {}
  Buffer(Buffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), count_(std::exchange(other.count_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(count_, other.count_);
    return *this;
  }
  ~Buffer() {
    if (data_ != nullptr) deallocate(data_, count_ * sizeof(T));
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  std::size_t size() const { return count_; }
  T& operator[](std::size_t i) { return data_[i]; }
  const T& operator[](std::size_t i) const { return data_[i]; }

 private:
  T* data_ = nullptr;
  std::size_t count_ = 0;
};

}  // namespace convkit
