#include "convkit/kernels/conv_correlation.h"

#include <algorithm>
#include <utility>

#include "convkit/base/checked.h"

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
// Multiply-adds of a brick beside which what is done for each brick counts little.
constexpr int64_t kBrickWork = int64_t{1} << 18;
constexpr int64_t kScratchLimit = 96 * 1024;  // floats
constexpr int64_t kFewChannels = 32;
constexpr int64_t kPackDepth = 16;
// Up to so many bricks, tasks that pack their own weights again for each brick are faster than
// tasks that share them, half of which then come, slowly, out of another core's cache.
constexpr int64_t kFewBricks = 4;
// Rows of weights in place are read as fast as packed ones if tiles are wide, or if several rows
// lie on a page.
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
// Tensors of more floats than this come from afar, which the hardware alone foresees badly: tiles
// fetch what the next one needs even if they have few steps for it.
constexpr int64_t kFarTensors = int64_t{1} << 21;
// Two blocks of weights with more terms than this push each other out of the second-level cache.
constexpr int64_t kMostTermsToFetch = 1024;

}  // namespace

Correlation::Correlation(const ConvGeometry& g, const CorrelationSides& sides,
                         std::array<AxisLattice, kAxes> axes, CorrelationPlace place)
    : g_(g),
      sides_(sides),
      axes_(std::move(axes)),
      is_part_(place != CorrelationPlace::whole),
      kernels_(tile_kernels()) {
  depth_ = sides_.in_channels / g.groups;
  columns_ = sides_.out_channels / g.groups;
  plan_blocks(kMaxTileVectors);
  plan_input();
  if (is_part_) fetches_outputs_ = place == CorrelationPlace::part_to_afar;
  plan_weights();
  plan_chunks();
}

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
  const int64_t row_work = std::max<int64_t>(1, offset_count() * depth_ * columns_);
  const int64_t fewest = std::clamp(kBrickWork / row_work, kFewestRows, kMostRows);
  int64_t wanted = std::clamp(total / kWantedTasks, fewest, kMostRows);
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
  fetches_weights_ = !is_part_ && offset_count() * depth_ <= kMostTermsToFetch;
  is_far_ = total * (sides_.in_channels + sides_.out_channels) > kFarTensors;
  const bool pays = is_far_ || blocks_.size() > 1;
  // Where windows overlap, a brick's rows share what they read.
  const bool meets_once = std::all_of(axes_.begin(), axes_.end(), [](const AxisLattice& axis) {
    return std::ssize(axis.offsets) <= axis.in_step || axis.rows == 1;
  });
  goes_by_rows_ = !is_part_ && meets_once && offset_count() > 0 && w_axis.fold == 1 &&
                  cut_.bricks() > 1 && pays;
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
  in_place_ = sides_.weight_column == 1 && axes_[2].fold == 1 && rows <= kMostRows &&
              sides_.weight_k % kRowCollision != 0 &&
              (kernels_.wide() || sides_.weight_k <= kNearRows);
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
  // Rows in the order of memory are worth more than a few tasks more.
  if (goes_by_rows_ && bricks >= kFewTasks) return;
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
  fewest = std::max(fewest, std::min(kTaskWork / block_work,
                                     std::max(ceil_div(blocks, 8), ceil_div(units, kFewTasks))));
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
void Correlation::pack_block(const Block& block, const float* weights, float* packed) const {
  for_each_tap([&](const PackCell& cell) { pack_cell(block, cell, weights, packed); });
}

bool Correlation::tasks_share_weights() const {
  return !in_place_ && cut_.bricks() > (axes_[2].fold == 1 ? kFewBricks : 1);
}

}  // namespace convkit::kernels
