#include "convkit/kernels/conv_rows.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "convkit/base/checked.h"
#include "convkit/kernels/cache.h"

namespace convkit::kernels {
namespace {

// Fewer rows than this run faster in a common tile with zeros than in a short one of their own.
constexpr int64_t kFewestRowsOfAKind = 7;
// What tiles read of b before all have done so and the sums go on: it should stay in the
// second-level cache meanwhile. Stored sums lose nothing.
constexpr int64_t kMostFloatsOfB = 96 * 1024;
// What a row of b takes of that, if rows lie apart: two vectors. They should not fill more than
// half of the sets of the cache that they fall into.
constexpr int64_t kPanelFloats = 32;
constexpr int64_t kHalfOfCache = 128 * 1024;

// Rows [first, first + count) of the brick along one axis that see the same taps.
struct AxisKind {
  int64_t first;
  int64_t count;
  TapRange taps;
  int64_t fold;
};

// first, first + step, ...: a loop of its own, whose variables stay in registers.
template <class T>
void count_on(T first, int64_t step, int64_t count, T* to) {
  for (int64_t i = 0; i < count; ++i, first += step) to[i] = first;
}

struct Place {
  Extents at;  // input coordinate at offset 0
  const float* input;
};

class Lister {
 public:
  Lister(const RowContext& context, const Brick& brick, std::pmr::memory_resource* memory)
      : context_(context),
        brick_(brick),
        memory_(memory),
        tables_(memory),
        leftovers_(memory),
        places_(memory) {}

  std::pmr::vector<RowTable> list() {
    const auto deep = kinds_along(0);
    const auto high = kinds_along(1);
    const auto wide = kinds_along(2);
    for (const AxisKind& d : deep)
      for (const AxisKind& h : high)
        for (const AxisKind& w : wide) add({d, h, w});
    add_leftovers();
    return std::move(tables_);
  }

 private:
  bool whole(int axis, const TapRange& taps) const {
    return taps.last - taps.first == static_cast<int64_t>(context_.axes[axis].offsets.size());
  }

  TapRange taps_seen(int axis, int64_t at) const {
    const std::vector<int64_t>& offsets = context_.axes[axis].offsets;
    const BrickInput& input = context_.input;
    TapRange taps = {0, static_cast<int64_t>(offsets.size())};
    if (input.covers_edges()) return taps;
    while (taps.first < taps.last &&
           !input.inside(axis, at + offsets[static_cast<std::size_t>(taps.first)]))
      ++taps.first;
    while (taps.first < taps.last &&
           !input.inside(axis, at + offsets[static_cast<std::size_t>(taps.last - 1)]))
      --taps.last;
    if (taps.first == taps.last) taps = {0, 0};
    return taps;
  }

  std::pmr::vector<AxisKind> kinds_along(int axis) const {
    const AxisLattice& lattice = context_.axes[axis];
    const int64_t first_row = brick_.first[static_cast<std::size_t>(axis) + 1];
    const int64_t count = brick_.count[static_cast<std::size_t>(axis) + 1];
    std::pmr::vector<AxisKind> kinds(memory_);
    const auto add = [&](const AxisKind& kind) {
      if (!kinds.empty() && kinds.back().taps.first == kind.taps.first &&
          kinds.back().taps.last == kind.taps.last && kinds.back().fold == kind.fold)
        kinds.back().count += kind.count;
      else
        kinds.push_back(kind);
    };
    // Only the last row of all may cover fewer outputs.
    const int64_t last_out = lattice.out_start + (first_row + count - 1) * lattice.out_step;
    const int64_t last_fold = std::min(lattice.fold, lattice.out_end - last_out);
    const int64_t alike = last_fold < lattice.fold ? count - 1 : count;
    for (int64_t i = 0; i < count;) {
      const int64_t at = lattice.in_start + (first_row + i) * lattice.in_step;
      const TapRange taps = taps_seen(axis, at);
      int64_t rows = 1;
      if (i < alike && whole(axis, taps)) {
        // The rows after one that sees all taps do so too, until the last tap leaves the input.
        rows = alike - i;
        if (!context_.input.covers_edges() && !lattice.offsets.empty())
          rows = std::min(
              rows,
              (context_.input.size(axis) - 1 - at - lattice.offsets.back()) / lattice.in_step + 1);
      }
      add({i, rows, taps, i < alike ? lattice.fold : last_fold});
      i += rows;
    }
    return kinds;
  }

  void add(const std::array<AxisKind, kAxes>& kinds) {
    const auto& axes = context_.axes;
    const BrickInput& input = context_.input;
    const int64_t rows = brick_.count[0] * kinds[0].count * kinds[1].count * kinds[2].count;
    const bool inside =
        whole(0, kinds[0].taps) && whole(1, kinds[1].taps) && whole(2, kinds[2].taps);
    const bool own = inside || kinds[2].fold < axes[2].fold || rows >= kFewestRowsOfAKind;
    RowTable& table = own ? tables_.emplace_back(memory_) : leftovers_;
    if (own) {
      table.fold = kinds[2].fold;
      for (int axis = 0; axis < kAxes; ++axis) table.taps[axis] = kinds[axis].taps;
      table.input.resize(static_cast<std::size_t>(rows));
    }
    const std::size_t before = table.output.size();
    table.output.resize(before + static_cast<std::size_t>(rows));
    const float** inputs = table.input.data();
    int64_t* outputs = table.output.data() + before;
    const int64_t in_step = input.row_stride(2);
    const int64_t out_step = axes[2].out_step * context_.out_pitch;
    const int64_t count = kinds[2].count;
    for (int64_t n = 0; n < brick_.count[0]; ++n)
      for (int64_t i = kinds[0].first; i < kinds[0].first + kinds[0].count; ++i)
        for (int64_t j = kinds[1].first; j < kinds[1].first + kinds[1].count; ++j) {
          const int64_t d = brick_.first[1] + i;
          const int64_t h = brick_.first[2] + j;
          const int64_t w = brick_.first[3] + kinds[2].first;
          const float* const from = context_.base + n * input.batch_stride() +
                                    i * input.row_stride(0) + j * input.row_stride(1) +
                                    kinds[2].first * in_step;
          const int64_t plane = (brick_.first[0] + n) * context_.out[0] + out_at(0, d);
          const int64_t line = plane * context_.out[1] + out_at(1, h);
          const int64_t to = (line * context_.out[2] + out_at(2, w)) * context_.out_pitch;
          count_on(to, out_step, count, outputs);
          outputs += count;
          if (own) {
            count_on(from, in_step, count, inputs);
            inputs += count;
          } else {
            for (int64_t k = 0; k < count; ++k)
              places_.push_back({{in_at(0, d), in_at(1, h), in_at(2, w + k)}, from + k * in_step});
          }
        }
  }

  void add_leftovers() {
    if (places_.empty()) return;
    const auto& axes = context_.axes;
    const BrickInput& input = context_.input;
    leftovers_.per_tap = true;
    leftovers_.fold = axes[2].fold;
    for (int axis = 0; axis < kAxes; ++axis)
      leftovers_.taps[axis] = {0, static_cast<int64_t>(axes[axis].offsets.size())};
    leftovers_.input.reserve(places_.size() * axes[0].offsets.size() * axes[1].offsets.size() *
                             axes[2].offsets.size());
    for (const int64_t d : axes[0].offsets)
      for (const int64_t h : axes[1].offsets)
        for (const int64_t w : axes[2].offsets) {
          const int64_t shift = (d - input.low(0)) * input.offset_stride(0) +
                                (h - input.low(1)) * input.offset_stride(1) +
                                (w - input.low(2)) * input.offset_stride(2);
          for (const Place& place : places_) {
            const bool inside = input.inside(0, place.at[0] + d) &&
                                input.inside(1, place.at[1] + h) &&
                                input.inside(2, place.at[2] + w);
            leftovers_.input.push_back(inside ? place.input + shift : context_.zeros);
          }
        }
    tables_.push_back(std::move(leftovers_));
  }

  int64_t out_at(int axis, int64_t row) const {
    return context_.axes[axis].out_start + row * context_.axes[axis].out_step;
  }
  int64_t in_at(int axis, int64_t row) const {
    return context_.axes[axis].in_start + row * context_.axes[axis].in_step;
  }

  const RowContext& context_;
  const Brick& brick_;
  std::pmr::memory_resource* const memory_;
  std::pmr::vector<RowTable> tables_;
  RowTable leftovers_;
  std::pmr::vector<Place> places_;
};

// Tile 0 fetches the first cache line of each row, tile 1 the second.
std::pair<const float*, int64_t> line_ahead(std::span<const TileAhead> all, int64_t tile,
                                            int64_t row) {
  for (const TileAhead& ahead : all) {
    if (ahead.from == nullptr) continue;
    const auto within_line = static_cast<int64_t>(reinterpret_cast<std::uintptr_t>(ahead.from) /
                                                  sizeof(float) % kLineFloats);
    const int64_t lines = ceil_div(within_line + ahead.floats, kLineFloats);
    if (tile < lines)
      return {ahead.from - within_line + row * ahead.step + tile * kLineFloats, ahead.step};
    tile -= lines;
  }
  return {nullptr, 0};
}

}  // namespace

std::pmr::vector<RowTable> list_rows(const RowContext& context, const Brick& brick,
                                     std::pmr::memory_resource* memory) {
  return Lister(context, brick, memory).list();
}

std::pmr::vector<TapRun> list_taps(const std::array<AxisLattice, kAxes>& axes,
                                   const BrickInput& input, const RowTable& table, bool joined,
                                   std::pmr::memory_resource* memory) {
  const auto count_h = static_cast<int64_t>(axes[1].offsets.size());
  const auto count_w = static_cast<int64_t>(axes[2].offsets.size());
  const auto shift = [&](int axis, int64_t i) {
    return (axes[axis].offsets[static_cast<std::size_t>(i)] - input.low(axis)) *
           input.offset_stride(axis);
  };
  std::pmr::vector<TapRun> runs(memory);
  const auto& taps = table.taps;
  const bool join = joined && !table.per_tap;
  const int64_t step = join ? std::max<int64_t>(1, taps[2].last - taps[2].first) : 1;
  for (int64_t d = taps[0].first; d < taps[0].last; ++d)
    for (int64_t h = taps[1].first; h < taps[1].last; ++h)
      for (int64_t w = taps[2].first; w < taps[2].last; w += step) {
        const int64_t a = table.per_tap ? 0 : shift(0, d) + shift(1, h) + shift(2, w);
        runs.push_back({a, (d * count_h + h) * count_w + w, step});
      }
  return runs;
}

std::array<InputAxis, kAxes> input_axes(const std::array<AxisLattice, kAxes>& axes,
                                        const Extents& size) {
  std::array<InputAxis, kAxes> inputs;
  for (int axis = 0; axis < kAxes; ++axis) {
    const AxisLattice& lattice = axes[axis];
    inputs[axis] = {.size = size[axis],
                    .rows = lattice.rows,
                    .start = lattice.in_start,
                    .step = lattice.in_step,
                    .low = lattice.offsets.empty() ? 0 : lattice.offsets.front(),
                    .high = lattice.offsets.empty() ? 0 : lattice.offsets.back()};
  }
  return inputs;
}

int64_t kept_rows(int64_t b_step) {
  const int64_t spacing = std::max<int64_t>(1, b_step & -b_step);
  return std::min(kMostFloatsOfB / std::clamp<int64_t>(b_step, 1, kPanelFloats),
                  kHalfOfCache / spacing);
}

void run_tiles(const RowTable& table, const TileKernels::Run* kernels, int64_t max_rows,
               TileJob job, std::span<const TileAhead> ahead, bool alone) {
  const auto total = static_cast<int64_t>(table.output.size());
  const int64_t tiles = ceil_div(total, max_rows);
  job.rows_step = table.per_tap ? total : 0;
  const int64_t at_once =
      tiles < 2 ? job.segment_count : kept_rows(job.b_step) / std::max<int64_t>(1, job.depth);
  const int64_t parts =
      std::max<int64_t>(1, ceil_div(job.segment_count, std::max<int64_t>(1, at_once)));
  for (int64_t p = 0; p < parts; ++p) {
    const int64_t first = job.segment_count * p / parts;
    TileJob part = job;
    part.segments += first;
    part.segment_count = job.segment_count * (p + 1) / parts - first;
    // The residual may lie where the first part is stored.
    if (p > 0) {
      part.accumulate = true;
      part.bias = nullptr;
      part.residual = nullptr;
    }
    if (p + 1 < parts) part.clamps = false;
    part.fetches_c = job.fetches_c && !part.accumulate;
    part.streams = job.streams && parts == 1;
    for (int64_t tile = 0; tile < tiles; ++tile) {
      const int64_t begin = total * tile / tiles;
      const int64_t end = total * (tile + 1) / tiles;
      if (part.segment_count > 0) {
        const int64_t row = part.segments->b / std::max<int64_t>(1, job.b_step);
        const auto [fetch, step] = line_ahead(ahead, tile, row);
        part.fetch = fetch == nullptr && alone ? job.b : fetch;
        part.fetch_step = step;
      }
      part.rows = table.input.data() + first * job.rows_step + begin;
      part.c_offset = table.output.data() + begin;
      if (part.accumulate)
        for (int64_t r = end; r < total * (tile + 2) / tiles && tile + 1 < tiles; ++r)
          for (int64_t j = 0; j < part.columns; j += kLineFloats)
            __builtin_prefetch(part.c + table.output[static_cast<std::size_t>(r)] + j, 1);
      kernels[end - begin](&part, 1);
    }
  }
}

}  // namespace convkit::kernels
