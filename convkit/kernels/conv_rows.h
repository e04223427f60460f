#pragma once

#include <array>
#include <cstdint>
#include <memory_resource>
#include <span>
#include <vector>

#include "convkit/kernels/conv_brick.h"
#include "convkit/kernels/conv_lattice.h"
#include "convkit/kernels/conv_tile.h"

/// Where the rows of a brick read and write: the tables that tile kernels follow. Internal to
/// kernels/.
namespace convkit::kernels {

/// Indices [first, last) of the offsets of a lattice's axis.
struct TapRange {
  int64_t first = 0;
  int64_t last = 0;
};

/// Rows that see the same taps: those inside of the input all, those at an edge only the taps that
/// do not fall outside, so that nothing is multiplied by zeros. Kinds of few rows would make short,
/// slow tiles; they share one table with a pointer per tap and row, to zeros where a tap is
/// outside.
struct RowTable {
  explicit RowTable(std::pmr::memory_resource* memory) : input(memory), output(memory) {}

  std::pmr::vector<const float*> input;  ///< one per row or, if per_tap, [tap][row]
  std::pmr::vector<int64_t> output;      ///< floats from the start of the output
  int64_t fold = 1;                      ///< outputs along W that each of these rows covers
  std::array<TapRange, kAxes> taps;
  bool per_tap = false;
};

/// What list_rows needs to know besides the brick and where to keep the lists.
struct RowContext {
  const std::array<AxisLattice, kAxes>& axes;
  const BrickInput& input;
  const float* base;   ///< input.base(...) of the brick
  const float* zeros;  ///< as many as a tap reads
  Extents out;         ///< of the tensor that rows write
  int64_t out_pitch;   ///< floats from position to position of it
};

std::pmr::vector<RowTable> list_rows(const RowContext& context, const Brick& brick,
                                     std::pmr::memory_resource* memory);

/// The taps of `table` in the order of packed weights, as runs along W: `count` taps from the tap
/// number `first` on, whose inputs begin `a` floats beyond the rows' pointers. All runs of a table
/// are equally long; unless `joined` (or with a pointer per tap) each is one tap.
struct TapRun {
  int64_t a;
  int64_t first;
  int64_t count;
};
std::pmr::vector<TapRun> list_taps(const std::array<AxisLattice, kAxes>& axes,
                                   const BrickInput& input, const RowTable& table, bool joined,
                                   std::pmr::memory_resource* memory);

/// The lattices' axes as BrickInput wants them, for an input of `size`.
std::array<InputAxis, kAxes> input_axes(const std::array<AxisLattice, kAxes>& axes,
                                        const Extents& size);

/// How many rows of b, b_step floats apart, stay in the second-level cache from tile to tile.
int64_t kept_rows(int64_t b_step);

/// What later jobs read, to be fetched meanwhile: `floats` floats, `step` apart, for each row of
/// this job's b.
struct TileAhead {
  const float* from = nullptr;  ///< null: nothing
  int64_t step = 0;
  int64_t floats = 0;
};

/// Runs `job` on all rows of `table` in tiles of nearly equal height: a last tile of one row would
/// run at a fraction of the speed. Long sums are taken in parts, all tiles after each other, with
/// the same bits. `kernels` is the column of TileKernels for the job's vectors.
/// Meanwhile `ahead` is fetched, in its order, as far as there are tiles for it; the others fetch
/// their own rows, or nothing if `alone`.
void run_tiles(const RowTable& table, const TileKernels::Run* kernels, int64_t max_rows,
               TileJob job, std::span<const TileAhead> ahead = {}, bool alone = false);

}  // namespace convkit::kernels
