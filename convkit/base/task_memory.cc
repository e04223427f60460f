#include "convkit/base/task_memory.h"

#include <algorithm>
#include <memory>
#include <new>

namespace convkit {
namespace {

constexpr std::size_t kFirstBlock = std::size_t{64} << 10;

struct ThreadBlock {
  std::unique_ptr<std::byte[]> bytes;
  std::size_t size = 0;
  std::size_t used = 0;
};

ThreadBlock& thread_block() {
  thread_local ThreadBlock block;
  return block;
}

// Before each block from the heap.
struct alignas(std::max_align_t) Link {
  void* previous;
};

}  // namespace

TaskMemory::TaskMemory() : begin_(thread_block().used) {}

TaskMemory::~TaskMemory() {
  while (from_heap_ != nullptr) {
    void* const last = from_heap_;
    from_heap_ = static_cast<Link*>(last)->previous;
    ::operator delete(last);
  }
  ThreadBlock& block = thread_block();
  block.used = begin_;
  // Nobody else of this thread has anything in the block.
  if (missing_ == 0 || begin_ != 0) return;
  const std::size_t size = std::max(kFirstBlock, block.size + 2 * missing_);
  std::unique_ptr<std::byte[]> larger(new (std::nothrow) std::byte[size]);
  if (larger) block = {std::move(larger), size, 0};
}

void* TaskMemory::do_allocate(std::size_t bytes, std::size_t alignment) {
  ThreadBlock& block = thread_block();
  const std::size_t at = (block.used + alignment - 1) / alignment * alignment;
  if (alignment <= alignof(std::max_align_t) && at <= block.size && bytes <= block.size - at) {
    block.used = at + bytes;
    return block.bytes.get() + at;
  }
  if (alignment > alignof(std::max_align_t)) throw std::bad_alloc();
  void* const taken = ::operator new(sizeof(Link) + bytes);
  from_heap_ = new (taken) Link{from_heap_};
  missing_ += bytes + alignment;
  return static_cast<std::byte*>(taken) + sizeof(Link);
}

}  // namespace convkit
