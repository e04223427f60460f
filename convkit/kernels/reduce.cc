#include "convkit/kernels/reduce.h"

#include <algorithm>

#include "convkit/base/checked.h"
#include "convkit/base/memory.h"
#include "convkit/base/thread_pool.h"

namespace convkit::kernels {
namespace {

constexpr int64_t kElementsPerTask = 1 << 15;
constexpr int64_t kLanes = 16;              // independent sums, so that the compiler can use SIMD
constexpr int64_t kRowBlock = 32 * kLanes;  // elements added in T before going to double
constexpr int64_t kStrip = 64;              // columns added side by side
constexpr int64_t kColumnBlock = 32;        // rows added in T before going to double

// Σ of `count` neighbours.
template <class T>
double sum_run(const T* x, int64_t count) {
  double total = 0;
  int64_t i = 0;
  for (; i + kRowBlock <= count; i += kRowBlock) {
    T lanes[kLanes] = {};
    for (int64_t k = 0; k < kRowBlock; k += kLanes)
      for (int64_t j = 0; j < kLanes; ++j) lanes[j] += x[i + k + j];
    for (const T lane : lanes) total += static_cast<double>(lane);
  }
  for (; i < count; ++i) total += static_cast<double>(x[i]);
  return total;
}

// sums[c] = Σ_r x[r · stride + c] for up to kStrip columns.
template <class T>
void sum_strip(const T* x, int64_t rows, int64_t stride, int64_t columns, double* sums) {
  std::fill(sums, sums + columns, 0.0);
  for (int64_t begin = 0; begin < rows; begin += kColumnBlock) {
    const int64_t end = std::min(rows, begin + kColumnBlock);
    T block[kStrip] = {};
    for (int64_t r = begin; r < end; ++r) {
      const T* const row = x + r * stride;
      if (columns == kStrip) {
        for (int64_t c = 0; c < kStrip; ++c) block[c] += row[c];
      } else {
        for (int64_t c = 0; c < columns; ++c) block[c] += row[c];
      }
    }
    for (int64_t c = 0; c < columns; ++c) sums[c] += static_cast<double>(block[c]);
  }
}

}  // namespace

template <class T>
void sum_axis(const AxisGeometry& geometry, double scale, const T* x, T* y) {
  const int64_t outer = geometry.outer;
  const int64_t extent = geometry.extent;
  const int64_t inner = geometry.inner;
  if (outer == 0 || inner == 0) return;
  // A task is one piece of the axis for one strip of columns (or one run, when inner is 1).
  const int64_t strip = inner == 1 ? 1 : kStrip;
  const int64_t strips = ceil_div(inner, strip);
  const int64_t piece = std::max<int64_t>(1, kElementsPerTask / strip);
  const int64_t pieces = std::max<int64_t>(1, ceil_div(extent, piece));
  Buffer<double> partial(static_cast<std::size_t>(outer * pieces * strips * strip));
  const int64_t elements = std::max<int64_t>(1, std::min(extent, piece) * strip);
  parallel_ranges(outer * pieces * strips, kElementsPerTask / elements,
                  [&](int64_t task_begin, int64_t task_end) {
                    for (int64_t task = task_begin; task < task_end; ++task) {
                      const int64_t column = task % strips * strip;
                      const int64_t begin = task / strips % pieces * piece;
                      const int64_t rows = std::min(extent - begin, piece);
                      const T* const from =
                          x + (task / strips / pieces * extent + begin) * inner + column;
                      double* const into = partial.data() + task * strip;
                      if (inner == 1) {
                        *into = sum_run(from, rows);
                      } else {
                        sum_strip(from, rows, inner, std::min(strip, inner - column), into);
                      }
                    }
                  });
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t i = 0; i < inner; ++i) {
      double total = 0;
      for (int64_t p = 0; p < pieces; ++p)
        total += partial[static_cast<std::size_t>((o * pieces + p) * strips * strip + i)];
      y[o * inner + i] = static_cast<T>(scale * total);
    }
}

template <class T>
void argmax_axis(const AxisGeometry& geometry, const T* x, int64_t* y) {
  const int64_t outer = geometry.outer;
  const int64_t extent = geometry.extent;
  const int64_t inner = geometry.inner;
  if (inner == 0) return;
  const int64_t grain = kElementsPerTask / std::max<int64_t>(1, extent * inner);
  parallel_ranges(outer, grain, [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o)
      for (int64_t i = 0; i < inner; ++i) {
        const T* const column = x + o * extent * inner + i;
        int64_t best = 0;
        for (int64_t k = 1; k < extent; ++k) {
          const T value = column[k * inner];
          const T largest = column[best * inner];
          if (largest != largest) break;  // NaN
          if (value > largest || value != value) best = k;
        }
        y[o * inner + i] = best;
      }
  });
}

#define CONVKIT_INSTANTIATE_REDUCE(T)                                \
  template void sum_axis(const AxisGeometry&, double, const T*, T*); \
  template void argmax_axis(const AxisGeometry&, const T*, int64_t*);
CONVKIT_INSTANTIATE_REDUCE(float)
CONVKIT_INSTANTIATE_REDUCE(double)
#undef CONVKIT_INSTANTIATE_REDUCE

}  // namespace convkit::kernels
