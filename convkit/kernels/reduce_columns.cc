#include "convkit/kernels/reduce_columns.h"

#include <algorithm>
#include <numeric>

#include "convkit/base/checked.h"
#include "convkit/base/memory.h"
#include "convkit/base/thread_pool.h"

// Machines older than AVX2 run the portable loops; AVX3_DL adds nothing for these.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "convkit/kernels/reduce_columns.cc"
#include "hwy/foreach_target.h"
// After it, since both are read once per target:
#include "hwy/highway.h"

#include "convkit/kernels/columns-inl.h"

HWY_BEFORE_NAMESPACE();
namespace convkit::kernels::HWY_NAMESPACE {
namespace {

constexpr int64_t kRowsPerSum = 64;

// sum = Σ over a block of rows.
template <class T>
void add_block(const T* x, int64_t rows, int64_t width, T* sum) {
  if (has_short_rows<T>(width)) {
    for_strips<T>(width, [=](auto d, auto vectors, int64_t c) HWY_ATTR {
      constexpr int kVectors = decltype(vectors)::value;
      const auto lanes = static_cast<int64_t>(hn::Lanes(d));
      hn::VFromD<decltype(d)> total[kVectors];
      for (int i = 0; i < kVectors; ++i) total[i] = hn::Zero(d);
      for (int64_t r = 0; r < rows; ++r)
        for (int i = 0; i < kVectors; ++i)
          total[i] = hn::Add(total[i], hn::LoadU(d, x + r * width + c + i * lanes));
      for (int i = 0; i < kVectors; ++i) hn::StoreU(total[i], d, sum + c + i * lanes);
    });
    return;
  }
  std::fill(sum, sum + width, T{0});
  for (int64_t r = 0; r < rows; ++r) {
    const T* const p = x + r * width;
    for_columns<T>(0, width, [=](auto d, int64_t c) HWY_ATTR {
      hn::StoreU(hn::Add(hn::LoadU(d, sum + c), hn::LoadU(d, p + c)), d, sum + c);
    });
  }
}

template <class T>
void add_rows(const T* x, int64_t rows, int64_t width, T* scratch, double* total) {
  std::fill(total, total + width, 0.0);
  for (int64_t r = 0; r < rows; r += kRowsPerSum) {
    add_block(x + r * width, std::min(kRowsPerSum, rows - r), width, scratch);
    for (int64_t c = 0; c < width; ++c) total[c] += static_cast<double>(scratch[c]);
  }
}

void add_rows_float(const float* x, int64_t rows, int64_t width, float* scratch, double* total) {
  add_rows(x, rows, width, scratch, total);
}

}  // namespace
}  // namespace convkit::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convkit::kernels {
namespace {

HWY_EXPORT(add_rows_float);

constexpr int64_t kElementsPerTask = 65536;
constexpr int64_t kMinWidth = 64;

}  // namespace

template <class T>
void column_sums(const T* x, int64_t rows, int64_t channels, T* sums) {
  if (channels == 0) return;
  // Several rows of few channels are read as one, so that vectors are full.
  int64_t repeat = 1;
  if (channels < kMinWidth) {
    repeat = 16 / std::gcd<int64_t>(channels, 16);
    repeat *= ceil_div(kMinWidth, repeat * channels);
  }
  const int64_t width = repeat * channels;
  const int64_t count = rows / repeat;
  const int64_t grain = round_up(ceil_div(kElementsPerTask, width), 64);
  const int64_t tasks = ceil_div(count, grain);
  Buffer<double> partial(static_cast<std::size_t>(tasks * width));
  parallel_for(tasks, [&](int64_t task) {
    const int64_t begin = task * grain;
    const int64_t n = std::min(grain, count - begin);
    double* const total = partial.data() + task * width;
    Buffer<T> scratch(static_cast<std::size_t>(width));
    if constexpr (sizeof(T) == sizeof(float))
      HWY_DYNAMIC_DISPATCH(add_rows_float)(x + begin * width, n, width, scratch.data(), total);
    else  // double serves gradient checks, not speed
      HWY_STATIC_DISPATCH(add_rows)(x + begin * width, n, width, scratch.data(), total);
  });
  Buffer<double> total(static_cast<std::size_t>(channels));
  std::fill_n(total.data(), channels, 0.0);
  for (int64_t i = 0; i < tasks * repeat; ++i)
    for (int64_t c = 0; c < channels; ++c) total.data()[c] += partial.data()[i * channels + c];
  for (int64_t r = count * repeat; r < rows; ++r)
    for (int64_t c = 0; c < channels; ++c)
      total.data()[c] += static_cast<double>(x[r * channels + c]);
  for (int64_t c = 0; c < channels; ++c) sums[c] = static_cast<T>(total.data()[c]);
}
template void column_sums(const float*, int64_t, int64_t, float*);
template void column_sums(const double*, int64_t, int64_t, double*);

}  // namespace convkit::kernels
#endif  // HWY_ONCE
