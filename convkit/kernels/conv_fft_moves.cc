#include "convkit/kernels/conv_fft_moves.h"

#include <algorithm>
#include <cstddef>

#include "convkit/kernels/conv_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "convkit/kernels/conv_fft_moves.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace convkit::kernels {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
using Floats = hn::ScalableTag<float>;
using Vector = hn::Vec<Floats>;

HWY_INLINE int64_t LaneCount() { return static_cast<int64_t>(hn::Lanes(Floats())); }

// Neither may touch memory beyond `count` floats: the next byte may belong to nobody.
HWY_INLINE Vector LoadSome(const float* from, int64_t count) {
  const Floats d;
  if (count >= LaneCount()) return hn::LoadU(d, from);
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2
  return hn::MaskedLoad(hn::FirstN(d, static_cast<size_t>(count)), d, from);
#else
  HWY_ALIGN float copy[HWY_MAX_BYTES / sizeof(float)] = {};
  for (int64_t i = 0; i < count; ++i) copy[i] = from[i];
  return hn::Load(d, copy);
#endif
}

HWY_INLINE void StoreSome(Vector value, float* to, int64_t count) {
  const Floats d;
  if (count >= LaneCount()) return hn::StoreU(value, d, to);
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2
  hn::BlendedStore(value, hn::FirstN(d, static_cast<size_t>(count)), d, to);
#else
  HWY_ALIGN float copy[HWY_MAX_BYTES / sizeof(float)];
  hn::Store(value, d, copy);
  for (int64_t i = 0; i < count; ++i) to[i] = copy[i];
#endif
}

void LoadRows(const float* from, int64_t from_step, int64_t rows, int64_t channels, float* to,
              int64_t to_step) {
  const Floats d;
  if (channels == LaneCount()) {
    for (int64_t r = 0; r < rows; ++r, from += from_step, to += to_step)
      hn::StoreU(hn::LoadU(d, from), d, to);
  } else {
    for (int64_t r = 0; r < rows; ++r, from += from_step, to += to_step)
      hn::StoreU(LoadSome(from, channels), d, to);
  }
}

void StoreRows(const FftStore& job) {
  const Floats d;
  const int64_t lanes = LaneCount();
  const Vector low = hn::Set(d, job.low);
  const Vector high = hn::Set(d, job.high);
  for (int64_t r = 0; r < job.rows; ++r)
    for (int64_t c = 0; c < job.channels; c += lanes) {
      const int64_t count = job.channels - c;
      Vector value = LoadSome(job.from + r * job.from_step + c, count);
      if (job.bias != nullptr) value = hn::Add(value, LoadSome(job.bias + c, count));
      if (job.residual != nullptr)
        value = hn::Add(value, LoadSome(job.residual + r * job.to_step + c, count));
      if (job.clamps) {
        // Comparisons, not minima, keep NaN.
        value = hn::IfThenElse(hn::Lt(value, low), low, value);
        value = hn::IfThenElse(hn::Gt(value, high), high, value);
      }
      StoreSome(value, job.to + r * job.to_step + c, count);
    }
}

#if HWY_TARGET != HWY_SCALAR
// Four rows of four, turned.
struct Square {
  hn::Vec<hn::FixedTag<float, 4>> row[4];
};

HWY_INLINE Square Turned(const Square& in) {
  const hn::FixedTag<float, 4> d4;
  const hn::Repartition<double, decltype(d4)> d2;
  const auto low01 = hn::BitCast(d2, hn::InterleaveLower(d4, in.row[0], in.row[1]));
  const auto low23 = hn::BitCast(d2, hn::InterleaveLower(d4, in.row[2], in.row[3]));
  const auto high01 = hn::BitCast(d2, hn::InterleaveUpper(d4, in.row[0], in.row[1]));
  const auto high23 = hn::BitCast(d2, hn::InterleaveUpper(d4, in.row[2], in.row[3]));
  return {{hn::BitCast(d4, hn::InterleaveLower(d2, low01, low23)),
           hn::BitCast(d4, hn::InterleaveUpper(d2, low01, low23)),
           hn::BitCast(d4, hn::InterleaveLower(d2, high01, high23)),
           hn::BitCast(d4, hn::InterleaveUpper(d2, high01, high23))}};
}
#endif

// All lanes of four elements, then the next four: what is written stays in the first-level cache
// until it is whole.
void GatherLanes(const float* const* rows, int64_t depth, float* to, int64_t to_step) {
  const int64_t lanes = LaneCount();
  int64_t k = 0;
#if HWY_TARGET != HWY_SCALAR
  const hn::FixedTag<float, 4> d4;
  for (; k + 4 <= depth; k += 4)
    for (int64_t lane = 0; lane < lanes; lane += 4) {
      const Square in = {{hn::LoadU(d4, rows[lane] + k), hn::LoadU(d4, rows[lane + 1] + k),
                          hn::LoadU(d4, rows[lane + 2] + k), hn::LoadU(d4, rows[lane + 3] + k)}};
      const Square turned = Turned(in);
      for (int64_t i = 0; i < 4; ++i) hn::StoreU(turned.row[i], d4, to + (k + i) * to_step + lane);
    }
#endif
  for (; k < depth; ++k)
    for (int64_t lane = 0; lane < lanes; ++lane) to[k * to_step + lane] = rows[lane][k];
}

void ScatterLanes(const float* from, int64_t from_step, int64_t depth, float* rows,
                  int64_t row_step) {
  const int64_t lanes = LaneCount();
  int64_t k = 0;
#if HWY_TARGET != HWY_SCALAR
  const hn::FixedTag<float, 4> d4;
  for (; k + 4 <= depth; k += 4)
    for (int64_t lane = 0; lane < lanes; lane += 4) {
      const float* const in = from + k * from_step + lane;
      const Square turned =
          Turned({{hn::LoadU(d4, in), hn::LoadU(d4, in + from_step),
                   hn::LoadU(d4, in + 2 * from_step), hn::LoadU(d4, in + 3 * from_step)}});
      for (int64_t i = 0; i < 4; ++i)
        hn::StoreU(turned.row[i], d4, rows + (lane + i) * row_step + k);
    }
#endif
  for (; k < depth; ++k)
    for (int64_t lane = 0; lane < lanes; ++lane)
      rows[lane * row_step + k] = from[k * from_step + lane];
}

const FftMoves* Moves() {
  static const FftMoves moves = {LaneCount(), LoadRows, StoreRows, GatherLanes, ScatterLanes};
  return &moves;
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace convkit::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convkit::kernels {
namespace {
HWY_EXPORT(Moves);
}
const FftMoves& fft_moves() { return *HWY_DYNAMIC_DISPATCH(Moves)(); }
}  // namespace convkit::kernels
#endif
