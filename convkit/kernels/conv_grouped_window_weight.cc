#include <algorithm>
#include <bit>
#include <cstddef>

#include "convkit/kernels/conv_grouped_window.h"
#include "convkit/kernels/conv_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "convkit/kernels/conv_grouped_window_weight.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
//
#include "convkit/kernels/conv_grouped_lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace convkit::kernels {
namespace HWY_NAMESPACE {
#if CONVKIT_LONG_SUMS
namespace {

// Additions of fewer sums than this would wait for one another.
constexpr int kSumsInFlight = 8;

// More steps than this read dy so often that a copy pays.
constexpr int64_t kFewSteps = 12;

// Where one operand of a block lies: at position (or output) 0, and from one to the next.
struct Side {
  const float* start;
  int64_t pitch;
  int64_t line;
};

struct Sides {
  Side x;            // of the step whose x is
  int64_t x_origin;  // this
  Side dy;
};

// What is needed again after the sums. It waits in memory: in vector registers, where compilers
// would put it, it comes back only after all multiply-adds in flight.
struct Kept {
  const WindowJob* job;
  const WindowStrip* strip;
  const WindowStep* steps;
  int64_t lines;

  HWY_INLINE void StayInMemory() {
#if HWY_COMPILER_GCC || HWY_COMPILER_CLANG
    asm volatile("" : "+m"(*this));
#endif
  }
};

// The sums of kSteps steps that meet the same positions. They stay in registers while all positions
// go by.
template <WindowRead kRead, bool kWhole, int kSteps, int kTaps>
struct WeightSums {
  static constexpr int kSets = kSteps * kTaps < kSumsInFlight ? 2 : 1;
  Reader<kRead, kWhole> read;
  Indices indices[kSteps];
  const float* x[kSteps];
  Vector sum[kSets][kSteps][kTaps];

  // The taps [kFirst, kEnd) at the position `at` floats from x[...]; tap t meets the output that
  // lies t · pitch floats before `dy`.
  template <int kFirst, int kEnd>
  HWY_INLINE void Add(int set, int64_t at, const float* dy, int64_t pitch) {
    Vector slope[kTaps];
    CONVKIT_UNROLL for (int t = kFirst; t < kEnd; ++t) slope[t] =
        hn::LoadU(Floats(), dy - t * pitch);
    CONVKIT_UNROLL for (int i = 0; i < kSteps; ++i) {
      const Vector value = read(x[i] + at, indices[i]);
      CONVKIT_UNROLL for (int t = kFirst; t < kEnd; ++t) sum[set][i][t] =
          hn::MulAdd(value, slope[t], sum[set][i][t]);
    }
  }

  // Positions before all taps have an output, and behind: those of [first, end).
  template <int kEdge>
  HWY_INLINE void AddFirst(int64_t first, int64_t end, const Side& slopes, int64_t x_pitch) {
    if constexpr (kEdge < kTaps - 1) {
      if (kEdge >= first && kEdge < end)
        Add<0, kEdge + 1>(0, kEdge * x_pitch, slopes.start + kEdge * slopes.pitch, slopes.pitch);
      AddFirst<kEdge + 1>(first, end, slopes, x_pitch);
    }
  }
  template <int kEdge>
  HWY_INLINE void AddLast(int64_t p, int64_t first, int64_t end, const Side& slopes,
                          int64_t x_pitch) {
    if constexpr (kEdge < kTaps - 1) {
      if (p >= first && p < end)
        Add<kEdge + 1, kTaps>(0, p * x_pitch, slopes.start + p * slopes.pitch, slopes.pitch);
      AddLast<kEdge + 1>(p + 1, first, end, slopes, x_pitch);
    }
  }
};

template <WindowRead kRead, bool kWhole, int kSteps, int kTaps>
HWY_NOINLINE void AddProducts(const WindowJob& job, const WindowStrip& strip,
                              const WindowStep* steps, const Sides& sides) {
  using Sums = WeightSums<kRead, kWhole, kSteps, kTaps>;
  constexpr int kSets = Sums::kSets;
  const Floats d;
  Kept kept = {&job, &strip, steps, job.lines};
  Sums sums = {Reader<kRead, kWhole>(strip), {}, {}, {}};
  CONVKIT_UNROLL for (int i = 0; i < kSteps; ++i) {
    sums.x[i] = sides.x.start + steps[i].x - sides.x_origin;
    sums.indices[i] = sums.read.IndicesOf(steps[i].lookup);
    const float* w = job.dw + strip.w + steps[i].w;
    CONVKIT_UNROLL for (int t = 0; t < kTaps; ++t, w += job.w_step) {
      sums.sum[0][i][t] = hn::LoadU(d, w);
      if (kSets > 1) sums.sum[kSets - 1][i][t] = hn::Zero(d);
    }
  }
  Side slopes = sides.dy;
  int64_t x_pitch = sides.x.pitch;
  Keep(x_pitch);
  Keep(slopes.pitch);
  for (;;) {
    kept.StayInMemory();
    const int64_t first = first_position(kept.steps->valid);
    const int64_t end = end_position(kept.steps->valid);
    const int64_t outputs = kept.job->outputs;
    const int64_t inner_end = std::min(end, outputs);
    sums.template AddFirst<0>(first, end, slopes, x_pitch);
    int64_t left = inner_end - std::max<int64_t>(first, kTaps - 1);
    int64_t at = (inner_end - left) * x_pitch;
    const float* dy = slopes.start + (inner_end - left) * slopes.pitch;
    for (; left >= kSets; left -= kSets) CONVKIT_UNROLL for (int s = 0; s < kSets; ++s) {
        Keep(at);
        Keep(dy);
        sums.template Add<0, kTaps>(s, at, dy, slopes.pitch);
        at += x_pitch;
        dy += slopes.pitch;
      }
    if (kSets > 1 && left > 0) sums.template Add<0, kTaps>(0, at, dy, slopes.pitch);
    sums.template AddLast<0>(outputs, first, end, slopes, x_pitch);
    kept.StayInMemory();
    if (--kept.lines == 0) break;
    CONVKIT_UNROLL for (int i = 0; i < kSteps; ++i) sums.x[i] += sides.x.line;
    slopes.start += slopes.line;
  }
  const WindowStep* step = kept.steps;
  float* const dw = kept.job->dw + kept.strip->w;
  const int64_t w_step = kept.job->w_step;
  CONVKIT_UNROLL for (int i = 0; i < kSteps; ++i, ++step) {
    float* w = dw + step->w;
    CONVKIT_UNROLL for (int t = 0; t < kTaps; ++t, w += w_step) {
      Vector total = sums.sum[0][i][t];
      if (kSets > 1) total = hn::Add(total, sums.sum[kSets - 1][i][t]);
      hn::StoreU(total, d, w);
    }
  }
}

// The block's dy, whole vectors side by side.
HWY_INLINE void CopySlopes(const WindowJob& job, const WindowStrip& strip, float* to) {
  const Floats d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const bool turns = strip.reduce != 0;
  const Lanes first(turns ? strip.y_span : strip.y_count);
  HWY_ALIGN constexpr int32_t kZeros[HWY_MAX_BYTES / sizeof(float)] = {};
  const Indices indices = hn::SetTableIndices(d, turns ? strip.y_lookup : kZeros);
  for (int64_t line = 0; line < job.lines; ++line) {
    const float* from = job.dy + strip.y + line * job.y_line;
    for (int64_t j = 0; j < job.outputs; ++j, from += job.y_pitch, to += lanes) {
      const Vector value = first.Load<false>(from);
      hn::StoreU(turns ? hn::TableLookupLanes(value, indices) : value, d, to);
    }
  }
}

// What the steps of one line of x read, position after position.
HWY_INLINE void CopyInputs(const WindowJob& job, const float* from, uint32_t valid, int64_t pitch,
                           float* to) {
  const Floats d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t first = first_position(valid);
  const int64_t end = end_position(valid);
  for (int64_t line = 0; line < job.lines; ++line, from += job.x_line)
    for (int64_t p = 0; p < end; ++p, to += pitch)
      if (p >= first)
        for (int64_t j = 0; j < job.copied_steps; j += lanes)
          hn::StoreU(LoadFirst(d, from + p * job.x_pitch + j, job.copied_steps - j), d, to + j);
}

using Add = void (*)(const WindowJob&, const WindowStrip&, const WindowStep*, const Sides&);

template <WindowRead kRead, bool kWhole, int kSteps>
HWY_INLINE Add AddTaps(int taps) {
  switch (taps) {
    case 1:
      return AddProducts<kRead, kWhole, kSteps, 1>;
    case 2:
      return AddProducts<kRead, kWhole, kSteps, 2>;
    default:
      return AddProducts<kRead, kWhole, kSteps, 3>;
  }
}

template <WindowRead kRead>
HWY_INLINE void AddSteps(const WindowJob& job, const WindowStrip& strip, const WindowStep* step,
                         const Sides& sides) {
  const int taps = step->taps;
  constexpr bool kWhole = !kMasksAreFree && kRead != WindowRead::broadcast;
  if (!kWhole || strip.x_count == static_cast<int64_t>(hn::Lanes(Floats()))) {
    const Add add = step->alike == 4   ? AddTaps<kRead, kWhole, 4>(taps)
                    : step->alike == 3 ? AddTaps<kRead, kWhole, 3>(taps)
                                       : AddTaps<kRead, kWhole, 1>(taps);
    return add(job, strip, step, sides);
  }
  // Parts of a vector are rare.
  for (int i = 0; i < step->alike; ++i) AddTaps<kRead, false, 1>(taps)(job, strip, step + i, sides);
}

// So many strips that read the same channels share their copy.
constexpr int kStripsAtOnce = 4;

template <WindowRead kRead>
void RunWeight(const WindowJob& job) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(Floats()));
  constexpr int64_t kCopy = kMostGradientOutputs * HWY_MAX_BYTES / sizeof(float);
  HWY_ALIGN float dy_copies[kStripsAtOnce * kCopy];
  HWY_ALIGN float x_copy[kMostGradientPositions * kMostGradientDepth];
  const WindowStrip* const end = job.strips + job.strip_count;
  const WindowStep* const end_step = job.steps + job.step_count;
  for (const WindowStrip* strip = job.strips; strip < end;) {
    Side dy[kStripsAtOnce];
    int count = 0;
    for (; count < kStripsAtOnce && strip + count < end; ++count) {
      const WindowStrip& now = strip[count];
      if (count > 0 && (job.copied_steps == 0 || now.x != strip->x)) break;
      FetchNew(job, &now);
      if (job.fetch_dy != nullptr)
        Fetch(job.fetch_dy + now.y, job.y_pitch, job.outputs * job.lines);
      dy[count] = {job.dy + now.y, job.y_pitch, job.y_line};
      if (now.reduce != 0 || now.y_count < lanes || job.step_count > kFewSteps) {
        float* const copy = dy_copies + count * kCopy;
        CopySlopes(job, now, copy);
        dy[count] = {copy, lanes, job.outputs * lanes};
      }
    }
    Side x = {job.x + strip->x, job.x_pitch, job.x_line};
    int64_t origin = 0;
    const int64_t at_once = job.copied_steps > 0 ? job.copied_steps : job.step_count;
    const int64_t pitch = (at_once + lanes - 1) / lanes * lanes;
    for (const WindowStep* first = job.steps; first < end_step; first += at_once) {
      if (job.copied_steps > 0) {
        CopyInputs(job, job.x + strip->x + first->x, first->valid, pitch, x_copy);
        x = {x_copy, pitch, end_position(first->valid) * pitch};
        origin = first->x;
      }
      for (int i = 0; i < count; ++i)
        for (const WindowStep* step = first; step < first + at_once; step += step->alike)
          AddSteps<kRead>(job, strip[i], step, {x, origin, dy[i]});
    }
    strip += count;
  }
}

}  // namespace

WindowKernels::Run WeightWindow(WindowRead read) {
  if (read == WindowRead::plain) return nullptr;
  return read == WindowRead::lookup ? RunWeight<WindowRead::lookup>
                                    : RunWeight<WindowRead::broadcast>;
}

#else

WindowKernels::Run WeightWindow(WindowRead) { return nullptr; }

#endif
}  // namespace HWY_NAMESPACE
}  // namespace convkit::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convkit::kernels {
namespace {
HWY_EXPORT(WeightWindow);
}
WindowKernels::Run window_weight_kernel(WindowRead read) {
  return HWY_DYNAMIC_DISPATCH(WeightWindow)(read);
}
}  // namespace convkit::kernels
#endif
