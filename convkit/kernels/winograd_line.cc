#include "convkit/kernels/winograd_line.h"

#include <algorithm>

#include "convkit/kernels/cache.h"
#include "convkit/kernels/conv_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "convkit/kernels/winograd_line.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
//
#include "convkit/kernels/conv_vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace convkit::kernels {
namespace HWY_NAMESPACE {

// Sums of so many tiles fill the registers, one vector of weights and a broadcast aside.
#if HWY_TARGET == HWY_AVX3 || HWY_ARCH_ARM
constexpr int kTiles = 4;
#elif HWY_TARGET == HWY_AVX2
constexpr int kTiles = 2;
#else
constexpr int kTiles = 1;
#endif

// The points are ±kPoints[i] and ∞. With N(t) = (t² − a²) (t² − b²) (t² − c²), row p of Bᵀ holds
// the coefficients of N(t) / (t − p), that of ∞ those of N(t); row p of G the powers of p over
// N'(p).
constexpr int kPairs = 3;
constexpr float kPoints[kPairs] = {0.25F, 0.875F, 1.75F};
constexpr float Square(int i) { return kPoints[i % kPairs] * kPoints[i % kPairs]; }
// Of the two other pairs.
constexpr float Sum(int i) { return Square(i + 1) + Square(i + 2); }
constexpr float Product(int i) { return Square(i + 1) * Square(i + 2); }

// Of channels, side by side in v: of more, code would be larger than the time it saves.
#if HWY_TARGET == HWY_SCALAR
constexpr int kBlock = 1;
#else
constexpr int kBlock = 2;
#endif

void Input(const float* x, int64_t channels, int64_t count, float* v) {
  const hn::FixedTag<float, kBlock> d;
  using V = hn::Vec<decltype(d)>;
  const auto plus_times = [d](V sum, float factor, V value) CONVKIT_INLINE_LAMBDA {
    return hn::MulAdd(hn::Set(d, factor), value, sum);
  };
  constexpr float kAll1 = Square(0) + Sum(0);
  constexpr float kAll2 = Square(0) * Sum(0) + Product(0);
  constexpr float kAll3 = Square(0) * Product(0);
  for (int64_t tile = 0; tile < count; ++tile, x += kLineOutputs * channels)
    for (int64_t c = 0; c < channels; c += kBlock, v += kLinePoints * kBlock) {
      V in[kLinePoints];
      CONVKIT_UNROLL for (int u = 0; u < kLinePoints; ++u) in[u] =
          hn::LoadU(d, x + u * channels + c);
      CONVKIT_UNROLL for (int i = 0; i < kPairs; ++i) {
        const V even = plus_times(plus_times(in[4], -Sum(i), in[2]), Product(i), in[0]);
        const V odd = plus_times(plus_times(in[5], -Sum(i), in[3]), Product(i), in[1]);
        hn::StoreU(plus_times(odd, kPoints[i], even), d, v + 2 * i * kBlock);
        hn::StoreU(plus_times(odd, -kPoints[i], even), d, v + (2 * i + 1) * kBlock);
      }
      const V last =
          plus_times(plus_times(plus_times(in[6], -kAll1, in[4]), kAll2, in[2]), -kAll3, in[0]);
      hn::StoreU(last, d, v + 2 * kPairs * kBlock);
    }
}

void Weight(const float (&w)[kLineTaps], float* to) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(Floats()));
  for (int i = 0; i < kPairs; ++i) {
    const float p = kPoints[i];
    const double scale =
        1.0 / (2.0 * p * (Square(i) - Square(i + 1)) * (Square(i) - Square(i + 2)));
    const float even = w[0] + Square(i) * w[2];
    const float odd = p * (w[1] + Square(i) * w[3]);
    to[2 * i * lanes] = static_cast<float>(scale) * (odd + even);
    to[(2 * i + 1) * lanes] = static_cast<float>(scale) * (odd - even);
  }
  to[2 * kPairs * lanes] = w[kLineTaps - 1];
}

// Aᵀ m.
HWY_INLINE void Output(const Vector (&m)[kLinePoints], Vector (&y)[kLineOutputs]) {
  const Floats d;
  Vector even[kPairs];
  Vector odd[kPairs];
  CONVKIT_UNROLL for (int i = 0; i < kPairs; ++i) {
    even[i] = hn::Add(m[2 * i], m[2 * i + 1]);
    odd[i] = hn::Sub(m[2 * i], m[2 * i + 1]);
  }
  y[0] = hn::Add(hn::Add(even[0], even[1]), even[2]);
  y[1] = hn::Mul(hn::Set(d, kPoints[0]), odd[0]);
  y[2] = hn::Mul(hn::Set(d, Square(0)), even[0]);
  y[3] = hn::MulAdd(hn::Set(d, Square(0) * kPoints[0]), odd[0], m[2 * kPairs]);
  CONVKIT_UNROLL for (int i = 1; i < kPairs; ++i) {
    y[1] = hn::MulAdd(hn::Set(d, kPoints[i]), odd[i], y[1]);
    y[2] = hn::MulAdd(hn::Set(d, Square(i)), even[i], y[2]);
    y[3] = hn::MulAdd(hn::Set(d, Square(i) * kPoints[i]), odd[i], y[3]);
  }
}

// Comparisons, not maxima, keep NaN, as in max_pool_forward.
HWY_INLINE Vector Larger(Vector a, Vector b) {
  return hn::IfThenElse(hn::Or(hn::Gt(b, a), hn::IsNaN(b)), b, a);
}

HWY_INLINE void Store(const WinogradLineJob& job, Vector bias, int64_t tile,
                      const Vector (&m)[kLinePoints]) {
  const Floats d;
  Vector y[kLineOutputs];
  Output(m, y);
  if (job.pools) {
    Vector most = Larger(Larger(y[0], y[1]), Larger(y[2], y[3]));
    most = hn::Add(most, bias);
    if (job.clamps) most = Clamp(d, most, job.low, job.high);
    StoreFirst(most, d, job.y + tile * job.y_step, job.channels);
    return;
  }
  const int64_t left = job.outputs - tile * kLineOutputs;
  CONVKIT_UNROLL for (int j = 0; j < kLineOutputs; ++j) {
    if (j >= left) return;
    const int64_t at = (tile * kLineOutputs + j) * job.y_step;
    Vector value = hn::Add(y[j], bias);
    if (job.residual != nullptr)
      value = hn::Add(value, LoadFirst(d, job.residual + at, job.channels));
    if (job.clamps) value = Clamp(d, value, job.low, job.high);
#if HWY_TARGET == HWY_AVX3  // whose vectors are lines
    if (job.streams && job.channels == kLineFloats) {
      hn::Stream(value, d, job.y + at);
      continue;
    }
#endif
    StoreFirst(value, d, job.y + at, job.channels);
  }
}

void Run(const WinogradLineJob& job) {
  const Floats d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const Vector bias = job.bias != nullptr ? LoadFirst(d, job.bias, job.channels) : hn::Zero(d);
  const int64_t tile_step = job.tile_step;
  for (int64_t tile = 0; tile < job.tiles; tile += kTiles) {
    Vector acc[kTiles][kLinePoints];
    // NOLINTNEXTLINE(modernize-loop-convert): unrolled by its count
    CONVKIT_UNROLL for (int t = 0; t < kTiles; ++t)
        CONVKIT_UNROLL for (int p = 0; p < kLinePoints; ++p) acc[t][p] = hn::Zero(d);
    for (int64_t line = 0; line < job.line_count; ++line) {
      const float* HWY_RESTRICT v = job.v + job.lines[line].a + tile * tile_step;
      const float* HWY_RESTRICT w = job.w + job.lines[line].b;
      for (int64_t k = 0; k < job.depth; k += kBlock, v += kBlock * kLinePoints)
        CONVKIT_UNROLL for (int c = 0; c < kBlock; ++c, w += kLinePoints * lanes)
            CONVKIT_UNROLL for (int p = 0; p < kLinePoints; ++p) {
          const Vector weight = hn::LoadU(d, w + p * lanes);
          CONVKIT_UNROLL for (int t = 0; t < kTiles; ++t) acc[t][p] =
              hn::MulAdd(hn::Set(d, v[t * tile_step + p * kBlock + c]), weight, acc[t][p]);
        }
    }
    CONVKIT_UNROLL for (int t = 0; t < kTiles; ++t) if (tile + t < job.tiles)
        Store(job, bias, tile + t, acc[t]);
  }
}

const WinogradLineKernels* LineKernels() {
  static const WinogradLineKernels kernels = {.lanes = static_cast<int64_t>(hn::Lanes(Floats())),
                                              .block = kBlock,
                                              .tiles = kTiles,
                                              .input = Input,
                                              .weight = Weight,
                                              .run = Run};
  return &kernels;
}

}  // namespace HWY_NAMESPACE
}  // namespace convkit::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convkit::kernels {
namespace {
HWY_EXPORT(LineKernels);
}
const WinogradLineKernels& winograd_line_kernels() { return *HWY_DYNAMIC_DISPATCH(LineKernels)(); }
}  // namespace convkit::kernels
#endif
