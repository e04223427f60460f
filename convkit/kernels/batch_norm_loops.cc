#include "convkit/kernels/batch_norm_loops.h"

#include <algorithm>
#include <utility>

// Machines older than AVX2 run the portable loops; AVX3_DL adds nothing for these.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "convkit/kernels/batch_norm_loops.cc"
#include "hwy/foreach_target.h"
// After it, since both are read once per target:
#include "hwy/highway.h"

#include "convkit/kernels/columns-inl.h"

HWY_BEFORE_NAMESPACE();
namespace convkit::kernels::HWY_NAMESPACE {
namespace {

// Reading several rows side by side spares loads and stores of the sums. But where rows share a
// page without being neighbours in it, the processor's prefetcher takes that for chance, and memory
// arrives at half its speed (measured at 256 channels): there they are read one by one.
template <class T>
bool side_by_side(const Rows& rows) {
  const auto bytes = static_cast<std::size_t>(rows.width) * sizeof(T);
  return bytes <= 512 || bytes >= 4096;
}

// sum += Σ x over the rows of a block.
template <class T>
void add_rows(const Rows& rows, const T* x, T* sum) {
  const int64_t w = rows.width;
  const int64_t quads = side_by_side<T>(rows) ? rows.count / 4 : 0;
  int64_t r = 0;
  for (; r < 4 * quads; r += 4) {
    const T* const p = x + r * w;
    for_columns<T>(0, w, [=](auto d, int64_t c) HWY_ATTR {
      const auto low = hn::Add(hn::LoadU(d, p + c), hn::LoadU(d, p + w + c));
      const auto high = hn::Add(hn::LoadU(d, p + 2 * w + c), hn::LoadU(d, p + 3 * w + c));
      hn::StoreU(hn::Add(hn::LoadU(d, sum + c), hn::Add(low, high)), d, sum + c);
    });
  }
  for (; r < rows.count; ++r) {
    const T* const p = x + r * w;
    for_columns<T>(0, w, [=](auto d, int64_t c) HWY_ATTR {
      hn::StoreU(hn::Add(hn::LoadU(d, sum + c), hn::LoadU(d, p + c)), d, sum + c);
    });
  }
}

// sum += Σ (x − center) and squares += Σ (x − center)². The rows are in the cache by now.
template <class T>
void add_centered_rows(const Rows& rows, const T* x, const T* center, T* sum, T* squares) {
  const int64_t w = rows.width;
  int64_t r = 0;
  for (; r + 4 <= rows.count; r += 4) {
    const T* const p = x + r * w;
    for_columns<T>(0, w, [=](auto d, int64_t c) HWY_ATTR {
      const auto middle = hn::LoadU(d, center + c);
      const auto v0 = hn::Sub(hn::LoadU(d, p + c), middle);
      const auto v1 = hn::Sub(hn::LoadU(d, p + w + c), middle);
      const auto v2 = hn::Sub(hn::LoadU(d, p + 2 * w + c), middle);
      const auto v3 = hn::Sub(hn::LoadU(d, p + 3 * w + c), middle);
      const auto total = hn::Add(hn::Add(v0, v1), hn::Add(v2, v3));
      const auto low = hn::MulAdd(v0, v0, hn::Mul(v1, v1));
      const auto high = hn::MulAdd(v2, v2, hn::Mul(v3, v3));
      hn::StoreU(hn::Add(hn::LoadU(d, sum + c), total), d, sum + c);
      hn::StoreU(hn::Add(hn::LoadU(d, squares + c), hn::Add(low, high)), d, squares + c);
    });
  }
  for (; r < rows.count; ++r) {
    const T* const p = x + r * w;
    for_columns<T>(0, w, [=](auto d, int64_t c) HWY_ATTR {
      const auto v = hn::Sub(hn::LoadU(d, p + c), hn::LoadU(d, center + c));
      hn::StoreU(hn::Add(hn::LoadU(d, sum + c), v), d, sum + c);
      hn::StoreU(hn::MulAdd(v, v, hn::LoadU(d, squares + c)), d, squares + c);
    });
  }
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
    std::fill(scratch, scratch + 3 * w, T{0});
    add_rows(part, p, center);
    const T scale = T{1} / static_cast<T>(part.count);
    for (int64_t c = 0; c < w; ++c) center[c] *= scale;
    add_centered_rows(part, p, center, sum, square);
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

template <class T>
void normalize(const Rows& rows, const Coefficients<T>& k, const T* x, T* y) {
  const T* const a = k.array(0);
  const T* const b = k.array(1);
  const T* const center = k.array(3);
  for (int64_t r = 0; r < rows.count; ++r) {
    const T* const from = x + r * rows.width;
    T* const to = y + r * rows.width;
    for_columns<T>(0, rows.width, [=](auto d, int64_t c) HWY_ATTR {
      const auto v = hn::Sub(hn::LoadU(d, from + c), hn::LoadU(d, center + c));
      hn::StoreU(hn::MulAdd(v, hn::LoadU(d, a + c), hn::LoadU(d, b + c)), d, to + c);
    });
  }
}

template <class T>
void gradient_sums(const Rows& rows, const Coefficients<T>& k, const T* x, const T* dy, T* scratch,
                   const BatchNormSums& sums) {
  const int64_t w = rows.width;
  const T* const center = k.array(3);
  T* const sum = scratch;
  T* const product = scratch + w;
  std::fill(sums.dy, sums.dy + w, 0.0);
  std::fill(sums.dy_xhat, sums.dy_xhat + w, 0.0);
  for (int64_t first = 0; first < rows.count; first += kRowsPerSum) {
    const int64_t end = std::min(rows.count, first + kRowsPerSum);
    std::fill(scratch, scratch + 2 * w, T{0});
    const int64_t pairs = side_by_side<T>(rows) ? (end - first) / 2 : 0;
    int64_t r = first;
    for (; r < first + 2 * pairs; r += 2) {
      const T* const p = x + r * w;
      const T* const q = dy + r * w;
      for_columns<T>(0, w, [=](auto d, int64_t c) HWY_ATTR {
        const auto middle = hn::LoadU(d, center + c);
        const auto v0 = hn::Sub(hn::LoadU(d, p + c), middle);
        const auto v1 = hn::Sub(hn::LoadU(d, p + w + c), middle);
        const auto g0 = hn::LoadU(d, q + c);
        const auto g1 = hn::LoadU(d, q + w + c);
        hn::StoreU(hn::Add(hn::LoadU(d, sum + c), hn::Add(g0, g1)), d, sum + c);
        const auto both = hn::MulAdd(v0, g0, hn::Mul(v1, g1));
        hn::StoreU(hn::Add(hn::LoadU(d, product + c), both), d, product + c);
      });
    }
    for (; r < end; ++r) {
      const T* const p = x + r * w;
      const T* const q = dy + r * w;
      for_columns<T>(0, w, [=](auto d, int64_t c) HWY_ATTR {
        const auto v = hn::Sub(hn::LoadU(d, p + c), hn::LoadU(d, center + c));
        const auto g = hn::LoadU(d, q + c);
        hn::StoreU(hn::Add(hn::LoadU(d, sum + c), g), d, sum + c);
        hn::StoreU(hn::MulAdd(v, g, hn::LoadU(d, product + c)), d, product + c);
      });
    }
    for (int64_t c = 0; c < w; ++c) sums.dy[c] += static_cast<double>(sum[c]);
    for (int64_t c = 0; c < w; ++c) sums.dy_xhat[c] += static_cast<double>(product[c]);
  }
}

template <class T>
void backward(const Rows& rows, const Coefficients<T>& k, const T* x, const T* dy, T* dx) {
  const T* const a = k.array(0);
  const T* const b = k.array(1);
  const T* const constant = k.array(2);
  const T* const center = k.array(3);
  for (int64_t r = 0; r < rows.count; ++r) {
    const int64_t at = r * rows.width;
    for_columns<T>(0, rows.width, [=](auto d, int64_t c) HWY_ATTR {
      const auto v = hn::Sub(hn::LoadU(d, x + at + c), hn::LoadU(d, center + c));
      const auto rest = hn::MulAdd(v, hn::LoadU(d, b + c), hn::LoadU(d, constant + c));
      const auto g = hn::LoadU(d, dy + at + c);
      hn::StoreU(hn::MulAdd(g, hn::LoadU(d, a + c), rest), d, dx + at + c);
    });
  }
}

template <class T>
void scale(const Rows& rows, const Coefficients<T>& k, const T* dy, T* dx) {
  const T* const a = k.array(0);
  for (int64_t r = 0; r < rows.count; ++r) {
    const int64_t at = r * rows.width;
    for_columns<T>(0, rows.width, [=](auto d, int64_t c) HWY_ATTR {
      hn::StoreU(hn::Mul(hn::LoadU(d, dy + at + c), hn::LoadU(d, a + c)), d, dx + at + c);
    });
  }
}

template <class T>
BatchNormLoops<T> loops_of() {
  return {&statistics<T>, &normalize<T>, &gradient_sums<T>, &backward<T>, &scale<T>};
}

std::pair<BatchNormLoops<float>, BatchNormLoops<double>> loops() {
  return {loops_of<float>(), loops_of<double>()};
}

}  // namespace
}  // namespace convkit::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convkit::kernels {

HWY_EXPORT(loops);

template <class T>
BatchNormLoops<T> batch_norm_loops() {
  return std::get<BatchNormLoops<T>>(HWY_DYNAMIC_DISPATCH(loops)());
}
template BatchNormLoops<float> batch_norm_loops();
template BatchNormLoops<double> batch_norm_loops();

}  // namespace convkit::kernels
#endif  // HWY_ONCE
