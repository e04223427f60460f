#include <algorithm>
#include <vector>

#include "convkit/base/checked.h"
#include "convkit/base/memory.h"
#include "convkit/base/thread_pool.h"
#include "convkit/kernels/conv_brick.h"
#include "convkit/kernels/conv_direct.h"
#include "convkit/kernels/conv_tile.h"

// Backward-weight of the direct engine: dw is a matrix of out_channels × (taps · channels) whose
// elements are sums over all output positions, so positions are the depth of the tiles here.
namespace convkit::kernels {
namespace {

constexpr int64_t kWantedTasks = 32;
// Positions whose x and dy stay in the second-level cache while every tile of dw visits them.
constexpr int64_t kBrickPositions = 224;
constexpr int64_t kScratchLimit = 64 * 1024;  // floats
// A slice of positions with a dw of its own must be long enough to pay for summing these dw.
constexpr int64_t kSlicePositions = 784;
constexpr int64_t kMostSlices = 32;
constexpr int64_t kPartialLimit = int64_t{1} << 22;  // floats, over all slices

// Which side of the product goes down the rows of a tile. Rows are single numbers, columns come in
// vectors: the side that fills vectors better becomes the columns.
enum class RowSide { taps, outputs };

// Columns [first, first + count) of the column side; `input` is where they lie in a brick of that
// side.
struct Block {
  int64_t first;
  int64_t count;
  int vectors;
  int64_t input;
};

class WeightGradient {
 public:
  explicit WeightGradient(const ConvGeometry& g);

  int64_t tasks() const { return g_.groups * slices_ * block_chunks_ * row_chunks_; }
  int64_t partial_floats() const { return writes_dw_ ? 0 : g_.groups * slices_ * partial_size_; }
  void run(int64_t task, const float* x, const float* dy, float* partial, float* dw) const;
  int64_t sum_tasks() const { return writes_dw_ ? 0 : g_.groups * sum_chunks_; }
  void sum(int64_t task, const float* partial, float* dw) const;

 private:
  void plan_sides();
  void plan_cut();
  std::vector<Block> tap_blocks() const;
  std::vector<Block> output_blocks() const;
  double cost(int64_t rows, const std::vector<Block>& blocks) const;
  void list_lines(const Brick& brick, bool packed, int64_t width,
                  std::vector<TileSegment>& segments) const;
  void pack_columns(const float* dy, const Brick& brick, int64_t first, const Block& block,
                    float* to) const;

  ConvGeometry g_;
  const TileKernels& kernels_;
  int64_t k_ = 0;  // taps · channels of a group
  RowSide row_side_ = RowSide::taps;
  std::vector<int64_t> row_offset_;  // in the input of the row side
  std::vector<int64_t> c_offset_;
  std::vector<Block> blocks_;
  BrickInput input_;
  BrickCut cut_;
  int merged_axes_ = 0;  // how many of H, D, N continue W without a gap in x and dy
  int64_t slices_ = 1;
  int64_t block_chunks_ = 1;
  int64_t row_chunks_ = 1;
  bool writes_dw_ = false;
  int64_t partial_pitch_ = 0;
  int64_t partial_size_ = 0;
  int64_t sum_chunks_ = 1;
};

WeightGradient::WeightGradient(const ConvGeometry& g) : g_(g), kernels_(tile_kernels()) {
  k_ = g.kernel[0] * g.kernel[1] * g.kernel[2] * g.group_in();
  plan_sides();
  plan_cut();
}

// Vectors of dw's columns when these are taps · channels: runs that lie side by side in the input.
std::vector<Block> WeightGradient::tap_blocks() const {
  const bool join = g_.dilation[2] == 1 && input_.dense();
  const int64_t run = join ? g_.kernel[2] * g_.group_in() : g_.group_in();
  std::vector<Block> blocks;
  for (int64_t start = 0; start < k_; start += run) {
    const int64_t tap = start / g_.group_in();
    const int64_t kw = tap % g_.kernel[2];
    const int64_t kh = tap / g_.kernel[2] % g_.kernel[1];
    const int64_t kd = tap / g_.kernel[2] / g_.kernel[1];
    const int64_t place = kd * g_.dilation[0] * input_.offset_stride(0) +
                          kh * g_.dilation[1] * input_.offset_stride(1) +
                          kw * g_.dilation[2] * input_.offset_stride(2);
    for (int64_t i = 0; i < run; i += blocks.back().count) {
      const int vectors = run - i > kernels_.lanes ? 2 : 1;
      blocks.push_back({start + i, std::min(run - i, vectors * kernels_.lanes), vectors, place + i});
    }
  }
  return blocks;
}

std::vector<Block> WeightGradient::output_blocks() const {
  std::vector<Block> blocks;
  for (int64_t i = 0; i < g_.group_out(); i += blocks.back().count) {
    const int vectors = g_.group_out() - i > kernels_.lanes ? 2 : 1;
    blocks.push_back({i, std::min(g_.group_out() - i, vectors * kernels_.lanes), vectors, i});
  }
  return blocks;
}

// Vector instructions per position, with what a tile costs beyond them.
double WeightGradient::cost(int64_t rows, const std::vector<Block>& blocks) const {
  double total = 0.0;
  for (const Block& block : blocks) {
    const int64_t tiles = ceil_div(rows, kernels_.max_rows[block.vectors]);
    const double per_tile = static_cast<double>(rows * block.vectors) / static_cast<double>(tiles);
    constexpr double kLatencyBound = 4.0;
    total += static_cast<double>(tiles) * (std::max(kLatencyBound, per_tile) + 1.0);
  }
  return total;
}

void WeightGradient::plan_sides() {
  std::array<InputAxis, kAxes> axes;
  for (int axis = 0; axis < kAxes; ++axis)
    axes[axis] = {.size = g_.in[axis], .rows = g_.out[axis], .start = -g_.pad_lo[axis],
                  .step = g_.stride[axis], .low = 0,
                  .high = (g_.kernel[axis] - 1) * g_.dilation[axis]};
  const bool few = g_.group_in() % kernels_.lanes != 0;
  input_ = BrickInput(axes, g_.in_channels, g_.group_in(),
                      g_.groups > 1 && few ? BrickInput::Copy::always : BrickInput::Copy::for_edges);
  const double taps_as_rows = cost(k_, output_blocks());
  const double outputs_as_rows = cost(g_.group_out(), tap_blocks());
  row_side_ = taps_as_rows < outputs_as_rows ? RowSide::taps : RowSide::outputs;
  // Vectors read whole from the last run of channels may reach beyond the tensor.
  if (row_side_ == RowSide::outputs && !input_.copies() && few)
    input_ = BrickInput(axes, g_.in_channels, g_.group_in(), BrickInput::Copy::always);
}

void WeightGradient::plan_cut() {
  const std::array<int64_t, 4> positions = {g_.batch, g_.out[0], g_.out[1], g_.out[2]};
  const int64_t total = positions[0] * positions[1] * positions[2] * positions[3];
  for (int64_t wanted = kBrickPositions;; wanted /= 2) {
    cut_ = BrickCut(positions, wanted);
    input_.set_brick_size(cut_.size());
    if (input_.scratch_floats() <= kScratchLimit || wanted <= 28) break;
  }
  int64_t line = g_.out[2];
  merged_axes_ = 0;
  while (merged_axes_ < 2 && cut_.size()[3 - merged_axes_] == positions[3 - merged_axes_] &&
         input_.row_stride(1 - merged_axes_) == line * input_.row_stride(2)) {
    line *= g_.out[1 - merged_axes_];
    ++merged_axes_;
  }

  blocks_ = row_side_ == RowSide::taps ? output_blocks() : tap_blocks();
  if (row_side_ == RowSide::taps) {
    const int64_t last_width = blocks_.back().vectors * kernels_.lanes;
    partial_pitch_ = blocks_.back().first + last_width;
    partial_size_ = k_ * partial_pitch_;
    int64_t k_row = 0;
    for (int64_t kd = 0; kd < g_.kernel[0]; ++kd)
      for (int64_t kh = 0; kh < g_.kernel[1]; ++kh)
        for (int64_t kw = 0; kw < g_.kernel[2]; ++kw)
          for (int64_t c = 0; c < g_.group_in(); ++c) {
            row_offset_.push_back(kd * g_.dilation[0] * input_.offset_stride(0) +
                                  kh * g_.dilation[1] * input_.offset_stride(1) +
                                  kw * g_.dilation[2] * input_.offset_stride(2) + c);
            c_offset_.push_back(k_row++ * partial_pitch_);
          }
  } else {
    partial_pitch_ = k_;
    partial_size_ = g_.group_out() * k_;
    for (int64_t co = 0; co < g_.group_out(); ++co) {
      row_offset_.push_back(co);
      c_offset_.push_back(co * partial_pitch_);
    }
  }

  const int64_t affordable = std::max<int64_t>(1, kPartialLimit / (g_.groups * partial_size_));
  slices_ = std::clamp<int64_t>(total / kSlicePositions, 1, std::min(kMostSlices, affordable));
  slices_ = std::min(slices_, cut_.bricks());
  writes_dw_ = slices_ == 1 && row_side_ == RowSide::outputs;
  const auto blocks = static_cast<int64_t>(blocks_.size());
  const auto rows = static_cast<int64_t>(row_offset_.size());
  const int64_t wanted = ceil_div(kWantedTasks, slices_ * g_.groups);
  block_chunks_ = std::min(wanted, blocks);
  block_chunks_ = ceil_div(blocks, ceil_div(blocks, block_chunks_));
  row_chunks_ = std::clamp<int64_t>(ceil_div(wanted, block_chunks_), 1,
                                    ceil_div(rows, 3 * kMaxTileRows));
  sum_chunks_ = ceil_div(row_side_ == RowSide::taps ? k_ : g_.group_out(), 64);
}

// The runs of positions whose x and dy both lie at equal steps.
void WeightGradient::list_lines(const Brick& brick, bool packed, int64_t width,
                                std::vector<TileSegment>& segments) const {
  segments.clear();
  const int64_t dy_step = packed ? width : g_.out_channels;
  const std::array<int64_t, 4>& n = brick.count;
  const int64_t lines_h = merged_axes_ >= 1 ? 1 : n[2];
  const int64_t lines_d = merged_axes_ >= 2 ? 1 : n[1];
  int64_t place = 0;  // in the packed dy
  const int64_t run = n[3] * (n[2] / lines_h) * (n[1] / lines_d);
  for (int64_t b = 0; b < n[0]; ++b)
    for (int64_t d = 0; d < lines_d; ++d)
      for (int64_t h = 0; h < lines_h; ++h) {
        const int64_t in_x =
            b * input_.batch_stride() + d * input_.row_stride(0) + h * input_.row_stride(1);
        const int64_t in_dy = packed ? place : ((b * g_.out[0] + d) * g_.out[1] + h) * g_.out[2];
        place += run;
        if (row_side_ == RowSide::taps)
          segments.push_back({in_x, in_dy * dy_step});
        else
          segments.push_back({in_dy * dy_step, in_x});
      }
}

// Copies a block's columns of dy, positions one after the other, with zeros up to whole vectors.
void WeightGradient::pack_columns(const float* dy, const Brick& brick, int64_t first,
                                  const Block& block, float* to) const {
  const int64_t width = block.vectors * kernels_.lanes;
  for (int64_t b = 0; b < brick.count[0]; ++b)
    for (int64_t d = 0; d < brick.count[1]; ++d)
      for (int64_t h = 0; h < brick.count[2]; ++h) {
        const float* from =
            dy + first + block.first +
            (((b * g_.out[0] + d) * g_.out[1] + h) * g_.out[2]) * g_.out_channels;
        for (int64_t i = 0; i < brick.count[3]; ++i, from += g_.out_channels, to += width) {
          std::copy_n(from, block.count, to);
          std::fill_n(to + block.count, width - block.count, 0.0f);
        }
      }
}

void WeightGradient::run(int64_t task, const float* x, const float* dy, float* partial,
                         float* dw) const {
  const int64_t row_chunk = task % row_chunks_;
  const int64_t block_chunk = task / row_chunks_ % block_chunks_;
  const int64_t slice = task / row_chunks_ / block_chunks_ % slices_;
  const int64_t group = task / row_chunks_ / block_chunks_ / slices_;
  const auto rows = static_cast<int64_t>(row_offset_.size());
  const auto blocks = static_cast<int64_t>(blocks_.size());
  const int64_t row_begin = rows * row_chunk / row_chunks_;
  const int64_t row_count = rows * (row_chunk + 1) / row_chunks_ - row_begin;
  float* const c = writes_dw_ ? dw + group * partial_size_
                              : partial + (group * slices_ + slice) * partial_size_;
  Buffer<float> scratch(static_cast<std::size_t>(input_.scratch_floats()));
  Buffer<float> columns;
  std::vector<const float*> row_pointers(static_cast<std::size_t>(row_count));
  std::vector<TileSegment> segments;
  const int64_t first_brick = cut_.bricks() * slice / slices_;
  const int64_t end_brick = cut_.bricks() * (slice + 1) / slices_;
  for (int64_t index = first_brick; index < end_brick; ++index) {
    const Brick brick = cut_.brick(index);
    const float* const in = input_.base(x, brick, {group * g_.group_in(), g_.group_in()}, scratch.data());
    const int64_t position =
        ((brick.first[0] * g_.out[0] + brick.first[1]) * g_.out[1] + brick.first[2]) * g_.out[2] +
        brick.first[3];
    const float* const slopes = dy + position * g_.out_channels;
    const int64_t first_output = group * g_.group_out();
    const float* const row_base = row_side_ == RowSide::taps ? in : slopes + first_output;
    for (int64_t r = 0; r < row_count; ++r)
      row_pointers[static_cast<std::size_t>(r)] =
          row_base + row_offset_[static_cast<std::size_t>(row_begin + r)];
    for (int64_t b = blocks * block_chunk / block_chunks_;
         b < blocks * (block_chunk + 1) / block_chunks_; ++b) {
      const Block& block = blocks_[static_cast<std::size_t>(b)];
      const int64_t width = block.vectors * kernels_.lanes;
      const bool pack = row_side_ == RowSide::taps && block.count < width;
      list_lines(brick, pack, width, segments);
      TileJob job;
      job.segments = segments.data();
      job.segment_count = static_cast<int64_t>(segments.size());
      job.depth = brick.rows() / job.segment_count;
      if (row_side_ == RowSide::taps) {
        if (pack) {
          if (columns.size() == 0)
            columns = Buffer<float>(static_cast<std::size_t>(
                cut_.size()[0] * cut_.size()[1] * cut_.size()[2] * cut_.size()[3] *
                kMaxTileVectors * kernels_.lanes));
          pack_columns(slopes, brick, first_output, block, columns.data());
        }
        job.a_step = input_.row_stride(2);
        job.b = pack ? columns.data() : slopes + first_output + block.first;
        job.b_step = pack ? width : g_.out_channels;
        job.columns = width;
      } else {
        job.a_step = g_.out_channels;
        job.b = in + block.input;
        job.b_step = input_.row_stride(2);
        job.columns = block.count;
      }
      job.c = c + block.first;
      job.accumulate = index > first_brick;
      const int64_t tiles = ceil_div(row_count, kernels_.max_rows[block.vectors]);
      for (int64_t tile = 0; tile < tiles; ++tile) {
        const int64_t begin = row_count * tile / tiles;
        const int64_t end = row_count * (tile + 1) / tiles;
        job.rows = row_pointers.data() + begin;
        job.c_offset = c_offset_.data() + row_begin + begin;
        kernels_.run[block.vectors][end - begin](job);
      }
    }
  }
}

// dw = the sum of the slices' dw, in the order of the slices.
void WeightGradient::sum(int64_t task, const float* partial, float* dw) const {
  const int64_t group = task / sum_chunks_;
  const int64_t rows = row_side_ == RowSide::taps ? k_ : g_.group_out();
  const int64_t begin = rows * (task % sum_chunks_) / sum_chunks_;
  const int64_t count = rows * (task % sum_chunks_ + 1) / sum_chunks_ - begin;
  const int64_t floats = count * partial_pitch_;
  const float* from = partial + group * slices_ * partial_size_ + begin * partial_pitch_;
  float* const to = dw + group * g_.group_out() * k_;
  const bool turn = row_side_ == RowSide::taps;
  Buffer<float> total(static_cast<std::size_t>(turn && slices_ > 1 ? floats : 0));
  float* const sums = turn ? total.data() : to + begin * k_;
  if (slices_ > 1) {
    std::copy_n(from, floats, sums);
    for (int64_t slice = 1; slice < slices_; ++slice) {
      const float* const next = from + slice * partial_size_;
      for (int64_t i = 0; i < floats; ++i) sums[i] += next[i];
    }
  }
  if (turn)
    kernels_.transpose(slices_ > 1 ? sums : from, partial_pitch_, count, g_.group_out(),
                       to + begin, k_);
}

}  // namespace

void direct_backward_weight(const ConvGeometry& geometry, const float* x, const float* dy,
                            float* dw) {
  if (geometry.batch == 0) {
    std::fill_n(dw, weight_count(geometry), 0.0f);
    return;
  }
  const WeightGradient plan(collapse_axes(geometry));
  Buffer<float> partial(static_cast<std::size_t>(plan.partial_floats()));
  parallel_for(plan.tasks(), [&](int64_t task) { plan.run(task, x, dy, partial.data(), dw); });
  parallel_for(plan.sum_tasks(), [&](int64_t task) { plan.sum(task, partial.data(), dw); });
}

}  // namespace convkit::kernels
