#include <algorithm>

#include "convkit/kernels/conv_winograd_correlation.h"
#include "hwy/cache_control.h"

namespace convkit::kernels {
namespace {

// Floats of weights that have a good chance to be in the last-level cache.
constexpr int64_t kCachedWeights = int64_t{1} << 20;
constexpr int64_t kFewTiles = 4;  // of the micro-kernel

}  // namespace

void WinogradCorrelation::transform_tile(const float* x, int64_t tile, int64_t depth, float* to,
                                         int64_t part_step) const {
  const WinogradTile& shape = transforms_.tile;
  WinogradTiles::Place first = grid_.place(tile);
  const WinogradSize size = grid_.size(first);
  first.h -= pad_[1];
  first.w -= pad_[2];
  const float* pixels[kMostTilePixels];
  WinogradPicture{x, in_, in_steps_, in_channels_, zeros_.data()}.gather(first, depth, shape.in_h(),
                                                                         shape.in_w(), pixels);
  for (int64_t i = 0; i < parts_; ++i) {
    if (i > 0)
      for (int p = 0; p < shape.points(); ++p) pixels[p] += part_channels_;
    transforms_.input(pixels, part(i).count(), size, to + i * part_step, point_step());
  }
}

// One point of the products of the tiles in `rows` at the output depth `d`. The transformed input
// of depth e lies in the slice e mod ring.
void WinogradCorrelation::multiply(const TileRows& rows, int64_t ring, int64_t d, int64_t point,
                                   const float* packed, const Products& products) const {
  const int64_t panel = taps_d_ * in_channels_ * width_;
  const RowTable& table = rows.of_point(point);
  TileSegment segments[kMostWinogradTapsD];
  TileJob job;
  for (int64_t depth = first_depth(d); depth < end_depth(d); ++depth)
    segments[job.segment_count++] = {depth % ring * slice_floats(),
                                     (depth - d + pad_[0]) * in_channels_ * width_};
  job.segments = segments;
  job.depth = in_channels_;
  job.a_start = point * point_step();
  job.b_step = width_;
  job.columns = width_;
  for (int64_t block = products.blocks.first; block < products.blocks.end; ++block) {
    job.b = packed + (block * points() + point) * panel;
    job.c = products.data + point * products.point_step + (block - products.blocks.first) * width_;
    // A block's weights are near. A slab's come from the last-level cache, if they are few enough;
    // from memory they come no sooner for being asked for, and many tiles hardly wait for them.
    const int64_t most_rows = kFewTiles * tiles_.max_rows[vectors_];
    const bool fetches =
        by_slabs_ && packed_floats() <= kCachedWeights && std::ssize(table.output) <= most_rows;
    const float* const next = block + 1 < products.blocks.end
                                  ? job.b + points() * panel
                                  : packed + (products.blocks.first * points() + point + 1) * panel;
    const TileAhead ahead = {fetches ? next : nullptr, job.b_step, job.b_step};
    run_tiles(table, tiles_.run[vectors_], tiles_.max_rows[vectors_], job, {&ahead, 1}, fetches);
  }
}

void WinogradCorrelation::store_tiles(const Range& tiles, int64_t d, const Products& products,
                                      const ConvEpilogue& epilogue, float* y) const {
  const int64_t first_channel = products.blocks.first * width_;
  const int64_t channels = std::min(out_channels_, products.blocks.end * width_) - first_channel;
  const int64_t pitch = epilogue.out_pitch > 0 ? epilogue.out_pitch : out_channels_;
  const WinogradEpilogue last = {
      .bias = epilogue.bias != nullptr ? epilogue.bias + first_channel : nullptr,
      .residual = epilogue.residual,
      .clamps = epilogue.clamps(),
      .low = epilogue.low,
      .high = epilogue.high,
      .streams =
          epilogue.streams(y, batch_ * out_[0] * out_[1] * out_[2] * out_channels_, out_channels_)};
  for (int64_t i = 0; i < tiles.count(); ++i) {
    const WinogradTiles::Place at = grid_.place(tiles.first + i);
    const int64_t first =
        (at.n * out_[0] + d) * out_[1] * out_[2] + at.h * out_steps_.h + at.w * out_steps_.w;
    const WinogradOutput to = {.offset = first * pitch + first_channel,
                               .row_step = out_steps_.h * pitch,
                               .pixel_step = out_steps_.w * pitch,
                               .size = grid_.size(at)};
    transforms_.output(products.data + i * products.pitch, products.point_step, channels, last, to,
                       y);
    if (epilogue.function != nullptr)
      for (int64_t row = 0; row < to.size.rows; ++row)
        for (int64_t column = 0; column < to.size.columns; ++column)
          epilogue.finish(y + to.offset + row * to.row_step + column * to.pixel_step, channels);
  }
  if (last.streams) hwy::FlushStream();
}

}  // namespace convkit::kernels
