#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <memory_resource>

#include "convkit/base/memory.h"
#include "convkit/kernels/conv_program.h"
#include "convkit/kernels/conv_rows.h"
#include "convkit/kernels/conv_tile.h"
#include "convkit/kernels/winograd_tiles.h"
#include "convkit/kernels/winograd_transform.h"

/// Winograd's forward and backward-input. Internal to kernels/.
namespace convkit::kernels {

inline constexpr int64_t kMostWinogradTapsD = 16;

/// Forward and backward-input are one correlation with other names: of x with w, of dy with the
/// flipped w whose channels change sides. There are three ways:
///
/// *blocks*, where the transformed weights fit the second-level cache: a task does everything for
/// some tiles and a range of depths.
///
/// *slabs*, where they do not: all threads work on a slab of tiles in three steps. Its products are
/// cut by points, so that each weight is read once per slab.
///
/// *parts*, instead of slabs where weights change with each run and few tiles use them: no
/// transformed weights are written to memory. A task transforms those of one part of the input
/// channels of a block of columns, multiplies some tiles of a slab with them, and goes on to the
/// next part; then it transforms its products back. Weights are packed as plain taps, if at all.
class WinogradCorrelation final : public ConvProgram {
 public:
  enum class Way { blocks_or_slabs, parts };
  WinogradCorrelation(const ConvGeometry& geometry, Direction direction, WinogradVariant variant,
                      Way way = Way::blocks_or_slabs);

  int64_t packed_floats() const override { return columns_ * in_channels_ * points() * taps_d_; }
  void pack(const float* w, float* packed) const override;
  bool pack_rows(const ReadWeightRows& read, float* packed) const override;
  void run(const float* x, const float* packed, const ConvEpilogue& epilogue,
           float* y) const override;
  void pack_and_run(const float* x, const float* w, const ConvEpilogue& epilogue,
                    float* y) const override;
  bool takes_out_pitch() const override { return true; }
  ConvWork work() const override;

 private:
  using Range = WinogradTiles::Range;  // of tiles, depths or channels
  // The products of one depth of some tiles: [point][tile][column].
  struct Products {
    float* data;
    int64_t pitch;       // floats from tile to tile
    int64_t point_step;  // floats from point to point
    Range blocks;        // of columns
  };
  // The weights as they come to parts: as they are, or turned, [block of columns][input
  // channel][tap][column].
  struct Taps {
    const float* data;
    bool turned;
  };
  // What to fetch: so many floats of each of `rows` rows.
  struct Lines {
    const float* data;
    int64_t step;
    int64_t rows;
    int64_t floats;
  };

  void plan_blocks();
  void plan_slabs();
  void plan_parts(int vectors);
  void set_width(int vectors);
  int64_t points() const { return transforms_.tile.points(); }
  int64_t block_tiles(int64_t block) const {
    return std::min(tiles_per_block_, total_tiles_ - block * tiles_per_block_);
  }
  // Floats from point to point of a block's inputs, and of one depth of them.
  int64_t point_step() const { return kept_apart(tiles_per_block_ * pitch_); }
  int64_t slice_floats() const { return points() * point_step(); }
  // Depths of the input that outputs at depth `d` read.
  int64_t first_depth(int64_t d) const { return std::max<int64_t>(0, d - pad_[0]); }
  int64_t end_depth(int64_t d) const { return std::min(in_[0], d - pad_[0] + taps_d_); }
  int64_t block_columns(int64_t block) const {
    return std::min(width_, out_channels_ - block * width_);
  }
  Range part(int64_t i) const {
    return {i * part_channels_, std::min(in_channels_, (i + 1) * part_channels_)};
  }
  // Where a block's weights begin in w: its own in forward, all in backward-input.
  const float* block_weights(const float* w, int64_t block) const {
    return flip_ ? w : w + block * width_ * taps_ * in_channels_;
  }

  // How often each weight is transformed, by parts.
  int64_t uses() const { return blocks_ * groups_ * ranges_; }
  // Of some input channels for one block of columns: [input channel][tap][column] from w, which
  // begins at block_weights, zeros behind the last column.
  void turn(int64_t block, const Range& channels, const float* w, float* taps) const;
  // [tap along D][point][input channel][column] from [input channel][tap][column].
  void transform_weights(const float* taps, int64_t channels, float* to, int64_t depth_step,
                         int64_t point_step) const;
  // Packs up to a vector of input channels for one block of columns.
  void pack_channels(int64_t block, int64_t first, const float* w, float* packed) const;

  // All points of one tile at one depth of the input; floats from part to part of the channels.
  void transform_tile(const float* x, int64_t tile, int64_t depth, float* to,
                      int64_t part_step) const;
  // Rows of the tiles that have a point, by point. Those with the same tiles share a table.
  class TileRows {
   public:
    TileRows(const WinogradCorrelation& of, const Range& tiles, const float* store,
             int64_t products_pitch, std::pmr::memory_resource* memory);
    const RowTable& of_point(int64_t point) const {
      return tables_[static_cast<std::size_t>(table_[static_cast<std::size_t>(point)])];
    }

   private:
    std::pmr::vector<RowTable> tables_;
    std::array<int, kMostTilePixels> table_ = {};
  };
  void multiply(const TileRows& rows, int64_t ring, int64_t d, int64_t point, const float* packed,
                const Products& products) const;
  void store_tiles(const Range& tiles, int64_t d, const Products& products,
                   const ConvEpilogue& epilogue, float* y) const;
  void run_blocks(const float* x, const float* packed, const ConvEpilogue& epilogue,
                  float* y) const;
  void run_slabs(const float* x, const float* packed, const ConvEpilogue& epilogue, float* y) const;
  void turn_and_run(const float* x, const float* w, const ConvEpilogue& epilogue, float* y) const;
  void run_parts(const float* x, const Taps& taps, const ConvEpilogue& epilogue, float* y) const;
  void run_group(const float* store, const Taps& taps, int64_t block, const Range& tiles,
                 const Range& depths, const ConvEpilogue& epilogue, float* y) const;
  void multiply_part(const TileRows& rows, const float* panels, const Range& depths, int64_t part,
                     const Lines& next, float* products) const;

  int64_t batch_;
  bool flip_;
  const WinogradKernels& transforms_;
  const TileKernels& tiles_;
  Extents in_, out_, pad_;
  WinogradSteps in_steps_, out_steps_;
  int64_t in_channels_ = 0;
  int64_t out_channels_ = 0;
  int64_t taps_d_ = 1;
  int64_t taps_ = 1;
  int64_t pitch_ = 0;          // floats from tile to tile in the transformed input
  int vectors_ = 0;            // of the micro-kernel
  int64_t width_ = 0;          // their columns
  int64_t column_blocks_ = 0;  // blocks of `width_` output channels
  int64_t columns_ = 0;        // their channels, padding included
  int64_t chunk_ = 1;          // column blocks multiplied before they are transformed back
  WinogradTiles grid_;
  int64_t total_tiles_ = 0;  // of one depth, over the batch
  int64_t tiles_per_block_ = 0;
  int64_t blocks_ = 0;  // or slabs
  bool by_slabs_ = false;
  int64_t range_ = 1;  // depths of one task
  int64_t ranges_ = 1;
  int64_t group_tiles_ = 0;  // of one task of parts
  int64_t groups_ = 1;
  int64_t part_channels_ = 0;  // whose weights are transformed at a time
  int64_t parts_ = 1;
  Buffer<float> zeros_;
  std::unique_ptr<WinogradCorrelation> parts_way_;  // for weights that change; or null
};

}  // namespace convkit::kernels
