#pragma once

#include <array>
#include <cstdint>

#include "convkit/kernels/conv_geometry.h"

/// How a block of rows (a brick of batch × D × H × W) reaches the input it reads: either in the
/// tensor itself, or in a scratch copy with zeros around it, so that micro-kernels never see an
/// edge. Internal to kernels/.
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

/// Where bricks find their input: floats from `base(...)`, strides in floats.
class BrickInput {
 public:
  BrickInput() = default;
  /// `channels` are the tensor's, `used` those of one group. `force_copy` asks for a scratch copy
  /// where none is needed for correctness.
  BrickInput(const std::array<InputAxis, kAxes>& axes, int64_t channels, int64_t used,
             bool force_copy);
  /// Fixes the extents of the copy to what a brick of at most `size` rows per axis needs.
  void set_brick_size(const std::array<int64_t, 4>& size);

  bool copies() const { return copies_; }
  /// Floats a scratch copy holds (0 when nothing is copied), room for one more vector included.
  int64_t scratch_floats() const { return scratch_floats_; }
  int64_t row_stride(int axis) const { return row_stride_[axis]; }
  int64_t batch_stride() const { return batch_stride_; }
  /// From the brick's base to the input that offset `o` reads, summed over axes.
  int64_t offset_stride(int axis) const { return stride_[axis]; }
  int64_t low(int axis) const { return axes_[axis].low; }
  /// Whether channels of neighbours along W follow each other without a gap.
  bool dense() const { return pixel_ == used_; }

  /// The place of the brick's first row at the lowest offset. Fills `scratch` if a copy is needed;
  /// otherwise points into `x` and leaves `scratch` alone. `first_channel` starts the group.
  const float* base(const float* x, const Brick& brick, int64_t first_channel,
                    float* scratch) const;

 private:
  void copy_line(const float* line, int64_t start, int64_t count, int64_t step, float* to) const;

  std::array<InputAxis, kAxes> axes_;
  int64_t channels_ = 0;
  int64_t used_ = 0;
  bool copies_ = false;
  bool compact_[kAxes] = {};  // one offset only: the copy skips what lies between the rows
  int64_t pixel_ = 0;
  Extents stride_ = {};
  Extents row_stride_ = {};
  Extents extent_ = {};
  int64_t batch_stride_ = 0;
  int64_t scratch_floats_ = 0;
};

}  // namespace convkit::kernels
