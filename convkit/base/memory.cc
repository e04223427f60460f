#include "convkit/base/memory.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <new>
#include <unordered_map>
#include <vector>

#ifdef __linux__
#include <sys/mman.h>
#include <unistd.h>
#endif

#if defined(__SANITIZE_ADDRESS__)
#define CONVKIT_CACHE_MEMORY 0  // a recycled block would hide its misuse from the sanitizer
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CONVKIT_CACHE_MEMORY 0
#endif
#endif
#ifndef CONVKIT_CACHE_MEMORY
#define CONVKIT_CACHE_MEMORY 1
#endif

namespace convkit {
namespace {

// Sizes are rounded so that nearly equal requests share blocks: at most an eighth is wasted.
std::size_t block_size(std::size_t bytes) {
  std::size_t step = kAlignment;
  while (step * 16 <= bytes) step *= 2;
  return std::max(kAlignment, (bytes + step - 1) / step * step);
}

struct Cache {
  std::mutex mutex;
  std::unordered_map<std::size_t, std::vector<void*>> free_blocks;
  std::size_t cached = 0;
  std::size_t limit = std::size_t{1} << 30;
  std::size_t in_use = 0;
  std::size_t peak = 0;
  std::size_t most = 0;  // of in_use, ever
  std::size_t misses = 0;

  // Work that repeats finds its blocks again within this; work whose shapes change would otherwise
  // fill the cache up to its limit with sizes that never come back.
  std::size_t bound() const { return std::min(limit, 2 * most + (std::size_t{64} << 20)); }

  void release_all() {
    for (auto& [size, blocks] : free_blocks)
      for (void* block : blocks) std::free(block);
    free_blocks.clear();
    cached = 0;
  }
};

// Never destroyed: tensors in static storage may outlive every other static object.
Cache& cache() {
  static Cache* const instance = new Cache;
  return *instance;
}

constexpr std::size_t kFewestForHugePages = std::size_t{4} << 20;

void* take_from_system(std::size_t size, [[maybe_unused]] Pages pages) {
  void* const block = std::aligned_alloc(kAlignment, size);
#ifdef __linux__
  if (block != nullptr && pages == Pages::huge && size >= kFewestForHugePages) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const auto address = reinterpret_cast<std::uintptr_t>(block);
    const std::size_t before = (page - address % page) % page;
    // A wish: without it the block serves as well.
    madvise(static_cast<char*>(block) + before, (size - before) / page * page, MADV_HUGEPAGE);
  }
#endif
  return block;
}

}  // namespace

void* allocate(std::size_t bytes, Pages pages) {
  if (bytes > (std::size_t{1} << 62)) throw std::bad_alloc();
  const std::size_t size = block_size(bytes);
  Cache& c = cache();
  {
    const std::lock_guard lock(c.mutex);
    c.in_use += size;
    c.peak = std::max(c.peak, c.in_use);
    c.most = std::max(c.most, c.in_use);
    const auto found = c.free_blocks.find(size);
    if (found != c.free_blocks.end() && !found->second.empty()) {
      void* block = found->second.back();
      found->second.pop_back();
      c.cached -= size;
      return block;
    }
    ++c.misses;
  }
  void* block = take_from_system(size, pages);
  if (block == nullptr) {
    const std::lock_guard lock(c.mutex);
    c.release_all();
    block = take_from_system(size, pages);
    if (block == nullptr) {
      c.in_use -= size;
      throw std::bad_alloc();
    }
  }
  return block;
}

void deallocate(void* pointer, std::size_t bytes) noexcept {
  const std::size_t size = block_size(bytes);
  Cache& c = cache();
  {
    const std::lock_guard lock(c.mutex);
    c.in_use -= size;
    // A full cache holds sizes that nobody asks for any more: it starts afresh.
    const std::size_t bound = c.bound();
    if (size <= bound && c.cached + size > bound) c.release_all();
    if (CONVKIT_CACHE_MEMORY != 0 && size <= bound) {
      try {
        c.free_blocks[size].push_back(pointer);
        c.cached += size;
        return;
      } catch (const std::bad_alloc&) {
        // Out of memory for bookkeeping: the block itself goes back instead.
      }
    }
  }
  std::free(pointer);
}

std::size_t cached_bytes() {
  const std::lock_guard lock(cache().mutex);
  return cache().cached;
}

void set_cache_limit(std::size_t bytes) {
  const std::lock_guard lock(cache().mutex);
  cache().limit = bytes;
  if (cache().cached > bytes) cache().release_all();
}

void release_cached_memory() {
  const std::lock_guard lock(cache().mutex);
  cache().release_all();
}

std::size_t allocated_bytes() {
  const std::lock_guard lock(cache().mutex);
  return cache().in_use;
}

std::size_t peak_allocated_bytes() {
  const std::lock_guard lock(cache().mutex);
  return cache().peak;
}

std::size_t system_allocations() {
  const std::lock_guard lock(cache().mutex);
  return cache().misses;
}

void reset_peak_allocated_bytes() {
  const std::lock_guard lock(cache().mutex);
  cache().peak = cache().in_use;
}

}  // namespace convkit
