#include "convkit/kernels/conv_winograd.h"

#include <algorithm>
#include <array>
#include <vector>

#include "convkit/base/checked.h"
#include "convkit/base/error.h"
#include "convkit/base/memory.h"
#include "convkit/base/task_memory.h"
#include "convkit/base/thread_pool.h"
#include "convkit/kernels/conv_rows.h"
#include "convkit/kernels/conv_tile.h"
#include "convkit/kernels/winograd_tiles.h"

namespace convkit::kernels {
namespace {

// Tasks that keep many threads busy with some left to balance.
constexpr int64_t kFewestOutputs = 9;  // for backward-weight
constexpr int64_t kFewestTasks = 12;
constexpr int64_t kMostTapsD = 16;
// Channels whose products a task keeps until it transforms them back.
constexpr int64_t kMostChunk = 64;
// Floats that a block of tiles takes in the transformed domain, inputs and products together: a
// quarter of a second-level cache. The rest of it is for the weights, if they fit (kNearWeights).
constexpr int64_t kBlockFloats = 64 * 1024;
constexpr int64_t kNearWeights = 192 * 1024;
// Otherwise all threads work on one block, which then is a slab of many tiles: floats of its inputs
// and products in the transformed domain, tiles it has at least, and tasks it is cut into.
constexpr int64_t kSlabFloats = int64_t{1} << 21;
constexpr int64_t kFewestSlabTiles = 112;
constexpr int64_t kSlabTasks = 36;
constexpr int64_t kTilesPerTask = 4;
// Floats of weights that have a good chance to be in the last-level cache.
constexpr int64_t kCachedWeights = int64_t{1} << 20;
constexpr int64_t kFewTiles = 4;  // of the micro-kernel

// Forward and backward-input are one correlation with other names: of x with w, of dy with the
// flipped w whose channels change sides.
class WinogradCorrelation : public ConvProgram {
 public:
  WinogradCorrelation(const ConvGeometry& g, Direction direction, WinogradVariant variant)
      : batch_(g.batch),
        flip_(direction == Direction::backward_input),
        transforms_(winograd_kernels(variant)),
        tiles_(tile_kernels()) {
    in_ = flip_ ? g.out : g.in;
    out_ = flip_ ? g.in : g.out;
    for (int axis = 0; axis < kAxes; ++axis)
      pad_[axis] = flip_ ? g.kernel[axis] - 1 - g.pad_lo[axis] : g.pad_lo[axis];
    in_channels_ = flip_ ? g.out_channels : g.in_channels;
    out_channels_ = flip_ ? g.in_channels : g.out_channels;
    taps_d_ = g.kernel[0];
    taps_ = g.kernel[0] * g.kernel[1] * g.kernel[2];
    plan();
  }

  int64_t packed_floats() const override { return columns_ * points() * taps_d_ * in_channels_; }
  void pack(const float* w, float* packed) const override;
  bool pack_rows(const ReadWeightRows& read, float* packed) const override;
  void run(const float* x, const float* packed, const ConvEpilogue& epilogue,
           float* y) const override {
    if (by_slabs_)
      run_slabs(x, packed, epilogue, y);
    else
      run_blocks(x, packed, epilogue, y);
  }
  bool takes_out_pitch() const override { return true; }
  ConvWork work() const override;

 private:
  // The products of one depth of a block: [point][tile][column of the chunk].
  struct Products {
    float* data;
    int64_t pitch;  // floats from tile to tile
    int64_t first;  // columns [first, end) of the output channels, in blocks
    int64_t end;
  };
  // Tiles [first, end) of a block.
  struct TileRange {
    int64_t first;
    int64_t end;
  };

  void plan();
  void plan_blocks();
  void plan_slabs();
  int64_t points() const { return transforms_.tile.points(); }
  int64_t block_tiles(int64_t block) const {
    return std::min(tiles_per_block_, total_tiles_ - block * tiles_per_block_);
  }
  // Floats from point to point of a block.
  int64_t point_step(int64_t pitch) const { return kept_apart(tiles_per_block_ * pitch); }
  int64_t slice_floats() const { return points() * point_step(pitch_); }
  // Depths of the input that outputs at depth `d` read.
  int64_t first_depth(int64_t d) const { return std::max<int64_t>(0, d - pad_[0]); }
  int64_t end_depth(int64_t d) const { return std::min(in_[0], d - pad_[0] + taps_d_); }

  void transform_tile(const float* x, int64_t tile, int64_t depth, float* to) const;
  RowTable rows(const float* store, int64_t tiles, int64_t products_pitch,
                std::pmr::memory_resource* memory) const;
  // Packs a vector's worth of input channels for one block of columns; `w` begins with the block's
  // own weights in forward, and with all of them in backward-input.
  void pack_inputs(int64_t block, int64_t first, const float* w, float* packed) const;
  void multiply(const RowTable& rows, int64_t ring, int64_t d, int64_t point, const float* packed,
                const Products& products) const;
  void store_tiles(int64_t block, const TileRange& tiles, int64_t d, const Products& products,
                   const ConvEpilogue& epilogue, float* y) const;
  void run_blocks(const float* x, const float* packed, const ConvEpilogue& epilogue,
                  float* y) const;
  void run_slabs(const float* x, const float* packed, const ConvEpilogue& epilogue, float* y) const;

  int64_t batch_;
  bool flip_;
  const WinogradKernels& transforms_;
  const TileKernels& tiles_;
  Extents in_, out_, pad_;
  int64_t in_channels_ = 0;
  int64_t out_channels_ = 0;
  int64_t taps_d_ = 1;
  int64_t taps_ = 1;
  int64_t pitch_ = 0;          // floats from tile to tile in the transformed input
  int64_t width_ = 0;          // columns of the micro-kernel
  int64_t column_blocks_ = 0;  // blocks of `width_` output channels
  int64_t columns_ = 0;        // their channels, padding included
  int64_t chunk_ = 1;          // column blocks multiplied before they are transformed back
  WinogradTiles grid_;
  int64_t total_tiles_ = 0;  // of one depth, over the batch
  int64_t tiles_per_block_ = 0;
  int64_t blocks_ = 0;
  bool by_slabs_ = false;
  int64_t range_ = 1;  // depths of one task
  int64_t ranges_ = 1;
  Buffer<float> zeros_;
};

void WinogradCorrelation::plan() {
  width_ = kMaxTileVectors * tiles_.lanes;
  column_blocks_ = ceil_div(out_channels_, width_);
  columns_ = column_blocks_ * width_;
  pitch_ = round_up(in_channels_, tiles_.lanes);
  // Tiles a multiple of 512 bytes apart would share few sets of the first-level cache.
  if (pitch_ * 4 % 512 == 0) pitch_ += 16;
  grid_ = WinogradTiles(transforms_.tile, batch_, out_);
  total_tiles_ = grid_.count();
  chunk_ = std::clamp<int64_t>(kMostChunk / width_, 1, column_blocks_);
  plan_blocks();
  if (ranges_ * blocks_ < kFewestTasks ||
      points() * taps_d_ * in_channels_ * columns_ > kNearWeights)
    plan_slabs();
  zeros_ = Buffer<float>(static_cast<std::size_t>(pitch_));
  std::fill_n(zeros_.data(), pitch_, 0.0f);
}

// A block of tiles is what one task transforms, multiplies and transforms back.
void WinogradCorrelation::plan_blocks() {
  const int64_t height = tiles_.max_rows[kMaxTileVectors];
  const int64_t per_tile = points() * (pitch_ + chunk_ * width_);
  tiles_per_block_ = std::max<int64_t>(1, kBlockFloats / per_tile / height) * height;
  blocks_ = ceil_div(total_tiles_, tiles_per_block_);
  tiles_per_block_ = ceil_div(total_tiles_, blocks_);
  range_ = out_[0];
  ranges_ = 1;
  while (range_ > 4 * taps_d_ && ranges_ * blocks_ < kFewestTasks) {
    range_ = ceil_div(range_, 2);
    ranges_ = ceil_div(out_[0], range_);
  }
}

// A block is a slab that all threads work on, in three steps; its products are cut by points, so
// that each weight is read once per slab.
void WinogradCorrelation::plan_slabs() {
  by_slabs_ = true;
  range_ = out_[0];
  ranges_ = 1;
  chunk_ = column_blocks_;
  const int64_t per_tile = points() * (in_[0] * pitch_ + out_[0] * columns_);
  const int64_t fewest = ceil_div(kFewestSlabTiles, out_[0]);
  tiles_per_block_ = std::min(total_tiles_, std::max(fewest, kSlabFloats / per_tile));
  blocks_ = ceil_div(total_tiles_, tiles_per_block_);
  tiles_per_block_ = ceil_div(total_tiles_, blocks_);
}

ConvWork WinogradCorrelation::work() const {
  const auto lanes = static_cast<double>(tiles_.lanes);
  const auto all_points = static_cast<double>(points() * total_tiles_);
  int64_t slices = 0;  // pairs of an output's depth and a tap that sees the input
  for (int64_t d = 0; d < out_[0]; ++d)
    slices += std::max<int64_t>(0, end_depth(d) - first_depth(d));
  const auto transformed = static_cast<double>(
      by_slabs_ ? in_[0] : std::min(in_[0] + (ranges_ - 1) * (taps_d_ - 1), ranges_ * in_[0]));
  const auto outs = static_cast<double>(out_[0]);
  const auto packed = static_cast<double>(packed_floats()) / lanes;
  ConvWork work;
  work.products = all_points * static_cast<double>(slices * in_channels_ * columns_) / lanes;
  work.calls = all_points * outs * static_cast<double>(column_blocks_) /
               static_cast<double>(tiles_.max_rows[kMaxTileVectors]);
  work.transforms =
      all_points *
      (transformed * static_cast<double>(pitch_) + outs * static_cast<double>(columns_)) / lanes;
  work.weights = packed * static_cast<double>(blocks_) * static_cast<double>(slices) /
                 static_cast<double>(taps_d_);
  work.tensors = static_cast<double>(batch_) *
                 (static_cast<double>(in_[0] * in_[1] * in_[2] * in_channels_) +
                  static_cast<double>(out_[0] * out_[1] * out_[2] * out_channels_)) /
                 lanes;
  work.packing = packed;
  return work;
}

// Packed weights: [block of columns][point][tap along D][input channel][column]. The transforms
// take vectors of columns. Backward-input finds columns side by side in w; forward finds input
// channels, and turns a few of each tap first.
void WinogradCorrelation::pack(const float* w, float* packed) const {
  const int64_t groups = ceil_div(in_channels_, int64_t{tiles_.lanes});
  parallel_for(groups * column_blocks_, [&](int64_t task) {
    const int64_t block = task / groups;
    const float* const from = flip_ ? w : w + block * width_ * taps_ * in_channels_;
    pack_inputs(block, task % groups * tiles_.lanes, from, packed);
  });
}

bool WinogradCorrelation::pack_rows(const ReadWeightRows& read, float* packed) const {
  if (flip_) return false;
  parallel_for(column_blocks_, [&](int64_t block) {
    const int64_t columns = std::min(width_, out_channels_ - block * width_);
    Buffer<float> rows(static_cast<std::size_t>(columns * taps_ * in_channels_));
    read(block * width_, columns, rows.data());
    for (int64_t first = 0; first < in_channels_; first += tiles_.lanes)
      pack_inputs(block, first, rows.data(), packed);
  });
  return true;
}

void WinogradCorrelation::pack_inputs(int64_t block, int64_t first, const float* w,
                                      float* packed) const {
  const int64_t flat = taps_ / taps_d_;
  const int64_t lanes = tiles_.lanes;
  const int64_t panel = taps_d_ * in_channels_ * width_;
  const int64_t count = std::min(lanes, in_channels_ - first);
  const int64_t columns = std::min(width_, out_channels_ - block * width_);
  Buffer<float> turned(static_cast<std::size_t>(flip_ ? 0 : flat * lanes * width_));
  if (!flip_) std::fill_n(turned.data(), turned.size(), 0.0f);
  for (int64_t kd = 0; kd < taps_d_; ++kd) {
    if (!flip_)
      for (int64_t tap = 0; tap < flat; ++tap)
        tiles_.transpose(w + (kd * flat + tap) * in_channels_ + first, taps_ * in_channels_,
                         columns, count, turned.data() + tap * lanes * width_, width_);
    for (int64_t k = 0; k < count; ++k)
      for (int64_t v = 0; v < width_; v += lanes) {
        float* const to =
            packed + block * points() * panel + (kd * in_channels_ + first + k) * width_ + v;
        if (v >= columns)
          for (int64_t p = 0; p < points(); ++p) std::fill_n(to + p * panel, lanes, 0.0f);
        else if (flip_)
          transforms_.weight(w + ((first + k) * taps_ + (taps_d_ - 1 - kd) * flat) * out_channels_ +
                                 block * width_ + v,
                             out_channels_, columns - v, true, to, panel);
        else
          transforms_.weight(turned.data() + k * width_ + v, lanes * width_, lanes, false, to,
                             panel);
      }
  }
}

// All points of one tile at one depth of the input.
void WinogradCorrelation::transform_tile(const float* x, int64_t tile, int64_t depth,
                                         float* to) const {
  const WinogradTile& shape = transforms_.tile;
  WinogradTiles::Place first = grid_.place(tile);
  first.h -= pad_[1];
  first.w -= pad_[2];
  const float* pixels[kMostTilePixels];
  WinogradPicture{x, in_, in_channels_, zeros_.data()}.gather(first, depth, shape.in_h(),
                                                              shape.in_w(), pixels);
  transforms_.input(pixels, in_channels_, to, point_step(pitch_));
}

RowTable WinogradCorrelation::rows(const float* store, int64_t tiles, int64_t products_pitch,
                                   std::pmr::memory_resource* memory) const {
  RowTable rows(memory);
  rows.input.reserve(static_cast<std::size_t>(tiles));
  rows.output.reserve(static_cast<std::size_t>(tiles));
  for (int64_t i = 0; i < tiles; ++i) {
    rows.input.push_back(store + i * pitch_);
    rows.output.push_back(i * products_pitch);
  }
  return rows;
}

// One point of the products of the tiles in `rows` at the output depth `d`. The transformed input
// of depth e lies in the slice e mod ring.
void WinogradCorrelation::multiply(const RowTable& rows, int64_t ring, int64_t d, int64_t point,
                                   const float* packed, const Products& products) const {
  const int64_t panel = taps_d_ * in_channels_ * width_;
  TileSegment segments[kMostTapsD];
  TileJob job;
  for (int64_t depth = first_depth(d); depth < end_depth(d); ++depth)
    segments[job.segment_count++] = {depth % ring * slice_floats(),
                                     (depth - d + pad_[0]) * in_channels_ * width_};
  job.segments = segments;
  job.depth = in_channels_;
  job.a_start = point * point_step(pitch_);
  job.b_step = width_;
  job.columns = width_;
  for (int64_t column = products.first; column < products.end; ++column) {
    job.b = packed + (column * points() + point) * panel;
    job.c = products.data + point * point_step(products.pitch) + (column - products.first) * width_;
    // A block's weights are near. A slab's come from the last-level cache, if they are few enough;
    // from memory they come no sooner for being asked for, and many tiles hardly wait for them.
    const int64_t most_rows = kFewTiles * tiles_.max_rows[kMaxTileVectors];
    const bool fetches = by_slabs_ && packed_floats() <= kCachedWeights &&
                         static_cast<int64_t>(rows.output.size()) <= most_rows;
    const float* const next = column + 1 < products.end
                                  ? job.b + points() * panel
                                  : packed + (products.first * points() + point + 1) * panel;
    run_tiles(rows, tiles_.run[kMaxTileVectors], tiles_.max_rows[kMaxTileVectors], job,
              fetches ? next : nullptr);
  }
}

void WinogradCorrelation::store_tiles(int64_t block, const TileRange& tiles, int64_t d,
                                      const Products& products, const ConvEpilogue& epilogue,
                                      float* y) const {
  const WinogradTile& shape = transforms_.tile;
  const int64_t first_channel = products.first * width_;
  const int64_t channels = std::min(out_channels_, products.end * width_) - first_channel;
  const WinogradEpilogue last = {
      .bias = epilogue.bias != nullptr ? epilogue.bias + first_channel : nullptr,
      .residual = epilogue.residual,
      .clamps = epilogue.clamps(),
      .low = epilogue.low,
      .high = epilogue.high};
  const int64_t pitch = epilogue.out_pitch > 0 ? epilogue.out_pitch : out_channels_;
  for (int64_t i = tiles.first; i < tiles.end; ++i) {
    const WinogradTiles::Place at = grid_.place(block * tiles_per_block_ + i);
    const int64_t line = ((at.n * out_[0] + d) * out_[1] + at.h) * out_[2] + at.w;
    const WinogradOutput to = {
        .offset = line * pitch + first_channel,
        .row_step = out_[2] * pitch,
        .pixel_step = pitch,
        .rows = static_cast<int>(std::min<int64_t>(shape.out_h, out_[1] - at.h)),
        .columns = static_cast<int>(std::min<int64_t>(shape.out_w, out_[2] - at.w))};
    transforms_.output(products.data + i * products.pitch, point_step(products.pitch), channels,
                       last, to, y);
  }
}

// One task does everything for a block of tiles and a range of depths; what the taps along D share
// stays in a ring of slices.
void WinogradCorrelation::run_blocks(const float* x, const float* packed,
                                     const ConvEpilogue& epilogue, float* y) const {
  const int64_t ring = std::min(taps_d_, in_[0]);
  parallel_for(blocks_ * ranges_, [&](int64_t task) {
    const int64_t block = task / ranges_;
    const int64_t first = task % ranges_ * range_;
    const int64_t end = std::min(out_[0], first + range_);
    const int64_t tiles = block_tiles(block);
    Buffer<float> store(static_cast<std::size_t>(ring * slice_floats()));
    Buffer<float> products(static_cast<std::size_t>(points() * point_step(chunk_ * width_)));
    TaskMemory memory;
    const RowTable table = rows(store.data(), tiles, chunk_ * width_, &memory);
    int64_t next = first_depth(first);
    for (int64_t d = first; d < end; ++d) {
      for (next = std::max(next, first_depth(d)); next < end_depth(d); ++next)
        for (int64_t i = 0; i < tiles; ++i)
          transform_tile(x, block * tiles_per_block_ + i, next,
                         store.data() + next % ring * slice_floats() + i * pitch_);
      for (int64_t column = 0; column < column_blocks_; column += chunk_) {
        const Products chunk = {products.data(), chunk_ * width_, column,
                                std::min(column_blocks_, column + chunk_)};
        for (int64_t point = 0; point < points(); ++point)
          multiply(table, ring, d, point, packed, chunk);
        store_tiles(block, {0, tiles}, d, chunk, epilogue, y);
      }
    }
  });
}

void WinogradCorrelation::run_slabs(const float* x, const float* packed,
                                    const ConvEpilogue& epilogue, float* y) const {
  const int64_t depth_floats = points() * point_step(columns_);
  Buffer<float> store(static_cast<std::size_t>(in_[0] * slice_floats()));
  Buffer<float> products(static_cast<std::size_t>(out_[0] * depth_floats));
  const int64_t shares = std::min(column_blocks_, ceil_div(kSlabTasks, points()));
  for (int64_t block = 0; block < blocks_; ++block) {
    const int64_t tiles = block_tiles(block);
    const int64_t parts = ceil_div(tiles, kTilesPerTask);
    const auto range = [&](int64_t task) {
      const int64_t first = task % parts * kTilesPerTask;
      return TileRange{first, std::min(tiles, first + kTilesPerTask)};
    };
    parallel_for(in_[0] * parts, [&](int64_t task) {
      const TileRange part = range(task);
      for (int64_t i = part.first; i < part.end; ++i)
        transform_tile(x, block * tiles_per_block_ + i, task / parts,
                       store.data() + task / parts * slice_floats() + i * pitch_);
    });
    TaskMemory memory;
    const RowTable table = rows(store.data(), tiles, columns_, &memory);
    parallel_for(points() * shares, [&](int64_t task) {
      const int64_t share = task % shares;
      const int64_t first = column_blocks_ * share / shares;
      for (int64_t d = 0; d < out_[0]; ++d)
        multiply(table, in_[0], d, task / shares, packed,
                 {products.data() + d * depth_floats + first * width_, columns_, first,
                  column_blocks_ * (share + 1) / shares});
    });
    parallel_for(out_[0] * parts, [&](int64_t task) {
      store_tiles(block, range(task), task / parts,
                  {products.data() + task / parts * depth_floats, columns_, 0, column_blocks_},
                  epilogue, y);
    });
  }
}

std::string why_not(const ConvGeometry& g, Direction direction, bool along_h) {
  for (int axis = 0; axis < kAxes; ++axis)
    if (g.stride[axis] != 1 || g.dilation[axis] != 1)
      return "not Winograd: it needs stride and dilation 1";
  if (g.groups != 1) return message("not Winograd: ", g.groups, " groups, where it takes one");
  if (g.kernel[2] != 3 || (g.kernel[1] != 3 && (along_h || g.kernel[1] != 1)))
    return message("not Winograd: a kernel of ", g.kernel[1], "×", g.kernel[2],
                   " along H and W, where it takes 3×3", along_h ? "" : " or 1×3");
  if (g.kernel[0] > kMostTapsD)
    return message("not Winograd: ", g.kernel[0], " taps along D, where it takes up to ",
                   kMostTapsD);
  // Outputs are the rows of backward-weight's tiles.
  if (direction == Direction::backward_weight && g.out_channels < kFewestOutputs)
    return message("not Winograd: ", g.out_channels, " output channels make short tiles");
  return {};
}

std::unique_ptr<ConvProgram> prepare(const ConvGeometry& g, Direction direction,
                                     WinogradVariant variant) {
  if (direction == Direction::backward_weight) return prepare_winograd_weight(g, variant);
  return std::make_unique<WinogradCorrelation>(g, direction, variant);
}

// 3×3 tiles save more than tiles along W alone.
bool is_line(const ConvGeometry& g, Direction direction) {
  return direction == Direction::forward && !why_not(g, direction, false).empty() &&
         winograd_line_why_not(g).empty();
}

}  // namespace

std::string winograd4_why_not(const ConvGeometry& g, Direction direction) {
  return is_line(g, direction) ? std::string() : why_not(g, direction, false);
}
std::string winograd2_why_not(const ConvGeometry& g, Direction direction) {
  return why_not(g, direction, true);
}

std::unique_ptr<ConvProgram> prepare_winograd4(const ConvGeometry& g, Direction direction) {
  if (is_line(g, direction)) return prepare_winograd_line(g);
  return prepare(g, direction, g.kernel[1] == 3 ? WinogradVariant::f4x4 : WinogradVariant::f4);
}

std::unique_ptr<ConvProgram> prepare_winograd2(const ConvGeometry& g, Direction direction) {
  return prepare(g, direction, WinogradVariant::f2x2);
}

}  // namespace convkit::kernels
