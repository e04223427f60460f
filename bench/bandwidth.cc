#include "bench/bandwidth.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstring>
#include <map>
#include <thread>
#include <utility>
#include <vector>

#include "convkit/base/memory.h"
#include "convkit/base/thread_pool.h"

namespace convkit::bench {
namespace {

constexpr int kSmallest = 18;
constexpr int kLargest = 28;
constexpr int64_t kBytesOfOneTry = int64_t{1} << 25;

double measured(int64_t bytes, int threads) {
  using Clock = std::chrono::steady_clock;
  const int64_t half = bytes / 2 / threads;
  Buffer<char> block(static_cast<std::size_t>(2 * half * threads));
  std::memset(block.data(), 1, block.size());
  const int64_t rounds = std::max<int64_t>(1, kBytesOfOneTry / bytes);
  double best = 0.0;
  const auto end = Clock::now() + std::chrono::milliseconds(30);
  do {
    std::atomic<int> arrived = 0;
    std::atomic<double> speed = 0.0;
    parallel_for(threads, [&](int64_t task) {
      for (++arrived; arrived < threads;) std::this_thread::yield();
      char* const to = block.data() + 2 * task * half;
      const auto start = Clock::now();
      for (int64_t round = 0; round < rounds; ++round)
        std::memcpy(to, to + half, static_cast<std::size_t>(half));
      const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
      speed += 2e-9 * static_cast<double>(half * rounds) / seconds;
    });
    best = std::max<double>(best, speed);
  } while (Clock::now() < end);
  return best;
}

}  // namespace

double copy_bandwidth(int64_t bytes) {
  static std::map<std::pair<int, int>, double> known;
  const int power = std::clamp(static_cast<int>(std::lround(std::log2(static_cast<double>(bytes)))),
                               kSmallest, kLargest);
  const std::pair key(power, num_threads());
  if (!known.contains(key)) known[key] = measured(int64_t{1} << power, num_threads());
  return known[key];
}

double core_round_trip() {
  using Clock = std::chrono::steady_clock;
  constexpr int kTries = 15;
  constexpr int kRounds = 1000;
  std::atomic<int> flag = 0;
  std::thread other([&] {
    for (int i = 0; i < kTries * kRounds; ++i) {
      while (flag.load(std::memory_order_acquire) != 2 * i + 1)
        if (i % kRounds == 0) std::this_thread::yield();
      flag.store(2 * i + 2, std::memory_order_release);
    }
  });
  std::vector<double> seconds;
  for (int attempt = 0; attempt < kTries; ++attempt) {
    // Both may stand on one core at first: the start of a try does not count.
    Clock::time_point start;
    for (int i = attempt * kRounds; i < (attempt + 1) * kRounds; ++i) {
      if (i == attempt * kRounds + 1) start = Clock::now();
      flag.store(2 * i + 1, std::memory_order_release);
      while (flag.load(std::memory_order_acquire) != 2 * i + 2)
        if (i == attempt * kRounds) std::this_thread::yield();
    }
    seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count() / (kRounds - 1));
  }
  other.join();
  std::nth_element(seconds.begin(), seconds.begin() + kTries / 2, seconds.end());
  return seconds[kTries / 2];
}

}  // namespace convkit::bench
