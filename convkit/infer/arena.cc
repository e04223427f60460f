#include "convkit/infer/arena.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "convkit/base/memory.h"

namespace convkit::infer {
namespace {

constexpr std::size_t kMostSearched = 10'000;

int64_t rounded(int64_t floats) {
  constexpr int64_t kLine = static_cast<int64_t>(kAlignment / sizeof(float));
  return (floats + kLine - 1) / kLine * kLine;
}

}  // namespace

int64_t place(std::vector<Lifetime>& values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return values[a].floats > values[b].floats;
  });
  std::vector<std::size_t> placed;  // ascending offsets
  int64_t total = 0;
  for (const std::size_t i : order) {
    Lifetime& value = values[i];
    const int64_t size = rounded(value.floats);
    if (placed.size() >= kMostSearched) {
      value.offset = total;
      total += size;
      continue;
    }
    int64_t best = -1;
    int64_t best_gap = std::numeric_limits<int64_t>::max();
    int64_t end = 0;  // of what has been passed
    for (const std::size_t other : placed) {
      const Lifetime& taken = values[other];
      if (taken.last < value.first || taken.first > value.last) continue;
      const int64_t gap = taken.offset - end;
      if (gap >= size && gap < best_gap) {
        best = end;
        best_gap = gap;
      }
      end = std::max(end, taken.offset + rounded(taken.floats));
    }
    value.offset = best >= 0 ? best : end;
    total = std::max(total, value.offset + size);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), i,
                                   [&](std::size_t a, std::size_t b) {
                                     return values[a].offset < values[b].offset;
                                   }),
                  i);
  }
  return total;
}

}  // namespace convkit::infer
