#include "convkit/kernels/batch_norm_pool.h"

#include <algorithm>
#include <vector>

#include "convkit/base/memory.h"
#include "convkit/kernels/batch_norm_pool_loops.h"
#include "convkit/kernels/batch_norm_rows.h"

namespace convkit::kernels {
namespace {

// Of a gradient between pool and norm that is made and read at once: stays in the first cache.
constexpr int64_t kElementsPerBlock = 4096;

BatchNormGeometry rows_of(const PoolGeometry& g) { return {g.in_positions(), g.channels}; }

// Where consecutive rows, the first of which begins at element `at`, stand in the pool's input.
PoolRange range_of(const PoolGeometry& g, const Rows& rows, int64_t at) {
  const int64_t begin = at / g.channels;
  return {begin, begin + rows.count * rows.width / g.channels};
}

// Loops of their own read the pool's gradient where each row is a position and has one window.
bool reads_through(const PoolGeometry& g) {
  return g.is_apart() && wide_rows(rows_of(g)).repeat == 1;
}

// Calls run(rows, offset of the first element) for blocks of at most `most` rows.
template <class F>
void for_blocks(const Rows& rows, int64_t at, int64_t most, F&& run) {
  for (int64_t first = 0; first < rows.count; first += most)
    run(Rows{std::min(most, rows.count - first), rows.width, rows.streams},
        at + first * rows.width);
}

// Calls finish(rows, offset, gradient of their normalised values), which writes dx, in parallel.
template <class T, class F>
void for_gradient_blocks(const PoolGeometry& g, const T* dy, const PoolTaps& taps, const T* dx,
                         F&& finish) {
  const BatchNormGeometry matrix = rows_of(g);
  const WideRows wide = wide_rows(matrix);
  const int64_t most = std::max<int64_t>(1, kElementsPerBlock / wide.width);
  for_pieces(wide, matrix, dx, [&](const Rows& piece, int64_t start) {
    Buffer<T> gradient(static_cast<std::size_t>(most * wide.width));
    for_blocks(piece, start, most, [&](const Rows& rows, int64_t at) {
      max_pool_backward(g, range_of(g, rows, at), dy, taps, gradient.data());
      finish(rows, at, gradient.data());
    });
  });
}

}  // namespace

template <class T>
void batch_norm_pool_forward(const PoolGeometry& g, const BatchNormAffine<T>& affine, const T* x,
                             T* y, const PoolTaps& taps) {
  const BatchNormGeometry matrix = rows_of(g);
  const auto k = coefficients(wide_rows(matrix), matrix, affine);
  normalized_max_pool_forward(g, {k.array(3), k.array(0), k.array(4)}, x, y, taps);
}

template <class T>
void batch_norm_pool_gradient_sums(const PoolGeometry& g, const BatchNormAffine<T>& affine,
                                   const T* x, const T* dy, const PoolTaps& taps,
                                   const BatchNormSums& sums) {
  if (reads_through(g)) {
    const auto run = batch_norm_pool_loops<T>().gradient_sums;
    return sum_gradients(
        rows_of(g), affine, sums,
        [&](const Rows& rows, const auto& k, int64_t at, T* scratch, const auto& part) {
          run({g, dy, taps}, range_of(g, rows, at), k, x + at, scratch, part);
        });
  }
  const BatchNormLoops<T> loops = batch_norm_loops<T>();
  sum_gradients(
      rows_of(g), affine, sums,
      [&](const Rows& piece, const auto& k, int64_t start, T* scratch, const auto& total) {
        Buffer<T> gradient(
            static_cast<std::size_t>(std::min(piece.count, kRowsPerSum) * piece.width));
        const auto width = static_cast<std::size_t>(piece.width);
        std::vector<double> sum(width), product(width);
        std::fill_n(total.dy, width, 0.0);
        std::fill_n(total.dy_xhat, width, 0.0);
        for_blocks(piece, start, kRowsPerSum, [&](const Rows& rows, int64_t at) {
          max_pool_backward(g, range_of(g, rows, at), dy, taps, gradient.data());
          loops.gradient_sums(rows, k, {x + at, gradient.data()}, scratch,
                              BatchNormSums{sum.data(), product.data()});
          for (std::size_t c = 0; c < width; ++c) total.dy[c] += sum[c];
          for (std::size_t c = 0; c < width; ++c) total.dy_xhat[c] += product[c];
        });
      });
}

template <class T>
void batch_norm_pool_backward(const PoolGeometry& g, const BatchNormAffine<T>& affine, const T* x,
                              const T* dy, const PoolTaps& taps, const BatchNormSums& sums, T* dx) {
  const BatchNormGeometry matrix = rows_of(g);
  const WideRows wide = wide_rows(matrix);
  const auto k = backward_coefficients(wide, matrix, affine, sums);
  if (reads_through(g)) {
    const auto run = batch_norm_pool_loops<T>().backward;
    return for_pieces<T>(wide, matrix, nullptr, [&](const Rows& rows, int64_t at) {
      run({g, dy, taps}, range_of(g, rows, at), k, x + at, dx + at);
    });
  }
  const BatchNormLoops<T> loops = batch_norm_loops<T>();
  for_gradient_blocks(g, dy, taps, dx, [&](const Rows& rows, int64_t at, const T* gradient) {
    loops.backward(rows, k, x + at, gradient, dx + at);
  });
}

template <class T>
void batch_norm_pool_backward_constant(const PoolGeometry& g, const BatchNormAffine<T>& affine,
                                       const T* dy, const PoolTaps& taps, T* dx) {
  const BatchNormGeometry matrix = rows_of(g);
  const auto k = coefficients(wide_rows(matrix), matrix, affine);
  const BatchNormLoops<T> loops = batch_norm_loops<T>();
  for_gradient_blocks(g, dy, taps, dx, [&](const Rows& rows, int64_t at, const T* gradient) {
    loops.scale(rows, k, nullptr, gradient, dx + at);
  });
}

#define CONVKIT_INSTANTIATE_BATCH_NORM_POOL(T)                                                     \
  template void batch_norm_pool_forward(const PoolGeometry&, const BatchNormAffine<T>&, const T*,  \
                                        T*, const PoolTaps&);                                      \
  template void batch_norm_pool_gradient_sums(const PoolGeometry&, const BatchNormAffine<T>&,      \
                                              const T*, const T*, const PoolTaps&,                 \
                                              const BatchNormSums&);                               \
  template void batch_norm_pool_backward(const PoolGeometry&, const BatchNormAffine<T>&, const T*, \
                                         const T*, const PoolTaps&, const BatchNormSums&, T*);     \
  template void batch_norm_pool_backward_constant(const PoolGeometry&, const BatchNormAffine<T>&,  \
                                                  const T*, const PoolTaps&, T*);
CONVKIT_INSTANTIATE_BATCH_NORM_POOL(float)
CONVKIT_INSTANTIATE_BATCH_NORM_POOL(double)

}  // namespace convkit::kernels
