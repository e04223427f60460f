#include "convkit/kernels/conv_scatter.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "convkit/base/checked.h"
#include "convkit/base/conv_size.h"
#include "convkit/base/error.h"
#include "convkit/base/memory.h"
#include "convkit/base/task_memory.h"
#include "convkit/base/thread_pool.h"
#include "convkit/kernels/conv_brick.h"
#include "convkit/kernels/conv_rows.h"
#include "convkit/kernels/conv_scatter_lines.h"
#include "convkit/kernels/conv_tile.h"

namespace convkit::kernels {
namespace {

constexpr int64_t kMostChannels = 15;  // 16 fill a vector
constexpr int64_t kMostColumns = 4096;
constexpr int64_t kWantedTasks = 48;
constexpr int64_t kFewestOutputs = 512;
// Two or four threads share any number of tasks from kManyTasks on, and multiples of kEvenTasks.
constexpr int64_t kManyTasks = 16;
constexpr int64_t kEvenTasks = 4;
// Inputs at a task's border contribute to its neighbour too and are multiplied twice.
constexpr double kMostRepeated = 1.12;
constexpr int64_t kMostSums = 96 * 1024;    // floats: they stay in the second-level cache
constexpr int64_t kChunkFloats = 8 * 1024;  // of contributions: they stay in the first

// One axis: input p and tap j (in the order of packed weights) meet at the output
// p·step + j·dilation + start.
struct Axis {
  int64_t inputs = 1;
  int64_t outputs = 1;
  int64_t taps = 1;
  int64_t step = 1;
  int64_t dilation = 1;
  int64_t start = 0;

  int64_t output(int64_t input, int64_t tap) const { return input * step + tap * dilation + start; }

  struct Range {
    int64_t first;
    int64_t count;
  };
  // The inputs that contribute to some of `count` outputs from `first` on.
  Range inputs_of(int64_t first, int64_t count) const {
    const int64_t low = -floor_div(-(first - start - (taps - 1) * dilation), step);
    const int64_t high = floor_div(first + count - 1 - start, step);
    const int64_t begin = std::clamp<int64_t>(low, 0, inputs);
    return {begin, std::clamp<int64_t>(high + 1, begin, inputs) - begin};
  }
};

class Scatter : public ConvProgram {
 public:
  Scatter(const ConvGeometry& g, Direction direction)
      : kernels_(tile_kernels()),
        batch_(g.batch),
        is_forward_(direction == Direction::forward),
        depth_(is_forward_ ? g.in_channels : g.out_channels),
        channels_(is_forward_ ? g.out_channels : g.in_channels) {
    for (int a = 0; a < kAxes; ++a)
      axes_[a] =
          is_forward_
              ? Axis{g.in[a], g.out[a],      g.kernel[a],
                     1,       g.dilation[a], g.pad_lo[a] - (g.kernel[a] - 1) * g.dilation[a]}
              : Axis{g.out[a], g.in[a], g.kernel[a], g.stride[a], g.dilation[a], -g.pad_lo[a]};
    columns_ = taps() * channels_;
    for (int64_t first = 0; first < columns_;) {
      const int vectors = columns_ - first > kernels_.lanes ? 2 : 1;
      const int64_t width = vectors * kernels_.lanes;
      blocks_.push_back({first, std::min(width, columns_ - first), vectors, packed_});
      packed_ += width * depth_;
      first += width;
    }
    // A cache line more: contributions must not lie a multiple of 4 KiB apart.
    contribution_step_ = round_up(columns_, kernels_.lanes) + 16;
    chunk_ = std::clamp<int64_t>(kChunkFloats / contribution_step_, kMaxTileRows, 112);
    chunk_ -= chunk_ % kMaxTileRows;
    cut_outputs();
  }

  int64_t packed_floats() const override { return packed_; }
  void pack(const float* w, float* packed) const override;
  void run(const float* x, const float* packed, const ConvEpilogue& epilogue,
           float* y) const override;
  ConvWork work() const override;

 private:
  struct Block {
    int64_t first;
    int64_t count;
    int vectors;
    int64_t packed;
  };
  // The sums of a brick's outputs, with room on both sides of a line for contributions to outputs
  // that are not there.
  struct Sums {
    Brick brick;
    int64_t margin;
    int64_t line;
    float* at;

    float* pixel(int64_t n, int64_t d, int64_t h) const {
      return at + ((n * brick.count[1] + d) * brick.count[2] + h) * line;
    }
  };
  // Input positions whose contributions are computed together.
  struct Chunk {
    RowTable rows;
    std::pmr::vector<ScatterPlace> places;
  };

  int64_t taps() const { return axes_[0].taps * axes_[1].taps * axes_[2].taps; }
  int64_t margin() const { return axes_[2].taps - 1; }
  int64_t line_floats(int64_t outputs) const { return (outputs + 2 * margin()) * channels_; }
  void cut_outputs();
  double inputs_of(const Brick& brick) const;
  void run_task(const Brick& brick, const float* x, const float* packed,
                const ConvEpilogue& epilogue, float* y) const;
  void add_lines(const Sums& sums, int64_t n, int64_t d, int64_t h,
                 std::pmr::vector<ScatterLine>& lines) const;
  void add(const Chunk& chunk, const float* packed, float* contributions) const;
  void store(const Sums& sums, const ConvEpilogue& epilogue, float* y) const;

  const TileKernels& kernels_;
  int64_t batch_;
  bool is_forward_;
  int64_t depth_;
  int64_t channels_;
  std::array<Axis, kAxes> axes_;
  int64_t columns_ = 0;
  std::vector<Block> blocks_;
  int64_t packed_ = 0;
  int64_t contribution_step_ = 0;
  int64_t chunk_ = 0;
  BrickCut cut_;
  double inputs_ = 0.0;  // positions multiplied, repeated ones included
};

double Scatter::inputs_of(const Brick& brick) const {
  double inputs = static_cast<double>(brick.count[0]);
  for (std::size_t a = 0; a < kAxes; ++a)
    inputs *= static_cast<double>(axes_[a].inputs_of(brick.first[a + 1], brick.count[a + 1]).count);
  return inputs;
}

void Scatter::cut_outputs() {
  const std::array<int64_t, 4> outputs = {batch_, axes_[0].outputs, axes_[1].outputs,
                                          axes_[2].outputs};
  const int64_t total = outputs[0] * outputs[1] * outputs[2] * outputs[3];
  const double inputs =
      static_cast<double>(batch_ * axes_[0].inputs * axes_[1].inputs * axes_[2].inputs);
  const auto repeated = [&](const BrickCut& cut) {
    double sum = 0.0;
    for (int64_t i = 0; i < cut.bricks(); ++i) sum += inputs_of(cut.brick(i));
    return sum;
  };
  for (int64_t wanted = std::max(kFewestOutputs, total / kWantedTasks);; wanted *= 2) {
    const BrickCut cut(outputs, wanted);
    const auto& size = cut.size();
    const bool fits = size[0] * size[1] * size[2] * line_floats(size[3]) <= kMostSums;
    if (!fits && cut_.bricks() > 1) break;  // as cut before
    cut_ = cut;
    inputs_ = repeated(cut);
    if (inputs_ <= kMostRepeated * inputs || wanted >= total || !fits) break;
  }
  // A few more bricks where two or four threads could not share these evenly.
  const int64_t bricks = cut_.bricks();
  const int64_t even = round_up(bricks, kEvenTasks);
  if (bricks >= kManyTasks || bricks == even || total < even * kFewestOutputs) return;
  const BrickCut cut(outputs, ceil_div(total, even));
  const double sum = repeated(cut);
  if (cut.bricks() != even ||
      sum * static_cast<double>(bricks) >= inputs_ * static_cast<double>(even))
    return;
  cut_ = cut;
  inputs_ = sum;
}

void Scatter::pack(const float* w, float* packed) const {
  const int64_t input_channels = is_forward_ ? depth_ : channels_;
  const int64_t weight_k = is_forward_ ? 1 : taps() * channels_;
  const int64_t weight_channel = is_forward_ ? taps() * depth_ : 1;
  parallel_for(static_cast<int64_t>(blocks_.size()), [&](int64_t index) {
    const Block& block = blocks_[static_cast<std::size_t>(index)];
    const int64_t width = block.vectors * kernels_.lanes;
    float* const to = packed + block.packed;
    std::fill_n(to, width * depth_, 0.0f);
    for (int64_t j = 0; j < block.count; ++j) {
      const int64_t column = block.first + j;
      // Forward takes the taps from the last to the first, so that outputs ascend.
      const int64_t place = column / channels_;
      const int64_t tap = is_forward_ ? taps() - 1 - place : place;
      const float* const from = w + tap * input_channels + column % channels_ * weight_channel;
      for (int64_t k = 0; k < depth_; ++k) to[k * width + j] = from[k * weight_k];
    }
  });
}

void Scatter::run(const float* x, const float* packed, const ConvEpilogue& epilogue,
                  float* y) const {
  parallel_for(cut_.bricks(),
               [&](int64_t task) { run_task(cut_.brick(task), x, packed, epilogue, y); });
}

void Scatter::run_task(const Brick& brick, const float* x, const float* packed,
                       const ConvEpilogue& epilogue, float* y) const {
  const int64_t line = line_floats(brick.count[3]);
  const int64_t floats = brick.count[0] * brick.count[1] * brick.count[2] * line + 64;
  Buffer<float> memory(static_cast<std::size_t>(floats));
  std::fill_n(memory.data(), floats, 0.0f);
  const Sums sums = {brick, margin() * channels_, line, memory.data()};
  Buffer<float> contributions(static_cast<std::size_t>(chunk_ * contribution_step_));

  std::array<Axis::Range, kAxes> inputs = {};
  for (std::size_t a = 0; a < kAxes; ++a)
    inputs[a] = axes_[a].inputs_of(brick.first[a + 1], brick.count[a + 1]);
  // Reserved, for places point into it.
  TaskMemory lists;
  std::pmr::vector<ScatterLine> lines(&lists);
  lines.reserve(static_cast<std::size_t>(brick.count[0] * inputs[0].count * inputs[1].count *
                                         axes_[0].taps * axes_[1].taps));
  Chunk chunk = {RowTable(&lists), std::pmr::vector<ScatterPlace>(&lists)};
  const auto flush = [&] {
    if (!chunk.places.empty()) add(chunk, packed, contributions.data());
    chunk.rows.input.clear();
    chunk.rows.output.clear();
    chunk.places.clear();
  };
  // Neighbours along W contribute to the same outputs. An addition that reads what one just before
  // it has half written waits for the cache, so they do not follow each other.
  const int64_t apart = std::min(ceil_div(axes_[2].taps, axes_[2].step), inputs[2].count);
  for (int64_t n = 0; n < brick.count[0]; ++n)
    for (int64_t d = inputs[0].first; d < inputs[0].first + inputs[0].count; ++d)
      for (int64_t h = inputs[1].first; h < inputs[1].first + inputs[1].count; ++h) {
        const std::size_t first_line = lines.size();
        add_lines(sums, n, d, h, lines);
        const float* const pixels =
            x + (((brick.first[0] + n) * axes_[0].inputs + d) * axes_[1].inputs + h) *
                    axes_[2].inputs * depth_;
        for (int64_t phase = 0; phase < apart; ++phase)
          for (int64_t i = phase; i < inputs[2].count; i += apart) {
            const int64_t w = inputs[2].first + i;
            const int64_t to_w = w * axes_[2].step + axes_[2].start - brick.first[3];
            const int64_t offset = static_cast<int64_t>(chunk.places.size()) * contribution_step_;
            chunk.rows.input.push_back(pixels + w * depth_);
            chunk.rows.output.push_back(offset);
            chunk.places.push_back(
                {contributions.data() + offset, sums.at + sums.margin + to_w * channels_,
                 lines.data() + first_line, static_cast<int64_t>(lines.size() - first_line)});
            if (static_cast<int64_t>(chunk.places.size()) == chunk_) flush();
          }
      }
  flush();
  store(sums, epilogue, y);
}

// The lines of outputs that an input of line (n, d, h) contributes to.
void Scatter::add_lines(const Sums& sums, int64_t n, int64_t d, int64_t h,
                        std::pmr::vector<ScatterLine>& lines) const {
  const Brick& brick = sums.brick;
  int64_t from = 0;
  for (int64_t tap_d = 0; tap_d < axes_[0].taps; ++tap_d) {
    const int64_t to_d = axes_[0].output(d, tap_d) - brick.first[1];
    for (int64_t tap_h = 0; tap_h < axes_[1].taps; ++tap_h, from += axes_[2].taps * channels_) {
      const int64_t to_h = axes_[1].output(h, tap_h) - brick.first[2];
      if (to_d < 0 || to_d >= brick.count[1] || to_h < 0 || to_h >= brick.count[2]) continue;
      lines.push_back({from, sums.pixel(n, to_d, to_h) - sums.at});
    }
  }
}

void Scatter::add(const Chunk& chunk, const float* packed, float* contributions) const {
  const TileSegment segment = {0, 0};
  for (const Block& block : blocks_) {
    TileJob job;
    job.segments = &segment;
    job.segment_count = 1;
    job.depth = depth_;
    job.b = packed + block.packed;
    job.b_step = block.vectors * kernels_.lanes;
    job.c = contributions + block.first;
    job.columns = block.count;
    run_tiles(chunk.rows, kernels_.run[block.vectors], kernels_.max_rows[block.vectors], job);
  }
  scatter_add(chunk.places.data(), static_cast<int64_t>(chunk.places.size()),
              axes_[2].taps * channels_);
}

void Scatter::store(const Sums& sums, const ConvEpilogue& epilogue, float* y) const {
  const Brick& brick = sums.brick;
  const int64_t count = brick.count[3] * channels_;
  Buffer<float> bias(epilogue.bias != nullptr ? static_cast<std::size_t>(count) : 0);
  for (std::size_t i = 0; i < bias.size(); ++i)
    bias[i] = epilogue.bias[i % static_cast<std::size_t>(channels_)];
  for (int64_t n = 0; n < brick.count[0]; ++n)
    for (int64_t d = 0; d < brick.count[1]; ++d)
      for (int64_t h = 0; h < brick.count[2]; ++h) {
        const int64_t pixel =
            (((brick.first[0] + n) * axes_[0].outputs + brick.first[1] + d) * axes_[1].outputs +
             brick.first[2] + h) *
                axes_[2].outputs +
            brick.first[3];
        const float* const residual = epilogue.residual;
        scatter_store({.sums = sums.pixel(n, d, h) + sums.margin,
                       .bias = bias.size() > 0 ? bias.data() : nullptr,
                       .residual = residual != nullptr ? residual + pixel * channels_ : nullptr,
                       .clamps = epilogue.clamps(),
                       .low = epilogue.low,
                       .high = epilogue.high},
                      count, y + pixel * channels_);
        epilogue.finish(y + pixel * channels_, count);
      }
}

ConvWork Scatter::work() const {
  const auto lanes = static_cast<double>(kernels_.lanes);
  const auto vectors = static_cast<double>(contribution_step_ - 16) / lanes;
  const double line_vectors = static_cast<double>(
      axes_[0].taps * axes_[1].taps * ceil_div(axes_[2].taps * channels_, kernels_.lanes));
  double in = static_cast<double>(batch_ * depth_);
  double out = static_cast<double>(batch_ * channels_);
  for (const Axis& axis : axes_) {
    in *= static_cast<double>(axis.inputs);
    out *= static_cast<double>(axis.outputs);
  }
  ConvWork work;
  work.products = inputs_ * static_cast<double>(depth_) * vectors;
  work.calls = inputs_ * static_cast<double>(blocks_.size()) /
               static_cast<double>(kernels_.max_rows[kMaxTileVectors]);
  work.transforms = inputs_ * line_vectors;
  work.weights = static_cast<double>(packed_) / lanes * static_cast<double>(cut_.bricks());
  work.tensors = (in + out) / lanes;
  work.packing = static_cast<double>(packed_) / lanes;
  return work;
}

}  // namespace

std::string scatter_why_not(const ConvGeometry& g, Direction direction) {
  const bool is_forward = direction == Direction::forward;
  const int64_t channels = is_forward ? g.out_channels : g.in_channels;
  if (direction == Direction::backward_weight)
    return "not scatter: weights' gradients have nothing to be scattered over";
  if (g.groups != 1) return "not scatter: it takes one group";
  if (channels > kMostChannels)
    return message("not scatter: ", channels, is_forward ? " output" : " input",
                   " channels fill vectors by themselves");
  if (g.dilation[2] != 1 && g.kernel[2] != 1) return "not scatter: dilated along W";
  if (is_forward && g.stride != Extents{1, 1, 1}) return "not scatter: forward with a stride";
  const int64_t taps = g.kernel[0] * g.kernel[1] * g.kernel[2];
  if (taps > kMostColumns / channels)
    return message("not scatter: ", taps, " taps are too many at once");
  return "";
}

std::unique_ptr<ConvProgram> prepare_scatter(const ConvGeometry& g, Direction direction) {
  return std::make_unique<Scatter>(g, direction);
}

}  // namespace convkit::kernels
