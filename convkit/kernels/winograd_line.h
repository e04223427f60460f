#pragma once

#include <cstdint>

#include "convkit/kernels/conv_tile.h"

/// F(4, 4) along a line, for few channels: sums over all taps stay in registers, are transformed
/// back there, and are stored once. Internal to kernels/.
///
/// The transforms are Winograd's (winograd_transform.h) at the points ±1/4, ±7/8, ±7/4 and ∞: 7
/// products make 4 outputs of 4 taps, which takes 16 otherwise. Longer kernels are *segments* of 4
/// taps, summed in the transformed domain: segment s of a tile reads the inputs that segment 0 of
/// the tile s further on reads.
namespace convkit::kernels {

inline constexpr int kLineOutputs = 4;  ///< of a tile
inline constexpr int kLineTaps = 4;     ///< of a segment
inline constexpr int kLinePoints = 7;   ///< as many as inputs of a tile

/// What one call computes: one vector of channels of `tiles` tiles side by side.
///
///   y[4·i + j] = epilogue(Aᵀ Σ over lines, k:  v[line.a + i·tile_step + k][p] · w[line.b + k][p])
///
/// for the points p and j < 4. The transformed input is v[tile][block of channels][p][channel], a
/// block being WinogradLineKernels' `block`; packed weights are w[k][p][lane].
struct WinogradLineJob {
  const float* v = nullptr;
  int64_t tile_step = 0;               ///< floats from tile to tile
  const TileSegment* lines = nullptr;  ///< offsets in v and w
  int64_t line_count = 0;
  int64_t depth = 0;  ///< of k: segments times channels
  const float* w = nullptr;
  int64_t tiles = 0;
  int64_t outputs = 0;              ///< those of all tiles that exist
  int64_t channels = 0;             ///< at most a vector
  const float* bias = nullptr;      ///< null: zeros
  const float* residual = nullptr;  ///< as y; null: zeros. Not where outputs are pooled.
  float low = 0;
  float high = 0;
  bool streams = false;  ///< as ConvEpilogue::streams, where the instruction set can
  bool clamps = false;
  /// Whether y has the largest output of each tile and nothing else; those of the last tile exist.
  bool pools = false;
  float* y = nullptr;
  int64_t y_step = 0;  ///< floats from output to output
};

/// One instruction set's code.
struct WinogradLineKernels {
  int64_t lanes;
  int64_t block;  ///< channels side by side in v: 2 or 1
  int64_t tiles;  ///< tiles at once: v must have a multiple of it, what it holds there aside
  /// Bᵀ x: `count` tiles of v from x[position][channel], both `channels` (a multiple of
  /// `block`) floats wide; reads 4·count + 3 positions.
  void (*input)(const float* x, int64_t channels, int64_t count, float* v);
  /// G w: to[p·lanes] of one kernel of four taps.
  void (*weight)(const float (&w)[kLineTaps], float* to);
  void (*run)(const WinogradLineJob& job);
};

const WinogradLineKernels& winograd_line_kernels();

}  // namespace convkit::kernels
