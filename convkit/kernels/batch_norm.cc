#include "convkit/kernels/batch_norm.h"

#include <algorithm>
#include <numeric>

#include "convkit/base/checked.h"
#include "convkit/base/memory.h"
#include "convkit/base/thread_pool.h"
#include "convkit/kernels/batch_norm_loops.h"

namespace convkit::kernels {
namespace {

/// Several rows of few channels read as one row of `width`, so that vectors are full.
struct WideRows {
  int64_t repeat;  ///< rows per wide row; 1 from kMinWidth channels on
  int64_t width;   ///< repeat · channels
  int64_t count;   ///< whole wide rows
  int64_t left;    ///< rows that fill no wide row, < repeat; they stand at the end
};

constexpr int64_t kMinWidth = 64;

WideRows wide_rows(const BatchNormGeometry& g) {
  int64_t repeat = 1;
  if (g.channels < kMinWidth && g.channels > 0) {
    repeat = 16 / std::gcd<int64_t>(g.channels, 16);
    repeat *= ceil_div(kMinWidth, repeat * g.channels);
  }
  return {repeat, repeat * g.channels, g.rows / repeat, g.rows % repeat};
}

constexpr int64_t kElementsPerBlock = 8192;  // stays in the inner caches for the second sum
constexpr int64_t kElementsPerTask = 65536;

int64_t rows_per_task(const WideRows& wide, int64_t multiple) {
  return round_up(ceil_div(kElementsPerTask, wide.width), multiple);
}

// Calls run(rows, offset of the first element) for pieces of the matrix, in parallel.
template <class F>
void for_pieces(const WideRows& wide, const BatchNormGeometry& g, F&& run) {
  const int64_t grain = rows_per_task(wide, 1);
  const int64_t tasks = ceil_div(wide.count, grain);
  parallel_for(tasks + (wide.left > 0 ? 1 : 0), [&](int64_t task) {
    if (task == tasks) return run(Rows{1, wide.left * g.channels}, wide.count * wide.width);
    const int64_t begin = task * grain;
    run(Rows{std::min(grain, wide.count - begin), wide.width}, begin * wide.width);
  });
}

// Coefficients per channel from f(channel) → (a, b, c); the center is the mean as T rounds it, and
// the shift is the same in every direction, so that a backward finds the ReLU's input to the bit.
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

}  // namespace

template <class T>
void batch_norm_statistics(const BatchNormGeometry& g, const T* x, double* mean, double* variance) {
  const WideRows wide = wide_rows(g);
  const BatchNormLoops<T> run = batch_norm_loops<T>();
  const int64_t block = std::clamp<int64_t>(kElementsPerBlock / wide.width, 32, 64);
  const int64_t grain = rows_per_task(wide, block);
  const int64_t tasks = ceil_div(wide.count, grain);
  const auto size = static_cast<std::size_t>(tasks * wide.width);
  Buffer<double> means(size);
  Buffer<double> squares(size);
  parallel_for(tasks, [&](int64_t task) {
    const int64_t begin = task * grain;
    Buffer<T> scratch(static_cast<std::size_t>(3 * wide.width));
    run.statistics({std::min(grain, wide.count - begin), wide.width}, block, x + begin * wide.width,
                   scratch.data(), means.data() + task * wide.width,
                   squares.data() + task * wide.width);
  });
  // Chan's merge of all parts of a channel, in their order; the rows left over count one each.
  parallel_ranges(g.channels, 256, [&](int64_t first, int64_t last) {
    std::fill(mean + first, mean + last, 0.0);
    std::fill(variance + first, variance + last, 0.0);
    double before = 0.0;
    const auto merge = [&](double count, const auto* part_mean, const double* part_squares) {
      const double share = count / (before + count);
      for (int64_t c = first; c < last; ++c) {
        const double delta = static_cast<double>(part_mean[c]) - mean[c];
        mean[c] += delta * share;
        variance[c] += delta * delta * (before * share);
        if (part_squares != nullptr) variance[c] += part_squares[c];
      }
      before += count;
    };
    for (int64_t task = 0; task < tasks; ++task) {
      const auto count = static_cast<double>(std::min(grain, wide.count - task * grain));
      for (int64_t i = 0; i < wide.repeat; ++i) {
        const int64_t at = task * wide.width + i * g.channels;
        merge(count, means.data() + at, squares.data() + at);
      }
    }
    for (int64_t i = 0; i < wide.left; ++i)
      merge(1.0, x + wide.count * wide.width + i * g.channels, nullptr);
    for (int64_t c = first; c < last; ++c) variance[c] /= static_cast<double>(g.rows);
  });
}

template <class T>
void batch_norm_forward(const BatchNormGeometry& g, const BatchNormAffine<T>& affine, const T* x,
                        T* y) {
  const WideRows wide = wide_rows(g);
  const auto k = coefficients(wide, g, affine);
  const BatchNormLoops<T> run = batch_norm_loops<T>();
  for_pieces(wide, g, [&](const Rows& rows, int64_t at) {
    if (affine.relu) return run.normalize_relu(rows, k, x + at, nullptr, y + at);
    run.normalize(rows, k, x + at, y + at);
  });
}

template <class T>
void batch_norm_add_relu_forward(const BatchNormGeometry& g, const BatchNormAffine<T>& affine,
                                 const T* x, const T* residual, T* y) {
  const WideRows wide = wide_rows(g);
  const auto k = coefficients(wide, g, affine);
  const BatchNormLoops<T> run = batch_norm_loops<T>();
  for_pieces(wide, g, [&](const Rows& rows, int64_t at) {
    run.normalize_relu(rows, k, x + at, residual + at, y + at);
  });
}

namespace {

// Sums over the rows by run(rows, coefficients, offset of the first element, scratch, sums).
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

}  // namespace

template <class T>
void batch_norm_gradient_sums(const BatchNormGeometry& g, const BatchNormAffine<T>& affine,
                              const T* x, const T* dy, const BatchNormSums& sums) {
  const BatchNormLoops<T> loops = batch_norm_loops<T>();
  const auto run = affine.relu ? loops.gradient_sums_recomputed : loops.gradient_sums;
  sum_gradients(g, affine, sums,
                [&](const Rows& rows, const auto& k, int64_t at, T* scratch, const auto& part) {
                  run(rows, k, {x + at, dy + at}, scratch, part);
                });
}

template <class T>
void batch_norm_add_relu_gradient(const BatchNormGeometry& g, const BatchNormAffine<T>& affine,
                                  const T* x, const T* y, const T* dy, const BatchNormSums& sums,
                                  T* dresidual) {
  const BatchNormLoops<T> loops = batch_norm_loops<T>();
  sum_gradients(g, affine, sums,
                [&](const Rows& rows, const auto& k, int64_t at, T* scratch, const auto& part) {
                  loops.gradient_sums_output(rows, k, {x + at, dy + at, y + at, dresidual + at},
                                             scratch, part);
                });
}

template <class T>
void batch_norm_backward(const BatchNormGeometry& g, const BatchNormAffine<T>& affine, const T* x,
                         const T* dy, const BatchNormSums& sums, T* dx) {
  const WideRows wide = wide_rows(g);
  const auto rows_total = static_cast<double>(g.rows);
  const auto k = coefficients(wide, g, affine, [&](int64_t c, double a, double rounding) {
    const double slope = -a * affine.invstd[c] * sums.dy_xhat[c] / rows_total;
    return Line{slope, -a * sums.dy[c] / rows_total - slope * rounding};
  });
  const BatchNormLoops<T> loops = batch_norm_loops<T>();
  const auto run = affine.relu ? loops.backward_relu : loops.backward;
  for_pieces(wide, g,
             [&](const Rows& rows, int64_t at) { run(rows, k, x + at, dy + at, dx + at); });
}

template <class T>
void batch_norm_backward_constant(const BatchNormGeometry& g, const BatchNormAffine<T>& affine,
                                  const T* x, const T* dy, T* dx) {
  const WideRows wide = wide_rows(g);
  const auto k = coefficients(wide, g, affine);
  const BatchNormLoops<T> loops = batch_norm_loops<T>();
  const auto run = affine.relu ? loops.scale_relu : loops.scale;
  for_pieces(wide, g,
             [&](const Rows& rows, int64_t at) { run(rows, k, x + at, dy + at, dx + at); });
}

#define CONVKIT_INSTANTIATE_BATCH_NORM(T)                                                          \
  template void batch_norm_statistics(const BatchNormGeometry&, const T*, double*, double*);       \
  template void batch_norm_forward(const BatchNormGeometry&, const BatchNormAffine<T>&, const T*,  \
                                   T*);                                                            \
  template void batch_norm_add_relu_forward(const BatchNormGeometry&, const BatchNormAffine<T>&,   \
                                            const T*, const T*, T*);                               \
  template void batch_norm_gradient_sums(const BatchNormGeometry&, const BatchNormAffine<T>&,      \
                                         const T*, const T*, const BatchNormSums&);                \
  template void batch_norm_add_relu_gradient(const BatchNormGeometry&, const BatchNormAffine<T>&,  \
                                             const T*, const T*, const T*, const BatchNormSums&,   \
                                             T*);                                                  \
  template void batch_norm_backward(const BatchNormGeometry&, const BatchNormAffine<T>&, const T*, \
                                    const T*, const BatchNormSums&, T*);                           \
  template void batch_norm_backward_constant(const BatchNormGeometry&, const BatchNormAffine<T>&,  \
                                             const T*, const T*, T*);
CONVKIT_INSTANTIATE_BATCH_NORM(float)
CONVKIT_INSTANTIATE_BATCH_NORM(double)

}  // namespace convkit::kernels
