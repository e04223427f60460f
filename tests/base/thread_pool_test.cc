#include "convkit/base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <numeric>
#include <set>
#include <thread>
#include <vector>

#include "convkit/base/error.h"
#include "convkit/base/scope.h"
#include "tests/support/throws.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace convkit {
namespace {

TEST(ThreadPool, RunsEveryTaskOnce) {
  for (const int threads : {1, 2, 3, 5}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.size(), threads);
    for (const int64_t count : {0, 1, 2, 7, 1000}) {
      std::vector<std::atomic<int>> runs(static_cast<std::size_t>(count));
      pool.run(count, [&](int64_t task) { ++runs[static_cast<std::size_t>(task)]; });
      for (const auto& run : runs) ASSERT_EQ(run, 1);
    }
  }
}

TEST(ThreadPool, UsesItsThreads) {
  ThreadPool pool(2);
  std::atomic<int> waiting = 0;
  // Each of the two tasks waits for the other: only two threads can finish them.
  pool.run(2, [&](int64_t) {
    ++waiting;
    while (waiting < 2) std::this_thread::yield();
  });
  EXPECT_EQ(waiting, 2);
}

TEST(ThreadPool, RethrowsTheErrorOfTheLowestTask) {
  for (const int threads : {1, 2, 4}) {
    ThreadPool pool(threads);
    for (int repeat = 0; repeat < 20; ++repeat) {
      EXPECT_ERROR(pool.run(50,
                            [](int64_t task) {
                              CONVKIT_CHECK(task % 10 != 7, ValueError, "task ", task, " failed");
                            }),
                   ValueError, "task 7 failed");
    }
    int64_t sum = 0;
    pool.run(1, [&](int64_t) { sum = 1; });
    EXPECT_EQ(sum, 1) << "usable afterwards";
  }
}

TEST(ThreadPool, NamesTheCallersLayerInErrorsOfAllThreads) {
  const std::string path = "stem.conv";
  ThreadPool pool(3);
  const Scope scope(path);
  for (int repeat = 0; repeat < 20; ++repeat)
    EXPECT_ERROR(pool.run(9, [](int64_t) { throw ValueError("bad"); }), ValueError,
                 "stem.conv: bad");
}

TEST(ThreadPool, RefusesACountOfThreadsOutOfRange) {
  EXPECT_ERROR(ThreadPool(0), ValueError, "threads (0)", "between 1 and 4096");
  EXPECT_ERROR(ThreadPool(-3), ValueError, "threads (-3)");
  EXPECT_ERROR(ThreadPool(100000), ValueError, "threads (100000)");
}

TEST(ThreadPool, WorksOnWhenItsThreadsHaveFallenAsleep) {
  for (const int threads : {2, 3, 40}) {
    ThreadPool pool(threads);
    for (int round = 0; round < 20; ++round) {
      std::vector<int> done(100);
      pool.run(100, [&](int64_t task) { ++done[static_cast<std::size_t>(task)]; });
      EXPECT_EQ(done, std::vector<int>(100, 1));
      if (round % 4 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }
}

// Runs that follow each other at once, with so few tasks that workers come late or not at all.
TEST(ThreadPool, SurvivesManyShortRuns) {
  for (const int threads : {2, 4}) {
    ThreadPool pool(threads);
    std::atomic<int64_t> sum = 0;
    for (int64_t run = 0; run < 20000; ++run)
      pool.run(2 + run % 3, [&](int64_t task) { sum += task + 1; });
    // 3, 6 and 10 in turns.
    EXPECT_EQ(sum, 6666 * 19 + 3 + 6);
  }
}

TEST(ThreadPool, CanBeMadeAndUnmadeWhileItsThreadsStart) {
  for (int round = 0; round < 200; ++round) {
    ThreadPool pool(3);
    if (round % 2 == 0) {
      std::atomic<int> runs = 0;
      pool.run(3, [&](int64_t) { ++runs; });
      EXPECT_EQ(runs, 3);
    }
  }
}

TEST(ParallelFor, NestedInATaskRunsThere) {
  ThreadPool pool(2);
  const UseThreadPool use(pool);
  std::vector<std::atomic<int>> runs(64);
  parallel_for(8, [&](int64_t outer) {
    const std::thread::id here = std::this_thread::get_id();
    parallel_for(8, [&](int64_t inner) {
      EXPECT_EQ(std::this_thread::get_id(), here);
      ++runs[static_cast<std::size_t>(outer * 8 + inner)];
    });
  });
  for (const auto& run : runs) EXPECT_EQ(run, 1);
}

TEST(ParallelFor, PassesErrorsOutOfNestedTasks) {
  ThreadPool pool(2);
  const UseThreadPool use(pool);
  EXPECT_ERROR(parallel_for(4,
                            [](int64_t outer) {
                              parallel_for(4, [outer](int64_t inner) {
                                CONVKIT_CHECK(outer != 2 || inner != 1, ValueError, "at ", outer,
                                              ".", inner);
                              });
                            }),
               ValueError, "at 2.1");
}

TEST(ParallelFor, ServesSeveralCallersAtOnce) {
  std::vector<std::thread> callers;
  callers.reserve(4);
  std::atomic<int64_t> total = 0;
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([&] {
      for (int repeat = 0; repeat < 50; ++repeat)
        parallel_for(10, [&](int64_t task) { total += task; });
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(total, 4 * 50 * 45);
}

TEST(ParallelRanges, CoverTheWholeByTheGrain) {
  for (const int64_t total : {0, 1, 99, 100, 101, 1000}) {
    for (const int64_t grain : {1, 7, 100, 5000}) {
      std::vector<std::atomic<int>> hits(static_cast<std::size_t>(total));
      parallel_ranges(total, grain, [&](int64_t begin, int64_t end) {
        EXPECT_EQ(begin % grain, 0);
        EXPECT_TRUE(end - begin == grain || end == total);
        for (int64_t i = begin; i < end; ++i) ++hits[static_cast<std::size_t>(i)];
      });
      for (const auto& hit : hits) ASSERT_EQ(hit, 1);
    }
  }
  std::atomic<int> calls = 0;
  parallel_ranges(3, 0, [&](int64_t, int64_t) { ++calls; });
  EXPECT_EQ(calls, 3) << "a grain below 1 counts as 1";
}

// The pattern every kernel uses: parts by shape, their sum in task order.
TEST(ParallelFor, GivesTheSameBitsForAnyNumberOfThreads) {
  std::vector<float> values(100000);
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = std::sin(static_cast<float>(i)) * 1e3F;
  std::vector<float> sums;
  for (const int threads : {1, 2, 3, 4}) {
    ThreadPool pool(threads);
    const UseThreadPool use(pool);
    std::vector<float> parts(100);
    parallel_for(100, [&](int64_t task) {
      const auto begin = values.begin() + task * 1000;
      parts[static_cast<std::size_t>(task)] = std::accumulate(begin, begin + 1000, 0.0F);
    });
    sums.push_back(std::accumulate(parts.begin(), parts.end(), 0.0F));
  }
  for (const float sum : sums) EXPECT_EQ(sum, sums[0]);
}

TEST(NumThreads, CanBeSetAndAskedFor) {
  const int before = num_threads();
  EXPECT_GE(before, 1);
  set_num_threads(3);
  EXPECT_EQ(num_threads(), 3);
  std::atomic<int> asked = 0;
  parallel_for(8, [&](int64_t) { asked += num_threads(); });
  EXPECT_EQ(asked, 24) << "a task may ask, too";
  set_num_threads(before);
  EXPECT_ERROR(set_num_threads(0), ValueError, "threads (0)");
  EXPECT_EQ(num_threads(), before) << "a refused number changes nothing";
}

TEST(NumThreads, CannotBeSetByATask) {
  const int before = num_threads();
  set_num_threads(2);
  EXPECT_ERROR(parallel_for(4, [](int64_t) { set_num_threads(1); }), ValueError,
               "would wait for itself");
  set_num_threads(before);
}

TEST(UseThreadPool, HoldsForItsLifetimeAndThread) {
  const int before = num_threads();
  ThreadPool outer(3);
  ThreadPool inner(5);
  {
    const UseThreadPool use_outer(outer);
    EXPECT_EQ(num_threads(), 3);
    {
      const UseThreadPool use_inner(inner);
      EXPECT_EQ(num_threads(), 5);
    }
    EXPECT_EQ(num_threads(), 3);
    std::thread([&] { EXPECT_EQ(num_threads(), before); }).join();
  }
  EXPECT_EQ(num_threads(), before);
}

// A product whose exact value is subnormal; volatile, so that it is computed here and now.
float subnormal_product() {
  volatile float a = 1e-30F;
  volatile float b = 1e-10F;
  return a * b;
}

#if defined(__x86_64__)
TEST(FlushSubnormals, FlushesAndRestoresTheCallersMode) {
  const unsigned before = _mm_getcsr();
  ASSERT_NE(subnormal_product(), 0) << "the test starts in the default mode";
  {
    const FlushSubnormals flush;
    EXPECT_EQ(subnormal_product(), 0);
    {
      const FlushSubnormals nested;
      EXPECT_EQ(subnormal_product(), 0);
    }
    EXPECT_EQ(subnormal_product(), 0);
  }
  EXPECT_NE(subnormal_product(), 0);
  EXPECT_EQ(_mm_getcsr() & ~0x3FU, before & ~0x3FU) << "all but the sticky exception flags";
}

TEST(ThreadPool, FlushesSubnormalsInEveryTaskAndLeavesTheCallersModeAlone) {
  for (const int threads : {1, 2, 3}) {
    ThreadPool pool(threads);
    for (const int64_t count : {1, 40}) {
      std::atomic<int> flushed = 0;
      pool.run(count, [&](int64_t) { flushed += subnormal_product() == 0 ? 1 : 0; });
      EXPECT_EQ(flushed, count);
      EXPECT_NE(subnormal_product(), 0);
    }
  }
  ThreadPool pool(2);
  EXPECT_THROW(pool.run(4, [](int64_t) { throw ValueError("x"); }), ValueError);
  EXPECT_NE(subnormal_product(), 0) << "also after an error";
}

TEST(ThreadPool, KeepsTheCallersRoundingMode) {
  const unsigned before = _mm_getcsr();
  _MM_SET_ROUNDING_MODE(_MM_ROUND_TOWARD_ZERO);
  ThreadPool pool(2);
  pool.run(4, [](int64_t) {});
  EXPECT_EQ(_MM_GET_ROUNDING_MODE(), static_cast<unsigned>(_MM_ROUND_TOWARD_ZERO));
  _mm_setcsr(before);
}
#endif

}  // namespace
}  // namespace convkit
