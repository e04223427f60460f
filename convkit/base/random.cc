#include "convkit/base/random.h"

#include <cmath>
#include <numbers>
#include <type_traits>

#include "convkit/base/thread_pool.h"

namespace convkit {
namespace {

constexpr int64_t kValuesPerTask = 1 << 14;

// splitmix64's finaliser: spreads every bit of a stream's parent and index over the child's name.
uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31);
}

}  // namespace

std::array<uint32_t, 4> philox(uint64_t key, std::array<uint32_t, 4> counter) {
  constexpr uint64_t kMultiplier0 = 0xD2511F53;
  constexpr uint64_t kMultiplier1 = 0xCD9E8D57;
  auto key0 = static_cast<uint32_t>(key);
  auto key1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = kMultiplier0 * counter[0];
    const uint64_t product1 = kMultiplier1 * counter[2];
    counter = {
        static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key0, static_cast<uint32_t>(product1),
        static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key1, static_cast<uint32_t>(product0)};
    key0 += 0x9E3779B9;
    key1 += 0xBB67AE85;
  }
  return counter;
}

void Generator::make_block(uint64_t index) {
  block_index_ = index;
  block_ = philox(seed_, {static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32),
                          static_cast<uint32_t>(stream_), static_cast<uint32_t>(stream_ >> 32)});
}

double Generator::normal() {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform_double()));
  return radius * std::cos(2.0 * std::numbers::pi * uniform_double());
}

template <class T>
void Generator::fill_uniform(T* values, int64_t count) {
  constexpr uint64_t kNumbersEach = std::is_same_v<T, float> ? 1 : 2;
  parallel_ranges(count, kValuesPerTask, [&](int64_t begin, int64_t end) {
    Generator part = *this;
    part.position_ += static_cast<uint64_t>(begin) * kNumbersEach;
    for (int64_t i = begin; i < end; ++i) {
      if constexpr (std::is_same_v<T, float>) {
        values[i] = part.uniform();
      } else {
        values[i] = part.uniform_double();
      }
    }
  });
  position_ += static_cast<uint64_t>(count) * kNumbersEach;
}

template <class T>
void Generator::fill_normal(T* values, int64_t count) {
  parallel_ranges(count, kValuesPerTask, [&](int64_t begin, int64_t end) {
    Generator part = *this;
    part.position_ += static_cast<uint64_t>(begin) * 2;  // tasks begin with a whole pair
    for (int64_t i = begin; i < end; i += 2) {
      const double radius = std::sqrt(-2.0 * std::log(1.0 - part.uniform_double()));
      const double angle = 2.0 * std::numbers::pi * part.uniform_double();
      values[i] = static_cast<T>(radius * std::cos(angle));
      if (i + 1 < end) values[i + 1] = static_cast<T>(radius * std::sin(angle));
    }
  });
  position_ += static_cast<uint64_t>(count + count % 2) * 2;
}

template void Generator::fill_uniform(float*, int64_t);
template void Generator::fill_uniform(double*, int64_t);
template void Generator::fill_normal(float*, int64_t);
template void Generator::fill_normal(double*, int64_t);

uint64_t Generator::below(uint64_t bound) {
  // Rejects the incomplete last copy of [0, bound) in the 64-bit range.
  const uint64_t rest = (0 - bound) % bound;
  uint64_t drawn = next_u64();
  while (drawn < rest) drawn = next_u64();
  return drawn % bound;
}

Generator Generator::split(uint64_t index) const {
  return Generator(seed_, mix(stream_ + 0x9E3779B97F4A7C15ULL * (mix(index) | 1)));
}

Generator& default_generator() {
  thread_local Generator generator;
  return generator;
}

void manual_seed(uint64_t seed) { default_generator() = Generator(seed); }

}  // namespace convkit
