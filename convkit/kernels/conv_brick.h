#pragma once

#include <array>
#include <cstdint>

#include "convkit/kernels/conv_geometry.h"

/// How a block of rows (a brick of batch × D × H × W) reaches the input it reads: either in the
/// tensor itself, or in a scratch copy with zeros around it. Internal to kernels/.
namespace convkit::kernels {

/// One axis of the input as the rows of a lattice read it: row r and offset o meet at the input
/// coordinate start + r·step + o, low ≤ o ≤ high.
struct InputAxis {
  int64_t size = 1;
  int64_t rows = 1;
  int64_t start = 0;
  int64_t step = 1;
  int64_t low = 0;
  int64_t high = 0;
};

/// The rows [first, first + count) along batch, D, H, W that one task computes.
struct Brick {
  std::array<int64_t, 4> first = {};
  std::array<int64_t, 4> count = {};
  int64_t rows() const { return count[0] * count[1] * count[2] * count[3]; }
};

/// A cut of batch × D × H × W rows into bricks of nearly equal size, by the shape alone.
class BrickCut {
 public:
  BrickCut() = default;
  /// `wanted`: how many rows a brick should have, give or take a half.
  BrickCut(const std::array<int64_t, 4>& rows, int64_t wanted);
  int64_t bricks() const { return parts_[0] * parts_[1] * parts_[2] * parts_[3]; }
  Brick brick(int64_t index) const;
  /// Most rows a brick has along each axis.
  const std::array<int64_t, 4>& size() const { return size_; }

 private:
  std::array<int64_t, 4> rows_ = {};
  std::array<int64_t, 4> size_ = {};
  std::array<int64_t, 4> parts_ = {1, 1, 1, 1};
};

/// Channels [first, first + count) of a pixel.
struct ChannelRange {
  int64_t first;
  int64_t count;
};

/// Where bricks find their input: floats from `base(...)`, strides in floats.
class BrickInput {
 public:
  BrickInput() = default;
  /// When to copy. Never: then the caller looks after taps that fall outside of the tensor. For
  /// edges: where that can happen, or rows lie so that they would push each other out of the
  /// first-level cache. Or always.
  enum class Copy { never, for_edges, always };

  /// `channels` are the tensor's, `used` those that bricks read.
  BrickInput(const std::array<InputAxis, kAxes>& axes, int64_t channels, int64_t used, Copy copy);
  /// Fixes the extents of the copy to what a brick of at most `size` rows per axis needs.
  void set_brick_size(const std::array<int64_t, 4>& size);

  bool copies() const { return copies_; }
  /// Whether every tap of every row finds memory of its own, be it zeros.
  bool covers_edges() const { return covers_edges_; }
  /// Whether an input coordinate lies inside the tensor.
  bool inside(int axis, int64_t at) const { return at >= 0 && at < size(axis); }
  /// Of the tensor.
  int64_t size(int axis) const { return axes_[axis].size; }
  /// Floats a scratch copy holds (0 when nothing is copied), room for one more vector included.
  int64_t scratch_floats() const { return scratch_floats_; }
  int64_t row_stride(int axis) const { return row_stride_[axis]; }
  int64_t batch_stride() const { return batch_stride_; }
  /// From the brick's base to the input that offset `o` reads, summed over axes.
  int64_t offset_stride(int axis) const { return stride_[axis]; }
  int64_t low(int axis) const { return axes_[axis].low; }
  /// Whether channels of neighbours along W follow each other without a gap.
  bool dense() const { return pixel_ == used_; }

  /// The place of the brick's first row at the lowest offset; it may lie before the tensor if taps
  /// do. Fills `scratch` if a copy is needed;
  /// otherwise points into `x` and leaves `scratch` alone. `channels` are the group's or, when
  /// copying, maybe fewer; what a pixel of the copy holds behind them is undefined.
  const float* base(const float* x, const Brick& brick, ChannelRange channels,
                    float* scratch) const;

 private:
  struct Line {
    const float* from;  // where the tensor's line starts
    int64_t start;      // first coordinate to copy
    int64_t count;
    int64_t step;
    int64_t channels;
  };
  void copy_line(const Line& line, float* to) const;

  std::array<InputAxis, kAxes> axes_;
  int64_t channels_ = 0;
  int64_t used_ = 0;
  bool copies_ = false;
  bool covers_edges_ = false;
  bool compact_[kAxes] = {};  // one offset only: the copy skips what lies between the rows
  int64_t pixel_ = 0;
  Extents stride_ = {};
  Extents row_stride_ = {};
  Extents extent_ = {};
  int64_t batch_stride_ = 0;
  int64_t scratch_floats_ = 0;
};

}  // namespace convkit::kernels
