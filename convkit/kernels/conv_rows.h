#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "convkit/kernels/conv_brick.h"
#include "convkit/kernels/conv_lattice.h"
#include "convkit/kernels/conv_tile.h"

/// Where the rows of a brick read and write: the tables that tile kernels follow. Internal to
/// kernels/.
namespace convkit::kernels {

/// Rows of one kind. `input` has one pointer per row or, if `per_tap`, [tap][row] of them.
struct RowTable {
  std::vector<const float*> input;
  std::vector<int64_t> output;  ///< floats from the start of the output
  int64_t fold = 1;             ///< outputs along W that each of these rows covers
  bool per_tap = false;
};

/// The rows of a brick. Those whose every tap lies inside the input (or a copy of it) share the
/// offsets of the taps; those at an edge have a pointer per tap, to zeros where a tap is outside;
/// those that cover fewer outputs than the lattice's fold are cut short, at the end of a line.
struct BrickRows {
  RowTable inside;
  RowTable edge;
  RowTable cut_short;
};

/// What list_rows needs to know besides the brick.
struct RowContext {
  const std::array<AxisLattice, kAxes>& axes;
  const BrickInput& input;
  const float* base;   ///< input.base(...) of the brick
  const float* zeros;  ///< as many as a tap reads
  Extents out;         ///< of the tensor that rows write
  int64_t out_channels;
};

BrickRows list_rows(const RowContext& context, const Brick& brick);

/// The lattices' axes as BrickInput wants them, for an input of `size`.
std::array<InputAxis, kAxes> input_axes(const std::array<AxisLattice, kAxes>& axes,
                                        const Extents& size);

/// Runs `job` on all rows of `table` in tiles of nearly equal height: a last tile of one row would
/// run at a fraction of the speed. `kernels` is the column of TileKernels for the job's vectors.
void run_tiles(const RowTable& table, const TileKernels::Run* kernels, int64_t max_rows,
               TileJob job);

}  // namespace convkit::kernels
