#include <algorithm>

#include "convkit/base/checked.h"
#include "convkit/base/task_memory.h"
#include "convkit/kernels/cache.h"
#include "convkit/kernels/conv_correlation.h"
#include "hwy/cache_control.h"

namespace convkit::kernels {
namespace {

// Packed weights that stay in the second-level cache while the rows go by.
constexpr int64_t kNearWeights = 160 * 1024;  // floats
// What a tile reads is fetched so many terms of vectors ahead, 14 multiply-adds each: about the
// time that memory takes to answer.
constexpr int64_t kTermsAhead = 128;
constexpr int64_t kMostTilesAhead = 8;

// Calls call(offset, count) for rows of `columns` outputs, with rows that follow one another in
// memory taken together: neighbours along W do if the columns are all channels.
template <class Call>
void for_each_stretch(std::span<const int64_t> rows, int64_t columns, const Call& call) {
  for (std::size_t i = 0; i < rows.size();) {
    const int64_t first = rows[i];
    int64_t count = columns;
    for (++i; i < rows.size() && rows[i] == first + count; ++i) count += columns;
    call(first, count);
  }
}

}  // namespace

bool Correlation::all_outputs_finite(std::span<const int64_t> rows, const TileJob& job) const {
  bool finite = true;
  for_each_stretch(rows, job.columns, [&](int64_t first, int64_t count) {
    finite &= kernels_.all_finite(job.c + first, count);
  });
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
  if (goes_by_rows_ && tables.size() == 1 && !tables[0].per_tap && weights.packed != nullptr &&
      (end_block - first_block) * offset_count() * depth_ * kMaxTileVectors * kernels_.lanes <=
          kNearWeights) {
    const std::span<const Block> some(blocks_.data() + first_block, blocks_.data() + end_block);
    std::pmr::vector<TileJob> jobs(&memory);
    jobs.reserve(some.size());
    std::pmr::vector<float> bias(some.size() * static_cast<std::size_t>(kMostWidth), &memory);
    for (const Block& block : some) {
      float* const padded = bias.data() + std::ssize(jobs) * kMostWidth;
      jobs.push_back(block_job(block, group, weights.packed, epilogue, y));
      if (epilogue.bias != nullptr)
        jobs.back().bias = block_bias(block, group, epilogue.bias, padded);
    }
    run_by_rows(tables[0], runs[0], some, jobs);
    if (jobs[0].streams) hwy::FlushStream();
    finish(tables, some, group, epilogue, y);
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
      pack_block(block, group_weights(weights.plain, group), packed.data());
    }
    if (epilogue.bias != nullptr) job.bias = block_bias(block, group, epilogue.bias, padded_bias);
    // The task that comes next most often goes on where this one ends.
    const int64_t packed_block = offset_count() * depth_ * width;
    const bool fetches_next = weights.packed != nullptr && fetches_weights_ &&
                              block.packed + 2 * packed_block <= group_packed_;
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
      const TileAhead ahead = {fetches_next ? job.b + packed_block : nullptr, width, width};
      run_tiles(tables[t], tiles_for(block, job.columns),
                std::min(most_rows_, kernels_.max_rows[block.vectors]), job, {&ahead, 1},
                fetches_next);
      if (tables[t].fold > 1) all_finite &= all_outputs_finite(tables[t].output, job);
    }
  }
  if (streams_to(y, epilogue)) hwy::FlushStream();
  finish(tables, {blocks_.data() + first_block, blocks_.data() + end_block}, group, epilogue, y);
  return all_finite;
}

void Correlation::finish(std::span<const RowTable> tables, std::span<const Block> blocks,
                         int64_t group, const ConvEpilogue& epilogue, float* y) const {
  if (epilogue.function == nullptr) return;
  const int64_t first = blocks.front().first;
  const int64_t columns = blocks.back().first + blocks.back().count - first;
  float* const outputs = y + group * columns_ + first;
  for (const RowTable& table : tables)
    for_each_stretch(table.output, columns, [&](int64_t offset, int64_t count) {
      epilogue.finish(outputs + offset, count);
    });
}

const TileKernels::Run* Correlation::tiles_for(const Block& block, int64_t columns) const {
  const bool narrow = block.vectors == 2 && columns > kernels_.lanes;
  return narrow && columns <= kernels_.narrow_columns ? kernels_.narrow
                                                      : kernels_.run[block.vectors];
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
  job.streams = streams_to(y, epilogue) && block.count % kLineFloats == 0 &&
                (group * columns_ + block.first) % kLineFloats == 0;
  job.fetches_c = fetches_outputs_ && !job.streams;
  return job;
}

bool Correlation::streams_to(const float* y, const ConvEpilogue& epilogue) const {
  const int64_t positions = g_.batch * sides_.out[0] * sides_.out[1] * sides_.out[2];
  return !is_part_ && kMaxTileVectors * kernels_.lanes % kLineFloats == 0 && axes_[2].fold == 1 &&
         epilogue.streams(y, positions * sides_.out_channels, sides_.out_channels);
}

// Whole vectors of a block's bias, in `padded` unless they stand so already.
const float* Correlation::block_bias(const Block& block, int64_t group, const float* bias,
                                     float* padded) const {
  const float* const channels = bias + group * columns_;
  int64_t channel = block.first % columns_;
  if (block.count == block.vectors * kernels_.lanes && channel + block.count <= columns_)
    return channels + channel;
  for (int64_t j = 0; j < block.count; ++j) {
    padded[j] = channels[channel];
    if (++channel == columns_) channel = 0;
  }
  std::fill_n(padded + block.count, block.vectors * kernels_.lanes - block.count, 0.0f);
  return padded;
}

// All blocks go over a tile of rows before the next one's turn, so that neighbouring outputs are
// written soon after another. Meanwhile they fetch what a later tile reads, and what it adds to or
// writes, as far as that is one stretch of memory (with several runs of taps: one for each).
void Correlation::run_by_rows(const RowTable& rows, std::span<const TapRun> runs,
                              std::span<const Block> blocks, std::span<TileJob> jobs) const {
  const auto total = static_cast<int64_t>(rows.output.size());
  const int64_t tiles = ceil_div(total, std::min(most_rows_, kernels_.max_rows[kMaxTileVectors]));
  const auto count = std::ssize(jobs);
  const int64_t row = runs[0].count * depth_;  // floats of a run
  TaskMemory memory;
  std::pmr::vector<TileSegment> segments(&memory);
  segments.reserve(jobs.size() * runs.size());
  int64_t terms = 0;  // of a tile, for all blocks
  for (int64_t i = 0; i < count; ++i) {
    TileJob& job = jobs[static_cast<std::size_t>(i)];
    const Block& block = blocks[static_cast<std::size_t>(i)];
    job.segments = segments.data() + segments.size();
    job.segment_count = std::ssize(runs);
    job.depth = row;
    job.columns = block.count;
    job.fetch_step = kLineFloats;
    for (const TapRun& run : runs)
      segments.push_back({run.a, run.first * depth_ * block.vectors * kernels_.lanes});
    terms += job.segment_count * row * block.vectors;
  }
  const int64_t ahead = std::clamp<int64_t>(ceil_div(kTermsAhead, terms), 1, kMostTilesAhead);
  const float* const outputs =
      (jobs[0].residual != nullptr ? jobs[0].residual : jobs[0].c) - blocks[0].first;
  for (int64_t tile = 0; tile < tiles; ++tile) {
    const int64_t begin = total * tile / tiles;
    const int64_t end = total * (tile + 1) / tiles;
    const float* const* const input = rows.input.data() + begin;
    const int64_t* const output = rows.output.data() + begin;
    const int64_t last = end - begin - 1;
    const int64_t read = (last + 1) * row;
    const int64_t written = (last + 1) * sides_.out_channels;
    const bool whole = chunks_ == 1 && g_.groups == 1;
    bool fetches_inputs = whole && input[last] - input[0] == last * row;
    bool fetches_outputs =
        whole && !jobs[0].streams && output[last] - output[0] == last * sides_.out_channels;
    if (fetches_inputs && fetches_outputs && (count == 1 || !is_far_))
      (read > written ? fetches_outputs : fetches_inputs) = false;
    // Of both, the first blocks fetch the inputs, for each has a step for each line of a run's.
    const auto run_count = std::ssize(runs);
    const int64_t first_for_outputs =
        fetches_inputs && fetches_outputs ? std::min(run_count, count - 1) : 0;
    for (int64_t i = 0; i < count; ++i) {
      TileJob& job = jobs[static_cast<std::size_t>(i)];
      job.rows = input;
      job.c_offset = output;
      job.fetch = nullptr;
      if (fetches_outputs && i >= first_for_outputs)
        job.fetch = outputs + output[0] + written * ahead +
                    written * (i - first_for_outputs) / (count - first_for_outputs);
      else if (fetches_inputs && run_count > 1)
        job.fetch = input[0] + runs[static_cast<std::size_t>(i % run_count)].a + read * ahead;
      else if (fetches_inputs)
        job.fetch = input[0] + read * ahead + (fetches_outputs ? 0 : read * i / count);
    }
    // A last block of fewer columns may want other tiles.
    const auto kind = [&](int64_t i) {
      const auto at = static_cast<std::size_t>(i);
      return tiles_for(blocks[at], jobs[at].columns);
    };
    const int64_t alike = kind(count - 1) == kind(0) ? count : count - 1;
    kind(0)[last + 1](jobs.data(), alike);
    if (alike < count) kind(alike)[last + 1](jobs.data() + alike, 1);
  }
}

}  // namespace convkit::kernels
