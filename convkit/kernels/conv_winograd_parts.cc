#include <algorithm>

#include "convkit/base/checked.h"
#include "convkit/base/task_memory.h"
#include "convkit/base/thread_pool.h"
#include "convkit/kernels/cache.h"
#include "convkit/kernels/conv_winograd_correlation.h"

namespace convkit::kernels {
namespace {

// Input channels, of all tiles together, that are worth a task.
constexpr int64_t kChannelsPerTask = 1024;

}  // namespace

void WinogradCorrelation::pack_and_run(const float* x, const float* w, const ConvEpilogue& epilogue,
                                       float* y) const {
  if (parts_way_ == nullptr) return ConvProgram::pack_and_run(x, w, epilogue, y);
  parts_way_->turn_and_run(x, w, epilogue, y);
}

// Forward turns weights where they are used, if that is once. Backward-input would read a piece of
// each row of w in each task, which takes far longer than whole rows if they come from memory.
void WinogradCorrelation::turn_and_run(const float* x, const float* w, const ConvEpilogue& epilogue,
                                       float* y) const {
  if (!flip_ && uses() == 1) return run_parts(x, {w, false}, epilogue, y);
  Buffer<float> turned(static_cast<std::size_t>(columns_ * in_channels_ * taps_));
  const auto to = [&](int64_t block, int64_t k) {
    return turned.data() + (block * in_channels_ + k) * taps_ * width_;
  };
  if (flip_)
    parallel_for(in_channels_, [&](int64_t k) {
      for (int64_t block = 0; block < column_blocks_; ++block)
        turn(block, {k, k + 1}, w, to(block, k));
    });
  else
    parallel_for(column_blocks_ * parts_, [&](int64_t task) {
      const int64_t block = task / parts_;
      const Range channels = part(task % parts_);
      turn(block, channels, block_weights(w, block), to(block, channels.first));
    });
  run_parts(x, {turned.data(), true}, epilogue, y);
}

// Transformed inputs of a slab: [part of the channels][depth][point][tile][channel].
void WinogradCorrelation::run_parts(const float* x, const Taps& taps, const ConvEpilogue& epilogue,
                                    float* y) const {
  const int64_t part_step = in_[0] * slice_floats();
  const int64_t some = std::max<int64_t>(1, kChannelsPerTask / in_channels_);
  Buffer<float> store(static_cast<std::size_t>(parts_ * part_step));
  for (int64_t slab = 0; slab < blocks_; ++slab) {
    const int64_t tiles = block_tiles(slab);
    const int64_t first_tile = slab * tiles_per_block_;
    const int64_t tasks = ceil_div(tiles, some);
    parallel_for(in_[0] * tasks, [&](int64_t task) {
      const int64_t depth = task / tasks;
      const int64_t first = task % tasks * some;
      for (int64_t i = first; i < std::min(tiles, first + some); ++i)
        transform_tile(x, first_tile + i, depth, store.data() + depth * slice_floats() + i * pitch_,
                       part_step);
    });
    const int64_t groups = ceil_div(tiles, group_tiles_);
    parallel_for(groups * ranges_ * column_blocks_, [&](int64_t task) {
      const int64_t block = task % column_blocks_;
      const int64_t first_depth = task / column_blocks_ % ranges_ * range_;
      const int64_t first = task / column_blocks_ / ranges_ * group_tiles_;
      const Range group = {first_tile + first, first_tile + std::min(tiles, first + group_tiles_)};
      run_group(store.data() + first * pitch_, taps, block, group,
                {first_depth, std::min(out_[0], first_depth + range_)}, epilogue, y);
    });
  }
}

void WinogradCorrelation::run_group(const float* store, const Taps& taps, int64_t block,
                                    const Range& tiles, const Range& depths,
                                    const ConvEpilogue& epilogue, float* y) const {
  const int64_t step = kept_apart(group_tiles_ * width_);
  const int64_t panel = kept_apart(part_channels_ * width_);
  Buffer<float> products(static_cast<std::size_t>(range_ * points() * step));
  Buffer<float> panels(static_cast<std::size_t>(taps_d_ * points() * panel));
  Buffer<float> turned(static_cast<std::size_t>(taps.turned ? 0 : part_channels_ * taps_ * width_));
  TaskMemory memory;
  const TileRows rows(*this, tiles, store, width_, &memory);
  const auto lines = [&](int64_t of_block, int64_t i) -> Lines {
    const Range channels = part(i);
    if (taps.turned)
      return {taps.data + (of_block * in_channels_ + channels.first) * taps_ * width_, width_,
              channels.count() * taps_, width_};
    return {block_weights(taps.data, of_block) + channels.first, in_channels_,
            block_columns(of_block) * taps_, channels.count()};
  };
  for (int64_t i = 0; i < parts_; ++i) {
    const float* from = turned.data();
    if (taps.turned)
      from = lines(block, i).data;
    else
      turn(block, part(i), block_weights(taps.data, block), turned.data());
    transform_weights(from, part(i).count(), panels.data(), points() * panel, panel);
    Lines next = {};
    if (i + 1 < parts_)
      next = lines(block, i + 1);
    else if (block + 1 < column_blocks_)
      next = lines(block + 1, 0);
    multiply_part(rows, panels.data(), depths, i, next, products.data());
  }
  for (int64_t d = depths.first; d < depths.end; ++d)
    store_tiles(
        tiles, d,
        {products.data() + (d - depths.first) * points() * step, width_, step, {block, block + 1}},
        epilogue, y);
}

// Adds the products of one part of the input channels.
void WinogradCorrelation::multiply_part(const TileRows& rows, const float* panels,
                                        const Range& depths, int64_t i, const Lines& next,
                                        float* products) const {
  const int64_t panel = kept_apart(part_channels_ * width_);
  const int64_t step = kept_apart(group_tiles_ * width_);
  TileSegment segments[kMostWinogradTapsD];
  TileJob job;
  job.segments = segments;
  job.depth = part(i).count();
  job.b_step = width_;
  job.columns = width_;
  job.accumulate = i > 0;
  // Each tile fetches a line with each term: first what the next part is made of.
  int64_t row = 0;
  int64_t line = 0;
  for (int64_t point = 0; point < points(); ++point) {
    const RowTable& table = rows.of_point(point);
    const auto count = std::ssize(table.output);
    const int64_t heights = ceil_div(count, tiles_.max_rows[vectors_]);
    for (int64_t d = depths.first; d < depths.end; ++d) {
      job.segment_count = 0;
      for (int64_t depth = first_depth(d); depth < end_depth(d); ++depth)
        segments[job.segment_count++] = {depth * slice_floats(),
                                         (depth - d + pad_[0]) * points() * panel};
      job.a_start = i * in_[0] * slice_floats() + point * point_step();
      job.b = panels + point * panel;
      job.c = products + ((d - depths.first) * points() + point) * step;
      const int64_t newest =
          job.a_start + (job.segment_count > 0 ? segments[job.segment_count - 1].a : 0);
      for (int64_t part = 0; part < heights; ++part) {
        const int64_t begin = count * part / heights;
        const int64_t end = count * (part + 1) / heights;
        job.rows = table.input.data() + begin;
        job.c_offset = table.output.data() + begin;
        if (line < next.floats) {
          job.fetch = next.data + row * next.step + line;
          job.fetch_step = next.step;
          row += job.depth * std::max<int64_t>(1, job.segment_count);
          if (row >= next.rows) {
            row = 0;
            line += kLineFloats;
          }
        } else {
          // The inputs of the next rows, which lie side by side.
          job.fetch = table.input.front() + newest + (end < count ? end * pitch_ : point_step());
          job.fetch_step = kLineFloats;
        }
        tiles_.run[vectors_][end - begin](&job, 1);
      }
    }
  }
}

}  // namespace convkit::kernels
