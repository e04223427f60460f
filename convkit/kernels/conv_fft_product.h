#pragma once

#include <cstdint>

#include "convkit/kernels/fft_tile.h"

/// What FFT convolution does between the transforms: at every frequency a product of small complex
/// matrices, and the moves between tensors and tiles of vectors. Internal to kernels/.
namespace convkit::kernels {

/// What the lanes of a spectrum's vectors are.
///
///   channels   16 channels of one tile; every input channel meets every output channel
///   tiles      one channel of 16 tiles, whatever the number of channels
///   depthwise  16 channels of one tile; each meets its own filter only
///
/// (16 on AVX-512.) In all of them the real part of an element belongs to one tile and the
/// imaginary part to another: a product with the spectrum of a real filter keeps the two apart.
enum class FftLanes { channels, tiles, depthwise };

/// Spectra at the frequencies `pairs`. Slot s of an operand begins s · slot floats behind its
/// pointer; its frequencies have `vectors` vectors side by side (FftTile).
///
///   multiply:  out(k)[co] = Σ_ci filter(k)[ci][co] · in(k)[ci], and conj(filter) at −k
///   gradient:  filter(k)[ci][co] += Σ_slots conj(out(k)[co]) · in(k)[ci]
///                                           + out(−k)[co] · conj(in(−k)[ci])
///
/// Filters, `filter_step` floats a frequency: lanes of channels: [vector of co][ci]{re, im};
/// depthwise: [vector]{re, im}; tiles: numbers [ci][co]{re, im}.
struct FftProduct {
  const FrequencyPair* pairs = nullptr;
  int64_t pair_count = 0;
  int64_t slots = 0;
  int64_t in_channels = 0;
  int64_t out_channels = 0;
  const float* in = nullptr;
  int64_t in_slot = 0;
  int64_t in_vectors = 0;
  float* out = nullptr;  ///< gradient: read only
  int64_t out_slot = 0;
  int64_t out_vectors = 0;
  float* filters = nullptr;  ///< multiply: read only
  int64_t filter_step = 0;
  bool accumulate = false;  ///< gradient: add to what `filters` holds
};

struct FftProductKernels {
  using Run = void (*)(const FftProduct&);
  Run multiply[3] = {};  ///< by FftLanes
  Run gradient[3] = {};
  /// Between the transform of two vectors of filters a + i·b (one vector a tile) and the filters at
  /// the pairs: scale · 2 · conj of their spectra, and back. `b` may be null. Interleaved: {re, im}
  /// of one lane after the other.
  void (*split_filters)(const float* tile, const FrequencyPair* pairs, int64_t count, float scale,
                        float* a, float* b, int64_t step, bool interleaved) = nullptr;
  void (*join_filters)(const float* a, const float* b, int64_t step, bool interleaved,
                       const FrequencyPair* pairs, int64_t count, float scale,
                       float* tile) = nullptr;
};

const FftProductKernels& fft_product_kernels();

}  // namespace convkit::kernels
