#pragma once

#include <algorithm>
#include <numeric>

#include "convkit/base/checked.h"
#include "convkit/base/memory.h"
#include "convkit/base/thread_pool.h"
#include "convkit/kernels/batch_norm_loops.h"
#include "convkit/kernels/cache.h"
#include "hwy/cache_control.h"

/// How the rows of batch normalisation are cut into tasks, and its sums taken over them. For
/// batch_norm.cc and batch_norm_pool.cc only.
namespace convkit::kernels {

/// Several rows of few channels read as one row of `width`, so that vectors are full.
struct WideRows {
  int64_t repeat;  ///< rows per wide row; 1 from kMinWidth channels on
  int64_t width;   ///< repeat · channels
  int64_t count;   ///< whole wide rows
  int64_t left;    ///< rows that fill no wide row, < repeat; they stand at the end
};

inline constexpr int64_t kMinWidth = 64;

inline WideRows wide_rows(const BatchNormGeometry& g) {
  int64_t repeat = 1;
  if (g.channels < kMinWidth && g.channels > 0) {
    repeat = 16 / std::gcd<int64_t>(g.channels, 16);
    repeat *= ceil_div(kMinWidth, repeat * g.channels);
  }
  return {repeat, repeat * g.channels, g.rows / repeat, g.rows % repeat};
}

inline constexpr int64_t kElementsPerTask = 65536;

inline int64_t rows_per_task(const WideRows& wide, int64_t multiple) {
  return round_up(ceil_div(kElementsPerTask, wide.width), multiple);
}

/// Calls run(rows, offset of the first element) for pieces of the matrix, in parallel. `out` is
/// what they write by Rows::streams, if anything.
template <class T, class F>
void for_pieces(const WideRows& wide, const BatchNormGeometry& g, const T* out, F&& run) {
  const int64_t grain = rows_per_task(wide, 1);
  const bool streams = out != nullptr && is_far(out, wide.count * wide.width, wide.width);
  const int64_t tasks = ceil_div(wide.count, grain);
  parallel_for(tasks + (wide.left > 0 ? 1 : 0), [&](int64_t task) {
    if (task == tasks) return run(Rows{1, wide.left * g.channels}, wide.count * wide.width);
    const int64_t begin = task * grain;
    run(Rows{std::min(grain, wide.count - begin), wide.width, streams}, begin * wide.width);
    if (streams) hwy::FlushStream();
  });
}

/// Coefficients per channel from f(channel) → (a, b, c); the center is the mean as T rounds it, and
/// the shift is the same in every direction, so that a backward finds the ReLU's input to the bit.
template <class T, class F>
Coefficients<T> coefficients(const WideRows& wide, const BatchNormGeometry& g,
                             const BatchNormAffine<T>& affine, F&& f) {
  Coefficients<T> k(wide.width);
  for (int64_t c = 0; c < g.channels; ++c) {
    const double weight = affine.weight == nullptr ? 1.0 : static_cast<double>(affine.weight[c]);
    const double bias = affine.bias == nullptr ? 0.0 : static_cast<double>(affine.bias[c]);
    const auto center = static_cast<double>(static_cast<T>(affine.mean[c]));
    const double gain = weight * affine.invstd[c];
    const double rounding = affine.mean[c] - center;
    const auto [b, constant] = f(c, gain, rounding);
    const double five[] = {gain, b, constant, center, bias - gain * rounding};
    for (int64_t i = 0; i < 5; ++i)
      for (int64_t column = c; column < wide.width; column += g.channels)
        k.values[static_cast<std::size_t>(i * wide.width + column)] = static_cast<T>(five[i]);
  }
  return k;
}

struct Line {
  double slope;
  double constant;
};

template <class T>
Coefficients<T> coefficients(const WideRows& wide, const BatchNormGeometry& g,
                             const BatchNormAffine<T>& affine) {
  return coefficients(wide, g, affine, [](int64_t, double, double) { return Line{0.0, 0.0}; });
}

/// What makes dx = a·dy + b·(x − center) + c the gradient of batch_norm_backward.
template <class T>
Coefficients<T> backward_coefficients(const WideRows& wide, const BatchNormGeometry& g,
                                      const BatchNormAffine<T>& affine, const BatchNormSums& sums) {
  const auto rows_total = static_cast<double>(g.rows);
  return coefficients(wide, g, affine, [&](int64_t c, double a, double rounding) {
    const double slope = -a * affine.invstd[c] * sums.dy_xhat[c] / rows_total;
    return Line{slope, -a * sums.dy[c] / rows_total - slope * rounding};
  });
}

/// Sums over the rows by run(rows, coefficients, offset of the first element, scratch, sums).
template <class T, class F>
void sum_gradients(const BatchNormGeometry& g, const BatchNormAffine<T>& affine,
                   const BatchNormSums& sums, F&& run) {
  const WideRows wide = wide_rows(g);
  const auto k = coefficients(wide, g, affine);
  const int64_t grain = rows_per_task(wide, kRowsPerSum);
  const int64_t tasks = ceil_div(wide.count, grain) + (wide.left > 0 ? 1 : 0);
  const auto size = static_cast<std::size_t>(tasks * wide.width);
  Buffer<double> sum(size);
  Buffer<double> product(size);
  parallel_for(tasks, [&](int64_t task) {
    const int64_t begin = std::min(task * grain, wide.count);
    Rows rows{std::min(grain, wide.count - begin), wide.width};
    if (rows.count == 0) {
      // The rows left over make one short wide row.
      rows = {1, wide.left * g.channels};
      std::fill_n(sum.data() + task * wide.width, wide.width, 0.0);
      std::fill_n(product.data() + task * wide.width, wide.width, 0.0);
    }
    Buffer<T> scratch(static_cast<std::size_t>(2 * wide.width));
    run(rows, k, begin * wide.width, scratch.data(),
        BatchNormSums{sum.data() + task * wide.width, product.data() + task * wide.width});
  });
  parallel_ranges(g.channels, 256, [&](int64_t first, int64_t last) {
    std::fill(sums.dy + first, sums.dy + last, 0.0);
    std::fill(sums.dy_xhat + first, sums.dy_xhat + last, 0.0);
    for (int64_t i = 0; i < tasks * wide.repeat; ++i) {
      const double* const from = sum.data() + i * g.channels;
      const double* const from_product = product.data() + i * g.channels;
      for (int64_t c = first; c < last; ++c) {
        sums.dy[c] += from[c];
        sums.dy_xhat[c] += from_product[c];
      }
    }
    for (int64_t c = first; c < last; ++c) {
      const double rounding = affine.mean[c] - static_cast<double>(static_cast<T>(affine.mean[c]));
      sums.dy_xhat[c] = (sums.dy_xhat[c] - rounding * sums.dy[c]) * affine.invstd[c];
    }
  });
}

}  // namespace convkit::kernels
