#include "convkit/kernels/batch_norm.h"

#include <algorithm>

#include "convkit/base/memory.h"
#include "convkit/base/thread_pool.h"
#include "convkit/kernels/batch_norm_rows.h"

namespace convkit::kernels {
namespace {

// Stay in the inner caches for the second sum.
constexpr int64_t kElementsPerBlock = 8192;

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
  const bool apart = g.x_pitch > g.channels;
  const WideRows wide = apart ? WideRows{1, g.channels, g.rows, 0} : wide_rows(g);
  const auto k = coefficients(wide, g, affine);
  const BatchNormLoops<T> run = batch_norm_loops<T>();
  if (apart)
    return parallel_ranges(g.rows, rows_per_task(wide, 1), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const T* const from = x + row * g.x_pitch;
        T* const to = y + row * g.channels;
        if (affine.relu)
          run.normalize_relu({1, g.channels}, k, from, nullptr, to);
        else
          run.normalize({1, g.channels}, k, from, to);
      }
    });
  for_pieces(wide, g, y, [&](const Rows& rows, int64_t at) {
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
  for_pieces(wide, g, y, [&](const Rows& rows, int64_t at) {
    run.normalize_relu(rows, k, x + at, residual + at, y + at);
  });
}

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
  const auto k = backward_coefficients(wide, g, affine, sums);
  const BatchNormLoops<T> loops = batch_norm_loops<T>();
  const auto run = affine.relu ? loops.backward_relu : loops.backward;
  for_pieces(wide, g, dx,
             [&](const Rows& rows, int64_t at) { run(rows, k, x + at, dy + at, dx + at); });
}

template <class T>
void batch_norm_backward_constant(const BatchNormGeometry& g, const BatchNormAffine<T>& affine,
                                  const T* x, const T* dy, T* dx) {
  const WideRows wide = wide_rows(g);
  const auto k = coefficients(wide, g, affine);
  const BatchNormLoops<T> loops = batch_norm_loops<T>();
  const auto run = affine.relu ? loops.scale_relu : loops.scale;
  for_pieces(wide, g, dx,
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
