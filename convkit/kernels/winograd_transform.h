#pragma once

#include <cstdint>

/// The linear transforms of Winograd's convolution (Toom-Cook; Lavin and Gray, "Fast Algorithms for
/// Convolutional Neural Networks", 2016), on vectors of channels. Internal to kernels/.
///
/// F(m, r) computes m outputs of a correlation with r taps as
///
///   y = Aᵀ [ (G w) ⊙ (Bᵀ x) ]
///
/// from m + r − 1 inputs, with that many products instead of m·r. The m + r − 1 *points* where the
/// polynomials are evaluated are 0, ±3/4, ±3/2 and ∞ for F(4, 3), 0, ±1 and ∞ for F(2, 3).
/// Textbooks take ±1, ±2 for F(4, 3), whose errors are four times larger. In two dimensions the
/// transforms apply along both axes. The gradient of the weight is F(r, m) at the same points: m
/// "taps" of slopes, r results.
///
/// Where outputs end inside of a tile of four, its shorter tile of m' takes the first m' + 1 finite
/// points, ∞, and the same transformed weights: with N over the points of F(4, 3) and N' over
/// those of the shorter tile, row p of its Bᵀ holds the coefficients of N'(t) / (t − p) times the
/// product over the points q left out of (p − q).
namespace convkit::kernels {

/// Which axes are transformed, and how: tiles of `out` outputs read `in` inputs along H and W.
struct WinogradTile {
  int out_h;
  int out_w;
  int taps_h;
  int taps_w;
  int in_h() const { return out_h + taps_h - 1; }
  int in_w() const { return out_w + taps_w - 1; }
  int points() const { return in_h() * in_w(); }
};

/// Outputs of a tile that exist.
struct WinogradSize {
  int rows;
  int columns;
};

/// Where one tile of a tensor lies: pixel (i, j) at origin + i·row_step + j·pixel_step.
struct WinogradOutput {
  int64_t offset;  ///< floats from the start of the tensor
  int64_t row_step;
  int64_t pixel_step;
  WinogradSize size;
};

/// What becomes of the outputs; as ConvEpilogue, for the channels from the first one on.
struct WinogradEpilogue {
  const float* bias;      ///< null: zeros
  const float* residual;  ///< as the output; null: zeros
  bool clamps;
  float low;
  float high;
  bool streams = false;  ///< as ConvEpilogue::streams, where the instruction set can
};

/// Kernels side by side, [channel][tap][column]: tap t of channel k < channels is at
/// data[k·channel_step + t·tap_step + j], j < columns, which are whole vectors; taps are in the
/// order of memory, or backwards if `flip`.
struct WinogradTaps {
  const float* data;
  int64_t channel_step;
  int64_t tap_step;
  int64_t channels;
  int64_t columns;
  bool flip;
};

/// The transforms of one tile on one instruction set, for any number of channels. What is written
/// in the transformed domain is whole vectors: what lies behind the last channel is unspecified.
struct WinogradKernels {
  WinogradTile tile;
  /// Whether a tile of fewer outputs needs fewer points: along an axis of four outputs those before
  /// point out + 1, and the last. Products of the others are not read. Else all tiles are whole.
  bool shortens;

  /// Bᵀ x B: to[p·point_step + c] for the points p and c < channels, from the pixels
  /// pixels[i·in_w + j][c].
  void (*input)(const float* const* pixels, int64_t channels, const WinogradSize& size, float* to,
                int64_t point_step);

  /// Aᵀ m A: the outputs of a tile from m[p·point_step + c], c < channels.
  void (*output)(const float* m, int64_t point_step, int64_t channels,
                 const WinogradEpilogue& epilogue, const WinogradOutput& place, float* to);

  /// G w Gᵀ: to[p·point_step + k·channel_step + j].
  void (*weight)(const WinogradTaps& w, float* to, int64_t channel_step, int64_t point_step);

  /// G' dy G'ᵀ of F(taps, out): to[p·point_step + c] from the pixels pixels[i·out_w + j][c].
  /// Those behind the tile's size are zeros.
  void (*slope)(const float* const* pixels, int64_t channels, const WinogradSize& size, float* to,
                int64_t point_step);

  /// A'ᵀ m A' of F(taps, out): dw[tap·tap_step + c] from m[p·point_step + c], c < channels.
  void (*gradient)(const float* m, int64_t point_step, int64_t channels, float* dw,
                   int64_t tap_step);
};

/// The tiles there are: F(4×4, 3×3), F(2×2, 3×3), and along W alone F(4, 3).
enum class WinogradVariant { f4x4, f2x2, f4 };

const WinogradKernels& winograd_kernels(WinogradVariant variant);

}  // namespace convkit::kernels
