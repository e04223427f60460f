// What a run takes from the heap. Counts every `new` of the process, so it stands in a file of its
// own.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "convkit/infer/session.h"
#include "tests/infer/nodes.h"
#include "tests/support/on_threads.h"

namespace {
std::atomic<int64_t> news{0};
}  // namespace

// Not inlined, or the compiler sees malloc and free not matched.
[[gnu::noinline]] void* operator new(std::size_t size) {
  news.fetch_add(1, std::memory_order_relaxed);
  void* const taken = std::malloc(size == 0 ? 1 : size);
  if (taken == nullptr) throw std::bad_alloc();
  return taken;
}
// Of std::stable_sort's buffers; the standard's own would not go with this delete.
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  news.fetch_add(1, std::memory_order_relaxed);
  return std::malloc(size == 0 ? 1 : size);
}
[[gnu::noinline]] void operator delete(void* taken) noexcept { std::free(taken); }
[[gnu::noinline]] void operator delete(void* taken, std::size_t) noexcept { std::free(taken); }

namespace convkit::infer {
namespace {

using graph::Graph;
using graph::Op;
using graph::ValueId;
using test::Builder;

// Layers of every algorithm there is: a stem, Winograd, direct with and without stride, depthwise,
// grouped, few outputs, long filters; and what stands between them.
Graph net_of_blocks(int blocks) {
  Builder b;
  ValueId y = b.conv(b.input({1, 3, 32, 32}), {32, 3, 7, 7}, {3, 3, 3, 3});
  for (int block = 0; block < blocks; ++block) {
    const ValueId wide = b.node(Op::relu, {b.conv(y, {64, 32, 3, 3}, {1, 1, 1, 1})});
    const ValueId deep = b.conv(wide, {64, 1, 3, 3}, {1, 1, 1, 1}, {}, 64);
    const ValueId grouped = b.conv(deep, {64, 8, 3, 3}, {1, 1, 1, 1}, {}, 8);
    const ValueId few = b.conv(grouped, {3, 64, 3, 3}, {1, 1, 1, 1});
    const ValueId back = b.conv(few, {32, 3, 9, 9}, {4, 4, 4, 4});
    y = b.node(Op::relu, {b.node(Op::add, {back, y})});
    y = b.node(Op::max_pool, {y}, test::pool_attributes({3, 3}, {1, 1}, {1, 1, 1, 1}));
    y = b.node(Op::mul, {y, b.node(Op::sigmoid, {b.node(Op::global_average_pool, {y})})});
  }
  const ValueId small = b.conv(y, {16, 32, 3, 3}, {1, 1, 1, 1}, {2, 2});
  return b.finish({small});
}

int64_t news_of_a_run(const Graph& graph) {
  const std::vector<Tensor> inputs = test::random_inputs(graph);
  const Session session(graph);
  for (int i = 0; i < 3; ++i) static_cast<void>(session.run(inputs));
  const int64_t before = news;
  static_cast<void>(session.run(inputs));
  return news - before;
}

// The output and a few lists are made in each run, whatever the net does.
TEST(Allocation, ARunMakesItsOutputsAndNothingForItsSteps) {
  const test::OnThreads alone(1);
  const int64_t of_two = news_of_a_run(net_of_blocks(2));
  EXPECT_LE(of_two, 12);
  EXPECT_EQ(news_of_a_run(net_of_blocks(5)), of_two);
}

}  // namespace
}  // namespace convkit::infer
