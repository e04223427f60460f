#include "convkit/kernels/conv_rows.h"

#include "convkit/base/checked.h"

namespace convkit::kernels {
namespace {

// A row with taps outside of the input: its coordinate at offset 0 and its place in memory there.
struct EdgeRow {
  Extents at;
  const float* place;
};

// Fills table.input with a pointer per tap and row.
void point_to_taps(const RowContext& context, const std::vector<EdgeRow>& rows, RowTable& table) {
  const std::array<AxisLattice, kAxes>& axes = context.axes;
  table.per_tap = true;
  table.input.reserve(rows.size() * axes[0].offsets.size() * axes[1].offsets.size() *
                      axes[2].offsets.size());
  const BrickInput& input = context.input;
  for (const int64_t d : axes[0].offsets)
    for (const int64_t h : axes[1].offsets)
      for (const int64_t w : axes[2].offsets) {
        const int64_t shift = (d - input.low(0)) * input.offset_stride(0) +
                              (h - input.low(1)) * input.offset_stride(1) +
                              (w - input.low(2)) * input.offset_stride(2);
        for (const EdgeRow& row : rows) {
          const bool inside = input.inside(0, row.at[0] + d) && input.inside(1, row.at[1] + h) &&
                              input.inside(2, row.at[2] + w);
          table.input.push_back(inside ? row.place + shift : context.zeros);
        }
      }
}

}  // namespace

BrickRows list_rows(const RowContext& context, const Brick& brick) {
  const auto& axes = context.axes;
  const BrickInput& input = context.input;
  BrickRows rows;
  rows.inside.input.reserve(static_cast<std::size_t>(brick.rows()));
  rows.inside.output.reserve(static_cast<std::size_t>(brick.rows()));
  rows.inside.fold = rows.edge.fold = axes[2].fold;
  const auto out_at = [&](int axis, int64_t row) {
    return axes[axis].out_start + row * axes[axis].out_step;
  };
  const auto in_at = [&](int axis, int64_t row) {
    return axes[axis].in_start + row * axes[axis].in_step;
  };
  const auto all_inside = [&](int axis, int64_t row) {
    return input.copies() || axes[axis].offsets.empty() ||
           (input.inside(axis, in_at(axis, row) + axes[axis].offsets.front()) &&
            input.inside(axis, in_at(axis, row) + axes[axis].offsets.back()));
  };
  std::vector<EdgeRow> at_edge;
  std::vector<EdgeRow> at_end;
  for (int64_t n = 0; n < brick.count[0]; ++n)
    for (int64_t i = 0; i < brick.count[1]; ++i) {
      const int64_t d = brick.first[1] + i;
      const int64_t plane = (brick.first[0] + n) * context.out[0] + out_at(0, d);
      for (int64_t j = 0; j < brick.count[2]; ++j) {
        const int64_t h = brick.first[2] + j;
        const int64_t line = plane * context.out[1] + out_at(1, h);
        const float* place = context.base + n * input.batch_stride() + i * input.row_stride(0) +
                             j * input.row_stride(1);
        const bool line_inside = all_inside(0, d) && all_inside(1, h);
        for (int64_t k = 0; k < brick.count[3]; ++k, place += input.row_stride(2)) {
          const int64_t w = brick.first[3] + k;
          const int64_t out = out_at(2, w);
          const int64_t to = (line * context.out[2] + out) * context.out_channels;
          const EdgeRow row = {{in_at(0, d), in_at(1, h), in_at(2, w)}, place};
          if (axes[2].out_end - out < axes[2].fold) {
            rows.cut_short.fold = axes[2].out_end - out;
            rows.cut_short.output.push_back(to);
            at_end.push_back(row);
          } else if (line_inside && all_inside(2, w)) {
            rows.inside.input.push_back(place);
            rows.inside.output.push_back(to);
          } else {
            rows.edge.output.push_back(to);
            at_edge.push_back(row);
          }
        }
      }
    }
  if (input.copies()) {
    for (const EdgeRow& row : at_end) rows.cut_short.input.push_back(row.place);
  } else {
    point_to_taps(context, at_edge, rows.edge);
    point_to_taps(context, at_end, rows.cut_short);
  }
  return rows;
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

void run_tiles(const RowTable& table, const TileKernels::Run* kernels, int64_t max_rows,
               TileJob job) {
  const auto total = static_cast<int64_t>(table.output.size());
  const int64_t tiles = ceil_div(total, max_rows);
  job.rows_step = table.per_tap ? total : 0;
  for (int64_t tile = 0; tile < tiles; ++tile) {
    const int64_t begin = total * tile / tiles;
    const int64_t end = total * (tile + 1) / tiles;
    job.rows = table.input.data() + begin;
    job.c_offset = table.output.data() + begin;
    kernels[end - begin](job);
  }
}

}  // namespace convkit::kernels
