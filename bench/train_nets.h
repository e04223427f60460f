#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

/// The training steps that are compared with libtorch, for both sides' programs.
namespace bench {

struct TrainNet {
  const char* name;
  std::vector<int64_t> input;  ///< without the batch
  int64_t batch;
};

inline const std::vector<TrainNet>& train_nets() {
  static const std::vector<TrainNet> nets = {
      {"default", {1, 28, 28}, 128},
      {"resnet18", {3, 64, 64}, 16},
      {"m5", {1, 16000}, 16},
      {"r3d_18", {3, 16, 112, 112}, 2},
  };
  return nets;
}

inline const TrainNet* find_train_net(const std::string& name) {
  for (const TrainNet& net : train_nets())
    if (name == net.name) return &net;
  return nullptr;
}

class Stopwatch {
 public:
  double milliseconds() const {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start_)
        .count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// Median, minimum and count, the line that bench/train_steps reads.
inline void print_times(std::vector<double> times) {
  std::sort(times.begin(), times.end());
  std::printf("median_ms %.3f min_ms %.3f steps %zu\n", times[times.size() / 2], times.front(),
              times.size());
}

}  // namespace bench
