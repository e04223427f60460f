#pragma once

#include <cstdint>
#include <vector>

#include "convkit/kernels/conv_fft_moves.h"
#include "convkit/kernels/conv_fft_plan.h"
#include "convkit/kernels/conv_program.h"

/// The tiles of an FFT convolution: where they lie in the tensors, and the way there and back.
/// Internal to kernels/.
namespace convkit::kernels {

/// One of the two tensors that tiles are cut from.
struct FftTensor {
  Extents extent;
  Extents step;      ///< between values, on the fine lattice of FftProblem
  Extents pad;       ///< fine position of the first place of a tile: piece.first − pad
  Extents halo;      ///< places beyond the outputs of a piece
  int64_t channels;  ///< of all groups
};

/// Channels [first, first + count) as `vectors` vectors.
struct FftChannels {
  int64_t first;
  int64_t count;
  int64_t vectors;
};

/// Tiles come in pairs of one picture, which share the real and the imaginary part: rounding
/// errors, which are relative to the larger of the two, stay within the picture. A *slot* is what
/// one element of a tile has room for: one pair, or one in each lane.
class FftTiles {
 public:
  FftTiles(const FftProblem& problem, const FftCut& cut);

  const FftTile& tile() const { return tile_; }
  FftLanes kind() const { return kind_; }
  int64_t lanes() const { return moves_.lanes; }
  int64_t slots() const { return (pairs_ + slot_pairs_ - 1) / slot_pairs_; }
  const FftTensor& in() const { return in_; }
  const FftTensor& out() const { return out_; }

  /// Spectra of the slots [first, first + count) of `tensor`, one after the other at `spectra`, on
  /// several threads.
  void transform(const FftTensor& side, const float* tensor, FftChannels channels, int64_t first,
                 int64_t count, float* spectra) const;
  /// Back, into the output; overwrites the spectra. On several threads.
  void restore(FftChannels channels, int64_t first, int64_t count, float* spectra,
               const ConvEpilogue& epilogue, float* output) const;

 private:
  // One tile: its picture and what its places meet on each axis: nothing if there is no such tile.
  struct Place {
    int64_t picture = 0;
    LatticeRun axes[kAxes];
  };
  Place place(const FftTensor& side, int64_t pair, int64_t part) const;
  std::vector<Place> slot_places(const FftTensor& side, int64_t slot) const;  // [part][pair]
  // Places of a tile that may hold values.
  Extents used(const FftTensor& side) const;

  void load_channels(const FftTensor& side, const float* tensor, FftChannels channels,
                     int64_t vector, int64_t slot, float* to) const;
  void store_channels(FftChannels channels, int64_t vector, int64_t slot, const float* from,
                      const ConvEpilogue& epilogue, float* output) const;
  // Line: places along W within one run of the tile. These move the lines [begin, end) of a slot.
  int64_t lines() const;
  int64_t line_chunk(FftChannels channels) const;
  struct Line {
    int64_t d;
    int64_t h;
    int64_t w;
    int64_t element;
  };
  Line line(int64_t index) const;
  void load_lines(const FftTensor& side, const float* tensor, FftChannels channels, int64_t begin,
                  int64_t end, int64_t slot, float* to) const;
  void store_lines(FftChannels channels, int64_t begin, int64_t end, int64_t slot,
                   const float* from, const ConvEpilogue& epilogue, float* output) const;
  template <class Body>
  void for_lines(int64_t slots, FftChannels channels, const Body& body) const;

  FftTile tile_;
  FftLanes kind_;
  const FftKernels& kernels_;
  const FftMoves& moves_;
  FftTensor in_;
  FftTensor out_;
  Extents dilation_;
  Extents longest_ = {1, 1, 1};  // outputs of a piece
  std::vector<FftPiece> pieces_[kAxes];
  int64_t tiles_ = 1;  // of a picture
  int64_t pairs_ = 0;  // of all pictures
  int64_t slot_pairs_ = 1;
};

}  // namespace convkit::kernels
