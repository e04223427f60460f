#pragma once

#include <cstdint>
#include <vector>

/// For the sources of infer only: where values that live at different times share memory.
namespace convkit::infer {

/// A value in the arena, needed from step `first`, which writes it, to step `last`, both included.
struct Lifetime {
  int64_t floats = 0;
  int64_t first = 0;
  int64_t last = 0;
  int64_t offset = 0;  ///< what place() finds, in floats; a multiple of a cache line
};

/// Gives each value an offset such that no two that live at the same time overlap: the largest
/// first, each in the smallest gap it fits. Beyond 10,000 values, for which searching would take
/// minutes, the smallest stand side by side. Returns how many floats the arena needs.
int64_t place(std::vector<Lifetime>& values);

}  // namespace convkit::infer
