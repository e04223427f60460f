#include <algorithm>
#include <array>
#include <vector>

#include "convkit/base/checked.h"
#include "convkit/base/memory.h"
#include "convkit/base/task_memory.h"
#include "convkit/base/thread_pool.h"
#include "convkit/kernels/conv_brick.h"
#include "convkit/kernels/conv_direct.h"
#include "convkit/kernels/conv_rows.h"
#include "convkit/kernels/conv_tile.h"

// Backward-weight of the direct engine: dw is a matrix of out_channels × (taps · channels) whose
// elements are sums over all output positions, so positions are the depth of the tiles here.
namespace convkit::kernels {
namespace {

// So many that the last, for which other threads may wait, does not count.
constexpr int64_t kWantedTasks = 32;
// Multiply-adds beside which the start of a task does not count.
constexpr int64_t kTaskWork = int64_t{1} << 20;
// Positions of a brick: dw is read and written once per brick, while two vectors for each position
// stay near. Tiles of the widest vectors, which ask for less of them in a cycle, read them from the
// second-level cache (and two pictures of 14x14 are a brick); those of others from the first.
constexpr int64_t kBrickPositions = 256;
constexpr int64_t kWideBrickPositions = 400;
constexpr int64_t kScratchLimit = 96 * 1024;  // floats
// A slice of positions with a dw of its own must be long enough to pay for summing these dw.
constexpr int64_t kSlicePositions = 784;
constexpr int64_t kMostSlices = 32;
constexpr int64_t kPartialLimit = int64_t{1} << 22;  // floats, over all slices
// Rows of dw this many floats apart fall into the same few sets of a cache.
constexpr int64_t kRowCollision = 512;
// Floats of a brick's rows that stay in the second-level cache.
constexpr int64_t kNearRows = 160 * 1024;
// Narrow tiles read columns in place if positions lie no farther apart than this; wide ones, unless
// they are multiples of more than that apart, which lie in the same few sets of a cache.
constexpr int64_t kNarrowPitch = 32;
constexpr int64_t kMostSpacing = 256;
// Cycles, measured: what a tile costs beyond its multiply-adds, to pack a position of a panel, and
// to turn an element of dw.
constexpr double kTileCost = 1.0;
constexpr double kPackCost = 5.0;
constexpr double kTurnCost = 1.5;
// And to copy a number of the input to where the padding has zeros; each task does so.
constexpr double kCopyCost = 0.24;

// Which side of the product goes down the rows of a tile. Rows are single numbers; columns come in
// vectors, packed into panels. Columns of taps leave dw as it is stored, columns of outputs leave
// it turned.
enum class RowSide { taps, outputs };

// Columns [first, first + count) of the column side. Taps: of the tap `tap` (its place in the
// kernel), or of several taps that lie side by side in the copy of the input.
struct Block {
  int64_t first;
  int64_t count;
  int vectors;
  int64_t channel;
  Extents tap;
};

class WeightGradient : public ConvProgram {
 public:
  explicit WeightGradient(const ConvGeometry& g);

  void run(const float* x, const float* dy, const ConvEpilogue&, float* dw) const override {
    Buffer<float> partial(static_cast<std::size_t>(partial_floats()));
    parallel_for(tasks(), [&](int64_t task) { run_task(task, x, dy, partial.data(), dw); });
    parallel_for(sum_tasks(), [&](int64_t task) { sum(task, partial.data(), dw); });
  }
  ConvWork work() const override;

 private:
  int64_t tasks() const { return g_.groups * slices_ * block_chunks_ * row_chunks_; }
  int64_t partial_floats() const { return writes_dw_ ? 0 : g_.groups * slices_ * partial_size_; }
  void run_task(int64_t task, const float* x, const float* dy, float* partial, float* dw) const;
  int64_t sum_tasks() const { return writes_dw_ ? 0 : g_.groups * sum_chunks_; }
  void sum(int64_t task, const float* partial, float* dw) const;

  void plan_sides();
  void plan_cut();
  void plan_tasks();
  int64_t rows() const { return std::ssize(row_offset_); }
  std::vector<Block> tap_blocks(bool joined) const;
  // Floats from a brick's base to what a tap sees.
  int64_t tap_offset(const Extents& tap) const {
    int64_t floats = 0;
    for (int axis = 0; axis < kAxes; ++axis)
      floats += tap[axis] * g_.dilation[axis] * input_.offset_stride(axis);
    return floats;
  }
  std::vector<Block> output_blocks() const;
  bool in_place(const Block& block, int64_t pitch) const;
  double cost(int64_t rows, const std::vector<Block>& blocks, int64_t pitch) const;
  int64_t position(const Brick& brick, int64_t n, int64_t d, int64_t h) const {
    const int64_t plane = (brick.first[0] + n) * g_.out[0] + brick.first[1] + d;
    return (plane * g_.out[1] + brick.first[2] + h) * g_.out[2] + brick.first[3];
  }
  // How tiles find the columns of a block: in a panel, or where they lie.
  struct Columns {
    bool in_place;
    int64_t pitch;  // floats from position to position
  };
  Columns columns(const Block& block) const;
  std::pmr::vector<TileSegment> input_segments(const Brick& brick, const Columns& columns,
                                               std::pmr::memory_resource* memory) const;
  void pack_outputs(const float* dy, const Brick& brick, const Block& block, float* panel) const;
  // Positions of a line that a tap sees: floats from the brick's base to their input, the first of
  // them in the tensor, and how many, the same for all lines.
  struct Line {
    int64_t x;
    int64_t position;
    int64_t count;
  };
  using Lines = std::pmr::vector<Line>;
  using Segments = std::pmr::vector<TileSegment>;
  Lines seen_lines(const Brick& brick, const Block& block, std::pmr::memory_resource* memory) const;
  Segments slope_segments(const Brick& brick, const Lines& lines, const Columns& columns,
                          std::pmr::memory_resource* memory) const;
  TileAhead slopes_ahead(const float* dy, const Brick& brick, int64_t group,
                         const ChannelRange& outputs) const;
  TileAhead inputs_ahead(const float* x, const Brick& brick, int64_t group, const Extents& tap,
                         const ChannelRange& inputs) const;
  TileAhead block_ahead(const float* x, const float* dy, const Brick& brick, int64_t group,
                        const Block& block) const;
  TileAhead rows_ahead(const float* x, const float* dy, const Brick& brick, int64_t group,
                       const ChannelRange& rows) const;
  void pack_taps(const float* x, const Lines& lines, const Block& block, float* panel) const;

  ConvGeometry g_;
  const TileKernels& kernels_;
  int64_t k_ = 0;  // taps · channels of a group
  RowSide row_side_ = RowSide::taps;
  std::vector<int64_t> row_offset_;  // in the input of the row side
  std::vector<int64_t> c_offset_;
  std::vector<Block> blocks_;
  std::array<InputAxis, kAxes> axes_;
  BrickInput input_;
  BrickCut cut_;
  int64_t slices_ = 1;
  int64_t block_chunks_ = 1;
  int64_t row_chunks_ = 1;
  bool packs_ = false;  // any block
  bool writes_dw_ = false;
  int64_t width_ = 0;  // of a block in a partial dw: [block][row][width]
  int64_t partial_size_ = 0;
  int64_t sum_chunks_ = 1;
};

WeightGradient::WeightGradient(const ConvGeometry& g) : g_(g), kernels_(tile_kernels()) {
  k_ = g.kernel[0] * g.kernel[1] * g.kernel[2] * g.group_in();
  for (int axis = 0; axis < kAxes; ++axis)
    axes_[axis] = {.size = g_.in[axis],
                   .rows = g_.out[axis],
                   .start = -g_.pad_lo[axis],
                   .step = g_.stride[axis],
                   .low = 0,
                   .high = (g_.kernel[axis] - 1) * g_.dilation[axis]};
  plan_sides();
  plan_cut();
  plan_tasks();
}

// Blocks of at most two vectors, tap by tap, or over runs of taps along W.
std::vector<Block> WeightGradient::tap_blocks(bool joined) const {
  const int64_t run = joined ? g_.kernel[2] * g_.group_in() : g_.group_in();
  std::vector<Block> blocks;
  for (int64_t start = 0; start < k_; start += run) {
    const int64_t tap = start / g_.group_in();
    const Extents at = {tap / g_.kernel[2] / g_.kernel[1], tap / g_.kernel[2] % g_.kernel[1],
                        tap % g_.kernel[2]};
    for (int64_t i = 0; i < run; i += blocks.back().count) {
      const int vectors = run - i > kernels_.lanes ? 2 : 1;
      blocks.push_back({start + i, std::min(run - i, vectors * kernels_.lanes), vectors, i, at});
    }
  }
  return blocks;
}

std::vector<Block> WeightGradient::output_blocks() const {
  std::vector<Block> blocks;
  for (int64_t i = 0; i < g_.group_out(); i += blocks.back().count) {
    const int vectors = g_.group_out() - i > kernels_.lanes ? 2 : 1;
    blocks.push_back({i, std::min(g_.group_out() - i, vectors * kernels_.lanes), vectors, i, {}});
  }
  return blocks;
}

// Wide tiles read whole vectors where they lie as fast as out of a panel, provided that positions
// do not push each other out of the cache.
bool WeightGradient::in_place(const Block& block, int64_t pitch) const {
  return block.count == block.vectors * kernels_.lanes &&
         (kernels_.wide() ? (pitch & -pitch) <= kMostSpacing : pitch <= kNarrowPitch);
}

// Cycles per position.
double WeightGradient::cost(int64_t rows, const std::vector<Block>& blocks, int64_t pitch) const {
  constexpr double kLatency = 4.0;  // a tile with fewer sums than this waits for them
  double total = 0.0;
  for (const Block& block : blocks) {
    const int64_t tiles = ceil_div(rows, kernels_.max_rows[block.vectors]);
    const double sums = static_cast<double>(rows * block.vectors) / static_cast<double>(tiles);
    total += static_cast<double>(tiles) * (std::max(kLatency, sums) + kTileCost);
    if (!in_place(block, pitch)) total += kPackCost;
  }
  return total;
}

void WeightGradient::plan_sides() {
  const int64_t positions = g_.batch * g_.out[0] * g_.out[1] * g_.out[2];
  const auto slice = static_cast<double>(std::clamp<int64_t>(positions, 1, kSlicePositions));
  // Taps along W that follow each other in memory fill vectors where channels alone do not.
  const bool joined = g_.dilation[2] == 1 && g_.group_in() % (2 * kernels_.lanes) != 0;
  const std::vector<Block> taps = tap_blocks(joined);
  const std::vector<Block> outputs = output_blocks();
  const double turn = kTurnCost * static_cast<double>(k_ * g_.group_out()) / slice;
  bool padded = false;
  for (int axis = 0; axis < kAxes; ++axis)
    padded = padded || g_.pad_lo[axis] > 0 || g_.pad_hi[axis] > 0;
  const int64_t slices = std::clamp<int64_t>(positions / kSlicePositions, 1, kMostSlices);
  const int64_t copies_of_input = ceil_div(kWantedTasks, slices * g_.groups);
  const double copy =
      padded ? kCopyCost * static_cast<double>(g_.group_in() * copies_of_input) : 0.0;
  const int64_t in_pitch = g_.stride[2] * g_.in_channels;
  row_side_ = cost(k_, outputs, g_.out_channels) + turn + copy <
                      cost(g_.group_out(), taps, in_pitch) + (joined ? copy : 0.0)
                  ? RowSide::taps
                  : RowSide::outputs;
  blocks_ = row_side_ == RowSide::taps ? outputs : taps;
  const bool copies = row_side_ == RowSide::taps || joined;
  const bool apart = joined && g_.groups > 1;
  input_ = BrickInput(axes_, g_.in_channels, g_.group_in(),
                      apart    ? BrickInput::Copy::always
                      : copies ? BrickInput::Copy::for_edges
                               : BrickInput::Copy::never);
}

void WeightGradient::plan_cut() {
  const std::array<int64_t, 4> positions = {g_.batch, g_.out[0], g_.out[1], g_.out[2]};
  for (int64_t wanted = kernels_.wide() ? kWideBrickPositions : kBrickPositions;; wanted /= 2) {
    cut_ = BrickCut(positions, wanted);
    input_.set_brick_size(cut_.size());
    if (input_.scratch_floats() <= kScratchLimit || wanted <= 28) break;
  }
  if (row_side_ == RowSide::taps) {
    for (int64_t kd = 0; kd < g_.kernel[0]; ++kd)
      for (int64_t kh = 0; kh < g_.kernel[1]; ++kh)
        for (int64_t kw = 0; kw < g_.kernel[2]; ++kw)
          for (int64_t c = 0; c < g_.group_in(); ++c)
            row_offset_.push_back(tap_offset({kd, kh, kw}) + c);
  } else {
    for (int64_t co = 0; co < g_.group_out(); ++co) row_offset_.push_back(co);
  }
  packs_ = !std::all_of(blocks_.begin(), blocks_.end(),
                        [&](const Block& block) { return columns(block).in_place; });
  width_ = kMaxTileVectors * kernels_.lanes;
  partial_size_ = rows() * std::ssize(blocks_) * width_;
}

void WeightGradient::plan_tasks() {
  const int64_t total = g_.batch * g_.out[0] * g_.out[1] * g_.out[2];
  const int64_t affordable = std::max<int64_t>(1, kPartialLimit / (g_.groups * partial_size_));
  slices_ = std::clamp<int64_t>(total / kSlicePositions, 1,
                                std::min({kMostSlices, affordable, cut_.bricks()}));
  // Sums that are stored and loaded again should not be in each other's way.
  const bool collides = cut_.bricks() > 1 && k_ % kRowCollision == 0;
  writes_dw_ = slices_ == 1 && row_side_ == RowSide::outputs && !collides;
  const auto blocks = static_cast<int64_t>(blocks_.size());
  const int64_t rows = this->rows();
  for (int64_t row = 0; row < rows; ++row) c_offset_.push_back(row * (writes_dw_ ? k_ : width_));
  const int64_t work = total / slices_ * g_.group_out() * k_;
  const int64_t wanted =
      std::min(ceil_div(kWantedTasks, slices_ * g_.groups), std::max<int64_t>(8, work / kTaskWork));
  block_chunks_ = std::min(wanted, blocks);
  block_chunks_ = ceil_div(blocks, ceil_div(blocks, block_chunks_));
  row_chunks_ =
      std::clamp<int64_t>(ceil_div(wanted, block_chunks_), 1, ceil_div(rows, 4 * kMaxTileRows));
  // Nine tasks would keep two threads busy for the time of ten.
  if (slices_ * g_.groups * block_chunks_ * row_chunks_ % 2 == 1 && rows >= 8 * kMaxTileRows)
    ++row_chunks_;
  sum_chunks_ = ceil_div(rows, 64);
}

WeightGradient::Columns WeightGradient::columns(const Block& block) const {
  const int64_t pitch = row_side_ == RowSide::taps ? g_.out_channels : input_.row_stride(2);
  if (in_place(block, pitch)) return {true, pitch};
  return {false, block.vectors * kernels_.lanes};
}

// Runs of positions that lie at equal steps in the input; the columns have all in order.
WeightGradient::Segments WeightGradient::input_segments(const Brick& brick, const Columns& columns,
                                                        std::pmr::memory_resource* memory) const {
  const std::array<int64_t, 4>& n = brick.count;
  int64_t run = n[3];
  bool joined = n[3] == g_.out[2];
  for (int axis = 2; axis >= 0; --axis) {
    const int64_t stride = axis > 0 ? input_.row_stride(axis - 1) : input_.batch_stride();
    if (!joined || stride != run * input_.row_stride(2)) break;
    run *= n[axis];
    joined = axis == 0 || n[axis] == g_.out[axis - 1];
  }
  Segments segments(memory);
  const int64_t start = position(brick, 0, 0, 0);
  int64_t place = 0;
  for (int64_t b = 0; b < n[0]; ++b)
    for (int64_t d = 0; d < n[1]; ++d)
      for (int64_t h = 0; h < n[2]; ++h, place += n[3])
        if (place % run == 0)
          segments.push_back(
              {b * input_.batch_stride() + d * input_.row_stride(0) + h * input_.row_stride(1),
               (columns.in_place ? position(brick, b, d, h) - start : place) * columns.pitch});
  return segments;
}

// The same for the slopes, of the lines alone that a tap sees; lines that touch make one run where
// all runs stay equally long.
WeightGradient::Segments WeightGradient::slope_segments(const Brick& brick, const Lines& lines,
                                                        const Columns& columns,
                                                        std::pmr::memory_resource* memory) const {
  const std::size_t count = lines.size();
  const auto touches = [&](std::size_t i) {
    const Line& last = lines[i - 1];
    return lines[i].position == last.position + last.count &&
           (!columns.in_place || lines[i].x == last.x + last.count * columns.pitch);
  };
  std::size_t run = 1;
  while (run < count && touches(run)) ++run;
  bool equal = count % run == 0;
  for (std::size_t i = run; i < count && equal; ++i) equal = touches(i) == (i % run != 0);
  if (!equal) run = 1;
  Segments segments(memory);
  const int64_t start = position(brick, 0, 0, 0);
  int64_t place = 0;
  for (std::size_t i = 0; i < count; place += lines[i].count, ++i)
    if (i % run == 0)
      segments.push_back({(lines[i].position - start) * g_.out_channels,
                          columns.in_place ? lines[i].x : place * columns.pitch});
  return segments;
}

void WeightGradient::pack_outputs(const float* dy, const Brick& brick, const Block& block,
                                  float* panel) const {
  const int64_t width = block.vectors * kernels_.lanes;
  for (int64_t b = 0; b < brick.count[0]; ++b)
    for (int64_t d = 0; d < brick.count[1]; ++d)
      for (int64_t h = 0; h < brick.count[2]; ++h, panel += brick.count[3] * width)
        kernels_.pack_rows(dy + position(brick, b, d, h) * g_.out_channels + block.first,
                           g_.out_channels, brick.count[3], block.count, panel, width);
}

// The lines of a brick, as far as a block's tap reads the tensor there; where the input was copied,
// every position does.
WeightGradient::Lines WeightGradient::seen_lines(const Brick& brick, const Block& block,
                                                 std::pmr::memory_resource* memory) const {
  Extents shift;
  for (int axis = 0; axis < kAxes; ++axis) shift[axis] = block.tap[axis] * g_.dilation[axis];
  const int64_t first = block.channel + tap_offset(block.tap);
  const auto seen = [&](int axis, int64_t i) {
    return input_.copies() ||
           input_.inside(
               axis, axes_[axis].start +
                         (brick.first[static_cast<std::size_t>(axis) + 1] + i) * axes_[axis].step +
                         shift[axis]);
  };
  int64_t begin = 0;
  int64_t end = brick.count[3];
  while (begin < end && !seen(2, begin)) ++begin;
  while (begin < end && !seen(2, end - 1)) --end;
  Lines lines(memory);
  for (int64_t b = 0; b < brick.count[0]; ++b)
    for (int64_t d = 0; d < brick.count[1]; ++d)
      for (int64_t h = 0; h < brick.count[2]; ++h)
        if (begin < end && seen(0, d) && seen(1, h))
          lines.push_back({.x = first + b * input_.batch_stride() + d * input_.row_stride(0) +
                                h * input_.row_stride(1) + begin * input_.row_stride(2),
                           .position = position(brick, b, d, h) + begin,
                           .count = end - begin});
  return lines;
}

// A panel of the positions that a tap sees, `x` being the brick's base.
void WeightGradient::pack_taps(const float* x, const Lines& lines, const Block& block,
                               float* panel) const {
  const int64_t width = block.vectors * kernels_.lanes;
  for (const Line& line : lines) {
    kernels_.pack_rows(x + line.x, input_.row_stride(2), line.count, block.count, panel, width);
    panel += line.count * width;
  }
}

// Where a brick's slopes of some outputs of a group lie, and its inputs that a tap sees; of lines
// that do not follow one another only the first for sure.
TileAhead WeightGradient::slopes_ahead(const float* dy, const Brick& brick, int64_t group,
                                       const ChannelRange& outputs) const {
  const int64_t channel = group * g_.group_out() + outputs.first;
  return {.from = dy + position(brick, 0, 0, 0) * g_.out_channels + channel,
          .step = g_.out_channels,
          .floats = outputs.count};
}
TileAhead WeightGradient::inputs_ahead(const float* x, const Brick& brick, int64_t group,
                                       const Extents& tap, const ChannelRange& inputs) const {
  if (input_.copies()) return {};  // they are near
  const float* const in = input_.base(x, brick, {group * g_.group_in(), g_.group_in()}, nullptr);
  return {.from = in + tap_offset(tap) + inputs.first,
          .step = input_.row_stride(2),
          .floats = inputs.count};
}

// What a block's panel will be packed from.
TileAhead WeightGradient::block_ahead(const float* x, const float* dy, const Brick& brick,
                                      int64_t group, const Block& block) const {
  return row_side_ == RowSide::taps
             ? slopes_ahead(dy, brick, group, {block.first, block.count})
             : inputs_ahead(x, brick, group, block.tap, {block.channel, block.count});
}

// The numbers of the row side, as far as a brick of them stays in the second-level cache.
TileAhead WeightGradient::rows_ahead(const float* x, const float* dy, const Brick& brick,
                                     int64_t group, const ChannelRange& rows) const {
  const bool outputs = row_side_ == RowSide::outputs;
  const ChannelRange channels = outputs ? rows : ChannelRange{0, g_.group_in()};
  if (channels.count * brick.rows() > kNearRows) return {};
  return outputs ? slopes_ahead(dy, brick, group, channels)
                 : inputs_ahead(x, brick, group, {}, channels);
}

void WeightGradient::run_task(int64_t task, const float* x, const float* dy, float* partial,
                              float* dw) const {
  const int64_t row_chunk = task % row_chunks_;
  const int64_t block_chunk = task / row_chunks_ % block_chunks_;
  const int64_t slice = task / row_chunks_ / block_chunks_ % slices_;
  const int64_t group = task / row_chunks_ / block_chunks_ / slices_;
  const int64_t rows = this->rows();
  const auto blocks = static_cast<int64_t>(blocks_.size());
  const int64_t begin_block = blocks * block_chunk / block_chunks_;
  const int64_t end_block = blocks * (block_chunk + 1) / block_chunks_;
  const int64_t row_begin = rows * row_chunk / row_chunks_;
  const int64_t row_end = rows * (row_chunk + 1) / row_chunks_;
  float* const c =
      writes_dw_ ? dw + group * rows * k_ : partial + (group * slices_ + slice) * partial_size_;
  const std::array<int64_t, 4>& size = cut_.size();
  Buffer<float> scratch;
  if (input_.copies()) scratch = Buffer<float>(static_cast<std::size_t>(input_.scratch_floats()));
  Buffer<float> panel;
  if (packs_)
    panel = Buffer<float>(static_cast<std::size_t>(size[0] * size[1] * size[2] * size[3] *
                                                   kMaxTileVectors * kernels_.lanes));
  TaskMemory memory;
  RowTable table(&memory);
  table.input.resize(static_cast<std::size_t>(row_end - row_begin));
  table.output.assign(c_offset_.begin() + row_begin, c_offset_.begin() + row_end);
  const float* first_base = nullptr;  // of the first brick's rows
  const int64_t first_brick = cut_.bricks() * slice / slices_;
  const int64_t end_brick = cut_.bricks() * (slice + 1) / slices_;
  for (int64_t index = first_brick; index < end_brick; ++index) {
    const Brick brick = cut_.brick(index);
    const float* const in =
        input_.base(x, brick, {group * g_.group_in(), g_.group_in()}, scratch.data());
    const float* const slopes = dy + group * g_.group_out();
    const float* const row_base =
        row_side_ == RowSide::taps ? in : slopes + position(brick, 0, 0, 0) * g_.out_channels;
    if (first_base == nullptr) {
      first_base = row_base;
      for (int64_t r = row_begin; r < row_end; ++r)
        table.input[static_cast<std::size_t>(r - row_begin)] =
            row_base + row_offset_[static_cast<std::size_t>(r)];
    }
    for (int64_t b = begin_block; b < end_block; ++b) {
      const Block& block = blocks_[static_cast<std::size_t>(b)];
      const int64_t width = block.vectors * kernels_.lanes;
      TileJob job;
      TaskMemory lists;
      Segments segments(&lists);
      int64_t positions = brick.rows();
      const Columns columns = this->columns(block);
      if (row_side_ == RowSide::taps) {
        segments = input_segments(brick, columns, &lists);
        job.b = slopes + position(brick, 0, 0, 0) * g_.out_channels + block.first;
        if (!columns.in_place) pack_outputs(slopes, brick, block, panel.data());
        job.a_step = input_.row_stride(2);
        job.columns = width;
      } else {
        const Lines lines = seen_lines(brick, block, &lists);
        segments = slope_segments(brick, lines, columns, &lists);
        positions = lines.empty() ? 0 : static_cast<int64_t>(lines.size()) * lines.front().count;
        job.b = in;
        if (!columns.in_place) pack_taps(in, lines, block, panel.data());
        job.a_step = g_.out_channels;
        job.columns = block.count;
      }
      if (!columns.in_place) job.b = panel.data();
      job.b_step = columns.pitch;
      job.segments = segments.data();
      job.segment_count = static_cast<int64_t>(segments.size());
      job.depth = segments.empty() ? 0 : positions / job.segment_count;
      job.a_start = row_base - first_base;
      job.c = c + (writes_dw_ ? block.first : b * rows * width_);
      job.accumulate = index > first_brick;
      std::array<TileAhead, 2> ahead;
      const bool last = b + 1 == end_block;
      if (index + 1 < end_brick || !last) {
        const Brick next = last ? cut_.brick(index + 1) : brick;
        ahead[0] = block_ahead(x, dy, next, group,
                               blocks_[static_cast<std::size_t>(last ? begin_block : b + 1)]);
        if (last) ahead[1] = rows_ahead(x, dy, next, group, {row_begin, row_end - row_begin});
      }
      run_tiles(table, kernels_.run[block.vectors], kernels_.max_rows[block.vectors], job, ahead);
    }
  }
}

ConvWork WeightGradient::work() const {
  const auto lanes = static_cast<double>(kernels_.lanes);
  const auto groups = static_cast<double>(g_.groups);
  const auto positions = static_cast<double>(g_.batch * g_.out[0] * g_.out[1] * g_.out[2]);
  const auto rows = static_cast<double>(this->rows());
  int64_t vectors = 0;
  int64_t packed_vectors = 0;
  double tiles = 0.0;
  for (const Block& block : blocks_) {
    vectors += block.vectors;
    if (!columns(block).in_place) packed_vectors += block.vectors;
    tiles += rows / static_cast<double>(kernels_.max_rows[block.vectors]);
  }
  ConvWork work;
  double seen = 1.0;  // share of positions that taps see
  for (int axis = 0; axis < kAxes && row_side_ == RowSide::outputs && !input_.copies(); ++axis) {
    int64_t inside = 0;
    for (int64_t o = 0; o < g_.out[axis]; ++o)
      for (int64_t k = 0; k < g_.kernel[axis]; ++k)
        inside +=
            input_.inside(axis, axes_[axis].start + o * axes_[axis].step + k * g_.dilation[axis]);
    seen *= static_cast<double>(inside) / static_cast<double>(g_.out[axis] * g_.kernel[axis]);
  }
  work.products = groups * positions * rows * static_cast<double>(vectors) * seen;
  work.calls = groups * tiles * static_cast<double>(cut_.bricks());
  work.transforms = groups * positions * static_cast<double>(packed_vectors * row_chunks_);
  if (input_.copies())
    work.transforms += groups * static_cast<double>(cut_.bricks() * block_chunks_ * row_chunks_) *
                       static_cast<double>(input_.scratch_floats()) / lanes;
  // Each brick reads and writes all of dw; slices are added up at the end.
  work.weights = groups * static_cast<double>((cut_.bricks() + slices_) * partial_size_) / lanes;
  work.tensors = static_cast<double>(input_count(g_) + output_count(g_)) / lanes;
  return work;
}

// dw = the sum of the slices' dw, in the order of the slices.
void WeightGradient::sum(int64_t task, const float* partial, float* dw) const {
  const int64_t group = task / sum_chunks_;
  const int64_t begin = rows() * (task % sum_chunks_) / sum_chunks_;
  const int64_t count = rows() * (task % sum_chunks_ + 1) / sum_chunks_ - begin;
  const int64_t floats = count * width_;
  float* const to = dw + group * g_.group_out() * k_;
  Buffer<float> total(static_cast<std::size_t>(slices_ > 1 ? floats : 0));
  for (int64_t b = 0; b < std::ssize(blocks_); ++b) {
    const Block& block = blocks_[static_cast<std::size_t>(b)];
    const float* const first =
        partial + group * slices_ * partial_size_ + (b * rows() + begin) * width_;
    const float* sums = first;
    if (slices_ > 1) {
      std::copy_n(first, floats, total.data());
      for (int64_t slice = 1; slice < slices_; ++slice) {
        const float* const next = first + slice * partial_size_;
        for (int64_t i = 0; i < floats; ++i) total.data()[i] += next[i];
      }
      sums = total.data();
    }
    if (row_side_ == RowSide::taps)
      kernels_.transpose(sums, width_, count, block.count, to + block.first * k_ + begin, k_);
    else
      for (int64_t row = 0; row < count; ++row)
        std::copy_n(sums + row * width_, block.count, to + (begin + row) * k_ + block.first);
  }
}

}  // namespace

std::unique_ptr<ConvProgram> prepare_direct_weight(const ConvGeometry& geometry) {
  return std::make_unique<WeightGradient>(geometry);
}

}  // namespace convkit::kernels
