#pragma once

#include <cstdint>

/// The one micro-kernel under the convolution engine: a tile of C kept in registers over a whole
/// sum. Internal to kernels/.
namespace convkit::kernels {

/// One run of `depth` terms of a tile's sum: floats beyond each row's pointer and beyond
/// TileJob::b.
struct TileSegment {
  int64_t a;
  int64_t b;
};

/// For r < rows and j < columns:
///
///   c[c_offset[r] + j] (+)= bias[j] + Σ_s Σ_{k < depth} row[s][r][a_start + segment[s].a +
///   k·a_step]
///                                                     · b[segment[s].b + k·b_step + j]
///
/// with row[s] = rows + s·rows_step. A row may lie anywhere: each has a pointer, which makes
/// the tile independent of the shape of the picture. With rows_step = 0 all segments share the
/// pointers; else each has its own, so that taps which fall outside of the picture can point to
/// zeros.
///
/// `b` (and `bias`) must be readable for whole vectors, that is vectors · lanes floats per k;
/// nothing else is touched beyond `columns`.
struct TileJob {
  const float* const* rows = nullptr;
  int64_t rows_step = 0;
  const TileSegment* segments = nullptr;
  int64_t segment_count = 0;
  int64_t depth = 0;
  int64_t a_start = 0;
  int64_t a_step = 1;
  const float* b = nullptr;
  int64_t b_step = 0;
  float* c = nullptr;
  const int64_t* c_offset = nullptr;
  int64_t columns = 0;
  const float* bias = nullptr;  ///< null: zeros
  bool accumulate = false;      ///< add to what c holds; then bias must be null
  /// Cache lines to fetch meanwhile where the instruction set leaves time for it, one with each
  /// term: at fetch, fetch + fetch_step, ..., which need not be readable. Null: the last row's own,
  /// some steps ahead.
  const float* fetch = nullptr;
  int64_t fetch_step = 0;
  /// Whether c is far away: then it is fetched while the sum is under way. (residual is taken to
  /// lie in the same place.)
  bool fetches_c = false;
  /// Whether what is stored goes past the caches, where the instruction set can:
  /// ConvEpilogue::streams. Rows of c must be aligned to vectors; a fence (hwy::FlushStream) has to
  /// follow before others read c.
  bool streams = false;
  /// Added to the sum, at residual[c_offset[r] + j]; may be c. Null: zeros.
  const float* residual = nullptr;
  bool clamps = false;  ///< whether to limit what is stored to [low, high]
  float low = 0.0f;
  float high = 0.0f;
};

inline constexpr int kMaxTileRows = 14;
inline constexpr int kMaxTileVectors = 2;

/// The micro-kernels of one instruction set, for every tile height and one or two vectors. A call
/// runs `count` jobs, one after another.
struct TileKernels {
  int64_t lanes = 1;  ///< floats in a vector
  /// Whether a tile has 28 multiply-adds to do for each row of b, as with AVX-512: time for the row
  /// to come from wherever it lies.
  bool wide() const { return kMaxTileVectors * lanes >= 32; }
  int64_t max_rows[kMaxTileVectors + 1] = {};  ///< by number of vectors
  using Run = void (*)(const TileJob* jobs, int64_t count);
  Run run[kMaxTileVectors + 1][kMaxTileRows + 1] = {};  ///< [vectors][rows]
  /// As run[2], for at most so many columns: faster. None if 0.
  int64_t narrow_columns = 0;
  Run narrow[kMaxTileRows + 1] = {};
  /// to[k·to_step + j] = from[j·from_step + k] for j < columns, k < depth.
  void (*transpose)(const float* from, int64_t from_step, int64_t columns, int64_t depth, float* to,
                    int64_t to_step) = nullptr;
  /// Rows of `columns` floats, from_step apart, side by side as rows of `width` floats (whole
  /// vectors, at most kMaxTileVectors): zeros behind the columns.
  void (*pack_rows)(const float* from, int64_t from_step, int64_t rows, int64_t columns, float* to,
                    int64_t width) = nullptr;
  /// Whether none of `count` floats is infinite or not a number.
  bool (*all_finite)(const float* from, int64_t count) = nullptr;
};

/// Those of the instruction set in use (target.h).
const TileKernels& tile_kernels();

}  // namespace convkit::kernels
