#include "convkit/kernels/conv_fft_product.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "convkit/kernels/conv_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "convkit/kernels/conv_fft_product.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace convkit::kernels {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
using Floats = hn::ScalableTag<float>;
using Vector = hn::Vec<Floats>;

#if HWY_COMPILER_CLANG
#define CONVKIT_UNROLL _Pragma("unroll")
#else
#define CONVKIT_UNROLL _Pragma("GCC unroll 16")
#endif

// Four sums for each row (two frequencies, two parts) fill the registers.
#if HWY_TARGET == HWY_AVX3 || HWY_ARCH_ARM
constexpr int kMostRows = 6;
#else
constexpr int kMostRows = 2;
#endif

constexpr int64_t kCachedFilterFloats = 64 * 1024;

HWY_INLINE int64_t LaneCount() { return static_cast<int64_t>(hn::Lanes(Floats())); }

// sum(k) += w · z(k) and sum(−k) += conj(w) · z(−k).
struct Sums {
  Vector plus_re;
  Vector plus_im;
  Vector minus_re;
  Vector minus_im;
};

struct PairValue {
  Vector plus_re;
  Vector plus_im;
  Vector minus_re;
  Vector minus_im;
};

HWY_INLINE Sums ZeroSums() {
  const Vector zero = hn::Zero(Floats());
  return {zero, zero, zero, zero};
}

HWY_INLINE void AddProduct(Sums& sum, Vector w_re, Vector w_im, const PairValue& z) {
  sum.plus_re = hn::MulAdd(z.plus_re, w_re, sum.plus_re);
  sum.plus_im = hn::MulAdd(z.plus_re, w_im, sum.plus_im);
  sum.minus_re = hn::MulAdd(z.minus_re, w_re, sum.minus_re);
  sum.minus_im = hn::MulAdd(z.minus_im, w_re, sum.minus_im);
  sum.plus_re = hn::NegMulAdd(z.plus_im, w_im, sum.plus_re);
  sum.plus_im = hn::MulAdd(z.plus_im, w_re, sum.plus_im);
  sum.minus_re = hn::MulAdd(z.minus_im, w_im, sum.minus_re);
  sum.minus_im = hn::NegMulAdd(z.minus_re, w_im, sum.minus_im);
}

// re and im of conj(v) · x at k, plus those of v · conj(x) at −k.
HWY_INLINE void AddGradient(Vector& re, Vector& im, const PairValue& v, const PairValue& x) {
  re = hn::MulAdd(v.plus_re, x.plus_re, re);
  im = hn::MulAdd(v.plus_re, x.plus_im, im);
  re = hn::MulAdd(v.plus_im, x.plus_im, re);
  im = hn::NegMulAdd(v.plus_im, x.plus_re, im);
  re = hn::MulAdd(v.minus_re, x.minus_re, re);
  im = hn::NegMulAdd(v.minus_re, x.minus_im, im);
  re = hn::MulAdd(v.minus_im, x.minus_im, re);
  im = hn::MulAdd(v.minus_im, x.minus_re, im);
}

HWY_INLINE PairValue LoadPair(const float* plus, const float* minus) {
  const Floats d;
  const int64_t lanes = LaneCount();
  return {hn::LoadU(d, plus), hn::LoadU(d, plus + lanes), hn::LoadU(d, minus),
          hn::LoadU(d, minus + lanes)};
}

HWY_INLINE PairValue BroadcastPair(const float* plus, const float* minus) {
  const Floats d;
  const int64_t lanes = LaneCount();
  return {hn::Set(d, *plus), hn::Set(d, plus[lanes]), hn::Set(d, *minus), hn::Set(d, minus[lanes])};
}

// The minus side last: where k = −k it writes the same place once more.
HWY_INLINE void StoreSums(const Sums& sum, float* plus, float* minus) {
  const Floats d;
  const int64_t lanes = LaneCount();
  hn::StoreU(sum.plus_re, d, plus);
  hn::StoreU(sum.plus_im, d, plus + lanes);
  hn::StoreU(sum.minus_re, d, minus);
  hn::StoreU(sum.minus_im, d, minus + lanes);
}

// Offsets of one frequency pair within the slots of both operands.
struct Places {
  Places(const FftProduct& job, FrequencyPair pair) {
    const int64_t element = 2 * LaneCount();
    in_plus = pair.plus * job.in_vectors * element;
    in_minus = pair.minus * job.in_vectors * element;
    out_plus = pair.plus * job.out_vectors * element;
    out_minus = pair.minus * job.out_vectors * element;
  }
  int64_t in_plus;
  int64_t in_minus;
  int64_t out_plus;
  int64_t out_minus;
};

// Lanes are output channels: rows are slots, whose input channels are broadcast.
template <int kSlots>
void MultiplyChannels(const FftProduct& job, const Places& at, int64_t slot, int64_t vector,
                      const float* filters) {
  const Floats d;
  const int64_t lanes = LaneCount();
  const int64_t element = 2 * lanes;
  Sums sums[kSlots];
  CONVKIT_UNROLL for (int s = 0; s < kSlots; ++s) sums[s] = ZeroSums();
  const float* const in = job.in + slot * job.in_slot;
  const float* w = filters + vector * job.in_channels * element;
  for (int64_t first = 0, place = 0; first < job.in_channels; first += lanes, place += element) {
    const int64_t count = std::min(lanes, job.in_channels - first);
    const float* plus = in + at.in_plus + place;
    const float* minus = in + at.in_minus + place;
    for (int64_t c = 0; c < count; ++c, ++plus, ++minus, w += element) {
      const Vector w_re = hn::LoadU(d, w);
      const Vector w_im = hn::LoadU(d, w + lanes);
      CONVKIT_UNROLL for (int s = 0; s < kSlots; ++s) AddProduct(
          sums[s], w_re, w_im, BroadcastPair(plus + s * job.in_slot, minus + s * job.in_slot));
    }
  }
  float* const out = job.out + slot * job.out_slot + vector * element;
  CONVKIT_UNROLL for (int s = 0; s < kSlots; ++s) StoreSums(
      sums[s], out + s * job.out_slot + at.out_plus, out + s * job.out_slot + at.out_minus);
}

// Lanes are tiles: rows are output channels, whose filters are broadcast.
template <int kOutputs>
void MultiplyTiles(const FftProduct& job, const Places& at, int64_t slot, int64_t first,
                   const float* filters) {
  const Floats d;
  const int64_t element = 2 * LaneCount();
  Sums sums[kOutputs];
  CONVKIT_UNROLL for (int o = 0; o < kOutputs; ++o) sums[o] = ZeroSums();
  const float* const in = job.in + slot * job.in_slot;
  const float* w = filters + 2 * first;
  for (int64_t c = 0; c < job.in_channels; ++c, w += 2 * job.out_channels) {
    const PairValue z = LoadPair(in + at.in_plus + c * element, in + at.in_minus + c * element);
    CONVKIT_UNROLL for (int o = 0; o < kOutputs; ++o)
        AddProduct(sums[o], hn::Set(d, w[2 * o]), hn::Set(d, w[2 * o + 1]), z);
  }
  float* const out = job.out + slot * job.out_slot + first * element;
  CONVKIT_UNROLL for (int o = 0; o < kOutputs; ++o)
      StoreSums(sums[o], out + at.out_plus + o * element, out + at.out_minus + o * element);
}

// Calls body<n>(first) for `count` rows in groups of at most kMostRows.
template <class Body>
HWY_INLINE void InRows(int64_t count, const Body& body) {
  int64_t first = 0;
  for (; first + kMostRows <= count; first += kMostRows)
    body(first, std::integral_constant<int, kMostRows>());
  if constexpr (kMostRows == 6) {
    if (count - first == 5) body(first, std::integral_constant<int, 5>());
    if (count - first == 4) body(first, std::integral_constant<int, 4>());
    if (count - first == 3) body(first, std::integral_constant<int, 3>());
    if (count - first == 2) body(first, std::integral_constant<int, 2>());
  }
  if (count - first == 1) body(first, std::integral_constant<int, 1>());
}

// Filters that do not stay in the second-level cache pass by once: all slots meet a vector's before
// the next vector's come.
void RunMultiplyChannels(const FftProduct& job) {
  const bool once = job.in_channels * job.out_vectors * 2 * LaneCount() > kCachedFilterFloats;
  for (int64_t f = 0; f < job.pair_count; ++f) {
    const Places at(job, job.pairs[f]);
    const float* const filters = job.filters + f * job.filter_step;
    if (once) {
      for (int64_t vector = 0; vector < job.out_vectors; ++vector)
        InRows(job.slots, [&](int64_t slot, auto rows) {
          MultiplyChannels<rows>(job, at, slot, vector, filters);
        });
    } else {
      InRows(job.slots, [&](int64_t slot, auto rows) {
        for (int64_t vector = 0; vector < job.out_vectors; ++vector)
          MultiplyChannels<rows>(job, at, slot, vector, filters);
      });
    }
  }
}

void RunMultiplyTiles(const FftProduct& job) {
  for (int64_t f = 0; f < job.pair_count; ++f) {
    const Places at(job, job.pairs[f]);
    const float* const filters = job.filters + f * job.filter_step;
    for (int64_t slot = 0; slot < job.slots; ++slot)
      InRows(job.out_channels,
             [&](int64_t first, auto rows) { MultiplyTiles<rows>(job, at, slot, first, filters); });
  }
}

void RunMultiplyDepthwise(const FftProduct& job) {
  const Floats d;
  const int64_t lanes = LaneCount();
  const int64_t element = 2 * lanes;
  for (int64_t f = 0; f < job.pair_count; ++f) {
    const Places at(job, job.pairs[f]);
    const float* const filters = job.filters + f * job.filter_step;
    for (int64_t slot = 0; slot < job.slots; ++slot)
      for (int64_t place = 0; place < job.in_vectors * element; place += element) {
        const float* const in = job.in + slot * job.in_slot + place;
        Sums sum = ZeroSums();
        AddProduct(sum, hn::LoadU(d, filters + place), hn::LoadU(d, filters + place + lanes),
                   LoadPair(in + at.in_plus, in + at.in_minus));
        float* const out = job.out + slot * job.out_slot + place;
        StoreSums(sum, out + at.out_plus, out + at.out_minus);
      }
  }
}

// Lanes are output channels: rows are input channels [first, first + kInputs).
template <int kInputs>
void GradientChannels(const FftProduct& job, const Places& at, int64_t first, int64_t vector,
                      float* filters) {
  const Floats d;
  const int64_t lanes = LaneCount();
  const int64_t element = 2 * lanes;
  Vector re[kInputs];
  Vector im[kInputs];
  int64_t place[kInputs];
  float* const to = filters + (vector * job.in_channels + first) * element;
  CONVKIT_UNROLL for (int i = 0; i < kInputs; ++i) {
    place[i] = (first + i) / lanes * element + (first + i) % lanes;
    re[i] = job.accumulate ? hn::LoadU(d, to + i * element) : hn::Zero(d);
    im[i] = job.accumulate ? hn::LoadU(d, to + i * element + lanes) : hn::Zero(d);
  }
  for (int64_t slot = 0; slot < job.slots; ++slot) {
    const float* const out = job.out + slot * job.out_slot + vector * element;
    const PairValue v = LoadPair(out + at.out_plus, out + at.out_minus);
    const float* const in = job.in + slot * job.in_slot;
    CONVKIT_UNROLL for (int i = 0; i < kInputs; ++i) AddGradient(
        re[i], im[i], v, BroadcastPair(in + at.in_plus + place[i], in + at.in_minus + place[i]));
  }
  CONVKIT_UNROLL for (int i = 0; i < kInputs; ++i) {
    hn::StoreU(re[i], d, to + i * element);
    hn::StoreU(im[i], d, to + i * element + lanes);
  }
}

// Lanes are tiles, whose sum is wanted; one input channel, outputs [first, first + kOutputs).
// Where a vector is one float, GCC 12 makes vectors of several slots and reads one slot too many.
template <int kOutputs>
#if HWY_TARGET == HWY_SCALAR && HWY_COMPILER_GCC_ACTUAL
__attribute__((optimize("no-tree-vectorize")))
#endif
void GradientTiles(const FftProduct& job, const Places& at, int64_t input, int64_t first,
                   float* filters) {
  const Floats d;
  const int64_t element = 2 * LaneCount();
  Vector re[kOutputs];
  Vector im[kOutputs];
  CONVKIT_UNROLL for (int o = 0; o < kOutputs; ++o) re[o] = im[o] = hn::Zero(d);
  for (int64_t slot = 0; slot < job.slots; ++slot) {
    const float* const in = job.in + slot * job.in_slot + input * element;
    const PairValue x = LoadPair(in + at.in_plus, in + at.in_minus);
    const float* const out = job.out + slot * job.out_slot + first * element;
    CONVKIT_UNROLL for (int o = 0; o < kOutputs; ++o)
        AddGradient(re[o], im[o],
                    LoadPair(out + at.out_plus + o * element, out + at.out_minus + o * element), x);
  }
  float* const to = filters + 2 * (input * job.out_channels + first);
  CONVKIT_UNROLL for (int o = 0; o < kOutputs; ++o) {
    const float sum_re = hn::GetLane(hn::SumOfLanes(d, re[o]));
    const float sum_im = hn::GetLane(hn::SumOfLanes(d, im[o]));
    to[2 * o] = (job.accumulate ? to[2 * o] : 0.0f) + sum_re;
    to[2 * o + 1] = (job.accumulate ? to[2 * o + 1] : 0.0f) + sum_im;
  }
}

void RunGradientChannels(const FftProduct& job) {
  for (int64_t f = 0; f < job.pair_count; ++f) {
    const Places at(job, job.pairs[f]);
    float* const filters = job.filters + f * job.filter_step;
    for (int64_t vector = 0; vector < job.out_vectors; ++vector)
      InRows(job.in_channels, [&](int64_t first, auto rows) {
        GradientChannels<rows>(job, at, first, vector, filters);
      });
  }
}

void RunGradientTiles(const FftProduct& job) {
  for (int64_t f = 0; f < job.pair_count; ++f) {
    const Places at(job, job.pairs[f]);
    float* const filters = job.filters + f * job.filter_step;
    for (int64_t input = 0; input < job.in_channels; ++input)
      InRows(job.out_channels, [&](int64_t first, auto rows) {
        GradientTiles<rows>(job, at, input, first, filters);
      });
  }
}

void RunGradientDepthwise(const FftProduct& job) {
  const Floats d;
  const int64_t lanes = LaneCount();
  const int64_t element = 2 * lanes;
  for (int64_t f = 0; f < job.pair_count; ++f) {
    const Places at(job, job.pairs[f]);
    float* const filters = job.filters + f * job.filter_step;
    for (int64_t place = 0; place < job.in_vectors * element; place += element) {
      float* const to = filters + place;
      Vector re = job.accumulate ? hn::LoadU(d, to) : hn::Zero(d);
      Vector im = job.accumulate ? hn::LoadU(d, to + lanes) : hn::Zero(d);
      for (int64_t slot = 0; slot < job.slots; ++slot) {
        const float* const in = job.in + slot * job.in_slot + place;
        const float* const out = job.out + slot * job.out_slot + place;
        AddGradient(re, im, LoadPair(out + at.out_plus, out + at.out_minus),
                    LoadPair(in + at.in_plus, in + at.in_minus));
      }
      hn::StoreU(re, d, to);
      hn::StoreU(im, d, to + lanes);
    }
  }
}

HWY_INLINE void StoreComplex(Vector re, Vector im, bool interleaved, float* to) {
  const Floats d;
  if (interleaved) return hn::StoreInterleaved2(re, im, d, to);
  hn::StoreU(re, d, to);
  hn::StoreU(im, d, to + LaneCount());
}

HWY_INLINE void LoadComplex(const float* from, bool interleaved, Vector& re, Vector& im) {
  const Floats d;
  if (interleaved) return hn::LoadInterleaved2(d, from, re, im);
  re = hn::LoadU(d, from);
  im = hn::LoadU(d, from + LaneCount());
}

void SplitFilters(const float* tile, const FrequencyPair* pairs, int64_t count, float scale,
                  float* a, float* b, int64_t step, bool interleaved) {
  const Floats d;
  const int64_t element = 2 * LaneCount();
  const Vector factor = hn::Set(d, scale);
  for (int64_t f = 0; f < count; ++f) {
    const PairValue z = LoadPair(tile + pairs[f].plus * element, tile + pairs[f].minus * element);
    // 2a(k) = z(k) + conj z(−k), 2i·b(k) = z(k) − conj z(−k); their conjugates are stored.
    StoreComplex(hn::Mul(factor, hn::Add(z.plus_re, z.minus_re)),
                 hn::Mul(factor, hn::Sub(z.minus_im, z.plus_im)), interleaved, a + f * step);
    if (b != nullptr)
      StoreComplex(hn::Mul(factor, hn::Add(z.plus_im, z.minus_im)),
                   hn::Mul(factor, hn::Sub(z.plus_re, z.minus_re)), interleaved, b + f * step);
  }
}

void JoinFilters(const float* a, const float* b, int64_t step, bool interleaved,
                 const FrequencyPair* pairs, int64_t count, float scale, float* tile) {
  const Floats d;
  const int64_t element = 2 * LaneCount();
  const Vector factor = hn::Set(d, scale);
  Vector b_re = hn::Zero(d);
  Vector b_im = hn::Zero(d);
  for (int64_t f = 0; f < count; ++f) {
    Vector a_re = hn::Zero(d);
    Vector a_im = hn::Zero(d);
    LoadComplex(a + f * step, interleaved, a_re, a_im);
    if (b != nullptr) LoadComplex(b + f * step, interleaved, b_re, b_im);
    // a + i·b at k, conj(a) + i·conj(b) at −k.
    const Sums sum = {hn::Mul(factor, hn::Sub(a_re, b_im)), hn::Mul(factor, hn::Add(a_im, b_re)),
                      hn::Mul(factor, hn::Add(a_re, b_im)), hn::Mul(factor, hn::Sub(b_re, a_im))};
    StoreSums(sum, tile + pairs[f].plus * element, tile + pairs[f].minus * element);
  }
}

const FftProductKernels* ProductKernels() {
  static const FftProductKernels kernels = {
      {RunMultiplyChannels, RunMultiplyTiles, RunMultiplyDepthwise},
      {RunGradientChannels, RunGradientTiles, RunGradientDepthwise},
      SplitFilters,
      JoinFilters};
  return &kernels;
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace convkit::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convkit::kernels {
namespace {
HWY_EXPORT(ProductKernels);
}
const FftProductKernels& fft_product_kernels() { return *HWY_DYNAMIC_DISPATCH(ProductKernels)(); }
}  // namespace convkit::kernels
#endif
