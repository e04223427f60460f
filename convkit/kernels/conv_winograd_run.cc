#include <algorithm>

#include "convkit/base/checked.h"
#include "convkit/base/task_memory.h"
#include "convkit/base/thread_pool.h"
#include "convkit/kernels/conv_winograd_correlation.h"

namespace convkit::kernels {
namespace {

// Tasks that a slab's products are cut into.
constexpr int64_t kSlabTasks = 36;
constexpr int64_t kTilesPerTask = 4;

}  // namespace

void WinogradCorrelation::run(const float* x, const float* packed, const ConvEpilogue& epilogue,
                              float* y) const {
  if (by_slabs_)
    run_slabs(x, packed, epilogue, y);
  else
    run_blocks(x, packed, epilogue, y);
}

WinogradCorrelation::TileRows::TileRows(const WinogradCorrelation& of, const Range& tiles,
                                        const float* store, int64_t products_pitch,
                                        std::pmr::memory_resource* memory)
    : tables_(memory) {
  std::array<Range, 4> known;
  for (int64_t point = 0; point < of.points(); ++point) {
    const Range some = of.grid_.with_point(point).within(tiles);
    const auto count = std::ssize(tables_);
    const auto* const found = std::find_if(
        known.begin(), known.begin() + count,
        [&](const Range& range) { return range.first == some.first && range.end == some.end; });
    table_[static_cast<std::size_t>(point)] = static_cast<int>(found - known.begin());
    if (found != known.begin() + count) continue;
    known[static_cast<std::size_t>(count)] = some;
    RowTable& table = tables_.emplace_back(memory);
    table.input.reserve(static_cast<std::size_t>(some.count()));
    table.output.reserve(static_cast<std::size_t>(some.count()));
    for (int64_t i = some.first - tiles.first; i < some.end - tiles.first; ++i) {
      table.input.push_back(store + i * of.pitch_);
      table.output.push_back(i * products_pitch);
    }
  }
}

// What the taps along D share stays in a ring of slices.
void WinogradCorrelation::run_blocks(const float* x, const float* packed,
                                     const ConvEpilogue& epilogue, float* y) const {
  const int64_t ring = std::min(taps_d_, in_[0]);
  parallel_for(blocks_ * ranges_, [&](int64_t task) {
    const int64_t block = task / ranges_;
    const int64_t first_tile = block * tiles_per_block_;
    const int64_t first = task % ranges_ * range_;
    const int64_t end = std::min(out_[0], first + range_);
    const int64_t tiles = block_tiles(block);
    const int64_t step = kept_apart(tiles_per_block_ * chunk_ * width_);
    Buffer<float> store(static_cast<std::size_t>(ring * slice_floats()));
    Buffer<float> products(static_cast<std::size_t>(points() * step));
    TaskMemory memory;
    const TileRows rows(*this, {first_tile, first_tile + tiles}, store.data(), chunk_ * width_,
                        &memory);
    int64_t next = first_depth(first);
    for (int64_t d = first; d < end; ++d) {
      for (next = std::max(next, first_depth(d)); next < end_depth(d); ++next)
        for (int64_t i = 0; i < tiles; ++i)
          transform_tile(x, first_tile + i, next,
                         store.data() + next % ring * slice_floats() + i * pitch_, 0);
      for (int64_t column = 0; column < column_blocks_; column += chunk_) {
        const Products chunk = {products.data(),
                                chunk_ * width_,
                                step,
                                {column, std::min(column_blocks_, column + chunk_)}};
        for (int64_t point = 0; point < points(); ++point)
          multiply(rows, ring, d, point, packed, chunk);
        store_tiles({first_tile, first_tile + tiles}, d, chunk, epilogue, y);
      }
    }
  });
}

void WinogradCorrelation::run_slabs(const float* x, const float* packed,
                                    const ConvEpilogue& epilogue, float* y) const {
  const int64_t step = kept_apart(tiles_per_block_ * columns_);
  const int64_t depth_floats = points() * step;
  Buffer<float> store(static_cast<std::size_t>(in_[0] * slice_floats()));
  Buffer<float> products(static_cast<std::size_t>(out_[0] * depth_floats));
  const int64_t shares = std::min(column_blocks_, ceil_div(kSlabTasks, points()));
  for (int64_t slab = 0; slab < blocks_; ++slab) {
    const int64_t tiles = block_tiles(slab);
    const int64_t first_tile = slab * tiles_per_block_;
    const int64_t parts = ceil_div(tiles, kTilesPerTask);
    const auto range = [&](int64_t task) {
      const int64_t first = task % parts * kTilesPerTask;
      return Range{first, std::min(tiles, first + kTilesPerTask)};
    };
    parallel_for(in_[0] * parts, [&](int64_t task) {
      const Range part = range(task);
      for (int64_t i = part.first; i < part.end; ++i)
        transform_tile(x, first_tile + i, task / parts,
                       store.data() + task / parts * slice_floats() + i * pitch_, 0);
    });
    TaskMemory memory;
    const TileRows rows(*this, {first_tile, first_tile + tiles}, store.data(), columns_, &memory);
    parallel_for(points() * shares, [&](int64_t task) {
      const int64_t share = task % shares;
      const Range blocks = {column_blocks_ * share / shares, column_blocks_ * (share + 1) / shares};
      for (int64_t d = 0; d < out_[0]; ++d)
        multiply(
            rows, in_[0], d, task / shares, packed,
            {products.data() + d * depth_floats + blocks.first * width_, columns_, step, blocks});
    });
    parallel_for(out_[0] * parts, [&](int64_t task) {
      const Range part = range(task);
      const int64_t d = task / parts;
      store_tiles({first_tile + part.first, first_tile + part.end}, d,
                  {products.data() + d * depth_floats + part.first * columns_,
                   columns_,
                   step,
                   {0, column_blocks_}},
                  epilogue, y);
    });
  }
}

}  // namespace convkit::kernels
