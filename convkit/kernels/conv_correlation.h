#pragma once

#include <array>
#include <span>
#include <vector>

#include "convkit/base/memory.h"
#include "convkit/kernels/conv_brick.h"
#include "convkit/kernels/conv_lattice.h"
#include "convkit/kernels/conv_program.h"
#include "convkit/kernels/conv_rows.h"
#include "convkit/kernels/conv_tile.h"

/// A convolution with stride 1 on a lattice of positions, which direct programs (conv_direct.cc)
/// are made of: conv_correlation.cc plans it and packs its weights, conv_correlation_run.cc runs
/// it. Internal to kernels/.
namespace convkit::kernels {

/// What distinguishes forward from backward-input once both are lattices.
struct CorrelationSides {
  Extents in;
  Extents out;
  int64_t in_channels;
  int64_t out_channels;
  /// Element (tap, k, column) of a group's weights is at tap·tap + k·k + column·column.
  int64_t weight_tap;
  int64_t weight_k;
  int64_t weight_column;
  /// The weights of a column, where they stand side by side; else 0.
  int64_t weight_row = 0;
};

/// A whole of its own, or a part that its caller runs inside of a task, on one thread, and whose
/// output may be in no cache of the core.
enum class CorrelationPlace { whole, part, part_to_afar };

/// One lattice per axis: a stride-1 correlation of its own.
class Correlation {
 public:
  Correlation(const ConvGeometry& g, const CorrelationSides& sides,
              std::array<AxisLattice, kAxes> axes, CorrelationPlace place);

  int64_t packed_floats() const { return g_.groups * group_packed_; }
  ConvWork work() const;
  int64_t pack_tasks() const;
  int64_t tasks() const {
    return cut_.bricks() * g_.groups * chunks_ + (halves_last_ ? last_cut_.bricks() - 1 : 0);
  }

  void pack(int64_t task, const float* w, float* packed) const;
  int64_t weight_row() const { return sides_.weight_row; }
  bool packs_rows() const { return sides_.weight_row > 0 && axes_[2].fold == 1; }
  void pack_rows(int64_t task, const ReadWeightRows& read, float* packed) const;
  // The weights of one output channel, where packs_rows().
  void unpack_row(int64_t channel, const float* packed, float* row) const;
  // Weights either packed, or as they are: then each task reads them in place, or packs its own
  // into the second-level cache, which pays where few other tasks need them.
  struct Weights {
    const float* packed;
    const float* plain;
  };
  bool tasks_share_weights() const;
  // False if rows are folded and an output is not finite: then a NaN or an infinity of a neighbour
  // may have met the zeros between the kernels.
  bool run(int64_t task, const float* x, const Weights& weights, const ConvEpilogue& epilogue,
           float* y) const;

 private:
  // Columns [first, first + count) of a group's folded outputs, and where their weights are packed.
  struct Block {
    int64_t first;
    int64_t count;
    int vectors;
    int64_t packed;
  };
  // One tap's weights of one block, for a range of k: where they lie in w and in the packed ones.
  struct PackCell {
    int64_t tap;
    int64_t offset_w;
    int64_t kernel_line;
    TapRange k;
  };
  template <class Pack>
  void for_each_tap(Pack&& pack) const;
  void pack_cell(const Block& block, const PackCell& cell, const float* weights,
                 float* packed) const;
  void pack_block(const Block& block, const float* weights, float* packed) const;
  const float* group_weights(const float* w, int64_t group) const {
    return w + group * g_.group_out() * g_.group_in() * g_.kernel[0] * g_.kernel[1] * g_.kernel[2];
  }
  // What a task computes.
  struct Part {
    Brick brick;
    int64_t group;
    int64_t chunk;  // of the blocks
  };
  Part part_of(int64_t task) const;
  TileJob block_job(const Block& block, int64_t group, const float* packed,
                    const ConvEpilogue& epilogue, float* y) const;
  // The micro-kernels, by rows, for so many of a block's columns.
  const TileKernels::Run* tiles_for(const Block& block, int64_t columns) const;
  bool streams_to(const float* y, const ConvEpilogue& epilogue) const;
  const float* block_bias(const Block& block, int64_t group, const float* bias,
                          float* padded) const;
  void run_by_rows(const RowTable& rows, std::span<const TapRun> runs,
                   std::span<const Block> blocks, std::span<TileJob> jobs) const;
  // Applies the epilogue's function to what a task has stored, unfolded.
  void finish(std::span<const RowTable> tables, std::span<const Block> blocks, int64_t group,
              const ConvEpilogue& epilogue, float* y) const;
  void plan_blocks(int most_vectors);
  void plan_weights();
  void plan_input();
  bool all_outputs_finite(std::span<const int64_t> rows, const TileJob& job) const;
  void plan_chunks();
  int64_t offset_count() const {
    int64_t count = 1;
    for (const AxisLattice& axis : axes_) count *= static_cast<int64_t>(axis.offsets.size());
    return count;
  }

  ConvGeometry g_;
  CorrelationSides sides_;
  std::array<AxisLattice, kAxes> axes_;
  bool is_part_;
  const TileKernels& kernels_;
  int64_t depth_ = 0;    // channels summed over
  int64_t columns_ = 0;  // channels produced, per position
  std::vector<Block> blocks_;
  int64_t group_packed_ = 0;
  BrickCut cut_;
  bool halves_last_ = false;  // the last block has tasks of its own, one for each brick of
  BrickCut last_cut_;
  BrickInput input_;
  int64_t most_rows_ = kMaxTileRows;
  bool fetches_outputs_ = false;
  bool is_far_ = false;            // inputs and outputs together: in no core's own cache
  bool goes_by_rows_ = false;      // if all weights of a task stay near
  bool fetches_weights_ = false;   // of the next block: each is read but once
  bool joins_taps_ = false;        // channels of neighbours along W lie side by side in the input
  bool in_place_ = false;          // weights that are not packed are read where they lie
  int64_t sum_parts_ = 1;          // of a tap's sum over weights in place
  std::vector<int64_t> tap_in_w_;  // floats from a group's weights to those of each offset
  Buffer<float> zeros_;
  int64_t chunks_ = 1;
};

}  // namespace convkit::kernels
