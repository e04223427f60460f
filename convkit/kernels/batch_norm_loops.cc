#include "convkit/kernels/batch_norm_loops.h"

#include <algorithm>

// Machines older than AVX2 run the portable loops; AVX3_DL adds nothing for these.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "convkit/kernels/batch_norm_loops.cc"
#include "hwy/foreach_target.h"
// After it, since both are read once per target:
#include "hwy/highway.h"

#include "convkit/kernels/columns-inl.h"
#include "convkit/kernels/dispatch_loops.h"

HWY_BEFORE_NAMESPACE();
namespace convkit::kernels::HWY_NAMESPACE {
namespace {

// center = Σ x / rows over a block.
template <class T>
void block_mean(const Rows& rows, const T* x, T* center) {
  const int64_t w = rows.width;
  const int64_t count = rows.count;
  const T scale = T{1} / static_cast<T>(count);
  if (has_short_rows<T>(w)) {
    for_strips<T>(w, [=](auto d, auto vectors, int64_t c) HWY_ATTR {
      constexpr int kVectors = decltype(vectors)::value;
      const auto lanes = static_cast<int64_t>(hn::Lanes(d));
      hn::VFromD<decltype(d)> sum[kVectors];
      for (int i = 0; i < kVectors; ++i) sum[i] = hn::Zero(d);
      for (int64_t r = 0; r < count; ++r)
        for (int i = 0; i < kVectors; ++i)
          sum[i] = hn::Add(sum[i], hn::LoadU(d, x + r * w + c + i * lanes));
      for (int i = 0; i < kVectors; ++i)
        hn::StoreU(hn::Mul(sum[i], hn::Set(d, scale)), d, center + c + i * lanes);
    });
    return;
  }
  std::fill(center, center + w, T{0});
  for (int64_t r = 0; r < count; ++r) {
    const T* const p = x + r * w;
    for_columns<T>(0, w, [=](auto d, int64_t c) HWY_ATTR {
      hn::StoreU(hn::Add(hn::LoadU(d, center + c), hn::LoadU(d, p + c)), d, center + c);
    });
  }
  for (int64_t c = 0; c < w; ++c) center[c] *= scale;
}

// sum = Σ (x − center) and squares = Σ (x − center)². The rows are in the cache by now, whatever
// their width.
template <class T>
void centered_sums(const Rows& rows, const T* x, const T* center, T* sum, T* squares) {
  const int64_t w = rows.width;
  const int64_t count = rows.count;
  for_strips<T>(w, [=](auto d, auto vectors, int64_t c) HWY_ATTR {
    constexpr int kVectors = decltype(vectors)::value;
    const auto lanes = static_cast<int64_t>(hn::Lanes(d));
    hn::VFromD<decltype(d)> middle[kVectors], total[kVectors], square[kVectors];
    for (int i = 0; i < kVectors; ++i) {
      middle[i] = hn::LoadU(d, center + c + i * lanes);
      total[i] = hn::Zero(d);
      square[i] = hn::Zero(d);
    }
    for (int64_t r = 0; r < count; ++r) {
      for (int i = 0; i < kVectors; ++i) {
        const auto v = hn::Sub(hn::LoadU(d, x + r * w + c + i * lanes), middle[i]);
        total[i] = hn::Add(total[i], v);
        square[i] = hn::MulAdd(v, v, square[i]);
      }
    }
    for (int i = 0; i < kVectors; ++i) {
      hn::StoreU(total[i], d, sum + c + i * lanes);
      hn::StoreU(square[i], d, squares + c + i * lanes);
    }
  });
}

template <class T>
void statistics(const Rows& rows, int64_t block, const T* x, T* scratch, double* mean,
                double* squares) {
  const int64_t w = rows.width;
  T* const center = scratch;
  T* const sum = scratch + w;
  T* const square = scratch + 2 * w;
  std::fill(mean, mean + w, 0.0);
  std::fill(squares, squares + w, 0.0);
  for (int64_t r = 0; r < rows.count; r += block) {
    const Rows part{std::min(block, rows.count - r), w};
    const T* const p = x + r * w;
    block_mean(part, p, center);
    centered_sums(part, p, center, sum, square);
    // The mean was rounded; what is left in `sum` corrects both results. Then Chan's merge.
    const double count = static_cast<double>(part.count);
    const double before = static_cast<double>(r);
    const double share = count / (before + count);
    const double per_row = 1.0 / count;
    for (int64_t c = 0; c < w; ++c) {
      const double rest = static_cast<double>(sum[c]) * per_row;
      const double part_mean = static_cast<double>(center[c]) + rest;
      const double part_squares =
          static_cast<double>(square[c]) - rest * static_cast<double>(sum[c]);
      const double delta = part_mean - mean[c];
      mean[c] += delta * share;
      squares[c] += part_squares + delta * delta * (before * share);
    }
  }
}

// Lines that are far go there without being read first; `streams` is the same for all of a call.
template <class D, class V, class T>
HWY_INLINE void put(D d, V v, bool streams, T* to) {
  if (streams) return hn::Stream(v, d, to);
  hn::StoreU(v, d, to);
}

// NaN passes backward, too.
template <class D, class V>
HWY_INLINE V where_open(D d, V v, V dy) {
  return hn::IfThenZeroElse(hn::Le(v, hn::Zero(d)), dy);
}

template <class T>
void normalize(const Rows& rows, const Coefficients<T>& k, const T* x, T* y) {
  const bool streams = rows.streams;
  const T* const a = k.array(0);
  const T* const center = k.array(3);
  const T* const shift = k.array(4);
  for (int64_t r = 0; r < rows.count; ++r) {
    const T* const from = x + r * rows.width;
    T* const to = y + r * rows.width;
    for_columns<T>(0, rows.width, [=](auto d, int64_t c) HWY_ATTR {
      const auto v = hn::Sub(hn::LoadU(d, from + c), hn::LoadU(d, center + c));
      put(d, hn::MulAdd(v, hn::LoadU(d, a + c), hn::LoadU(d, shift + c)), streams, to + c);
    });
  }
}

template <class T, bool kAdds>
void normalize_relu_as(const Rows& rows, const Coefficients<T>& k, const T* x, const T* residual,
                       T* y) {
  const bool streams = rows.streams;
  const T* const a = k.array(0);
  const T* const center = k.array(3);
  const T* const shift = k.array(4);
  for (int64_t r = 0; r < rows.count; ++r) {
    const int64_t at = r * rows.width;
    for_columns<T>(0, rows.width, [=](auto d, int64_t c) HWY_ATTR {
      const auto v = hn::Sub(hn::LoadU(d, x + at + c), hn::LoadU(d, center + c));
      auto sum = hn::MulAdd(v, hn::LoadU(d, a + c), hn::LoadU(d, shift + c));
      if constexpr (kAdds) sum = hn::Add(sum, hn::LoadU(d, residual + at + c));
      put(d, relu_of(d, sum), streams, y + at + c);
    });
  }
}

template <class T>
void normalize_relu(const Rows& rows, const Coefficients<T>& k, const T* x, const T* residual,
                    T* y) {
  if (residual != nullptr) return normalize_relu_as<T, true>(rows, k, x, residual, y);
  normalize_relu_as<T, false>(rows, k, x, residual, y);
}

// Where a vector of the gradient comes from: its element `at` of column `c`, v being x − center.
template <class T, Gate kGate>
struct Incoming {
  Gradient<T> gradient;
  const T* a;
  const T* shift;

  template <class D, class V>
  HWY_INLINE V operator()(D d, int64_t at, int64_t c, V v) const {
    const V dy = hn::LoadU(d, gradient.dy + at);
    if constexpr (kGate == Gate::none) {
      return dy;
    } else if constexpr (kGate == Gate::recomputed) {
      return where_open(d, hn::MulAdd(v, hn::LoadU(d, a + c), hn::LoadU(d, shift + c)), dy);
    } else {
      const V open = where_open(d, hn::LoadU(d, gradient.y + at), dy);
      hn::StoreU(open, d, gradient.through + at);
      return open;
    }
  }
};

// sum = Σ dy and product = Σ dy·(x − center) over a block.
template <class T, Gate kGate>
void block_gradient_sums(const Rows& rows, const T* center, const Incoming<T, kGate>& incoming,
                         T* sum, T* product) {
  const int64_t w = rows.width;
  const int64_t count = rows.count;
  const T* const x = incoming.gradient.x;
  if (has_short_rows<T>(w)) {
    for_strips<T>(w, [=](auto d, auto vectors, int64_t c) HWY_ATTR {
      constexpr int kVectors = decltype(vectors)::value;
      const auto lanes = static_cast<int64_t>(hn::Lanes(d));
      hn::VFromD<decltype(d)> middle[kVectors], total[kVectors], both[kVectors];
      for (int i = 0; i < kVectors; ++i) {
        middle[i] = hn::LoadU(d, center + c + i * lanes);
        total[i] = hn::Zero(d);
        both[i] = hn::Zero(d);
      }
      for (int64_t r = 0; r < count; ++r) {
        for (int i = 0; i < kVectors; ++i) {
          const int64_t column = c + i * lanes;
          const auto v = hn::Sub(hn::LoadU(d, x + r * w + column), middle[i]);
          const auto g = incoming(d, r * w + column, column, v);
          total[i] = hn::Add(total[i], g);
          both[i] = hn::MulAdd(v, g, both[i]);
        }
      }
      for (int i = 0; i < kVectors; ++i) {
        hn::StoreU(total[i], d, sum + c + i * lanes);
        hn::StoreU(both[i], d, product + c + i * lanes);
      }
    });
    return;
  }
  std::fill(sum, sum + w, T{0});
  std::fill(product, product + w, T{0});
  for (int64_t r = 0; r < count; ++r) {
    for_columns<T>(0, w, [=](auto d, int64_t c) HWY_ATTR {
      const auto v = hn::Sub(hn::LoadU(d, x + r * w + c), hn::LoadU(d, center + c));
      const auto g = incoming(d, r * w + c, c, v);
      hn::StoreU(hn::Add(hn::LoadU(d, sum + c), g), d, sum + c);
      hn::StoreU(hn::MulAdd(v, g, hn::LoadU(d, product + c)), d, product + c);
    });
  }
}

template <class T, Gate kGate>
void gradient_sums(const Rows& rows, const Coefficients<T>& k, const Gradient<T>& gradient,
                   T* scratch, const BatchNormSums& sums) {
  const int64_t w = rows.width;
  T* const sum = scratch;
  T* const product = scratch + w;
  std::fill(sums.dy, sums.dy + w, 0.0);
  std::fill(sums.dy_xhat, sums.dy_xhat + w, 0.0);
  for (int64_t first = 0; first < rows.count; first += kRowsPerSum) {
    const Rows part{std::min(kRowsPerSum, rows.count - first), w};
    const Incoming<T, kGate> incoming{gradient.from(first * w), k.array(0), k.array(4)};
    block_gradient_sums(part, k.array(3), incoming, sum, product);
    for (int64_t c = 0; c < w; ++c) sums.dy[c] += static_cast<double>(sum[c]);
    for (int64_t c = 0; c < w; ++c) sums.dy_xhat[c] += static_cast<double>(product[c]);
  }
}

template <class T, Gate kGate>
void backward(const Rows& rows, const Coefficients<T>& k, const T* x, const T* dy, T* dx) {
  const bool streams = rows.streams;
  const T* const a = k.array(0);
  const T* const b = k.array(1);
  const T* const constant = k.array(2);
  const T* const center = k.array(3);
  const Incoming<T, kGate> incoming{{x, dy}, a, k.array(4)};
  for (int64_t r = 0; r < rows.count; ++r) {
    const int64_t at = r * rows.width;
    for_columns<T>(0, rows.width, [=](auto d, int64_t c) HWY_ATTR {
      const auto v = hn::Sub(hn::LoadU(d, x + at + c), hn::LoadU(d, center + c));
      const auto rest = hn::MulAdd(v, hn::LoadU(d, b + c), hn::LoadU(d, constant + c));
      const auto g = incoming(d, at + c, c, v);
      put(d, hn::MulAdd(g, hn::LoadU(d, a + c), rest), streams, dx + at + c);
    });
  }
}

template <class T, Gate kGate>
void scale(const Rows& rows, const Coefficients<T>& k, const T* x, const T* dy, T* dx) {
  const bool streams = rows.streams;
  const T* const a = k.array(0);
  const T* const center = k.array(3);
  const Incoming<T, kGate> incoming{{x, dy}, a, k.array(4)};
  for (int64_t r = 0; r < rows.count; ++r) {
    const int64_t at = r * rows.width;
    for_columns<T>(0, rows.width, [=](auto d, int64_t c) HWY_ATTR {
      auto v = hn::Zero(d);
      if constexpr (kGate != Gate::none)
        v = hn::Sub(hn::LoadU(d, x + at + c), hn::LoadU(d, center + c));
      put(d, hn::Mul(incoming(d, at + c, c, v), hn::LoadU(d, a + c)), streams, dx + at + c);
    });
  }
}

template <class T>
BatchNormLoops<T> loops_of() {
  return {&statistics<T>,
          &normalize<T>,
          &normalize_relu<T>,
          &gradient_sums<T, Gate::none>,
          &gradient_sums<T, Gate::recomputed>,
          &gradient_sums<T, Gate::output>,
          &backward<T, Gate::none>,
          &backward<T, Gate::recomputed>,
          &scale<T, Gate::none>,
          &scale<T, Gate::recomputed>};
}

BatchNormLoops<float> loops() { return loops_of<float>(); }

}  // namespace
}  // namespace convkit::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convkit::kernels {

CONVKIT_DISPATCH_LOOPS(BatchNormLoops, batch_norm_loops)

}  // namespace convkit::kernels
#endif  // HWY_ONCE
