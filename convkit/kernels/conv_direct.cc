#include "convkit/kernels/conv_direct.h"

#include <algorithm>
#include <atomic>
#include <span>
#include <utility>
#include <vector>

#include "convkit/base/checked.h"
#include "convkit/base/memory.h"
#include "convkit/base/task_memory.h"
#include "convkit/base/thread_pool.h"
#include "convkit/kernels/conv_brick.h"
#include "convkit/kernels/conv_lattice.h"
#include "convkit/kernels/conv_rows.h"
#include "convkit/kernels/conv_tile.h"

namespace convkit::kernels {
namespace {

// Tasks that keep 16 threads busy with some left to balance, where the work allows it.
constexpr int64_t kWantedTasks = 48;
// So few must share out evenly among two or four threads.
constexpr int64_t kFewTasks = 16;
// Multiply-adds beside which the start of a task, a third of a microsecond, does not count.
constexpr int64_t kTaskWork = int64_t{1} << 20;
// Rows of a brick: enough to read each weight often from the cache it was brought to, few enough
// that their input stays in the second-level cache.
constexpr int64_t kFewestRows = 112;
constexpr int64_t kMostRows = 448;
constexpr int64_t kManyBlocks = 8;
constexpr int64_t kScratchLimit = 96 * 1024;  // floats
constexpr int64_t kFewChannels = 32;
constexpr int64_t kPackDepth = 16;
// Up to so many bricks, tasks that pack their own weights again for each brick are faster than
// tasks that share them, half of which then come out of another core's cache at some 12 GB/s.
constexpr int64_t kFewBricks = 4;
// Rows of weights in place are read as fast as packed ones if the tile has 28 multiply-adds to do
// for each, as with AVX-512, or if several lie on a page.
constexpr int64_t kWideRow = 32;
constexpr int64_t kNearRows = 256;
// Terms of a part of a sum, beside which to store and load it does not count.
constexpr int64_t kPartDepth = 48;
// Rows this many floats apart (a page, in bytes) share one set of the first-level cache, which has
// room for no more than eight of them.
constexpr int64_t kRowCollision = 1024;
constexpr int64_t kMostCollidingRows = 8;

// An output of more floats than this is in no core's own cache when it is written, and a sum of so
// many terms leaves time to fetch it.
constexpr int64_t kNearOutput = int64_t{1} << 18;
constexpr int64_t kTermsToFetch = 64;
// Packed weights that stay in the second-level cache while the rows go by.
constexpr int64_t kNearWeights = 160 * 1024;  // floats
constexpr int64_t kFloatsPerLine = 16;

// What distinguishes forward from backward-input once both are lattices.
struct Sides {
  Extents in;
  Extents out;
  int64_t in_channels;
  int64_t out_channels;
  // Element (tap, k, column) of a group's weights is at tap·tap + k·k + column·column.
  int64_t weight_tap;
  int64_t weight_k;
  int64_t weight_column;
  // The weights of a column, where they stand side by side; else 0.
  int64_t weight_row = 0;
};

// Columns [first, first + count) of a group's folded outputs, and where their weights are packed.
struct Block {
  int64_t first;
  int64_t count;
  int vectors;
  int64_t packed;
};

// One lattice per axis: a stride-1 correlation of its own.
class Correlation {
 public:
  /// `is_part`: its caller runs it inside of a task, on one thread.
  Correlation(const ConvGeometry& g, const Sides& sides, std::array<AxisLattice, kAxes> axes,
              bool is_part)
      : g_(g), sides_(sides), axes_(std::move(axes)), is_part_(is_part), kernels_(tile_kernels()) {
    depth_ = sides_.in_channels / g.groups;
    columns_ = sides_.out_channels / g.groups;
    plan_blocks(kMaxTileVectors);
    plan_input();
    plan_weights();
    plan_chunks();
  }

  int64_t packed_floats() const { return g_.groups * group_packed_; }
  ConvWork work() const;
  int64_t pack_tasks() const;
  int64_t tasks() const {
    return cut_.bricks() * g_.groups * chunks_ + (halves_last_ ? last_cut_.bricks() - 1 : 0);
  }

  void pack(int64_t task, const float* w, float* packed) const;
  int64_t weight_row() const { return sides_.weight_row; }
  bool packs_rows() const { return sides_.weight_row > 0 && axes_[2].fold == 1; }
  void pack_rows(int64_t task, const ReadWeightRows& read, float* packed) const;
  // The weights of one output channel, where packs_rows().
  void unpack_row(int64_t channel, const float* packed, float* row) const;
  // Weights either packed, or as they are: then each task reads them in place, or packs its own
  // into the second-level cache, which pays where few other tasks need them.
  struct Weights {
    const float* packed;
    const float* plain;
  };
  bool tasks_share_weights() const {
    return !in_place_ && cut_.bricks() > (axes_[2].fold == 1 ? kFewBricks : 1);
  }
  // False if rows are folded and an output is not finite: then a NaN or an infinity of a neighbour
  // may have met the zeros between the kernels.
  bool run(int64_t task, const float* x, const Weights& weights, const ConvEpilogue& epilogue,
           float* y) const;

 private:
  // One tap's weights of one block, for a range of k: where they lie in w and in the packed ones.
  struct PackCell {
    int64_t tap;
    int64_t offset_w;
    int64_t kernel_line;
    TapRange k;
  };
  template <class Pack>
  void for_each_tap(Pack&& pack) const;
  void pack_cell(const Block& block, const PackCell& cell, const float* weights,
                 float* packed) const;
  const float* group_weights(const float* w, int64_t group) const {
    return w + group * g_.group_out() * g_.group_in() * g_.kernel[0] * g_.kernel[1] * g_.kernel[2];
  }
  // What a task computes.
  struct Part {
    Brick brick;
    int64_t group;
    int64_t chunk;  // of the blocks
  };
  Part part_of(int64_t task) const;
  TileJob block_job(const Block& block, int64_t group, const float* packed,
                    const ConvEpilogue& epilogue, float* y) const;
  void pad_bias(const Block& block, int64_t group, const float* bias, float* padded) const;
  void run_by_rows(const RowTable& rows, const TapRun& tap, std::span<const Block> blocks,
                   std::span<TileJob> jobs) const;
  void plan_blocks(int most_vectors);
  void plan_weights();
  void plan_input();
  bool all_outputs_finite(std::span<const int64_t> rows, const TileJob& job) const;
  void plan_chunks();
  int64_t offset_count() const {
    int64_t count = 1;
    for (const AxisLattice& axis : axes_) count *= static_cast<int64_t>(axis.offsets.size());
    return count;
  }

  ConvGeometry g_;
  Sides sides_;
  std::array<AxisLattice, kAxes> axes_;
  bool is_part_;
  const TileKernels& kernels_;
  int64_t depth_ = 0;    // channels summed over
  int64_t columns_ = 0;  // channels produced, per position
  std::vector<Block> blocks_;
  int64_t group_packed_ = 0;
  BrickCut cut_;
  bool halves_last_ = false;  // the last block has tasks of its own, one for each brick of
  BrickCut last_cut_;
  BrickInput input_;
  int64_t most_rows_ = kMaxTileRows;
  bool fetches_outputs_ = false;
  bool goes_by_rows_ = false;      // if all weights of a task stay near
  bool joins_taps_ = false;        // channels of neighbours along W lie side by side in the input
  bool in_place_ = false;          // weights that are not packed are read where they lie
  int64_t sum_parts_ = 1;          // of a tap's sum over weights in place
  std::vector<int64_t> tap_in_w_;  // floats from a group's weights to those of each offset
  Buffer<float> zeros_;
  int64_t chunks_ = 1;
};

void Correlation::plan_blocks(int most_vectors) {
  blocks_.clear();
  group_packed_ = 0;
  const int64_t width = axes_[2].fold * columns_;
  const int64_t k_rows = offset_count() * depth_;
  for (int64_t first = 0; first < width; first += blocks_.back().count) {
    const int64_t left = width - first;
    const int vectors = left > kernels_.lanes ? most_vectors : 1;
    const int64_t count = std::min(left, vectors * kernels_.lanes);
    blocks_.push_back({first, count, vectors, group_packed_});
    group_packed_ += k_rows * vectors * kernels_.lanes;
  }
}

void Correlation::plan_input() {
  const AxisLattice& w_axis = axes_[2];
  const auto w_offsets = static_cast<int64_t>(w_axis.offsets.size());
  const bool consecutive =
      w_offsets > 0 && w_axis.offsets.back() - w_axis.offsets.front() == w_offsets - 1;
  // Few channels make for short sums, unless neighbours along W are joined to them. That needs
  // their channels side by side, and no edges in between.
  const bool join_by_copy = depth_ < kFewChannels && consecutive && w_offsets > 1;
  const bool apart = g_.groups > 1;
  input_ = BrickInput(input_axes(axes_, sides_.in), sides_.in_channels, depth_,
                      !join_by_copy ? BrickInput::Copy::never
                      : apart       ? BrickInput::Copy::always
                                    : BrickInput::Copy::for_edges);
  zeros_ = Buffer<float>(static_cast<std::size_t>(depth_));
  std::fill_n(zeros_.data(), depth_, 0.0f);

  const std::array<int64_t, 4> rows = {g_.batch, axes_[0].rows, axes_[1].rows, axes_[2].rows};
  const int64_t total = rows[0] * rows[1] * rows[2] * rows[3];
  int64_t wanted = std::clamp(total / kWantedTasks, kFewestRows, kMostRows);
  // One brick leaves each weight to one task; its columns are enough to share out.
  if (total <= kMostRows && static_cast<int64_t>(blocks_.size()) * g_.groups >= kManyBlocks)
    wanted = total;
  if (is_part_) wanted = std::min(total, kMostRows);
  for (;; wanted /= 2) {
    cut_ = BrickCut(rows, wanted);
    input_.set_brick_size(cut_.size());
    if (input_.scratch_floats() <= kScratchLimit || wanted <= 2 * kMaxTileRows) break;
  }
  // Five tasks would keep two threads busy for the time of six. Bricks half as large make ten.
  const std::array<int64_t, 4>& size = cut_.size();
  const int64_t brick_rows = size[0] * size[1] * size[2] * size[3];
  const int64_t units = cut_.bricks() * g_.groups * static_cast<int64_t>(blocks_.size());
  if (!is_part_ && units < kFewTasks && units % 2 != 0 && brick_rows >= 2 * kMaxTileRows) {
    const BrickCut halves(rows, ceil_div(brick_rows, 2));
    // So do four and two halves of the last block, and each reads its weights but once.
    halves_last_ = cut_.bricks() == 1 && g_.groups == 1 && units > 1 && !input_.copies();
    (halves_last_ ? last_cut_ : cut_) = halves;
    if (!halves_last_) input_.set_brick_size(cut_.size());
  }
  joins_taps_ = consecutive && input_.dense();
  fetches_outputs_ = !is_part_ && total * columns_ * g_.groups > kNearOutput &&
                     offset_count() * depth_ >= kTermsToFetch;
  goes_by_rows_ = !is_part_ && offset_count() == 1 && w_axis.fold == 1 && cut_.bricks() > 1 &&
                  depth_ >= kTermsToFetch;
  if (input_.row_stride(2) % kRowCollision == 0) most_rows_ = kMostCollidingRows;
}

// Backward-input finds the weights of a block's columns side by side, as the tile wants them. Few
// rows do not pay for packing them.
void Correlation::plan_weights() {
  for_each_tap([&](const PackCell& cell) {
    const int64_t tap = cell.kernel_line * g_.kernel[2] + axes_[2].tap(cell.offset_w, 0);
    tap_in_w_.push_back(tap * sides_.weight_tap);
  });
  const int64_t rows = g_.batch * axes_[0].rows * axes_[1].rows * axes_[2].rows;
  const bool wide = kMaxTileVectors * kernels_.lanes >= kWideRow;
  in_place_ = sides_.weight_column == 1 && axes_[2].fold == 1 && rows <= kMostRows &&
              sides_.weight_k % kRowCollision != 0 && (wide || sides_.weight_k <= kNearRows);
  // Rows of weights that lie apart push each other out of the cache sooner: sums over many are
  // taken in parts.
  const int64_t kept = kept_rows(sides_.weight_k);
  if (in_place_ && offset_count() * depth_ > kept) {
    sum_parts_ = ceil_div(depth_, kept);
    while (depth_ % sum_parts_ != 0) ++sum_parts_;
    in_place_ = depth_ / sum_parts_ >= kPartDepth;
  }
}

void Correlation::plan_chunks() {
  if (is_part_) return;
  const int64_t bricks = std::max<int64_t>(1, cut_.bricks());
  const std::array<int64_t, 4>& size = cut_.size();
  const int64_t brick_rows = size[0] * size[1] * size[2] * size[3];
  if (halves_last_) {
    chunks_ = static_cast<int64_t>(blocks_.size());
    return;
  }
  // Where rows are too few for that, blocks half as wide do as well.
  const int64_t units = bricks * g_.groups * static_cast<int64_t>(blocks_.size());
  // (Where one vector asks for more rows than two, reading them is what limits its tiles.)
  if (units < kFewTasks && units % 2 != 0 && brick_rows >= 2 * kMaxTileRows &&
      kernels_.max_rows[2] >= kernels_.max_rows[1])
    plan_blocks(1);
  const auto blocks = static_cast<int64_t>(blocks_.size());
  // A brick's copy must be worth it: each part of the columns repeats it.
  const int64_t work_per_input = std::max<int64_t>(1, offset_count() * 2 * kernels_.lanes);
  int64_t fewest = input_.copies() ? std::max<int64_t>(1, 256 / work_per_input) : 1;
  // So must be the task.
  const int64_t block_work = std::max<int64_t>(1, brick_rows * group_packed_ / blocks);
  fewest = std::max(fewest, std::min(kTaskWork / block_work, ceil_div(blocks, 8)));
  chunks_ = std::clamp<int64_t>(ceil_div(kWantedTasks, bricks * g_.groups), 1,
                                std::max<int64_t>(1, blocks / fewest));
  chunks_ = ceil_div(blocks, ceil_div(blocks, chunks_));
}

ConvWork Correlation::work() const {
  const auto lanes = static_cast<double>(kernels_.lanes);
  const bool edges = input_.covers_edges();
  double rows = static_cast<double>(g_.batch);
  double terms = rows;  // rows times the taps they see
  for (int axis = 0; axis < kAxes; ++axis) {
    const AxisLattice& lattice = axes_[axis];
    int64_t seen = 0;
    for (int64_t r = 0; r < lattice.rows; ++r)
      for (const int64_t offset : lattice.offsets)
        seen += edges || input_.inside(axis, lattice.in_start + r * lattice.in_step + offset);
    rows *= static_cast<double>(lattice.rows);
    terms *= static_cast<double>(seen);
  }
  int64_t vectors = 0;
  for (const Block& block : blocks_) vectors += block.vectors;
  const auto groups = static_cast<double>(g_.groups);
  const auto packed = static_cast<double>(packed_floats()) / lanes;
  ConvWork work;
  work.products = groups * terms * static_cast<double>(depth_ * vectors);
  work.calls = groups * rows * static_cast<double>(blocks_.size()) /
               static_cast<double>(std::min(most_rows_, kernels_.max_rows[kMaxTileVectors]));
  if (input_.copies())
    work.transforms = groups * static_cast<double>(cut_.bricks() * chunks_) *
                      static_cast<double>(input_.scratch_floats()) / lanes;
  work.weights = packed;
  work.packing = in_place_ ? 0.0 : packed;
  work.tensors = rows * static_cast<double>(axes_[2].fold * sides_.out_channels) / lanes +
                 rows * static_cast<double>(sides_.in_channels) / lanes;
  return work;
}

// Forward finds a block's weights as rows of k that it must turn: a task per block. Backward-input
// finds them as rows of columns: a task per range of k reads the weights in their order.
int64_t Correlation::pack_tasks() const {
  const auto blocks = static_cast<int64_t>(blocks_.size());
  return g_.groups * (sides_.weight_k == 1 ? blocks : ceil_div(depth_, kPackDepth));
}

// Calls pack(cell) for the taps in the order of packed weights, with all k.
template <class Pack>
void Correlation::for_each_tap(Pack&& pack) const {
  const auto count = [&](int axis) { return static_cast<int64_t>(axes_[axis].offsets.size()); };
  int64_t tap = 0;
  for (int64_t d = 0; d < count(0); ++d)
    for (int64_t h = 0; h < count(1); ++h)
      for (int64_t i = 0; i < count(2); ++i, ++tap)
        pack(PackCell{.tap = tap,
                      .offset_w = i,
                      .kernel_line = axes_[0].tap(d, 0) * g_.kernel[1] + axes_[1].tap(h, 0),
                      .k = {0, depth_}});
}

void Correlation::pack(int64_t task, const float* w, float* packed) const {
  const int64_t per_group = pack_tasks() / g_.groups;
  const int64_t group = task / per_group;
  const int64_t part = task % per_group;
  const float* const weights = group_weights(w, group);
  float* const to = packed + group * group_packed_;
  for_each_tap([&](PackCell cell) {
    if (sides_.weight_k == 1) {
      const Block& block = blocks_[static_cast<std::size_t>(part)];
      pack_cell(block, cell, weights, to + block.packed);
    } else {
      cell.k = {part * kPackDepth, std::min(depth_, (part + 1) * kPackDepth)};
      for (const Block& block : blocks_) pack_cell(block, cell, weights, to + block.packed);
    }
  });
}

void Correlation::pack_rows(int64_t task, const ReadWeightRows& read, float* packed) const {
  const auto blocks = static_cast<int64_t>(blocks_.size());
  const int64_t group = task / blocks;
  Block block = blocks_[static_cast<std::size_t>(task % blocks)];
  Buffer<float> rows(static_cast<std::size_t>(block.count * sides_.weight_row));
  read(group * columns_ + block.first, block.count, rows.data());
  block.first = 0;
  float* const to = packed + group * group_packed_ + block.packed;
  for_each_tap([&](const PackCell& cell) { pack_cell(block, cell, rows.data(), to); });
}

void Correlation::unpack_row(int64_t channel, const float* packed, float* row) const {
  const int64_t column = channel % columns_;
  const auto block = std::find_if(blocks_.begin(), blocks_.end(), [&](const Block& each) {
    return column < each.first + each.count;
  });
  const int64_t width = block->vectors * kernels_.lanes;
  const float* const from =
      packed + channel / columns_ * group_packed_ + block->packed + column - block->first;
  for_each_tap([&](const PackCell& cell) {
    const int64_t tap = cell.kernel_line * g_.kernel[2] + axes_[2].tap(cell.offset_w, 0);
    for (int64_t k = 0; k < depth_; ++k)
      row[tap * sides_.weight_tap + k] = from[(cell.tap * depth_ + k) * width];
  });
}

void Correlation::pack_cell(const Block& block, const PackCell& cell, const float* weights,
                            float* packed) const {
  const int64_t width = block.vectors * kernels_.lanes;
  const int64_t rows = cell.k.last - cell.k.first;
  float* const to = packed + (cell.tap * depth_ + cell.k.first) * width;
  const bool folded = axes_[2].fold > 1;
  if (folded || (block.count < width && sides_.weight_k == 1)) std::fill_n(to, rows * width, 0.0f);
  // Columns of one output position at a time.
  for (int64_t column = 0; column < block.count;) {
    const int64_t j = (block.first + column) / columns_;
    const int64_t channel = (block.first + column) % columns_;
    const int64_t run = std::min(columns_ - channel, block.count - column);
    const int64_t tap_w = axes_[2].tap(cell.offset_w, j);
    if (tap_w >= 0) {
      const float* const from = weights +
                                (cell.kernel_line * g_.kernel[2] + tap_w) * sides_.weight_tap +
                                channel * sides_.weight_column + cell.k.first * sides_.weight_k;
      if (sides_.weight_k == 1)
        kernels_.transpose(from, sides_.weight_column, run, rows, to + column, width);
      else if (!folded)
        kernels_.pack_rows(from, sides_.weight_k, rows, run, to, width);
      else
        for (int64_t k = 0; k < rows; ++k)
          std::copy_n(from + k * sides_.weight_k, run, to + k * width + column);
    }
    column += run;
  }
}

// Neighbours along W join to one stretch of memory, if the columns are all channels.
bool Correlation::all_outputs_finite(std::span<const int64_t> rows, const TileJob& job) const {
  bool finite = true;
  for (std::size_t i = 0; i < rows.size();) {
    const float* const from = job.c + rows[i];
    int64_t count = job.columns;
    for (++i; i < rows.size() && job.c + rows[i] == from + count; ++i) count += job.columns;
    finite &= kernels_.all_finite(from, count);
  }
  return finite;
}

Correlation::Part Correlation::part_of(int64_t task) const {
  if (!halves_last_)
    return {cut_.brick(task / chunks_ / g_.groups), task / chunks_ % g_.groups, task % chunks_};
  // Two threads take half of the tasks each, in their order: a part of the last block ends both.
  const int64_t whole = chunks_ - 1;
  if (task == whole / 2) return {last_cut_.brick(0), 0, whole};
  if (task <= whole) return {cut_.brick(0), 0, task < whole / 2 ? task : task - 1};
  return {last_cut_.brick(task - whole), 0, whole};
}

bool Correlation::run(int64_t task, const float* x, const Weights& weights,
                      const ConvEpilogue& epilogue, float* y) const {
  const Part part = part_of(task);
  const Brick& brick = part.brick;
  const int64_t group = part.group;
  const auto blocks = static_cast<int64_t>(blocks_.size());
  Buffer<float> scratch;
  if (input_.copies()) scratch = Buffer<float>(static_cast<std::size_t>(input_.scratch_floats()));
  const float* const base =
      offset_count() == 0 ? x : input_.base(x, brick, {group * depth_, depth_}, scratch.data());
  const bool in_place = in_place_ && weights.packed == nullptr;
  TaskMemory memory;
  const int64_t pitch = epilogue.out_pitch > 0 ? epilogue.out_pitch : sides_.out_channels;
  const std::pmr::vector<RowTable> tables =
      list_rows({axes_, input_, base, zeros_.data(), sides_.out, pitch}, brick, &memory);
  std::pmr::vector<std::pmr::vector<TapRun>> runs(&memory);
  runs.reserve(tables.size());
  for (const RowTable& table : tables)
    runs.push_back(list_taps(axes_, input_, table, joins_taps_ && !in_place, &memory));
  const int64_t first_block = blocks * part.chunk / chunks_;
  const int64_t end_block = blocks * (part.chunk + 1) / chunks_;
  constexpr int64_t kMostWidth = kMaxTileVectors * 64;
  if (goes_by_rows_ && tables.size() == 1 && !tables[0].per_tap && end_block - first_block > 1 &&
      weights.packed != nullptr &&
      (end_block - first_block) * depth_ * kMaxTileVectors * kernels_.lanes <= kNearWeights) {
    const std::span<const Block> some(blocks_.data() + first_block, blocks_.data() + end_block);
    std::pmr::vector<TileJob> jobs(&memory);
    jobs.reserve(some.size());
    std::pmr::vector<float> bias(some.size() * static_cast<std::size_t>(kMostWidth), &memory);
    for (const Block& block : some) {
      float* const padded = bias.data() + std::ssize(jobs) * kMostWidth;
      jobs.push_back(block_job(block, group, weights.packed, epilogue, y));
      if (epilogue.bias == nullptr) continue;
      pad_bias(block, group, epilogue.bias, padded);
      jobs.back().bias = padded;
    }
    run_by_rows(tables[0], runs[0].front(), some, jobs);
    return true;
  }
  float padded_bias[kMostWidth];
  Buffer<float> packed;
  if (weights.packed == nullptr)
    packed = Buffer<float>(
        static_cast<std::size_t>(offset_count() * depth_ * kMaxTileVectors * kernels_.lanes));
  std::pmr::vector<TileSegment> segments(&memory);
  bool all_finite = true;
  for (int64_t b = first_block; b < end_block; ++b) {
    const Block& block = blocks_[static_cast<std::size_t>(b)];
    TileJob job = block_job(block, group, weights.packed, epilogue, y);
    const int64_t width = block.vectors * kernels_.lanes;
    const bool plain = in_place && block.count == width;
    if (plain) {
      job.b_step = sides_.weight_k;
      job.b = group_weights(weights.plain, group) + block.first;
    } else if (weights.packed == nullptr) {
      job.b = packed.data();
      for_each_tap([&](const PackCell& cell) {
        pack_cell(block, cell, group_weights(weights.plain, group), packed.data());
      });
    }
    if (epilogue.bias != nullptr) {
      pad_bias(block, group, epilogue.bias, padded_bias);
      job.bias = padded_bias;
    }
    for (std::size_t t = 0; t < tables.size(); ++t) {
      job.columns = std::min(block.count, tables[t].fold * columns_ - block.first);
      if (job.columns <= 0) continue;
      segments.clear();
      const int64_t parts = plain && !tables[t].per_tap ? sum_parts_ : 1;
      const int64_t depth = runs[t].empty() ? 0 : runs[t].front().count * depth_ / parts;
      for (const TapRun& run : runs[t])
        for (int64_t p = 0; p < parts; ++p)
          segments.push_back(
              {run.a + p * depth,
               plain ? tap_in_w_[static_cast<std::size_t>(run.first)] + p * depth * sides_.weight_k
                     : run.first * depth_ * width});
      job.segments = segments.data();
      job.segment_count = static_cast<int64_t>(segments.size());
      job.depth = depth;
      run_tiles(tables[t], kernels_.run[block.vectors],
                std::min(most_rows_, kernels_.max_rows[block.vectors]), job);
      if (tables[t].fold > 1) all_finite &= all_outputs_finite(tables[t].output, job);
    }
  }
  return all_finite;
}

// Of one block: all but its rows, taps and bias.
TileJob Correlation::block_job(const Block& block, int64_t group, const float* packed,
                               const ConvEpilogue& epilogue, float* y) const {
  TileJob job;
  job.b_step = block.vectors * kernels_.lanes;
  if (packed != nullptr) job.b = packed + group * group_packed_ + block.packed;
  job.c = y + group * columns_ + block.first;
  if (epilogue.residual != nullptr)
    job.residual = epilogue.residual + group * columns_ + block.first;
  job.clamps = epilogue.clamps();
  job.low = epilogue.low;
  job.high = epilogue.high;
  job.fetches_c = fetches_outputs_;
  return job;
}

void Correlation::pad_bias(const Block& block, int64_t group, const float* bias,
                           float* padded) const {
  for (int64_t j = 0; j < block.vectors * kernels_.lanes; ++j)
    padded[j] = j < block.count ? bias[group * columns_ + (block.first + j) % columns_] : 0.0f;
}

// All blocks go over a tile of rows before the next one's turn, so that neighbouring outputs are
// written soon after another. Where its inputs or outputs are one
// stretch of memory, they fetch that of the next tile, each a part.
void Correlation::run_by_rows(const RowTable& rows, const TapRun& tap,
                              std::span<const Block> blocks, std::span<TileJob> jobs) const {
  const auto total = static_cast<int64_t>(rows.output.size());
  const int64_t tiles = ceil_div(total, std::min(most_rows_, kernels_.max_rows[kMaxTileVectors]));
  const auto count = std::ssize(jobs);
  const TileSegment segment = {tap.a, 0};
  for (int64_t tile = 0; tile < tiles; ++tile) {
    const int64_t begin = total * tile / tiles;
    const int64_t end = total * (tile + 1) / tiles;
    const float* const* const input = rows.input.data() + begin;
    const int64_t* const output = rows.output.data() + begin;
    const int64_t last = end - begin - 1;
    const bool reads_most = sides_.in_channels > sides_.out_channels;
    const int64_t step = reads_most ? sides_.in_channels : sides_.out_channels;
    const bool dense = chunks_ == 1 && (reads_most ? input[last] - input[0] == last * step
                                                   : output[last] - output[0] == last * step);
    const int64_t stretch = (last + 1) * step;
    const float* const next =
        (reads_most ? input[0] : jobs[0].c - blocks[0].first + output[0]) + stretch;
    for (int64_t i = 0; i < count; ++i) {
      TileJob& job = jobs[static_cast<std::size_t>(i)];
      const Block& block = blocks[static_cast<std::size_t>(i)];
      job.segments = &segment;
      job.segment_count = 1;
      job.depth = depth_;
      job.columns = block.count;
      job.rows = input;
      job.c_offset = output;
      job.fetch = dense ? next + stretch * i / count : nullptr;
      job.fetch_step = kFloatsPerLine;
      kernels_.run[block.vectors][last + 1](job);
    }
  }
}

// All correlations of a direction; packing and running are one parallel_for each.
class DirectCorrelations : public ConvProgram {
 public:
  explicit DirectCorrelations(std::vector<Correlation> parts) : parts_(std::move(parts)) {
    for (const Correlation& part : parts_) {
      packed_start_.push_back(packed_floats_);
      packed_floats_ += round_up(part.packed_floats(), 16);
      pack_end_.push_back(pack_tasks() + part.pack_tasks());
      task_end_.push_back(tasks() + part.tasks());
    }
  }

  int64_t packed_floats() const override { return packed_floats_; }
  bool takes_out_pitch() const override { return true; }
  ConvWork work() const override {
    ConvWork total;
    for (const Correlation& part : parts_) total += part.work();
    return total;
  }

  void pack(const float* w, float* packed) const override {
    parallel_for(pack_tasks(), [&](int64_t task) {
      const std::size_t part = part_of(pack_end_, task);
      parts_[part].pack(task - (part > 0 ? pack_end_[part - 1] : 0), w,
                        packed + packed_start_[part]);
    });
  }

  bool pack_rows(const ReadWeightRows& read, float* packed) const override {
    if (!std::all_of(parts_.begin(), parts_.end(),
                     [](const Correlation& part) { return part.packs_rows(); }))
      return false;
    parallel_for(pack_tasks(), [&](int64_t task) {
      const std::size_t part = part_of(pack_end_, task);
      parts_[part].pack_rows(task - (part > 0 ? pack_end_[part - 1] : 0), read,
                             packed + packed_start_[part]);
    });
    return true;
  }

  bool unpack_rows(const float* packed, int64_t first, int64_t count, float* rows) const override {
    if (parts_.size() != 1 || !parts_[0].packs_rows()) return false;
    parallel_for(count, [&](int64_t i) {
      parts_[0].unpack_row(first + i, packed, rows + i * parts_[0].weight_row());
    });
    return true;
  }

  void run(const float* x, const float* packed, const ConvEpilogue& epilogue,
           float* y) const override {
    run_parts(x, {packed, nullptr}, epilogue, y);
  }

  void pack_and_run(const float* x, const float* w, const ConvEpilogue& epilogue,
                    float* y) const override {
    pack_and_run_parts(x, w, epilogue, y);
  }

  // As Correlation::run, for all.
  bool run_parts(const float* x, const Correlation::Weights& weights, const ConvEpilogue& epilogue,
                 float* y) const {
    std::atomic<bool> all_finite = true;
    parallel_for(tasks(), [&](int64_t task) {
      const std::size_t part = part_of(task_end_, task);
      const float* const packed =
          weights.packed != nullptr ? weights.packed + packed_start_[part] : nullptr;
      if (!parts_[part].run(task - (part > 0 ? task_end_[part - 1] : 0), x, {packed, weights.plain},
                            epilogue, y))
        all_finite.store(false, std::memory_order_relaxed);
    });
    return all_finite.load();
  }
  bool pack_and_run_parts(const float* x, const float* w, const ConvEpilogue& epilogue,
                          float* y) const {
    if (!tasks_share_weights()) return run_parts(x, {nullptr, w}, epilogue, y);
    Buffer<float> packed(static_cast<std::size_t>(packed_floats_));
    pack(w, packed.data());
    return run_parts(x, {packed.data(), nullptr}, epilogue, y);
  }

 private:
  bool tasks_share_weights() const {
    return std::any_of(parts_.begin(), parts_.end(),
                       [](const Correlation& part) { return part.tasks_share_weights(); });
  }
  int64_t pack_tasks() const { return pack_end_.empty() ? 0 : pack_end_.back(); }
  int64_t tasks() const { return task_end_.empty() ? 0 : task_end_.back(); }
  static std::size_t part_of(const std::vector<int64_t>& ends, int64_t task) {
    return static_cast<std::size_t>(std::upper_bound(ends.begin(), ends.end(), task) -
                                    ends.begin());
  }

  std::vector<Correlation> parts_;
  std::vector<int64_t> packed_start_;
  std::vector<int64_t> pack_end_;
  std::vector<int64_t> task_end_;
  int64_t packed_floats_ = 0;
};

// Folded rows, and all once more without folding where what came out is not finite.
class FoldedDirect : public ConvProgram {
 public:
  FoldedDirect(std::vector<Correlation> folded, std::vector<Correlation> plain,
               const ConvGeometry& geometry, int64_t outputs)
      : folded_(std::move(folded)),
        plain_(std::move(plain)),
        weights_(weight_count(geometry)),
        outputs_(outputs) {}

  // Behind the packed weights stand those of the unfolded program, as they are.
  int64_t packed_floats() const override { return folded_.packed_floats() + weights_; }
  ConvWork work() const override { return folded_.work(); }

  void pack(const float* w, float* packed) const override {
    folded_.pack(w, packed);
    std::copy_n(w, weights_, packed + folded_.packed_floats());
  }
  void run(const float* x, const float* packed, const ConvEpilogue& epilogue,
           float* y) const override {
    const Residual residual(epilogue, y, outputs_);
    if (!folded_.run_parts(x, {packed, nullptr}, epilogue, y))
      plain_.pack_and_run(x, packed + folded_.packed_floats(), residual.again(epilogue), y);
  }
  void pack_and_run(const float* x, const float* w, const ConvEpilogue& epilogue,
                    float* y) const override {
    const Residual residual(epilogue, y, outputs_);
    if (!folded_.pack_and_run_parts(x, w, epilogue, y))
      plain_.pack_and_run(x, w, residual.again(epilogue), y);
  }

 private:
  // The residual as it was, should it lie where the output is written.
  class Residual {
   public:
    Residual(const ConvEpilogue& epilogue, const float* y, int64_t count)
        : kept_(epilogue.residual == y ? static_cast<std::size_t>(count) : 0) {
      std::copy_n(y, kept_.size(), kept_.data());
    }
    ConvEpilogue again(ConvEpilogue epilogue) const {
      if (kept_.size() > 0) epilogue.residual = kept_.data();
      return epilogue;
    }

   private:
    Buffer<float> kept_;
  };

  DirectCorrelations folded_;
  DirectCorrelations plain_;
  int64_t weights_;
  int64_t outputs_;
};

std::vector<Correlation> forward_parts(const ConvGeometry& g, int64_t fold, bool is_part = false) {
  const int64_t taps = g.kernel[0] * g.kernel[1] * g.kernel[2];
  const Sides sides = {.in = g.in,
                       .out = g.out,
                       .in_channels = g.in_channels,
                       .out_channels = g.out_channels,
                       .weight_tap = g.group_in(),
                       .weight_k = 1,
                       .weight_column = taps * g.group_in(),
                       .weight_row = taps * g.group_in()};
  std::vector<Correlation> parts;
  parts.emplace_back(
      g, sides,
      std::array<AxisLattice, kAxes>{forward_lattice(g, 0, 1), forward_lattice(g, 1, 1),
                                     forward_lattice(g, 2, fold)},
      is_part);
  return parts;
}

std::vector<Correlation> backward_input_parts(const ConvGeometry& g, int64_t fold) {
  const int64_t taps = g.kernel[0] * g.kernel[1] * g.kernel[2];
  const Sides sides = {.in = g.out,
                       .out = g.in,
                       .in_channels = g.out_channels,
                       .out_channels = g.in_channels,
                       .weight_tap = g.group_in(),
                       .weight_k = taps * g.group_in(),
                       .weight_column = 1};
  std::vector<Correlation> parts;
  for (const AxisLattice& d : backward_lattices(g, 0, 1))
    for (const AxisLattice& h : backward_lattices(g, 1, 1))
      for (const AxisLattice& w_axis : backward_lattices(g, 2, fold))
        parts.emplace_back(g, sides, std::array<AxisLattice, kAxes>{d, h, w_axis}, false);
  return parts;
}

}  // namespace

ConvGeometry collapse_axes(const ConvGeometry& g) {
  for (int axis = 0; axis < kAxes; ++axis)
    if (g.kernel[axis] != 1 || g.stride[axis] != 1 || g.pad_lo[axis] != 0 || g.pad_hi[axis] != 0)
      return g;
  ConvGeometry flat = g;
  flat.batch = g.batch == 0 ? 0 : 1;
  const int64_t positions = std::max<int64_t>(1, g.batch) * g.in[0] * g.in[1] * g.in[2];
  flat.in = flat.out = {1, 1, positions};
  flat.dilation = {1, 1, 1};
  return flat;
}

std::unique_ptr<ConvProgram> prepare_direct_part(const ConvGeometry& geometry) {
  return std::make_unique<DirectCorrelations>(
      forward_parts(collapse_axes(geometry), 1, /*is_part=*/true));
}

std::string direct_why_not(const ConvGeometry&, Direction) { return {}; }

std::unique_ptr<ConvProgram> prepare_direct(const ConvGeometry& geometry, Direction direction) {
  const ConvGeometry g = collapse_axes(geometry);
  if (direction == Direction::backward_weight) return prepare_direct_weight(g);
  const bool forward = direction == Direction::forward;
  const auto parts = [&](int64_t fold) {
    return forward ? forward_parts(g, fold) : backward_input_parts(g, fold);
  };
  const int64_t fold =
      best_fold(g, direction, forward ? g.group_out() : g.group_in(), tile_kernels().lanes);
  if (fold == 1) return std::make_unique<DirectCorrelations>(parts(1));
  return std::make_unique<FoldedDirect>(parts(fold), parts(1), g,
                                        forward ? output_count(g) : input_count(g));
}

}  // namespace convkit::kernels
