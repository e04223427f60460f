#pragma once

#include <cstdint>
#include <vector>

#include "convkit/kernels/conv_fft_product.h"
#include "convkit/kernels/conv_geometry.h"
#include "convkit/kernels/conv_program.h"

/// How FFT convolution cuts a geometry: overlap-save (Oppenheim and Schafer, Discrete-Time Signal
/// Processing, §8.7.3) in up to three dimensions. Internal to kernels/.
namespace convkit::kernels {

/// A direction of a geometry as a correlation without strides, on a lattice fine enough for both
/// sides: with fine output positions v,
///
///   out[v] = Σ_k filter[k] · in[v − pad_lo + k·dilation]
///
/// where `in` has values at multiples of in_step and zeros between, and `out` is wanted at
/// multiples of out_step. Positions of one residue modulo the dilation are a correlation of their
/// own.
///
/// Backward-input exchanges the sides and turns the kernel round; backward-weight is forward's
/// problem, of which the filter is wanted.
struct FftProblem {
  int64_t batch;
  int64_t groups;
  int64_t in_channels;   ///< of a group
  int64_t out_channels;  ///< of a group
  Extents in;
  Extents in_step;
  Extents out;
  Extents out_step;
  Extents kernel;
  Extents dilation;
  Extents pad_lo;
};

FftProblem fft_problem(const ConvGeometry& geometry, Direction direction);

/// Fine output positions first + i·dilation, i < count: at most extent − kernel + 1 of them, all
/// that a tile of that extent computes free of wrap-around.
struct FftPiece {
  int64_t first;
  int64_t count;
};
std::vector<FftPiece> fft_pieces(const FftProblem& problem, int axis, int64_t extent);

/// The places of a tile that meet values of a tensor: place + i·place_step ↔ index + i·index_step,
/// i < count.
struct LatticeRun {
  int64_t place = 0;
  int64_t place_step = 1;
  int64_t index = 0;
  int64_t index_step = 1;
  int64_t count = 0;
};
/// For tile places 0 … places − 1 at fine positions first + i·dilation, of a tensor of `extent`
/// values `step` apart.
LatticeRun lattice_run(int64_t first, int64_t dilation, int64_t step, int64_t extent,
                       int64_t places);

struct FftCut {
  FftLanes lanes = FftLanes::tiles;
  Extents tile = {1, 1, 1};
  ConvWork work = {};
};

/// The cut whose work costs least (conv_cost.h), packing included. Kinds of work: `products` are
/// multiply-adds of vectors, `transforms` elements times the passes over them, `calls` lines,
/// `tensors` elements moved to and from tensors, `weights` cache lines of spectra read from afar,
/// `packing` elements of filters times passes. Throws ValueError if there is none (fits_fft).
FftCut best_fft_cut(const FftProblem& problem, Direction direction);
/// Whether some transform is large enough for the kernel.
bool fits_fft(const FftProblem& problem);

}  // namespace convkit::kernels
