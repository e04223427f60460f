#pragma once

#include <array>
#include <cstdint>

#include "convkit/base/export.h"

namespace convkit {

/// Philox4x32-10, a counter-based generator (Salmon et al., "Parallel random numbers: as easy as
/// 1, 2, 3", SC 2011): block `counter` of stream `key` is a pure function of the two, so any part
/// of a sequence can be made on any thread, and the sequence never depends on who made it.
CONVKIT_API std::array<uint32_t, 4> philox(uint64_t key, std::array<uint32_t, 4> counter);

/// A stream of random numbers whose whole state is (seed, stream, position): it can be saved,
/// restored and split. Number i of a stream is lane i mod 4 of
///   philox(seed, {low(i/4), high(i/4), low(stream), high(stream)}).
/// Not thread-safe; give each thread a stream of its own.
class CONVKIT_API Generator {
 public:
  explicit Generator(uint64_t seed = 0, uint64_t stream = 0) : seed_(seed), stream_(stream) {}

  uint32_t next_u32() {
    if (position_ / 4 != block_index_) make_block(position_ / 4);
    return block_[position_++ % 4];
  }
  uint64_t next_u64() {
    const uint64_t high = next_u32();
    return (high << 32) | next_u32();
  }
  /// Uniform in [0, 1) with 24 random bits (float) or 53 (double).
  float uniform() { return static_cast<float>(next_u32() >> 8) * 0x1p-24F; }
  double uniform_double() { return static_cast<double>(next_u64() >> 11) * 0x1p-53; }
  /// Standard normal (Box–Muller: √(−2 ln(1 − u))·cos(2πv) of two uniform_double() u and v).
  double normal();
  /// Uniform integer in [0, bound), without bias; bound ≥ 1.
  uint64_t below(uint64_t bound);

  /// Many at once, on all threads; T is float or double. fill_uniform gives what as many calls of
  /// uniform() (float) or uniform_double() (double) give. fill_normal takes both halves of every
  /// Box–Muller pair, so it is not a row of normal()s: values 2j and 2j + 1 are the cosine and the
  /// sine of the same four numbers, and a last single value drops its sine.
  template <class T>
  void fill_uniform(T* values, int64_t count);
  template <class T>
  void fill_normal(T* values, int64_t count);

  /// An independent generator for part `index` of a job (an epoch, a sample, a layer).
  Generator split(uint64_t index) const;

  uint64_t seed() const { return seed_; }
  uint64_t stream() const { return stream_; }
  /// How many 32-bit numbers have been drawn; set_position moves there in constant time.
  uint64_t position() const { return position_; }
  void set_position(uint64_t position) { position_ = position; }

 private:
  void make_block(uint64_t index);

  uint64_t seed_;
  uint64_t stream_;
  uint64_t position_ = 0;
  // The block in which the last number stood; derived state, so copies and positions stay simple.
  uint64_t block_index_ = UINT64_MAX;
  std::array<uint32_t, 4> block_{};
};

/// The generator behind initialisers and dropout of this thread when none is given.
CONVKIT_API Generator& default_generator();
/// Restarts this thread's default generator from `seed`.
CONVKIT_API void manual_seed(uint64_t seed);

}  // namespace convkit
