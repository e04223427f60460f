#include "convkit/kernels/conv_winograd.h"

#include <algorithm>

#include "convkit/base/checked.h"
#include "convkit/base/error.h"
#include "convkit/base/thread_pool.h"
#include "convkit/kernels/conv_winograd_correlation.h"

namespace convkit::kernels {
namespace {

constexpr int64_t kFewestOutputs = 9;  // for backward-weight
// Tasks that keep many threads busy with some left to balance.
constexpr int64_t kFewestTasks = 12;
// Channels whose products a task keeps until it transforms them back.
constexpr int64_t kMostChunk = 64;
// Floats that a block of tiles takes in the transformed domain, inputs and products together: a
// quarter of a second-level cache. The rest of it is for the weights, if they fit (kNearWeights).
constexpr int64_t kBlockFloats = 64 * 1024;
constexpr int64_t kNearWeights = 192 * 1024;
// Otherwise all threads work on one block, which then is a slab of many tiles: floats of what is
// kept of it in the transformed domain, and tiles it has at least.
constexpr int64_t kSlabFloats = int64_t{1} << 21;
constexpr int64_t kFewestSlabTiles = 112;
// Tiles of all depths for which transformed weights are not worth writing to memory.
constexpr int64_t kFewUses = 200;
// Floats of what a task by parts keeps in the second-level cache: products, transformed weights.
constexpr int64_t kGroupFloats = 128 * 1024;
constexpr int64_t kPartFloats = 72 * 1024;

}  // namespace

WinogradCorrelation::WinogradCorrelation(const ConvGeometry& geometry, Direction direction,
                                         WinogradVariant variant, Way way)
    : batch_(geometry.batch),
      flip_(direction == Direction::backward_input),
      transforms_(winograd_kernels(variant)),
      tiles_(tile_kernels()) {
  const auto [g, in_steps, out_steps] = winograd_axes(geometry);
  in_steps_ = flip_ ? out_steps : in_steps;
  out_steps_ = flip_ ? in_steps : out_steps;
  in_ = flip_ ? g.out : g.in;
  out_ = flip_ ? g.in : g.out;
  for (int axis = 0; axis < kAxes; ++axis)
    pad_[axis] = flip_ ? g.kernel[axis] - 1 - g.pad_lo[axis] : g.pad_lo[axis];
  in_channels_ = flip_ ? g.out_channels : g.in_channels;
  out_channels_ = flip_ ? g.in_channels : g.out_channels;
  taps_d_ = g.kernel[0];
  taps_ = g.kernel[0] * g.kernel[1] * g.kernel[2];
  grid_ = WinogradTiles(transforms_, batch_, out_);
  total_tiles_ = grid_.count();
  if (way == Way::parts) {
    plan_parts(kMaxTileVectors);
    if (column_blocks_ * groups_ * ranges_ < kFewestTasks) plan_parts(1);
  } else {
    plan_blocks();
    const bool far = points() * taps_d_ * in_channels_ * columns_ > kNearWeights;
    if (far || ranges_ * blocks_ < kFewestTasks) plan_slabs();
    if (far && total_tiles_ * out_[0] <= kFewUses)
      parts_way_ = std::make_unique<WinogradCorrelation>(geometry, direction, variant, Way::parts);
  }
  zeros_ = Buffer<float>(static_cast<std::size_t>(parts_ * pitch_));
  std::fill_n(zeros_.data(), zeros_.size(), 0.0f);
}

void WinogradCorrelation::set_width(int vectors) {
  vectors_ = vectors;
  width_ = vectors * tiles_.lanes;
  column_blocks_ = ceil_div(out_channels_, width_);
  columns_ = column_blocks_ * width_;
  parts_ = ceil_div(in_channels_, part_channels_);
  part_channels_ = round_up(ceil_div(in_channels_, parts_), tiles_.lanes);
  pitch_ = part_channels_;
  // Tiles a multiple of 512 bytes apart would share few sets of the first-level cache.
  if (pitch_ * 4 % 512 == 0) pitch_ += 16;
}

// A block of tiles is what one task transforms, multiplies and transforms back.
void WinogradCorrelation::plan_blocks() {
  part_channels_ = in_channels_;
  set_width(kMaxTileVectors);
  chunk_ = std::clamp<int64_t>(kMostChunk / width_, 1, column_blocks_);
  const int64_t height = tiles_.max_rows[kMaxTileVectors];
  const int64_t per_tile = points() * (pitch_ + chunk_ * width_);
  tiles_per_block_ = std::max<int64_t>(1, kBlockFloats / per_tile / height) * height;
  // Smaller ones rather than slabs, whose steps read what other cores have written.
  const int64_t most = total_tiles_ / kFewestTasks / height * height;
  tiles_per_block_ = std::clamp(most, height, tiles_per_block_);
  blocks_ = ceil_div(total_tiles_, tiles_per_block_);
  tiles_per_block_ = ceil_div(total_tiles_, blocks_);
  range_ = out_[0];
  ranges_ = 1;
  while (range_ > 4 * taps_d_ && ranges_ * blocks_ < kFewestTasks) {
    range_ = ceil_div(range_, 2);
    ranges_ = ceil_div(out_[0], range_);
  }
}

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

// A slab is cut into groups of tiles and ranges of depths, each so large that to transform the
// weights for it costs little.
void WinogradCorrelation::plan_parts(int vectors) {
  const int64_t per_channel = taps_d_ * points() * vectors * tiles_.lanes;
  part_channels_ = std::max<int64_t>(1, kPartFloats / per_channel / tiles_.lanes) * tiles_.lanes;
  set_width(vectors);
  const int64_t most = std::max<int64_t>(1, kGroupFloats / (points() * width_));
  range_ = std::clamp<int64_t>(most / tiles_.max_rows[vectors], 1, out_[0]);
  ranges_ = ceil_div(out_[0], range_);
  range_ = ceil_div(out_[0], ranges_);
  group_tiles_ = std::max<int64_t>(1, most / range_);
  const int64_t per_tile = points() * in_[0] * parts_ * pitch_;
  const int64_t slab = std::max(group_tiles_, kSlabFloats / per_tile);
  blocks_ = ceil_div(total_tiles_, slab);
  tiles_per_block_ = ceil_div(total_tiles_, blocks_);
  groups_ = ceil_div(tiles_per_block_, group_tiles_);
  group_tiles_ = ceil_div(tiles_per_block_, groups_);
}

ConvWork WinogradCorrelation::work() const {
  const auto lanes = static_cast<double>(tiles_.lanes);
  const auto all_points = static_cast<double>(grid_.products());
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
               static_cast<double>(tiles_.max_rows[vectors_]);
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
  // To turn and transform a part's taps takes about as long as to write them transformed.
  if (parts_way_ != nullptr)
    work.packing *=
        static_cast<double>(parts_way_->uses() * taps_) / static_cast<double>(points() * taps_d_);
  return work;
}

// Packed weights: [block of columns][point][tap along D][input channel][column].
void WinogradCorrelation::pack(const float* w, float* packed) const {
  const int64_t groups = ceil_div(in_channels_, int64_t{tiles_.lanes});
  parallel_for(groups * column_blocks_, [&](int64_t task) {
    const int64_t block = task / groups;
    pack_channels(block, task % groups * tiles_.lanes, block_weights(w, block), packed);
  });
}

bool WinogradCorrelation::pack_rows(const ReadWeightRows& read, float* packed) const {
  if (flip_) return false;
  parallel_for(column_blocks_, [&](int64_t block) {
    Buffer<float> rows(static_cast<std::size_t>(block_columns(block) * taps_ * in_channels_));
    read(block * width_, block_columns(block), rows.data());
    for (int64_t first = 0; first < in_channels_; first += tiles_.lanes)
      pack_channels(block, first, rows.data(), packed);
  });
  return true;
}

void WinogradCorrelation::pack_channels(int64_t block, int64_t first, const float* w,
                                        float* packed) const {
  const Range channels = {first, std::min(in_channels_, first + tiles_.lanes)};
  const int64_t panel = taps_d_ * in_channels_ * width_;
  Buffer<float> taps(static_cast<std::size_t>(tiles_.lanes * taps_ * width_));
  turn(block, channels, w, taps.data());
  transform_weights(taps.data(), channels.count(),
                    packed + block * points() * panel + first * width_, in_channels_ * width_,
                    panel);
}

// Backward-input finds columns side by side in w; forward finds input channels.
void WinogradCorrelation::turn(int64_t block, const Range& channels, const float* w,
                               float* taps) const {
  const int64_t columns = block_columns(block);
  if (flip_)
    return tiles_.pack_rows(w + channels.first * taps_ * out_channels_ + block * width_,
                            out_channels_, channels.count() * taps_, columns, taps, width_);
  if (columns < width_) std::fill_n(taps, channels.count() * taps_ * width_, 0.0f);
  for (int64_t tap = 0; tap < taps_; ++tap)
    tiles_.transpose(w + tap * in_channels_ + channels.first, taps_ * in_channels_, columns,
                     channels.count(), taps + tap * width_, taps_ * width_);
}

void WinogradCorrelation::transform_weights(const float* taps, int64_t channels, float* to,
                                            int64_t depth_step, int64_t point_step) const {
  const int64_t flat = taps_ / taps_d_;
  for (int64_t kd = 0; kd < taps_d_; ++kd)
    transforms_.weight({.data = taps + (flip_ ? taps_d_ - 1 - kd : kd) * flat * width_,
                        .channel_step = taps_ * width_,
                        .tap_step = width_,
                        .channels = channels,
                        .columns = width_,
                        .flip = flip_},
                       to + kd * depth_step, width_, point_step);
}

namespace {

std::string why_not(const ConvGeometry& g, Direction direction, bool along_h) {
  for (int axis = 0; axis < kAxes; ++axis)
    if (g.stride[axis] != 1 || g.dilation[axis] != 1)
      return "not Winograd: it needs stride and dilation 1";
  if (g.groups != 1) return message("not Winograd: ", g.groups, " groups, where it takes one");
  const Extents kernel = winograd_axes(g).geometry.kernel;
  if (kernel[2] != 3 || (kernel[1] != 3 && (along_h || kernel[1] != 1)))
    return message("not Winograd: a kernel of ", g.kernel[1], "×", g.kernel[2],
                   " along H and W, where it takes 3×3", along_h ? "" : ", 1×3 or 3×1");
  if (kernel[0] > kMostWinogradTapsD)
    return message("not Winograd: ", g.kernel[0], " taps along D, where it takes up to ",
                   kMostWinogradTapsD);
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
  return prepare(
      g, direction,
      g.kernel[1] == 3 && g.kernel[2] == 3 ? WinogradVariant::f4x4 : WinogradVariant::f4);
}

std::unique_ptr<ConvProgram> prepare_winograd2(const ConvGeometry& g, Direction direction) {
  return prepare(g, direction, WinogradVariant::f2x2);
}

}  // namespace convkit::kernels
