#include "convkit/kernels/conv_tile.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <utility>

#include "convkit/kernels/cache.h"
#include "convkit/kernels/conv_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "convkit/kernels/conv_tile.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
//
#include "convkit/kernels/conv_vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace convkit::kernels {
namespace HWY_NAMESPACE {

// Tile heights that fill the registers: accumulators, one vector of b per column and a broadcast.
#if HWY_TARGET == HWY_AVX3
constexpr int kRowsForOneVector = 14;
constexpr int kRowsForTwoVectors = 14;
#elif HWY_TARGET == HWY_AVX2
constexpr int kRowsForOneVector = 12;
constexpr int kRowsForTwoVectors = 6;
#elif HWY_ARCH_ARM
constexpr int kRowsForOneVector = 12;
constexpr int kRowsForTwoVectors = 12;
#else
constexpr int kRowsForOneVector = 6;
constexpr int kRowsForTwoVectors = 6;
#endif

// The first `columns` floats of a row of vectors.
template <int kVectors>
class RowLoader {
 public:
  explicit RowLoader(int64_t columns) : columns_(columns) {
#if HWY_TARGET == HWY_AVX3
    const Floats d;
    const auto lanes = static_cast<int64_t>(hn::Lanes(d));
    CONVKIT_UNROLL for (int v = 0; v < kVectors; ++v) masks_[v] =
        hn::FirstN(d, static_cast<size_t>(std::max<int64_t>(columns - v * lanes, 0)));
#endif
  }
  HWY_INLINE Vector operator()(const float* row, int v) const {
    const Floats d;
    const auto lanes = static_cast<int64_t>(hn::Lanes(d));
#if HWY_TARGET == HWY_AVX3  // where a mask costs nothing
    return hn::MaskedLoad(masks_[v], d, row + v * lanes);
#else
    return LoadFirst(d, row + v * lanes, columns_ - v * lanes);
#endif
  }

 private:
  [[maybe_unused]] int64_t columns_;
#if HWY_TARGET == HWY_AVX3
  hn::Mask<Floats> masks_[kVectors];
#endif
};

// What becomes of a finished tile before it is stored.
template <int kRows, int kVectors>
HWY_INLINE void ApplyEpilogue(const TileJob& job, Vector (&acc)[kRows][kVectors]) {
  const Floats d;
  if (job.residual != nullptr) {
    const RowLoader<kVectors> load(job.columns);
    CONVKIT_UNROLL for (int r = 0; r < kRows; ++r) {
      const float* const from = job.residual + job.c_offset[r];
      CONVKIT_UNROLL for (int v = 0; v < kVectors; ++v) acc[r][v] =
          hn::Add(acc[r][v], load(from, v));
    }
  }
  if (job.clamps) CONVKIT_UNROLL for (int r = 0; r < kRows; ++r) {
      CONVKIT_UNROLL for (int v = 0; v < kVectors; ++v) acc[r][v] =
          Clamp(d, acc[r][v], job.low, job.high);
    }
}

// What a job says is read again behind this. GCC would read it ahead and, having no registers left
// for it, keep it in vector registers, from where it comes back only behind the multiply-adds.
HWY_INLINE void ReadAgain() {
#if HWY_COMPILER_GCC || HWY_COMPILER_CLANG
  asm volatile("" : : : "memory");
#endif
}

// The first level is for what is in use.
[[maybe_unused]] constexpr int kToSecondLevel = 2;

// 64 bytes hold whole vectors, or parts of one.
template <int kRows, int kVectors>
HWY_INLINE void FetchOutputs(const TileJob& job) {
  const auto width = kVectors * static_cast<int64_t>(hn::Lanes(Floats()));
  CONVKIT_UNROLL for (int r = 0; r < kRows; ++r) {
    for (int64_t j = 0; j < width; j += kLineFloats)
      __builtin_prefetch(job.c + job.c_offset[r] + j, 0, kToSecondLevel);
  }
}

// The row pointers that the compiler may keep in registers. x86 has no room for the others; left
// alone, GCC puts them into vector registers, where fetching them waits behind the multiply-adds.
// Reading these from memory each time costs a load that has time.
#if HWY_TARGET == HWY_AVX3
constexpr int kRowsInRegisters = 8;
using NearRows = const float* const*;
template <int kRows>
HWY_INLINE NearRows KeepNear(const float* const* rows) {
  return rows;
}
#else
constexpr int kRowsInRegisters = 6;
// GCC would read these, too, from memory for each term. Short tiles have no time for it: they do
// not even reach the FMA peak then if lines are fetched meanwhile. Names of their own and a word
// that each may have changed keep them in registers.
struct NearRows {
  const float* row0 = nullptr;
  const float* row1 = nullptr;
  const float* row2 = nullptr;
  const float* row3 = nullptr;
  const float* row4 = nullptr;
  const float* row5 = nullptr;
  HWY_INLINE const float* operator[](int r) const {
    return r == 0 ? row0 : r == 1 ? row1 : r == 2 ? row2 : r == 3 ? row3 : r == 4 ? row4 : row5;
  }
};
HWY_INLINE void Keep([[maybe_unused]] const float*& row) {
#if HWY_COMPILER_GCC || HWY_COMPILER_CLANG
  asm volatile("" : "+r"(row));
#endif
}
template <int kRows>
HWY_INLINE NearRows KeepNear(const float* const* rows) {
  NearRows near;
  if constexpr (kRows > 0) Keep(near.row0 = rows[0]);
  if constexpr (kRows > 1) Keep(near.row1 = rows[1]);
  if constexpr (kRows > 2) Keep(near.row2 = rows[2]);
  if constexpr (kRows > 3) Keep(near.row3 = rows[3]);
  if constexpr (kRows > 4) Keep(near.row4 = rows[4]);
  if constexpr (kRows > 5) Keep(near.row5 = rows[5]);
  return near;
}
#endif

// Unless the job says what to fetch, it is the last row, so many steps ahead: where steps are
// pixels, as in backward-weight, each tile comes to a new cache line there at every step, which the
// hardware does not foresee.
[[maybe_unused]] constexpr int64_t kStepsAhead = 16;

// Tiles of many rows are nearly as high as can be, and it is those that write much.
#if HWY_TARGET == HWY_AVX3
template <int kRows, int kVectors>
constexpr bool kStreams = kRows + 2 >= kRowsForTwoVectors;
#elif HWY_TARGET == HWY_AVX2  // two vectors are a line
template <int kRows, int kVectors>
constexpr bool kStreams = kVectors == 2 && kRows + 1 >= kRowsForTwoVectors;
#else
template <int kRows, int kVectors>
constexpr bool kStreams = false;
#endif

// 28 vectors stored at once fill the queue of stores, and the next tile waits for them: a tenth of
// the time of a sum of 32 terms. So the last terms of a sum are added row by row, and each row is
// stored while the next one's are: the same order, the same bits.
[[maybe_unused]] constexpr int kTermsByRows = 2;
#if HWY_TARGET == HWY_AVX3
template <int kRows, int kVectors>
constexpr bool kFinishesByRows = kVectors == 2 && kRows + 2 >= kRowsForTwoVectors;
#else
template <int kRows, int kVectors>
constexpr bool kFinishesByRows = false;
#endif

template <int kRows, int kVectors>
HWY_INLINE bool FinishesByRows(const TileJob& job) {
  if constexpr (!kFinishesByRows<kRows, kVectors>) return false;
  const auto width = kVectors * static_cast<int64_t>(hn::Lanes(Floats()));
  return job.columns == width && !job.streams && job.depth >= kTermsByRows;
}

// The last kTermsByRows terms of the last segment, what the job adds to the sums, and their
// storing.
template <int kRows, int kVectors>
HWY_INLINE void FinishByRows(const TileJob& job, const float* const* rows, int64_t place,
                             const float* b, Vector (&acc)[kRows][kVectors]) {
  const Floats d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  Vector column[kTermsByRows][kVectors];
  CONVKIT_UNROLL for (int k = 0; k < kTermsByRows; ++k) {
    CONVKIT_UNROLL for (int v = 0; v < kVectors; ++v) column[k][v] =
        hn::LoadU(d, b + k * job.b_step + v * lanes);
  }
  const int64_t a_step = job.a_step;
  const int64_t* const c_offset = job.c_offset;
  float* const c = job.c;
  const float* const residual = job.residual;
  const bool clamps = job.clamps;
  CONVKIT_UNROLL for (int r = 0; r < kRows; ++r) {
    ReadAgain();
    const float* const from = rows[r] + place;
    CONVKIT_UNROLL for (int k = 0; k < kTermsByRows; ++k) {
      const Vector value = hn::Set(d, from[k * a_step]);
      CONVKIT_UNROLL for (int v = 0; v < kVectors; ++v) acc[r][v] =
          hn::MulAdd(value, column[k][v], acc[r][v]);
    }
    const int64_t offset = c_offset[r];
    if (residual != nullptr)
      CONVKIT_UNROLL for (int v = 0; v < kVectors; ++v) acc[r][v] =
          hn::Add(acc[r][v], hn::LoadU(d, residual + offset + v * lanes));
    if (clamps)
      CONVKIT_UNROLL for (int v = 0; v < kVectors; ++v) acc[r][v] =
          Clamp(d, acc[r][v], job.low, job.high);
    CONVKIT_UNROLL for (int v = 0; v < kVectors; ++v)
        hn::StoreU(acc[r][v], d, c + offset + v * lanes);
  }
}

template <int kRows, int kVectors>
HWY_INLINE void RunOne(const TileJob& job) {
  const Floats d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  Vector acc[kRows][kVectors];
  if (job.accumulate) {
    const RowLoader<kVectors> load(job.columns);
    CONVKIT_UNROLL for (int r = 0; r < kRows; ++r) {
      const float* HWY_RESTRICT const from = job.c + job.c_offset[r];
      CONVKIT_UNROLL for (int v = 0; v < kVectors; ++v) acc[r][v] = load(from, v);
    }
  } else {
    CONVKIT_UNROLL for (int v = 0; v < kVectors; ++v) {
      const Vector start = job.bias != nullptr ? hn::LoadU(d, job.bias + v * lanes) : hn::Zero(d);
      CONVKIT_UNROLL for (int r = 0; r < kRows; ++r) acc[r][v] = start;
    }
  }
  if (job.fetches_c) FetchOutputs<kRows, kVectors>(job);
  const float* const* HWY_RESTRICT rows = job.rows;
  const int64_t a_step = job.a_step;
  const int64_t b_step = job.b_step;
  [[maybe_unused]] const float* fetch = job.fetch;
  [[maybe_unused]] const int64_t fetch_step = job.fetch != nullptr ? job.fetch_step : a_step;
  const bool by_rows = FinishesByRows<kRows, kVectors>(job);
  for (int64_t s = 0; s < job.segment_count; ++s, rows += job.rows_step) {
    ReadAgain();
    int64_t place = job.a_start + job.segments[s].a;
    const float* HWY_RESTRICT b = job.b + job.segments[s].b;
    const float* const volatile* const more_rows = rows;
    const NearRows near = KeepNear<kRows>(rows);
    if (job.fetch == nullptr) fetch = rows[kRows - 1] + kStepsAhead * a_step + place;
    const bool ends = by_rows && s + 1 == job.segment_count;
    const int64_t depth = job.depth - (ends ? kTermsByRows : 0);
    for (int64_t k = 0; k < depth; ++k) {
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2
      __builtin_prefetch(fetch, 0, kToSecondLevel);
      fetch += fetch_step;
#endif
      Vector column[kVectors];
      CONVKIT_UNROLL for (int v = 0; v < kVectors; ++v) column[v] = hn::LoadU(d, b + v * lanes);
      CONVKIT_UNROLL for (int r = 0; r < kRows; ++r) {
        const float* const from = (r < kRowsInRegisters ? near[r] : more_rows[r]) + place;
        const Vector value = hn::Set(d, *from);
        CONVKIT_UNROLL for (int v = 0; v < kVectors; ++v) acc[r][v] =
            hn::MulAdd(value, column[v], acc[r][v]);
      }
      place += a_step;
      b += b_step;
    }
    if constexpr (kFinishesByRows<kRows, kVectors>) {
      if (ends) return FinishByRows<kRows, kVectors>(job, rows, place, b, acc);
    }
  }
  ReadAgain();
  if (job.residual != nullptr || job.clamps) ApplyEpilogue(job, acc);
  const int64_t columns = job.columns;
  const bool whole_columns = columns == kVectors * lanes;
  const int64_t* HWY_RESTRICT const c_offset = job.c_offset;
  float* HWY_RESTRICT const c = job.c;
  if constexpr (kStreams<kRows, kVectors>) {
    if (whole_columns && job.streams) {
      CONVKIT_UNROLL for (int r = 0; r < kRows; ++r) {
        float* HWY_RESTRICT const to = c + c_offset[r];
        CONVKIT_UNROLL for (int v = 0; v < kVectors; ++v) hn::Stream(acc[r][v], d, to + v * lanes);
      }
      return;
    }
  }
  if (whole_columns) {
    CONVKIT_UNROLL for (int r = 0; r < kRows; ++r) {
      float* HWY_RESTRICT const to = c + c_offset[r];
      CONVKIT_UNROLL for (int v = 0; v < kVectors; ++v) hn::StoreU(acc[r][v], d, to + v * lanes);
    }
  } else {
    CONVKIT_UNROLL for (int r = 0; r < kRows; ++r) {
      float* HWY_RESTRICT const to = c + c_offset[r];
      CONVKIT_UNROLL for (int v = 0; v < kVectors; ++v)
          StoreFirst(acc[r][v], d, to + v * lanes, columns - v * lanes);
    }
  }
}

template <int kRows, int kVectors>
void RunTile(const TileJob* jobs, int64_t count) {
  for (const TileJob* job = jobs; job != jobs + count; ++job) RunOne<kRows, kVectors>(*job);
}

#if HWY_TARGET == HWY_AVX3
// As RunOne, with a vector and a half of columns: 24 channels would leave a quarter of two vectors
// empty.
template <int kRows>
void RunNarrowTile(const TileJob* jobs, int64_t count) {
  const TileJob& job = jobs[0];
  if (count > 1 || job.accumulate) return RunTile<kRows, 2>(jobs, count);
  const Floats d;
  const hn::Half<Floats> dh;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  Vector acc[kRows];
  hn::Vec<hn::Half<Floats>> half[kRows];
  const Vector start = job.bias != nullptr ? hn::LoadU(d, job.bias) : hn::Zero(d);
  const auto half_start = job.bias != nullptr ? hn::LoadU(dh, job.bias + lanes) : hn::Zero(dh);
  CONVKIT_UNROLL for (int r = 0; r < kRows; ++r) {
    acc[r] = start;
    half[r] = half_start;
  }
  if (job.fetches_c) FetchOutputs<kRows, 2>(job);
  const float* const* HWY_RESTRICT rows = job.rows;
  const int64_t a_step = job.a_step;
  const int64_t b_step = job.b_step;
  const float* fetch = job.fetch;
  const int64_t fetch_step = job.fetch != nullptr ? job.fetch_step : a_step;
  for (int64_t s = 0; s < job.segment_count; ++s, rows += job.rows_step) {
    ReadAgain();
    int64_t place = job.a_start + job.segments[s].a;
    const float* HWY_RESTRICT b = job.b + job.segments[s].b;
    const float* const volatile* const more_rows = rows;
    if (job.fetch == nullptr) fetch = rows[kRows - 1] + kStepsAhead * a_step + place;
    for (int64_t k = 0; k < job.depth; ++k, place += a_step, b += b_step) {
      __builtin_prefetch(fetch, 0, kToSecondLevel);
      fetch += fetch_step;
      const Vector column = hn::LoadU(d, b);
      const auto half_column = hn::LoadU(dh, b + lanes);
      CONVKIT_UNROLL for (int r = 0; r < kRows; ++r) {
        const float* const from = (r < kRowsInRegisters ? rows[r] : more_rows[r]) + place;
        const Vector value = hn::Set(d, *from);
        acc[r] = hn::MulAdd(value, column, acc[r]);
        half[r] = hn::MulAdd(hn::LowerHalf(dh, value), half_column, half[r]);
      }
    }
  }
  ReadAgain();
  const auto mask = hn::FirstN(dh, static_cast<size_t>(job.columns - lanes));
  if (job.residual != nullptr) CONVKIT_UNROLL for (int r = 0; r < kRows; ++r) {
      const float* const from = job.residual + job.c_offset[r];
      acc[r] = hn::Add(acc[r], hn::LoadU(d, from));
      half[r] = hn::Add(half[r], hn::MaskedLoad(mask, dh, from + lanes));
    }
  if (job.clamps) CONVKIT_UNROLL for (int r = 0; r < kRows; ++r) {
      acc[r] = Clamp(d, acc[r], job.low, job.high);
      half[r] = Clamp(dh, half[r], job.low, job.high);
    }
  CONVKIT_UNROLL for (int r = 0; r < kRows; ++r) {
    float* const to = job.c + job.c_offset[r];
    hn::StoreU(acc[r], d, to);
    hn::BlendedStore(half[r], mask, dh, to + lanes);
  }
}
#endif

// Floats along `depth` at a time: enough that rows of `from` are read in runs of cache lines, few
// enough that what is written meanwhile stays in the first-level cache.
constexpr int64_t kTransposeDepth = 128;

#if HWY_TARGET != HWY_SCALAR
// Four floats of rows j, and of j + 4 where vectors hold two blocks.
#if HWY_MAX_BYTES >= 32
constexpr int kTransposeColumns = 8;
using Quads = hn::FixedTag<float, 8>;
HWY_INLINE hn::Vec<Quads> LoadQuads(const float* from, int64_t from_step) {
  const hn::FixedTag<float, 4> d4;
  return hn::Combine(Quads(), hn::LoadU(d4, from + 4 * from_step), hn::LoadU(d4, from));
}
#else
constexpr int kTransposeColumns = 4;
using Quads = hn::FixedTag<float, 4>;
HWY_INLINE hn::Vec<Quads> LoadQuads(const float* from, int64_t) { return hn::LoadU(Quads(), from); }
#endif
#endif

void Transpose(const float* from, int64_t from_step, int64_t columns, int64_t depth, float* to,
               int64_t to_step) {
  for (int64_t start = 0; start < depth; start += kTransposeDepth) {
    const int64_t end = std::min(depth, start + kTransposeDepth);
    int64_t j = 0;
#if HWY_TARGET != HWY_SCALAR
    const Quads d;
    const hn::Repartition<double, Quads> pairs;
    for (; j + kTransposeColumns <= columns; j += kTransposeColumns) {
      const float* const row0 = from + j * from_step;
      const float* const row1 = row0 + from_step;
      const float* const row2 = row1 + from_step;
      const float* const row3 = row2 + from_step;
      int64_t k = start;
      for (; k + 4 <= end; k += 4) {
        const auto r0 = LoadQuads(row0 + k, from_step);
        const auto r1 = LoadQuads(row1 + k, from_step);
        const auto r2 = LoadQuads(row2 + k, from_step);
        const auto r3 = LoadQuads(row3 + k, from_step);
        const auto low01 = hn::BitCast(pairs, hn::InterleaveLower(d, r0, r1));
        const auto low23 = hn::BitCast(pairs, hn::InterleaveLower(d, r2, r3));
        const auto high01 = hn::BitCast(pairs, hn::InterleaveUpper(d, r0, r1));
        const auto high23 = hn::BitCast(pairs, hn::InterleaveUpper(d, r2, r3));
        float* const out = to + k * to_step + j;
        const auto store = [&](auto value, int64_t i) HWY_ATTR {
          hn::StoreU(hn::BitCast(d, value), d, out + i * to_step);
        };
        store(hn::InterleaveLower(pairs, low01, low23), 0);
        store(hn::InterleaveUpper(pairs, low01, low23), 1);
        store(hn::InterleaveLower(pairs, high01, high23), 2);
        store(hn::InterleaveUpper(pairs, high01, high23), 3);
      }
      for (; k < end; ++k)
        for (int64_t r = 0; r < kTransposeColumns; ++r)
          to[k * to_step + j + r] = row0[r * from_step + k];
    }
#endif
    for (; j < columns; ++j)
      for (int64_t k = start; k < end; ++k) to[k * to_step + j] = from[j * from_step + k];
  }
}

void PackRows(const float* from, int64_t from_step, int64_t rows, int64_t columns, float* to,
              int64_t width) {
  const Floats d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  if (columns == width) {
    for (int64_t r = 0; r < rows; ++r, from += from_step, to += width)
      for (int64_t j = 0; j < width; j += lanes) hn::StoreU(hn::LoadU(d, from + j), d, to + j);
  } else {
    for (int64_t r = 0; r < rows; ++r, from += from_step, to += width)
      for (int64_t j = 0; j < width; j += lanes)
        hn::StoreU(LoadFirst(d, from + j, columns - j), d, to + j);
  }
}

// A product with zero is zero, or not a number; which a sum of them then is too.
bool AllFinite(const float* from, int64_t count) {
  const Floats d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto zero = hn::Zero(d);
  auto even = zero;
  auto odd = zero;
  for (; count > lanes; count -= 2 * lanes, from += 2 * lanes) {
    even = hn::MulAdd(hn::LoadU(d, from), zero, even);
    odd = hn::MulAdd(LoadFirst(d, from + lanes, count - lanes), zero, odd);
  }
  if (count > 0) even = hn::MulAdd(LoadFirst(d, from, count), zero, even);
  return hn::AllTrue(d, hn::Eq(hn::Add(even, odd), zero));
}

template <int kVectors, int... kRowsLessOne>
void FillHeights(TileKernels& kernels, std::integer_sequence<int, kRowsLessOne...>) {
  kernels.max_rows[kVectors] = sizeof...(kRowsLessOne);
  ((kernels.run[kVectors][kRowsLessOne + 1] = RunTile<kRowsLessOne + 1, kVectors>), ...);
}

const TileKernels* Kernels() {
  static const TileKernels kernels = [] {
    TileKernels filled;
    filled.lanes = static_cast<int64_t>(hn::Lanes(Floats()));
    FillHeights<1>(filled, std::make_integer_sequence<int, kRowsForOneVector>());
    FillHeights<2>(filled, std::make_integer_sequence<int, kRowsForTwoVectors>());
#if HWY_TARGET == HWY_AVX3
    filled.narrow_columns = filled.lanes + filled.lanes / 2;
    std::copy_n(filled.run[2], kMaxTileRows + 1, filled.narrow);
    filled.narrow[12] = RunNarrowTile<12>;
    filled.narrow[13] = RunNarrowTile<13>;
    filled.narrow[14] = RunNarrowTile<14>;
#endif
    filled.transpose = Transpose;
    filled.pack_rows = PackRows;
    filled.all_finite = AllFinite;
    return filled;
  }();
  return &kernels;
}

}  // namespace HWY_NAMESPACE
}  // namespace convkit::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convkit::kernels {
namespace {
HWY_EXPORT(Kernels);
}
const TileKernels& tile_kernels() { return *HWY_DYNAMIC_DISPATCH(Kernels)(); }
}  // namespace convkit::kernels
#endif
