#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

namespace convkit::bench {

/// Fills a tensor with numbers of [-1, 1): the load of every side. A block of a prime length is
/// repeated, since drawing a gigabyte takes longer than to compute with it.
inline void fill_random(float* values, int64_t count) {
  static const std::vector<float> block = [] {
    std::mt19937 random(1);
    std::uniform_real_distribution<float> numbers(-1.0f, 1.0f);
    std::vector<float> drawn(65537);
    for (float& number : drawn) number = numbers(random);
    return drawn;
  }();
  const auto length = static_cast<int64_t>(block.size());
  for (int64_t done = 0; done < count; done += length)
    std::copy_n(block.begin(), std::min(length, count - done), values + done);
}

}  // namespace convkit::bench
