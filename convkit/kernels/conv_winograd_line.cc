#include <algorithm>
#include <cstring>
#include <vector>

#include "convkit/base/checked.h"
#include "convkit/base/error.h"
#include "convkit/base/memory.h"
#include "convkit/base/task_memory.h"
#include "convkit/base/thread_pool.h"
#include "convkit/kernels/conv_winograd.h"
#include "convkit/kernels/winograd_line.h"
#include "hwy/cache_control.h"

namespace convkit::kernels {
namespace {

// Tasks that keep many threads busy with some left to balance, and the products one should have.
constexpr int64_t kWantedTasks = 16;
constexpr int64_t kLeastProducts = int64_t{1} << 18;
// Tiles of a line that a task takes at most: their transformed inputs, and outputs that are still
// in the second-level cache when the next channels come.
constexpr int64_t kMostTiles = 128;
// What a task's transformed lines may take: half of a second-level cache.
constexpr int64_t kMostLineFloats = 128 * 1024;
// Sums of more would want weights from beyond the second-level cache for each few tiles.
constexpr int64_t kMostDepth = 256;
constexpr int64_t kMostChannels = 16;
// Products per product of the definition from which on the transforms do not pay.
constexpr double kMostProductShare = 0.8;

// A kernel of K taps with stride S over C channels is one of ⌈K/S⌉ taps with stride 1 over S·C
// channels: those of S neighbours, which lie side by side.
int64_t line_channels(const ConvGeometry& g) { return g.stride[2] * g.in_channels; }
int64_t segments(const ConvGeometry& g) { return ceil_div(g.kernel[2], g.stride[2] * kLineTaps); }
int64_t kernel_lines(const ConvGeometry& g) { return g.kernel[0] * g.kernel[1]; }

class WinogradLine : public ConvProgram {
 public:
  explicit WinogradLine(const ConvGeometry& g)
      : g_(g),
        channels_(line_channels(g)),
        segments_(segments(g)),
        kernels_(winograd_line_kernels()),
        column_blocks_(ceil_div(g.out_channels, kernels_.lanes)),
        line_weights_(segments_ * channels_ * kLinePoints * kernels_.lanes),
        block_weights_(kernel_lines(g) * line_weights_) {
    cut();
  }

  int64_t packed_floats() const override { return column_blocks_ * block_weights_; }
  void pack(const float* w, float* packed) const override;
  void run(const float* x, const float* packed, const ConvEpilogue& epilogue,
           float* y) const override {
    run_all(x, packed, epilogue, false, y);
  }
  int64_t pool_window() const override { return kLineOutputs; }
  void run_pooled(const float* x, const float* packed, const ConvEpilogue& epilogue,
                  float* y) const override {
    run_all(x, packed, epilogue, true, y);
  }
  ConvWork work() const override;

 private:
  void cut();
  // Transformed positions of a line that a task of `tiles` tiles has.
  int64_t line_tiles(int64_t tiles) const {
    return round_up(tiles, kernels_.tiles) + segments_ - 1;
  }
  int64_t copied_floats(int64_t tiles) const {
    return (kLineOutputs * line_tiles(tiles) + kLinePoints - kLineOutputs) * channels_;
  }
  int64_t line_floats(int64_t tiles) const { return line_tiles(tiles) * channels_ * kLinePoints; }
  // Lines of the input that `rows` rows of outputs read.
  int64_t read_lines(int64_t rows) const { return (rows - 1) * g_.stride[1] + g_.kernel[1]; }
  void transform(const float* x, int64_t n, int64_t d, int64_t h, int64_t first_tile, int64_t tiles,
                 float* copy, float* to) const;
  void run_all(const float* x, const float* packed, const ConvEpilogue& epilogue, bool pools,
               float* y) const;

  ConvGeometry g_;
  int64_t channels_;
  int64_t segments_;
  const WinogradLineKernels& kernels_;
  int64_t column_blocks_;
  int64_t line_weights_;   // floats of a line of the kernel, for one vector of columns
  int64_t block_weights_;  // of all lines
  int64_t tiles_ = 0;      // of a line
  int64_t part_tiles_ = 0;
  int64_t parts_ = 0;       // of a line
  int64_t range_rows_ = 0;  // rows of outputs
  int64_t ranges_ = 0;      // of a depth
};

// A task computes some rows of one depth of one picture, or a part of one row.
void WinogradLine::cut() {
  tiles_ = ceil_div(g_.out[2], kLineOutputs);
  const int64_t rows = g_.batch * g_.out[0] * g_.out[1];
  const int64_t least = std::clamp<int64_t>(kLeastProducts / packed_floats(), 1, kMostTiles);
  const int64_t wanted = ceil_div(tiles_ * rows, kWantedTasks);
  part_tiles_ = std::min(tiles_, std::clamp(wanted, least, kMostTiles));
  const auto fits = [&](int64_t lines) {
    return g_.kernel[0] * lines * line_floats(part_tiles_) <= kMostLineFloats;
  };
  while (part_tiles_ > kernels_.tiles && !fits(read_lines(1)))
    part_tiles_ = ceil_div(part_tiles_, 2);
  parts_ = ceil_div(tiles_, part_tiles_);
  part_tiles_ = round_up(ceil_div(tiles_, parts_), kernels_.tiles);
  parts_ = ceil_div(tiles_, part_tiles_);
  range_rows_ = std::clamp<int64_t>(ceil_div(rows, kWantedTasks), 1, g_.out[1]);
  while (range_rows_ > 1 && !fits(read_lines(range_rows_))) range_rows_ = ceil_div(range_rows_, 2);
  ranges_ = ceil_div(g_.out[1], range_rows_);
}

ConvWork WinogradLine::work() const {
  const auto lanes = static_cast<double>(kernels_.lanes);
  const auto rows = static_cast<double>(g_.batch * g_.out[0] * g_.out[1]);
  const auto tiles = static_cast<double>(parts_ * part_tiles_);
  const double vectors = rows * tiles * static_cast<double>(column_blocks_);
  // Sums are transformed, changed and stored in the time of so many products.
  constexpr double kProductsOfStore = 30.0;
  ConvWork work;
  work.products = vectors * (static_cast<double>(block_weights_) / lanes + kProductsOfStore);
  // Those of the input are of short vectors.
  work.transforms = static_cast<double>(g_.batch * g_.out[0] * ranges_ * parts_ * g_.kernel[0] *
                                        read_lines(range_rows_) * line_floats(part_tiles_)) /
                    static_cast<double>(kernels_.block);
  work.tensors =
      (static_cast<double>(input_count(g_)) + static_cast<double>(output_count(g_))) / lanes;
  work.weights = work.packing = static_cast<double>(packed_floats()) / lanes;
  return work;
}

// Packed weights: [vector of columns][tap along D and H][segment][channel][point][column].
void WinogradLine::pack(const float* w, float* packed) const {
  const int64_t lanes = kernels_.lanes;
  const int64_t lines = kernel_lines(g_);
  parallel_for(column_blocks_, [&](int64_t block) {
    float* to = packed + block * block_weights_;
    std::fill_n(to, block_weights_, 0.0F);
    const int64_t columns = std::min(lanes, g_.out_channels - block * lanes);
    for (int64_t line = 0; line < lines; ++line)
      for (int64_t k = 0; k < segments_ * channels_; ++k, to += kLinePoints * lanes)
        for (int64_t column = 0; column < columns; ++column) {
          const float* const from =
              w + ((block * lanes + column) * lines + line) * g_.kernel[2] * g_.in_channels;
          float taps[kLineTaps] = {};
          for (int64_t tap = 0; tap < kLineTaps; ++tap) {
            const int64_t at = (k / channels_ * kLineTaps + tap) * channels_ + k % channels_;
            if (at < g_.kernel[2] * g_.in_channels) taps[tap] = from[at];
          }
          kernels_.weight(taps, to + column);
        }
  });
}

// A line of the input as the tiles from first_tile on see it, with zeros around, transformed.
void WinogradLine::transform(const float* x, int64_t n, int64_t d, int64_t h, int64_t first_tile,
                             int64_t tiles, float* copy, float* to) const {
  const int64_t wanted = copied_floats(tiles);
  const int64_t length = g_.in[2] * g_.in_channels;
  const int64_t begin =
      first_tile * kLineOutputs * channels_ - g_.pad_lo[2] * g_.in_channels;  // in the line
  const int64_t first = std::clamp<int64_t>(-begin, 0, wanted);
  const int64_t end = std::clamp<int64_t>(length - begin, first, wanted);
  const float* const line = x + ((n * g_.in[0] + d) * g_.in[1] + h) * length;
  std::fill_n(copy, first, 0.0F);
  if (end > first)
    std::memcpy(copy + first, line + begin + first,
                static_cast<std::size_t>(end - first) * sizeof(float));
  std::fill_n(copy + end, wanted - end, 0.0F);
  kernels_.input(copy, channels_, line_tiles(tiles), to);
}

void WinogradLine::run_all(const float* x, const float* packed, const ConvEpilogue& epilogue,
                           bool pools, float* y) const {
  const int64_t line_outputs = pools ? g_.out[2] / kLineOutputs : g_.out[2];
  const int64_t tiles_of_line = pools ? line_outputs : tiles_;
  parallel_for(g_.batch * g_.out[0] * ranges_ * parts_, [&](int64_t task) {
    const int64_t first_tile = task % parts_ * part_tiles_;
    const int64_t tiles = std::min(part_tiles_, tiles_of_line - first_tile);
    if (tiles <= 0) return;
    const int64_t first_row = task / parts_ % ranges_ * range_rows_;
    const int64_t rows = std::min(range_rows_, g_.out[1] - first_row);
    const int64_t picture = task / parts_ / ranges_;  // of all depths
    const int64_t n = picture / g_.out[0];
    const int64_t d = picture % g_.out[0] * g_.stride[0] - g_.pad_lo[0];
    const int64_t h = first_row * g_.stride[1] - g_.pad_lo[1];
    const int64_t line_step = line_floats(part_tiles_);
    const int64_t lines = read_lines(rows);
    Buffer<float> copy(static_cast<std::size_t>(copied_floats(part_tiles_)));
    Buffer<float> transformed(static_cast<std::size_t>(g_.kernel[0] * lines * line_step));
    const auto is_inside = [](int64_t at, int64_t size) { return at >= 0 && at < size; };
    for (int64_t kd = 0; kd < g_.kernel[0]; ++kd)
      for (int64_t line = 0; line < lines; ++line) {
        const int64_t depth = d + kd;
        if (is_inside(depth, g_.in[0]) && is_inside(h + line, g_.in[1]))
          transform(x, n, depth, h + line, first_tile, tiles, copy.data(),
                    transformed.data() + (kd * lines + line) * line_step);
      }
    TaskMemory memory;
    std::pmr::vector<TileSegment> seen(&memory);
    seen.reserve(static_cast<std::size_t>(kernel_lines(g_)));
    WinogradLineJob job;
    job.v = transformed.data();
    job.tile_step = channels_ * kLinePoints;
    job.depth = segments_ * channels_;
    job.tiles = tiles;
    job.outputs = g_.out[2] - first_tile * kLineOutputs;
    job.low = epilogue.low;
    job.high = epilogue.high;
    job.clamps = epilogue.clamps();
    job.streams = !pools && epilogue.streams(y, output_count(g_), g_.out_channels);
    job.pools = pools;
    job.y_step = g_.out_channels;
    for (int64_t row = 0; row < rows; ++row) {
      seen.clear();
      for (int64_t kd = 0; kd < g_.kernel[0]; ++kd)
        for (int64_t kh = 0; kh < g_.kernel[1]; ++kh) {
          const int64_t line = row * g_.stride[1] + kh;
          if (is_inside(d + kd, g_.in[0]) && is_inside(h + line, g_.in[1]))
            seen.push_back(
                {(kd * lines + line) * line_step, (kd * g_.kernel[1] + kh) * line_weights_});
        }
      job.lines = seen.data();
      job.line_count = std::ssize(seen);
      const int64_t place = ((picture * g_.out[1] + first_row + row) * line_outputs +
                             first_tile * (pools ? 1 : kLineOutputs)) *
                            g_.out_channels;
      for (int64_t block = 0; block < column_blocks_; ++block) {
        const int64_t channel = block * kernels_.lanes;
        job.w = packed + block * block_weights_;
        job.channels = std::min(kernels_.lanes, g_.out_channels - channel);
        job.bias = epilogue.bias != nullptr ? epilogue.bias + channel : nullptr;
        job.residual = epilogue.residual != nullptr ? epilogue.residual + place + channel : nullptr;
        job.y = y + place + channel;
        kernels_.run(job);
      }
      epilogue.finish(y + place, std::min(tiles * kLineOutputs, job.outputs) * g_.out_channels);
    }
    if (job.streams) hwy::FlushStream();
  });
}

}  // namespace

std::string winograd_line_why_not(const ConvGeometry& g) {
  for (int axis = 0; axis < kAxes; ++axis)
    if (g.dilation[axis] != 1) return "not Winograd along a line: it is dilated";
  if (g.groups != 1 || g.stride[2] > kMostChannels || g.in_channels > kMostChannels ||
      line_channels(g) > kMostChannels)
    return message("not Winograd along a line: it takes one group of at most ", kMostChannels,
                   " channels, stride times");
  if (line_channels(g) % 2 != 0)
    return "not Winograd along a line: an odd number of channels, stride times";
  if (kernel_lines(g) > kMostDepth ||
      segments(g) > kMostDepth / (kernel_lines(g) * line_channels(g)))
    return message("not Winograd along a line: sums of more than ", kMostDepth * kLineTaps,
                   " products");
  const double products = static_cast<double>(segments(g) * line_channels(g) * kLinePoints);
  const auto taps = static_cast<double>(g.kernel[2] * g.in_channels);
  if (products > kMostProductShare * kLineOutputs * taps)
    return message("not Winograd along a line: ", g.kernel[2], " taps along W with stride ",
                   g.stride[2]);
  return {};
}

std::unique_ptr<ConvProgram> prepare_winograd_line(const ConvGeometry& g) {
  return std::make_unique<WinogradLine>(g);
}

}  // namespace convkit::kernels
