#include "convkit/tensor/deferred.h"

#include <gtest/gtest.h>

#include <atomic>
#include <numeric>
#include <thread>

#include "convkit/base/memory.h"
#include "tests/support/throws.h"

namespace convkit {
namespace {

// Rows of 0, 1, 2, … in memory order.
class Counting final : public TensorSource {
 public:
  explicit Counting(int64_t row) : row_(row) {}
  void read_rows(int64_t first, int64_t count, void* target) const override {
    ++reads;
    auto* const out = static_cast<float*>(target);
    std::iota(out, out + count * row_, static_cast<float>(first * row_));
  }
  mutable std::atomic<int> reads = 0;

 private:
  int64_t row_;
};

class Failing final : public TensorSource {
 public:
  void read_rows(int64_t, int64_t, void*) const override { throw IoError("gone"); }
};

TEST(Deferred, FetchesAllElementsOnceWhenOneIsRead) {
  const auto source = std::make_shared<Counting>(6);
  const std::size_t before = allocated_bytes();
  const Tensor tensor = deferred({4, 2, 3}, DType::float32, source);
  EXPECT_EQ(tensor.numel(), 24);
  EXPECT_EQ(tensor.dtype(), DType::float32);
  EXPECT_EQ(source_of(tensor), source);
  EXPECT_EQ(allocated_bytes(), before);
  EXPECT_EQ(source->reads, 0);
  // Memory order: the channels are innermost.
  EXPECT_EQ(tensor.at({3, 1, 2}), 23);
  EXPECT_EQ(tensor.at({3, 0, 2}), 22);
  EXPECT_EQ(source->reads, 1);
  EXPECT_EQ(source_of(tensor), nullptr);
  EXPECT_EQ(source.use_count(), 1);
}

TEST(Deferred, HandlesShareWhatWasFetched) {
  const auto source = std::make_shared<Counting>(6);
  const Tensor tensor = deferred({4, 6}, DType::float32, source);
  const Tensor same_rows = tensor.reshaped({4, 1, 6});
  const Tensor other_rows = tensor.reshaped({2, 12});
  EXPECT_EQ(source_of(same_rows), source);
  EXPECT_EQ(source_of(other_rows), nullptr);
  EXPECT_EQ(source->reads, 0);
  EXPECT_EQ(other_rows.at({1, 0}), 12);
  EXPECT_EQ(tensor.data<float>(), other_rows.data<float>());
  EXPECT_EQ(source->reads, 1);
}

TEST(Deferred, FailsAtTheAccessAndMayBeTriedAgain) {
  const std::size_t before = allocated_bytes();
  const Tensor tensor = deferred({2, 2}, DType::float32, std::make_shared<Failing>());
  EXPECT_ERROR(tensor.item(), ShapeError, "2×2");
  EXPECT_ERROR(static_cast<void>(tensor.data<float>()), IoError, "gone");
  EXPECT_ERROR(static_cast<void>(tensor.clone()), IoError, "gone");
  EXPECT_EQ(allocated_bytes(), before);
}

TEST(Deferred, RefusesWhatHasNoRows) {
  EXPECT_ERROR(deferred({}, DType::float32, std::make_shared<Failing>()), ValueError, "rows");
  EXPECT_ERROR(deferred({2}, DType::float32, nullptr), ValueError, "rows");
}

TEST(Deferred, IsOneTensorForAllThreads) {
  const Tensor tensor = deferred({100, 100}, DType::float32, std::make_shared<Counting>(100));
  std::vector<const float*> seen(4);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < seen.size(); ++t)
    threads.emplace_back([&, t] { seen[t] = tensor.data<float>(); });
  for (std::thread& thread : threads) thread.join();
  for (const float* data : seen) EXPECT_EQ(data, seen[0]);
  EXPECT_EQ(seen[0][9999], 9999);
}

}  // namespace
}  // namespace convkit
