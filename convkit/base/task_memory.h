#pragma once

#include <cstddef>
#include <memory_resource>

#include "convkit/base/export.h"

namespace convkit {

/// Memory for the lists of one task, for std::pmr containers: taken one after the other from a
/// block that the thread keeps from task to task, and given back all at once at the end. What does
/// not fit comes from the heap, and the thread's block is larger the next time; so tasks that
/// repeat ask nobody. Objects of one thread must end in the reverse order of their beginning, as
/// those on the stack do. Containers must not outlive it.
class CONVKIT_API TaskMemory final : public std::pmr::memory_resource {
 public:
  TaskMemory();
  ~TaskMemory() override;
  TaskMemory(const TaskMemory&) = delete;
  TaskMemory& operator=(const TaskMemory&) = delete;

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override;
  void do_deallocate(void*, std::size_t, std::size_t) override {}
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
    return this == &other;
  }

  std::size_t begin_;          // of the thread's block, in use before
  std::size_t missing_ = 0;    // bytes that did not fit
  void* from_heap_ = nullptr;  // the last of a list of blocks
};

}  // namespace convkit
