#include "convkit/kernels/conv_grouped_window.h"

#include <algorithm>
#include <cstddef>

#include "convkit/kernels/conv_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "convkit/kernels/conv_grouped_window.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
//
#include "convkit/kernels/conv_grouped_lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace convkit::kernels {
namespace HWY_NAMESPACE {
namespace {

// What the loop over strips goes on with after a strip's sums. It waits in memory: compilers would
// put what does not fit into general registers into vector registers, where it comes back only
// after all multiply-adds in flight, and the next strip's addresses with it.
struct Loop {
  const WindowJob* job;
  const WindowStrip* strip;
  const WindowStrip* end;
  const float* bias;

  HWY_INLINE void StayInMemory() {
#if HWY_COMPILER_GCC || HWY_COMPILER_CLANG
    asm volatile("" : "+m"(*this));
#endif
  }
};

// Where the numbers of a run lie.
struct Place {
  const float* x;
  int64_t x_pitch;
  int64_t w_step;
  uint32_t valid;
};

// x86 reads one or two pitches beyond an address as fast as at it, and with AVX2 has no time for
// more additions.
constexpr int kPositionsPerAddress = HWY_TARGET == HWY_AVX2 ? 3 : 1;

// The sums of a block, outputs in registers.
template <int kSize, class Read>
struct ForwardSums {
  const float* w;
  Read read;
  Vector acc[kSize];

  template <int kTaps>
  HWY_INLINE void Slide(const Place& place, int64_t at) {
    const Floats d;
    Vector weight[kTaps];
    CONVKIT_UNROLL for (int t = 0; t < kTaps; ++t) weight[t] =
        hn::LoadU(d, w + at + t * place.w_step);
    const float* x = place.x;
    uint32_t valid = place.valid;
    CONVKIT_UNROLL_POSITIONS for (int p = 0; p < kSize + kTaps - 1; ++p) {
      if (p > 0 && p % kPositionsPerAddress == 0) x += kPositionsPerAddress * place.x_pitch;
      Keep(x);
      Keep(valid);
      if ((valid >> p & 1) == 0) continue;
      const Vector value = read(x + p % kPositionsPerAddress * place.x_pitch);
      CONVKIT_UNROLL for (int t = 0; t < kTaps; ++t) {
        const int j = p - t;
        if (j >= 0 && j < kSize) acc[j] = hn::MulAdd(value, weight[t], acc[j]);
      }
    }
  }
};

// The sums of weights, dy in registers. Two sums per tap, so that additions need not wait for one
// another.
template <int kSize, class Read>
struct WeightSums {
  float* dw;
  Read read;
  Vector dy[kSize];

  template <int kTaps>
  HWY_INLINE void Slide(const Place& place, int64_t at) {
    const Floats d;
    float* const w = dw + at;
    Vector sum[2][kTaps];
    CONVKIT_UNROLL for (int t = 0; t < kTaps; ++t) {
      sum[0][t] = hn::LoadU(d, w + t * place.w_step);
      sum[1][t] = hn::Zero(d);
    }
    const float* x = place.x;
    uint32_t valid = place.valid;
    CONVKIT_UNROLL_POSITIONS for (int p = 0; p < kSize + kTaps - 1; ++p, x += place.x_pitch) {
      Keep(x);
      Keep(valid);
      if ((valid >> p & 1) == 0) continue;
      const Vector value = read(x);
      CONVKIT_UNROLL for (int t = 0; t < kTaps; ++t) {
        const int j = p - t;
        if (j >= 0 && j < kSize) sum[p & 1][t] = hn::MulAdd(value, dy[j], sum[p & 1][t]);
      }
    }
    CONVKIT_UNROLL for (int t = 0; t < kTaps; ++t)
        hn::StoreU(hn::Add(sum[0][t], sum[1][t]), d, w + t * place.w_step);
  }
};

template <int kSize>
HWY_INLINE void StoreBlock(const WindowJob& job, const WindowStrip& strip, Vector (&acc)[kSize]) {
  const Lanes lanes(strip.y_count);
  if (job.residual != nullptr)
    CONVKIT_UNROLL for (int j = 0; j < kSize; ++j) acc[j] =
        hn::Add(acc[j], lanes.Load<false>(job.residual + strip.y + j * job.y_pitch));
  if (job.clamps)
    CONVKIT_UNROLL for (int j = 0; j < kSize; ++j) acc[j] =
        Clamp(Floats(), acc[j], job.low, job.high);
  float* y = job.y + strip.y;
  const int64_t pitch = job.y_pitch;
#if HWY_TARGET == HWY_AVX3  // whose vectors are lines
  if (job.streams && lanes.whole() && strip.y % kLineFloats == 0) {
    CONVKIT_UNROLL for (int j = 0; j < kSize; ++j, y += pitch) hn::Stream(acc[j], Floats(), y);
    return;
  }
#endif
  CONVKIT_UNROLL for (int j = 0; j < kSize; ++j, y += pitch) lanes.Store(acc[j], y);
}

// `products`: one vector for each of `size` outputs.
HWY_NOINLINE void AddLanes(const WindowJob& job, const WindowStrip& strip, const float* bias,
                           const float* products, int size) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(Floats()));
  for (int j = 0; j < size; ++j, products += lanes) {
    const int64_t place = strip.y + j * job.y_pitch;
    for (int64_t i = 0; i < strip.y_count; ++i) {
      float sum = products[i * strip.reduce];
      for (int64_t l = 1; l < strip.reduce; ++l) sum += products[i * strip.reduce + l];
      if (bias != nullptr) sum += bias[i];
      const int64_t at = place + i * strip.y_step;
      if (job.residual != nullptr) sum += job.residual[at];
      if (job.clamps) {
        sum = sum < job.low ? job.low : sum;
        sum = sum > job.high ? job.high : sum;
      }
      job.y[at] = sum;
    }
  }
}

template <int kSize>
HWY_INLINE void StoreReduced(const WindowJob& job, const WindowStrip& strip, const float* bias,
                             const Vector (&acc)[kSize]) {
  const Floats d;
  HWY_ALIGN float products[kSize * HWY_MAX_BYTES / sizeof(float)];
  CONVKIT_UNROLL for (int j = 0; j < kSize; ++j) hn::StoreU(acc[j], d, products + j * hn::Lanes(d));
  AddLanes(job, strip, bias, products, kSize);
}

// All that a strip sees. Few variables live across it, else compilers keep addresses in vector
// registers, where they wait behind the sums.
template <class Sums>
HWY_INLINE void Walk(const WindowJob& job, const WindowStrip& strip, Sums& sums) {
  const float* const x = job.x + strip.x;
  const WindowStep* step = job.steps;
  const WindowStep* const end = step + job.step_count;
  Place place = {nullptr, job.x_pitch, job.w_step, 0};
  for (; step < end; ++step) {
    place.x = x + step->x;
    place.valid = step->valid;
    const int64_t w = strip.w + step->w;
    sums.read.Start(step->lookup);
    switch (step->taps) {
      case 1:
        sums.template Slide<1>(place, w);
        break;
      case 2:
        sums.template Slide<2>(place, w);
        break;
      case 3:
        sums.template Slide<3>(place, w);
        break;
      default:
        sums.template Slide<4>(place, w);
    }
  }
}

template <int kSize, WindowRead kRead, bool kWhole>
HWY_INLINE void ForwardStrip(Loop& loop) {
  const Floats d;
  using Read = Reader<kRead, kWhole>;
  ForwardSums<kSize, Read> sums = {loop.job->w, Read(*loop.strip), {}};
  const Vector start =
      loop.bias != nullptr && loop.strip->reduce == 0 ? hn::LoadU(d, loop.bias) : hn::Zero(d);
  CONVKIT_UNROLL for (int j = 0; j < kSize; ++j) sums.acc[j] = start;
  Walk(*loop.job, *loop.strip, sums);
  loop.StayInMemory();
  if (loop.strip->reduce == 0)
    StoreBlock(*loop.job, *loop.strip, sums.acc);
  else
    StoreReduced(*loop.job, *loop.strip, loop.bias, sums.acc);
}

template <int kSize, WindowRead kRead>
void RunForward(const WindowJob& job) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(Floats()));
  Loop loop = {&job, job.strips, job.strips + job.strip_count, job.bias};
  for (; loop.strip < loop.end; ++loop.strip) {
    if (loop.job->fetch_y != nullptr) {
      const int64_t strip = loop.strip - loop.job->strips;
      for (int64_t line = 0; line < loop.job->fetch_lines; ++line)
        FetchShare(loop.job->fetch + line * loop.job->fetch_line,
                   loop.job->fetch_count * loop.job->fetch_pitch, strip, loop.job->strip_count);
      if (!loop.job->streams)
        FetchShare(loop.job->fetch_y, kSize * loop.job->y_pitch, strip, loop.job->strip_count);
    } else {
      FetchNew(*loop.job, loop.strip);
    }
    // Short blocks are rare: masks will do.
    constexpr bool kNoMasks = !kMasksAreFree && (kSize > kFewOutputs || !kHasParts);
    if (kNoMasks && kHasParts && kRead != WindowRead::broadcast && loop.strip->x_count < lanes)
      ForwardStrip<kSize, kRead, false>(loop);
    else
      ForwardStrip<kSize, kRead, kNoMasks>(loop);
    if (loop.bias != nullptr) loop.bias += lanes;
  }
}

template <int kSize, WindowRead kRead, bool kWhole>
HWY_INLINE void WeightStrip(Loop& loop) {
  using Read = Reader<kRead, kWhole>;
  const WindowJob& job = *loop.job;
  const WindowStrip& strip = *loop.strip;
  WeightSums<kSize, Read> sums = {job.dw, Read(strip), {}};
  const float* from = job.dy + strip.y;
  const int64_t pitch = job.y_pitch;
  if (strip.reduce == 0) {
    const Lanes lanes(strip.y_count);
    CONVKIT_UNROLL for (int j = 0; j < kSize; ++j, from += pitch) sums.dy[j] =
        lanes.Load<false>(from);
  } else {
    const Lanes lanes(strip.y_span);
    const Indices indices = hn::SetTableIndices(Floats(), strip.y_lookup);
    CONVKIT_UNROLL for (int j = 0; j < kSize; ++j, from += pitch) sums.dy[j] =
        hn::TableLookupLanes(lanes.Load<false>(from), indices);
  }
  Walk(job, strip, sums);
  loop.StayInMemory();
}

template <int kSize, WindowRead kRead>
void RunWeight(const WindowJob& job) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(Floats()));
  Loop loop = {&job, job.strips, job.strips + job.strip_count, nullptr};
  for (; loop.strip < loop.end; ++loop.strip) {
    FetchNew(*loop.job, loop.strip);
    if (loop.job->fetch_dy != nullptr)
      Fetch(loop.job->fetch_dy + loop.strip->y, loop.job->y_pitch, kSize);
    // Short blocks are rare: masks will do.
    constexpr bool kNoMasks = !kMasksAreFree && (kSize > kFewOutputs || !kHasParts);
    if (kNoMasks && kHasParts && kRead != WindowRead::broadcast && loop.strip->x_count < lanes)
      WeightStrip<kSize, kRead, false>(loop);
    else
      WeightStrip<kSize, kRead, kNoMasks>(loop);
  }
}
// Null where long sums are better, or where dy leaves no registers for sums.
template <int kSize, WindowRead kRead>
constexpr WindowKernels::Run GradientOf() {
  constexpr bool kPlain = kRead == WindowRead::plain && kSize <= kMostSlopes;
  constexpr bool kShort = kRead == WindowRead::broadcast && kSize == kShortLine;
  if constexpr (!kHasLongSums || kPlain || kShort)
    return RunWeight<kSize, kRead>;
  else
    return nullptr;
}

template <int... kSizes>
std::vector<WindowKernels::Size> SizesOf() {
  return {{kSizes,
           {RunForward<kSizes, WindowRead::plain>, RunForward<kSizes, WindowRead::lookup>,
            RunForward<kSizes, WindowRead::broadcast>},
           {GradientOf<kSizes, WindowRead::plain>(), GradientOf<kSizes, WindowRead::lookup>(),
            GradientOf<kSizes, WindowRead::broadcast>()}}...};
}

}  // namespace

// Sums, the weights of a run, a value and a lookup fill the registers; 7 and 14 are lines of common
// pictures.
const WindowKernels* Windows() {
  static const WindowKernels kernels = {
    static_cast<int64_t>(hn::Lanes(Floats())),
#if HWY_TARGET == HWY_AVX3 || HWY_ARCH_ARM
    SizesOf<14, 8, 7, 4, 2, 1>(),
#elif HWY_TARGET == HWY_AVX2
    SizesOf<10, 8, 7, 4, 2, 1>(),
#else
    SizesOf<4, 1>(),
#endif
  };
  return &kernels;
}

}  // namespace HWY_NAMESPACE
}  // namespace convkit::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convkit::kernels {
namespace {
HWY_EXPORT(Windows);
}
const WindowKernels& window_kernels() { return *HWY_DYNAMIC_DISPATCH(Windows)(); }
}  // namespace convkit::kernels
#endif
