// What the window kernels of both directions share: lanes of a strip, and how it reads x. Included
// once per instruction set.
#if defined(CONVKIT_KERNELS_CONV_GROUPED_LANES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef CONVKIT_KERNELS_CONV_GROUPED_LANES_INL_H_
#undef CONVKIT_KERNELS_CONV_GROUPED_LANES_INL_H_
#else
#define CONVKIT_KERNELS_CONV_GROUPED_LANES_INL_H_
#endif

#include "convkit/kernels/cache.h"
#include "convkit/kernels/conv_grouped_window.h"
#include "convkit/kernels/conv_vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace convkit::kernels {
namespace HWY_NAMESPACE {
namespace {

using Indices = decltype(hn::SetTableIndices(Floats(), static_cast<const int32_t*>(nullptr)));

#undef CONVKIT_MASKS
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2
#define CONVKIT_MASKS 1
#else
#define CONVKIT_MASKS 0
#endif

// Where few registers leave the gradient of the weights with few sums, those of groups stay in
// registers over whole lines (conv_grouped_window_weight.cc).
#undef CONVKIT_LONG_SUMS
#define CONVKIT_LONG_SUMS (HWY_TARGET == HWY_AVX2)
[[maybe_unused]] inline constexpr bool kHasLongSums = CONVKIT_LONG_SUMS;
// Of dy in registers, beside two sums for each of three taps.
[[maybe_unused]] inline constexpr int kMostSlopes = 8;
// A line of common pictures, too short for long sums.
[[maybe_unused]] inline constexpr int kShortLine = 7;

// With AVX-512 a mask costs nothing; elsewhere whole vectors have kernels of their own.
inline constexpr bool kMasksAreFree = HWY_TARGET == HWY_AVX3;
inline constexpr bool kHasParts = !kMasksAreFree && HWY_TARGET != HWY_SCALAR;
[[maybe_unused]] inline constexpr int kFewOutputs = 4;

// More positions than CONVKIT_UNROLL is good for.
#undef CONVKIT_UNROLL_POSITIONS
#if HWY_COMPILER_CLANG
#define CONVKIT_UNROLL_POSITIONS _Pragma("unroll")
#else
#define CONVKIT_UNROLL_POSITIONS _Pragma("GCC unroll 20")
#endif

// Loads and stores the first lanes of vectors, and touches no memory behind them.
class Lanes {
 public:
  explicit Lanes(int64_t count)
      : count_(count)
#if CONVKIT_MASKS
        ,
        mask_(hn::FirstN(Floats(), static_cast<size_t>(count)))
#endif
  {
  }
  bool whole() const { return count_ == static_cast<int64_t>(hn::Lanes(Floats())); }

  template <bool kWhole>
  HWY_INLINE Vector Load(const float* from) const {
    const Floats d;
    if constexpr (kWhole) return hn::LoadU(d, from);
#if CONVKIT_MASKS
    return hn::MaskedLoad(mask_, d, from);
#else
    if (whole()) return hn::LoadU(d, from);
    HWY_ALIGN float copy[HWY_MAX_BYTES / sizeof(float)] = {};
    for (int64_t i = 0; i < count_; ++i) copy[i] = from[i];
    return hn::Load(d, copy);
#endif
  }

  HWY_INLINE void Store(Vector value, float* to) const {
    const Floats d;
    if (whole()) return hn::StoreU(value, d, to);
#if CONVKIT_MASKS
    hn::BlendedStore(value, mask_, d, to);
#else
    HWY_ALIGN float copy[HWY_MAX_BYTES / sizeof(float)] = {};
    hn::Store(value, d, copy);
    for (int64_t i = 0; i < count_; ++i) to[i] = copy[i];
#endif
  }

 private:
  int64_t count_;
#if CONVKIT_MASKS
  hn::Mask<Floats> mask_;
#endif
};

// How a strip reads x.
template <WindowRead kRead, bool kWhole>
class Reader {
 public:
  explicit Reader(const WindowStrip& strip)
      : lanes_(strip.x_count), lookup_(strip.lookup), indices_(LoadIndices(kZeros)) {}
  HWY_INLINE void Start(int64_t lookup) {
    if constexpr (kRead == WindowRead::lookup) indices_ = LoadIndices(lookup_ + lookup);
  }
  HWY_INLINE Vector operator()(const float* from) const { return (*this)(from, indices_); }

  /// With the lookup of a step of one's choice.
  HWY_INLINE Indices IndicesOf(int64_t lookup) const {
    return LoadIndices(kRead == WindowRead::lookup ? lookup_ + lookup : kZeros);
  }
  HWY_INLINE Vector operator()(const float* from, Indices indices) const {
    if constexpr (kRead == WindowRead::broadcast) return hn::Set(Floats(), *from);
    const Vector value = lanes_.template Load<kWhole>(from);
    if constexpr (kRead == WindowRead::lookup) return hn::TableLookupLanes(value, indices);
    return value;
  }

 private:
  HWY_ALIGN static constexpr int32_t kZeros[HWY_MAX_BYTES / sizeof(float)] = {};
  static HWY_INLINE Indices LoadIndices(const int32_t* lookup) {
    return hn::SetTableIndices(Floats(), lookup);
  }
  Lanes lanes_;
  const int32_t* lookup_;
  Indices indices_;
};

// Keeps a number where it is: compilers would compute all addresses and tests of a window ahead of
// the loops around it, more than there are registers.
template <class T>
HWY_INLINE void Keep(T& number) {
#if HWY_COMPILER_GCC || HWY_COMPILER_CLANG
  asm volatile("" : "+r"(number));
#endif
}

// Brings what comes next into the cache while sums keep the processor busy.
HWY_INLINE void Fetch(const float* next, int64_t pitch, int64_t count) {
#if HWY_COMPILER_GCC || HWY_COMPILER_CLANG
  for (int64_t i = 0; i < count; ++i, next += pitch) __builtin_prefetch(next, 0, 2);
#endif
}

// What the strips before have not asked for.
HWY_INLINE void FetchNew(const WindowJob& job, const WindowStrip* strip) {
  if (strip == job.strips || strip->x / kLineFloats != strip[-1].x / kLineFloats)
    for (int64_t line = 0; line < job.fetch_lines; ++line)
      Fetch(job.fetch + line * job.fetch_line + strip->x, job.fetch_pitch, job.fetch_count);
}

// The share of `strip` in `floats` floats from `next` on.
HWY_INLINE void FetchShare(const float* next, int64_t floats, int64_t strip, int64_t strips) {
  const int64_t lines = (floats / kLineFloats + strips - 1) / strips;
  Fetch(next + strip * lines * kLineFloats, kLineFloats, lines);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace convkit::kernels
HWY_AFTER_NAMESPACE();

#endif  // CONVKIT_KERNELS_CONV_GROUPED_LANES_INL_H_
