#include "convkit/base/memory.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <new>
#include <numeric>
#include <thread>
#include <vector>

#include "tests/support/sanitizers.h"

namespace convkit {
namespace {

using test::kCachesMemory;

constexpr std::size_t kMiB = std::size_t{1} << 20;

class Memory : public ::testing::Test {
 protected:
  Memory() { release_cached_memory(); }
  ~Memory() override {
    set_cache_limit(std::size_t{1} << 30);
    release_cached_memory();
  }
};

TEST_F(Memory, IsAlignedAndUsableForEverySize) {
  for (std::size_t bytes = 0; bytes < 3000; bytes = bytes * 5 / 4 + 1) {
    void* block = allocate(bytes);
    ASSERT_NE(block, nullptr);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block) % kAlignment, 0U) << bytes;
    std::memset(block, 0xAB, bytes);
    deallocate(block, bytes);
  }
}

TEST_F(Memory, GivesAFreedBlockToTheNextOfItsSize) {
  if (!kCachesMemory) GTEST_SKIP();
  void* first = allocate(3 * kMiB);
  deallocate(first, 3 * kMiB);
  EXPECT_GE(cached_bytes(), 3 * kMiB);
  void* second = allocate(3 * kMiB - 5);  // rounded up to the same size
  EXPECT_EQ(second, first);
  EXPECT_EQ(cached_bytes(), 0U);
  deallocate(second, 3 * kMiB - 5);
}

TEST_F(Memory, CountsWhatItAsksOfTheSystem) {
  const std::size_t before = system_allocations();
  void* block = allocate(3 * kMiB);
  EXPECT_EQ(system_allocations(), before + 1);
  deallocate(block, 3 * kMiB);
  deallocate(allocate(3 * kMiB), 3 * kMiB);
  EXPECT_EQ(system_allocations(), before + (kCachesMemory ? 1 : 2));
}

TEST_F(Memory, WastesAtMostAnEighth) {
  for (std::size_t bytes = 1024; bytes < 8 * kMiB; bytes = bytes * 9 / 8 + 77) {
    const std::size_t before = allocated_bytes();
    void* block = allocate(bytes);
    EXPECT_LE(allocated_bytes() - before, bytes + bytes / 8 + kAlignment) << bytes;
    EXPECT_GE(allocated_bytes() - before, bytes);
    deallocate(block, bytes);
    EXPECT_EQ(allocated_bytes(), before);
  }
}

TEST_F(Memory, KeepsTheCacheBelowItsLimit) {
  set_cache_limit(10 * kMiB);
  for (std::size_t i = 1; i < 40; ++i) {
    void* block = allocate(i * kMiB / 4);
    deallocate(block, i * kMiB / 4);
    EXPECT_LE(cached_bytes(), 10 * kMiB) << i;
  }
  void* large = allocate(11 * kMiB);
  deallocate(large, 11 * kMiB);
  EXPECT_LE(cached_bytes(), 10 * kMiB);
  set_cache_limit(0);
  EXPECT_EQ(cached_bytes(), 0U);
  void* block = allocate(kMiB);
  deallocate(block, kMiB);
  EXPECT_EQ(cached_bytes(), 0U);
}

TEST_F(Memory, DoesNotGrowWithSizesThatNeverComeBack) {
  const std::size_t most = 100 * kMiB;
  for (std::size_t i = 1; i < 400; ++i) {
    void* block = allocate(most * i / 400);
    deallocate(block, most * i / 400);
  }
  EXPECT_LE(cached_bytes(), 2 * (most + most / 8) + 64 * kMiB);
}

TEST_F(Memory, GivesUpOldSizesForNewOnes) {
  if (!kCachesMemory) GTEST_SKIP();
  set_cache_limit(10 * kMiB);
  std::vector<void*> old;
  old.reserve(9);
  for (int i = 0; i < 9; ++i) old.push_back(allocate(kMiB));
  for (void* block : old) deallocate(block, kMiB);
  void* block = allocate(4 * kMiB);
  deallocate(block, 4 * kMiB);
  void* again = allocate(4 * kMiB);
  EXPECT_EQ(again, block) << "a cache full of sizes no longer asked for must not stay so";
  deallocate(again, 4 * kMiB);
}

TEST_F(Memory, KnowsWhatIsInUseAndThePeak) {
  reset_peak_allocated_bytes();
  const std::size_t before = allocated_bytes();
  EXPECT_EQ(peak_allocated_bytes(), before);
  void* a = allocate(kMiB);
  void* b = allocate(2 * kMiB);
  deallocate(a, kMiB);
  EXPECT_EQ(allocated_bytes(), before + 2 * kMiB);
  EXPECT_EQ(peak_allocated_bytes(), before + 3 * kMiB);
  deallocate(b, 2 * kMiB);
  reset_peak_allocated_bytes();
  EXPECT_EQ(peak_allocated_bytes(), before);
}

TEST_F(Memory, ThrowsForMoreThanThereIsAndStaysUsable) {
  const std::size_t before = allocated_bytes();
  EXPECT_THROW(allocate(SIZE_MAX), std::bad_alloc);
  EXPECT_THROW(allocate(SIZE_MAX / 2), std::bad_alloc);
#ifndef CONVKIT_SANITIZED  // a sanitizer ends the program instead
  EXPECT_THROW(allocate(std::size_t{1} << 60), std::bad_alloc);
#endif
  EXPECT_EQ(allocated_bytes(), before);
  deallocate(allocate(100), 100);
}

TEST_F(Memory, ServesManyThreads) {
  const std::size_t before = allocated_bytes();
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (std::size_t i = 0; i < 200; ++i) {
        const std::size_t bytes = 64 * (1 + (i * 7 + t) % 50);
        auto* block = static_cast<unsigned char*>(allocate(bytes));
        std::memset(block, static_cast<int>(t), bytes);
        for (std::size_t k = 0; k < bytes; k += 63) ASSERT_EQ(block[k], t);
        deallocate(block, bytes);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(allocated_bytes(), before);
}

TEST_F(Memory, BufferOwnsAndMoves) {
  const std::size_t before = allocated_bytes();
  {
    Buffer<float> a(1000);
    a[999] = 5;
    Buffer<float> b = std::move(a);
    EXPECT_EQ(b.size(), 1000U);
    EXPECT_EQ(b[999], 5);
    EXPECT_EQ(a.data(), nullptr);  // NOLINT(bugprone-use-after-move): that is what is tested
    Buffer<float> c;
    EXPECT_EQ(c.data(), nullptr);
    c = std::move(b);
    EXPECT_EQ(c[999], 5);
  }
  EXPECT_EQ(allocated_bytes(), before);
}

TEST_F(Memory, LargeBlocksServeOnAnyPages) {
  for (const Pages pages : {Pages::huge, Pages::ordinary}) {
    constexpr std::size_t kFloats = (std::size_t{5} << 18) + 3;
    Buffer<float> block(kFloats, pages);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block.data()) % kAlignment, 0U);
    std::iota(block.data(), block.data() + kFloats, 0.0F);
    EXPECT_EQ(block[kFloats - 1], static_cast<float>(kFloats - 1));
  }
}

}  // namespace
}  // namespace convkit
