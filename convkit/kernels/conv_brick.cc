#include "convkit/kernels/conv_brick.h"

#include <algorithm>
#include <cstring>

#include "convkit/base/checked.h"

namespace convkit::kernels {
namespace {

// Rows of a tile whose distance is a multiple of this many bytes fall into the same few sets of the
// first-level cache and push each other out.
constexpr int64_t kCollisionBytes = 2048;
constexpr int64_t kAwayFromCollision = 16;  // floats added to a pixel: one cache line
constexpr int64_t kScratchSlack = 64;       // floats behind the copy that vector loads may touch

bool collides(int64_t stride_floats) {
  return stride_floats * static_cast<int64_t>(sizeof(float)) % kCollisionBytes == 0;
}

void copy_floats(const float* from, int64_t count, float* to) {
  std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(float));
}

void zero_floats(float* to, int64_t count) {
  std::memset(to, 0, static_cast<std::size_t>(count) * sizeof(float));
}

}  // namespace

BrickCut::BrickCut(const std::array<int64_t, 4>& rows, int64_t wanted) : rows_(rows) {
  int64_t inner = 1;  // rows of one step along the axis at hand
  for (int axis = 3; axis >= 0; --axis) {
    const int64_t fitting = std::max<int64_t>(1, (wanted + inner / 2) / inner);
    parts_[axis] = std::max<int64_t>(1, ceil_div(rows[axis], fitting));
    size_[axis] = ceil_div(rows[axis], parts_[axis]);
    parts_[axis] = size_[axis] > 0 ? ceil_div(rows[axis], size_[axis]) : 0;
    inner *= std::max<int64_t>(1, size_[axis]);
  }
}

Brick BrickCut::brick(int64_t index) const {
  Brick brick;
  for (int axis = 3; axis >= 0; --axis) {
    brick.first[axis] = index % parts_[axis] * size_[axis];
    brick.count[axis] = std::min(size_[axis], rows_[axis] - brick.first[axis]);
    index /= parts_[axis];
  }
  return brick;
}

BrickInput::BrickInput(const std::array<InputAxis, kAxes>& axes, int64_t channels, int64_t used,
                       Copy copy)
    : axes_(axes), channels_(channels), used_(used) {
  covers_edges_ = copy != Copy::never;
  copies_ = copy == Copy::always ||
            (copy == Copy::for_edges && collides(axes[kAxes - 1].step * channels));
  for (const InputAxis& axis : axes)
    if (covers_edges_ && (axis.start + axis.low < 0 ||
                          axis.start + (axis.rows - 1) * axis.step + axis.high >= axis.size))
      copies_ = true;
  set_brick_size({1, axes[0].rows, axes[1].rows, axes[2].rows});
}

void BrickInput::set_brick_size(const std::array<int64_t, 4>& size) {
  pixel_ = channels_;
  if (!copies_) {
    stride_[2] = channels_;
    stride_[1] = axes_[2].size * stride_[2];
    stride_[0] = axes_[1].size * stride_[1];
    batch_stride_ = axes_[0].size * stride_[0];
    for (int axis = 0; axis < kAxes; ++axis) row_stride_[axis] = axes_[axis].step * stride_[axis];
    return;
  }
  Extents local_step;
  for (int axis = 0; axis < kAxes; ++axis) {
    compact_[axis] = axes_[axis].low == axes_[axis].high;
    local_step[axis] = compact_[axis] ? 1 : axes_[axis].step;
    extent_[axis] = (size[static_cast<std::size_t>(axis) + 1] - 1) * local_step[axis] +
                    axes_[axis].high - axes_[axis].low + 1;
  }
  pixel_ = collides(local_step[2] * used_) ? used_ + kAwayFromCollision : used_;
  stride_[2] = pixel_;
  stride_[1] = extent_[2] * stride_[2];
  stride_[0] = extent_[1] * stride_[1];
  batch_stride_ = extent_[0] * stride_[0];
  for (int axis = 0; axis < kAxes; ++axis) row_stride_[axis] = local_step[axis] * stride_[axis];
  scratch_floats_ = size[0] * batch_stride_ + kScratchSlack;
}

void BrickInput::copy_line(const Line& line, float* to) const {
  const int64_t size = axes_[2].size;
  const auto [from_line, start, count, step, used] = line;
  // Pixels [inside, after) of the copy come from the tensor.
  const int64_t inside = std::clamp<int64_t>(start < 0 ? ceil_div(-start, step) : 0, 0, count);
  const int64_t after =
      std::clamp<int64_t>(start < size ? (size - 1 - start) / step + 1 : 0, inside, count);
  zero_floats(to, inside * pixel_);
  float* out = to + inside * pixel_;
  if (inside < after) {
    const float* from = from_line + (start + inside * step) * channels_;
    if (step == 1 && used == channels_ && pixel_ == used) {
      copy_floats(from, (after - inside) * pixel_, out);
    } else if (used >= 16) {
      for (int64_t i = inside; i < after; ++i, from += step * channels_, out += pixel_)
        copy_floats(from, used, out);
    } else {
      for (int64_t i = inside; i < after; ++i, from += step * channels_, out += pixel_)
        for (int64_t c = 0; c < used; ++c) out[c] = from[c];
    }
  }
  zero_floats(to + after * pixel_, (count - after) * pixel_);
}

const float* BrickInput::base(const float* x, const Brick& brick, ChannelRange channels,
                              float* scratch) const {
  Extents origin;
  for (int axis = 0; axis < kAxes; ++axis)
    origin[axis] = axes_[axis].start + axes_[axis].low +
                   brick.first[static_cast<std::size_t>(axis) + 1] * axes_[axis].step;
  const Extents size = {axes_[0].size, axes_[1].size, axes_[2].size};
  const auto line_at = [&](int64_t n, int64_t d, int64_t h) {
    return x + ((n * size[0] + d) * size[1] + h) * size[2] * channels_ + channels.first;
  };
  if (!copies_) return line_at(brick.first[0], origin[0], origin[1]) + origin[2] * channels_;
  Extents needed;
  Extents source_step;
  for (int axis = 0; axis < kAxes; ++axis) {
    const int64_t rows = brick.count[static_cast<std::size_t>(axis) + 1];
    source_step[axis] = compact_[axis] ? axes_[axis].step : 1;
    needed[axis] = compact_[axis]
                       ? rows
                       : (rows - 1) * axes_[axis].step + axes_[axis].high - axes_[axis].low + 1;
  }
  for (int64_t n = 0; n < brick.count[0]; ++n)
    for (int64_t d = 0; d < needed[0]; ++d)
      for (int64_t h = 0; h < needed[1]; ++h) {
        float* const to = scratch + n * batch_stride_ + d * stride_[0] + h * stride_[1];
        const int64_t from_d = origin[0] + d * source_step[0];
        const int64_t from_h = origin[1] + h * source_step[1];
        if (from_d < 0 || from_d >= size[0] || from_h < 0 || from_h >= size[1])
          zero_floats(to, needed[2] * pixel_);
        else
          copy_line({line_at(brick.first[0] + n, from_d, from_h), origin[2], needed[2],
                     source_step[2], channels.count},
                    to);
      }
  return scratch;
}

}  // namespace convkit::kernels
