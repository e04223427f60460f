#include "convkit/kernels/softmax.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "convkit/base/memory.h"
#include "convkit/base/thread_pool.h"

#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "convkit/kernels/softmax.cc"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "convkit/kernels/elementwise_math-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace convkit::kernels {
namespace HWY_NAMESPACE {

// Elements added in T before going to double.
constexpr int64_t kBlock = 4096;

template <class T>
HWY_INLINE T largest_of(int64_t count, const T* x) {
  const hn::ScalableTag<T> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  auto largest = constant(d, -std::numeric_limits<double>::infinity());
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) largest = hn::Max(largest, hn::LoadU(d, x + i));
  T result = hn::GetLane(hn::MaxOfLanes(d, largest));
  for (; i < count; ++i) result = std::max(result, x[i]);
  return result;
}

struct Plain {
  template <class D>
  HWY_INLINE Vector<D> operator()(D, Vector<D> x) const {
    return x;
  }
};

// e^(x − a − b).
template <class T>
struct ShiftedExp {
  T a;
  T b;
  template <class D>
  HWY_INLINE Vector<D> operator()(D d, Vector<D> x) const {
    return exp_of(d, hn::Sub(hn::Sub(x, hn::Set(d, a)), hn::Set(d, b)));
  }
};

// Σ f(x_i).
template <class T, class F>
HWY_INLINE double sum_of(int64_t count, const T* x, const F& f) {
  const hn::ScalableTag<T> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  double total = 0;
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    const int64_t end = std::min(count, begin + kBlock);
    auto sum = hn::Zero(d);
    int64_t i = begin;
    for (; i + lanes <= end; i += lanes) sum = hn::Add(sum, f(d, hn::LoadU(d, x + i)));
    if (i < end) {
      HWY_ALIGN T rest[HWY_MAX_BYTES / sizeof(T)] = {};
      std::copy(x + i, x + end, rest);
      hn::Store(f(d, hn::Load(d, rest)), d, rest);
      std::fill(rest + (end - i), rest + lanes, T{0});
      sum = hn::Add(sum, hn::Load(d, rest));
    }
    // In double, so that what stands beside a 1 in a confident row of few classes is not lost.
    HWY_ALIGN T parts[HWY_MAX_BYTES / sizeof(T)];
    hn::Store(sum, d, parts);
    for (int64_t k = 0; k < lanes; ++k) total += static_cast<double>(parts[k]);
  }
  return total;
}

template <class T>
struct DivideBy {
  T divisor;
  template <class D>
  HWY_INLINE Vector<D> operator()(D d, Vector<D> x) const {
    return hn::Div(x, hn::Set(d, divisor));
  }
};

template <class T>
struct LogProbability {
  RowStatistics<T> row;
  template <class D>
  HWY_INLINE Vector<D> operator()(D d, Vector<D> x) const {
    return hn::Sub(hn::Sub(x, hn::Set(d, row.largest)), hn::Set(d, row.log_sum));
  }
};

template <class T>
struct ScaledProbability {
  RowStatistics<T> row;
  T scale;
  template <class D>
  HWY_INLINE Vector<D> operator()(D d, Vector<D> x) const {
    return hn::Mul(hn::Set(d, scale), ShiftedExp<T>{row.largest, row.log_sum}(d, x));
  }
};

template <class T>
struct SoftmaxGradient {
  T dot;
  template <class D>
  HWY_INLINE Vector<D> operator()(D d, Vector<D> y, Vector<D> dy) const {
    return hn::Mul(y, hn::Sub(dy, hn::Set(d, dot)));
  }
};

template <class T>
struct LogSoftmaxGradient {
  T sum;
  template <class D>
  HWY_INLINE Vector<D> operator()(D d, Vector<D> y, Vector<D> dy) const {
    return hn::NegMulAdd(exp_of(d, y), hn::Set(d, sum), dy);
  }
};

template <class T>
HWY_INLINE RowStatistics<T> statistics_of(int64_t count, const T* x) {
  const T largest = largest_of(count, x);
  const double sum = sum_of(count, x, ShiftedExp<T>{largest, T{0}});
  return {largest, static_cast<T>(std::log(sum))};
}

template <class T>
HWY_INLINE void forward_row(SoftmaxKind kind, int64_t count, const T* x, T* y) {
  const hn::ScalableTag<T> d;
  if (kind == SoftmaxKind::log_softmax)
    return for_each_vector(d, count, x, y, LogProbability<T>{statistics_of(count, x)});
  const T largest = largest_of(count, x);
  for_each_vector(d, count, x, y, ShiftedExp<T>{largest, T{0}});
  const double sum = sum_of(count, y, Plain());
  for_each_vector(d, count, y, y, DivideBy<T>{static_cast<T>(sum)});
}

// Rows of at most as many classes as a vector has lanes, such as the few of each pixel of a
// segmentation: as many rows side by side.
void short_rows_f32(int64_t rows, int64_t count, const float* x, float* y) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  constexpr std::size_t kMostLanes = HWY_MAX_BYTES / sizeof(float);
  HWY_ALIGN float block[kMostLanes * kMostLanes] = {};
  for (int64_t first = 0; first < rows; first += lanes) {
    const int64_t now = std::min(lanes, rows - first);
    for (int64_t r = 0; r < now; ++r)
      for (int64_t c = 0; c < count; ++c) block[c * lanes + r] = x[(first + r) * count + c];
    auto largest = hn::Load(d, block);
    for (int64_t c = 1; c < count; ++c) largest = hn::Max(largest, hn::Load(d, block + c * lanes));
    auto sum = hn::Zero(d);
    for (int64_t c = 0; c < count; ++c) {
      const auto power = exp_of(d, hn::Sub(hn::Load(d, block + c * lanes), largest));
      sum = hn::Add(sum, power);
      hn::Store(power, d, block + c * lanes);
    }
    for (int64_t c = 0; c < count; ++c)
      hn::Store(hn::Div(hn::Load(d, block + c * lanes), sum), d, block + c * lanes);
    for (int64_t r = 0; r < now; ++r)
      for (int64_t c = 0; c < count; ++c) y[(first + r) * count + c] = block[c * lanes + r];
  }
}
int64_t lanes_f32() { return static_cast<int64_t>(hn::Lanes(hn::ScalableTag<float>())); }

template <class T>
HWY_INLINE void backward_row(SoftmaxKind kind, int64_t count, const T* y, const T* dy, T* dx) {
  const hn::ScalableTag<T> d;
  if (kind == SoftmaxKind::log_softmax) {
    const double sum = sum_of(count, dy, Plain());
    return for_each_vector(d, count, y, dy, dx, LogSoftmaxGradient<T>{static_cast<T>(sum)});
  }
  double dot = 0;
  for (int64_t i = 0; i < count; ++i) dot += static_cast<double>(y[i]) * static_cast<double>(dy[i]);
  for_each_vector(d, count, y, dy, dx, SoftmaxGradient<T>{static_cast<T>(dot)});
}

template <class T>
HWY_INLINE void scaled_row(int64_t count, const T* x, const RowStatistics<T>& row, T scale, T* y) {
  const hn::ScalableTag<T> d;
  for_each_vector(d, count, x, y, ScaledProbability<T>{row, scale});
}

void forward_row_f32(SoftmaxKind kind, int64_t count, const float* x, float* y) {
  forward_row(kind, count, x, y);
}
void backward_row_f32(SoftmaxKind kind, int64_t count, const float* y, const float* dy, float* dx) {
  backward_row(kind, count, y, dy, dx);
}
RowStatistics<float> statistics_f32(int64_t count, const float* x) {
  return statistics_of(count, x);
}
void scaled_row_f32(int64_t count, const float* x, const RowStatistics<float>& row, float scale,
                    float* y) {
  scaled_row(count, x, row, scale, y);
}

}  // namespace HWY_NAMESPACE
}  // namespace convkit::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convkit::kernels {
namespace {

HWY_EXPORT(forward_row_f32);
HWY_EXPORT(short_rows_f32);
HWY_EXPORT(lanes_f32);
HWY_EXPORT(backward_row_f32);
HWY_EXPORT(statistics_f32);
HWY_EXPORT(scaled_row_f32);

constexpr int64_t kElementsPerTask = 1 << 13;

// The overloads choose the body: for this processor in float, the portable one in double.
void forward(SoftmaxKind kind, int64_t count, const float* x, float* y) {
  HWY_DYNAMIC_DISPATCH(forward_row_f32)(kind, count, x, y);
}
void forward(SoftmaxKind kind, int64_t count, const double* x, double* y) {
  HWY_STATIC_DISPATCH(forward_row)(kind, count, x, y);
}
void backward(SoftmaxKind kind, int64_t count, const float* y, const float* dy, float* dx) {
  HWY_DYNAMIC_DISPATCH(backward_row_f32)(kind, count, y, dy, dx);
}
void backward(SoftmaxKind kind, int64_t count, const double* y, const double* dy, double* dx) {
  HWY_STATIC_DISPATCH(backward_row)(kind, count, y, dy, dx);
}
RowStatistics<float> statistics_of_row(int64_t count, const float* x) {
  return HWY_DYNAMIC_DISPATCH(statistics_f32)(count, x);
}
RowStatistics<double> statistics_of_row(int64_t count, const double* x) {
  return HWY_STATIC_DISPATCH(statistics_of)(count, x);
}
void scaled(int64_t count, const float* x, const RowStatistics<float>& row, float scale, float* y) {
  HWY_DYNAMIC_DISPATCH(scaled_row_f32)(count, x, row, scale, y);
}
void scaled(int64_t count, const double* x, const RowStatistics<double>& row, double scale,
            double* y) {
  HWY_STATIC_DISPATCH(scaled_row)(count, x, row, scale, y);
}

// False where rows are too long for it, or not of float.
bool short_rows(int64_t rows, int64_t count, const float* x, float* y) {
  if (count > HWY_DYNAMIC_DISPATCH(lanes_f32)()) return false;
  HWY_DYNAMIC_DISPATCH(short_rows_f32)(rows, count, x, y);
  return true;
}
bool short_rows(int64_t, int64_t, const double*, double*) { return false; }

int64_t rows_per_task(int64_t row) { return kElementsPerTask / std::max<int64_t>(1, row); }

template <class T>
void gather(const T* from, int64_t count, int64_t stride, T* row) {
  for (int64_t k = 0; k < count; ++k) row[k] = from[k * stride];
}
template <class T>
void scatter(const T* row, int64_t count, int64_t stride, T* into) {
  for (int64_t k = 0; k < count; ++k) into[k * stride] = row[k];
}

}  // namespace

template <class T>
void softmax_forward(SoftmaxKind kind, const AxisGeometry& g, const T* x, T* y) {
  parallel_ranges(g.outer * g.inner, rows_per_task(g.extent), [&](int64_t begin, int64_t end) {
    const bool may_be_short = g.inner == 1 && kind == SoftmaxKind::softmax;
    const int64_t start = begin * g.extent;
    if (may_be_short && short_rows(end - begin, g.extent, x + start, y + start)) return;
    Buffer<T> row(static_cast<std::size_t>(g.inner == 1 ? 0 : g.extent));
    for (int64_t r = begin; r < end; ++r) {
      const int64_t first = r / g.inner * g.extent * g.inner + r % g.inner;
      if (g.inner == 1) {
        forward(kind, g.extent, x + first, y + first);
      } else {
        gather(x + first, g.extent, g.inner, row.data());
        forward(kind, g.extent, row.data(), row.data());
        scatter(row.data(), g.extent, g.inner, y + first);
      }
    }
  });
}

template <class T>
void softmax_backward(SoftmaxKind kind, const AxisGeometry& g, const T* y, const T* dy, T* dx) {
  parallel_ranges(g.outer * g.inner, rows_per_task(g.extent), [&](int64_t begin, int64_t end) {
    const int64_t buffered = g.inner == 1 ? 0 : g.extent;
    Buffer<T> rows(static_cast<std::size_t>(2 * buffered));
    T* const y_row = rows.data();
    T* const dy_row = rows.data() + buffered;
    for (int64_t r = begin; r < end; ++r) {
      const int64_t first = r / g.inner * g.extent * g.inner + r % g.inner;
      if (g.inner == 1) {
        backward(kind, g.extent, y + first, dy + first, dx + first);
      } else {
        gather(y + first, g.extent, g.inner, y_row);
        gather(dy + first, g.extent, g.inner, dy_row);
        backward(kind, g.extent, y_row, dy_row, dy_row);
        scatter(dy_row, g.extent, g.inner, dx + first);
      }
    }
  });
}

template <class T>
void softmax_statistics(int64_t rows, int64_t classes, const T* x, RowStatistics<T>* statistics) {
  parallel_ranges(rows, rows_per_task(classes), [=](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      statistics[r] = statistics_of_row(classes, x + r * classes);
  });
}

template <class T>
void scaled_softmax(int64_t rows, int64_t classes, const T* x, const RowStatistics<T>* statistics,
                    const T* scale, T* y) {
  parallel_ranges(rows, rows_per_task(classes), [=](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      scaled(classes, x + r * classes, statistics[r], scale[r], y + r * classes);
  });
}

#define CONVKIT_INSTANTIATE_SOFTMAX(T)                                                      \
  template void softmax_forward(SoftmaxKind, const AxisGeometry&, const T*, T*);            \
  template void softmax_backward(SoftmaxKind, const AxisGeometry&, const T*, const T*, T*); \
  template void softmax_statistics(int64_t, int64_t, const T*, RowStatistics<T>*);          \
  template void scaled_softmax(int64_t, int64_t, const T*, const RowStatistics<T>*, const T*, T*);
CONVKIT_INSTANTIATE_SOFTMAX(float)
CONVKIT_INSTANTIATE_SOFTMAX(double)
#undef CONVKIT_INSTANTIATE_SOFTMAX

}  // namespace convkit::kernels
#endif  // HWY_ONCE
