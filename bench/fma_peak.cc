#include "bench/fma_peak.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <thread>

#include "convkit/base/thread_pool.h"

#define HWY_DISABLED_TARGETS \
  (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bench/fma_peak.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace convkit::bench {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Multiply-adds done, ×2. Twelve sums are enough to hide the latency of one.
HWY_NOINLINE double MultiplyAdd(int64_t rounds, float* sink) {
  const hn::ScalableTag<float> d;
  constexpr int kSums = 12;
  hn::Vec<decltype(d)> sums[kSums];
  for (int i = 0; i < kSums; ++i) sums[i] = hn::Set(d, static_cast<float>(i));
  // Values the compiler cannot know, so that it cannot compute the result beforehand.
  const auto factor = hn::Set(d, sink[0]);
  const auto term = hn::Set(d, sink[1]);
  for (int64_t round = 0; round < rounds; ++round)
    for (int i = 0; i < kSums; ++i) sums[i] = hn::MulAdd(sums[i], factor, term);
  auto total = hn::Zero(d);
  for (int i = 0; i < kSums; ++i) total = hn::Add(total, sums[i]);
  sink[2] = hn::GetLane(total);
  return 2.0 * kSums * static_cast<double>(hn::Lanes(d)) * static_cast<double>(rounds);
}

}  // namespace HWY_NAMESPACE
}  // namespace convkit::bench
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convkit::bench {
namespace {
HWY_EXPORT(MultiplyAdd);
}

double fma_peak() {
  using Clock = std::chrono::steady_clock;
  static std::map<int, double> bests;
  const int threads = num_threads();
  double& best = bests[threads];
  // A new pool's threads may share a processor for as long as the system does not notice.
  const auto end = Clock::now() + std::chrono::milliseconds(best == 0.0 ? 300 : 30);
  while (Clock::now() < end) {
    std::atomic<int> arrived = 0;
    std::atomic<double> flops_per_second = 0.0;
    parallel_for(threads, [&](int64_t) {
      // A thread that is late would leave its task to another, which would then count twice the
      // time.
      for (++arrived; arrived < threads;) std::this_thread::yield();
      float sink[3] = {0.999f, 0.001f, 0.0f};
      const auto start = Clock::now();
      const double done = HWY_DYNAMIC_DISPATCH(MultiplyAdd)(80'000, sink);
      flops_per_second += done / std::chrono::duration<double>(Clock::now() - start).count();
    });
    best = std::max(best, flops_per_second / 1e9);
  }
  return best;
}

}  // namespace convkit::bench
#endif
