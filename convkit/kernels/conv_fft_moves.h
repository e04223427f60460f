#pragma once

#include <cstdint>

/// Moves of FFT convolution between tensors and vectors. Nothing is read or written outside of the
/// `channels` and `count` named. Internal to kernels/.
namespace convkit::kernels {

/// to[r·to_step + c] = min(max(from[r·from_step + c] + bias[c] + residual[r·to_step + c], low),
/// high)
struct FftStore {
  const float* from = nullptr;
  int64_t from_step = 0;
  int64_t rows = 0;
  int64_t channels = 0;
  const float* bias = nullptr;      ///< null: zeros
  const float* residual = nullptr;  ///< null: zeros; may be `to`
  bool clamps = false;
  float low = 0.0f;
  float high = 0.0f;
  float* to = nullptr;
  int64_t to_step = 0;
};

struct FftMoves {
  int64_t lanes = 1;
  /// `rows` runs of at most `lanes` channels into whole vectors, with zeros behind the channels.
  void (*load)(const float* from, int64_t from_step, int64_t rows, int64_t channels, float* to,
               int64_t to_step) = nullptr;
  void (*store)(const FftStore& job) = nullptr;
  /// to[k·to_step + l] = rows[l][k] for l < lanes and k < depth.
  void (*gather_lanes)(const float* const* rows, int64_t depth, float* to,
                       int64_t to_step) = nullptr;
  /// rows[l·row_step + k] = from[k·from_step + l] for l < lanes and k < depth.
  void (*scatter_lanes)(const float* from, int64_t from_step, int64_t depth, float* rows,
                        int64_t row_step) = nullptr;
};

const FftMoves& fft_moves();

}  // namespace convkit::kernels
