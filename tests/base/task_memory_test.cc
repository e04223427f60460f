#include "convkit/base/task_memory.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <numeric>
#include <thread>
#include <vector>

namespace convkit {
namespace {

constexpr std::size_t kMuch = std::size_t{300} << 10;

std::byte* take(TaskMemory& memory, std::size_t bytes, std::size_t alignment = 8) {
  return static_cast<std::byte*>(memory.allocate(bytes, alignment));
}

TEST(TaskMemory, GivesTheSamePlacesToTasksThatRepeat) {
  std::byte* first = nullptr;
  for (int i = 0; i < 4; ++i) {
    TaskMemory memory;
    std::byte* const a = take(memory, kMuch);
    std::byte* const b = take(memory, 1);
    std::byte* const c = take(memory, 8);
    a[0] = a[kMuch - 1] = b[0] = c[7] = std::byte{1};
    if (i == 0) continue;  // from the heap
    EXPECT_EQ(b, a + kMuch);
    EXPECT_EQ(c, b + 8);
    if (i == 1) first = a;
    EXPECT_EQ(a, first);
  }
}

TEST(TaskMemory, StacksUpWithinAThread) {
  TaskMemory outer;
  std::pmr::vector<int64_t> below(&outer);
  below.resize(1000);
  std::iota(below.begin(), below.end(), int64_t{0});
  for (int i = 0; i < 3; ++i) {
    TaskMemory inner;
    std::pmr::vector<int64_t> above(kMuch, int64_t{-1}, &inner);
    EXPECT_EQ(above.back(), -1);
  }
  std::pmr::vector<int64_t> more(5000, int64_t{-2}, &outer);
  for (int64_t i = 0; i < 1000; ++i) EXPECT_EQ(below[static_cast<std::size_t>(i)], i);
}

TEST(TaskMemory, IsEachThreadsOwn) {
  TaskMemory mine;
  std::byte* const here = take(mine, 64);
  std::byte* there = nullptr;
  std::thread([&] {
    TaskMemory theirs;
    there = take(theirs, 64);
    there[0] = std::byte{2};
  }).join();
  here[0] = std::byte{1};
  EXPECT_NE(here, there);
}

TEST(TaskMemory, RefusesStricterAlignmentThanTheHeaps) {
  TaskMemory memory;
  EXPECT_THROW(static_cast<void>(memory.allocate(8, 4096)), std::bad_alloc);
}

}  // namespace
}  // namespace convkit
