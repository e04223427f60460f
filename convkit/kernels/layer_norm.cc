#include "convkit/kernels/layer_norm.h"

#include <algorithm>
#include <cmath>

#include "convkit/base/thread_pool.h"

#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "convkit/kernels/layer_norm.cc"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace convkit::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Elements added in float before going to double.
constexpr int64_t kBlock = 256;

// Σ (x_i − center), or of the squares.
template <bool kSquared>
HWY_NOINLINE double sum_of(int64_t count, const float* x, float center) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto middle = hn::Set(d, center);
  double total = 0;
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    const int64_t end = std::min(count, begin + kBlock);
    auto even = hn::Zero(d);
    auto odd = hn::Zero(d);
    int64_t i = begin;
    for (; i + lanes <= end; i += lanes) {
      const auto off = hn::Sub(hn::LoadU(d, x + i), middle);
      const auto sum = kSquared ? hn::MulAdd(off, off, even) : hn::Add(even, off);
      even = odd;
      odd = sum;
    }
    total += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, hn::Add(even, odd))));
    for (; i < end; ++i) {
      const float off = x[i] - center;
      total += static_cast<double>(kSquared ? off * off : off);
    }
  }
  return total;
}

void normalize_row(int64_t length, double epsilon, const float* x, const float* scale,
                   const float* shift, float* y) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto count = static_cast<double>(length);
  // Around an element of the row, so that what all have in common costs no digits.
  const auto mean =
      static_cast<float>(static_cast<double>(x[0]) + sum_of<false>(length, x, x[0]) / count);
  const double variance = sum_of<true>(length, x, mean) / count;
  const auto by = static_cast<float>(1 / std::sqrt(variance + epsilon));
  int64_t i = 0;
  for (; i + lanes <= length; i += lanes) {
    auto v = hn::Mul(hn::Sub(hn::LoadU(d, x + i), hn::Set(d, mean)), hn::Set(d, by));
    if (scale != nullptr) v = hn::Mul(v, hn::LoadU(d, scale + i));
    if (shift != nullptr) v = hn::Add(v, hn::LoadU(d, shift + i));
    hn::StoreU(v, d, y + i);
  }
  for (; i < length; ++i) {
    float v = (x[i] - mean) * by;
    if (scale != nullptr) v *= scale[i];
    if (shift != nullptr) v += shift[i];
    y[i] = v;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace convkit::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convkit::kernels {
namespace {
HWY_EXPORT(normalize_row);
}

void layer_norm_rows(int64_t rows, int64_t length, double epsilon, const float* x,
                     const float* scale, const float* shift, float* y) {
  constexpr int64_t kElementsPerTask = 1 << 13;
  const auto normalize = HWY_DYNAMIC_DISPATCH(normalize_row);
  parallel_ranges(rows, std::max<int64_t>(1, kElementsPerTask / std::max<int64_t>(1, length)),
                  [&](int64_t begin, int64_t end) {
                    for (int64_t row = begin; row < end; ++row)
                      normalize(length, epsilon, x + row * length, scale, shift, y + row * length);
                  });
}

}  // namespace convkit::kernels
#endif  // HWY_ONCE
