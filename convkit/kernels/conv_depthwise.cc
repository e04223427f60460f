#include "convkit/kernels/conv_depthwise.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "convkit/base/checked.h"
#include "convkit/base/error.h"
#include "convkit/base/memory.h"
#include "convkit/base/thread_pool.h"
#include "convkit/kernels/conv_brick.h"
#include "convkit/kernels/conv_lattice.h"
#include "convkit/kernels/conv_rows.h"
#include "convkit/kernels/conv_tile.h"

namespace convkit::kernels {
namespace {

constexpr int64_t kBrickRows = 112;
// Tasks that keep 16 threads busy with some left to balance, where the work allows it.
constexpr int64_t kWantedTasks = 48;
constexpr int64_t kScratchLimit = 64 * 1024;  // floats: half of a second-level cache
constexpr int64_t kSlicePositions = 256;
constexpr int64_t kMostSlices = 32;
constexpr int64_t kPartialLimit = int64_t{1} << 22;  // floats, over all slices

int64_t tap_count(const ConvGeometry& g) { return g.kernel[0] * g.kernel[1] * g.kernel[2]; }

// Channels in strips of two vectors, the last of one where that is enough.
struct Strip {
  int64_t first;
  int64_t count;
  int vectors;
};

class Strips {
 public:
  explicit Strips(int64_t channels) : channels_(channels), lanes_(tile_kernels().lanes) {}
  int64_t count() const { return ceil_div(channels_, width()); }
  int64_t width() const { return kMaxTileVectors * lanes_; }
  Strip strip(int64_t index) const {
    const int64_t first = index * width();
    const int64_t left = std::min(width(), channels_ - first);
    return {first, left, left > lanes_ ? 2 : 1};
  }

 private:
  int64_t channels_;
  int64_t lanes_;
};

// Forward, or backward-input of one residue: the same lattices as the direct engine's.
class Depthwise {
 public:
  Depthwise(const ConvGeometry& g, const Extents& in, const Extents& out,
            std::array<AxisLattice, kAxes> axes)
      : g_(g),
        out_(out),
        axes_(std::move(axes)),
        strips_(g.in_channels),
        zeros_(static_cast<std::size_t>(g.in_channels)) {
    std::fill_n(zeros_.data(), g.in_channels, 0.0f);
    input_ =
        BrickInput(input_axes(axes_, in), g.in_channels, g.in_channels, BrickInput::Copy::never);
    cut_ = BrickCut({g.batch, axes_[0].rows, axes_[1].rows, axes_[2].rows}, kBrickRows);
    chunks_ = std::clamp<int64_t>(ceil_div(kWantedTasks, cut_.bricks()), 1, strips_.count());
    // Taps along W are one run: their offsets are equally spaced.
    const std::vector<int64_t>& along_w = axes_[2].offsets;
    a_step_ = along_w.size() > 1 ? (along_w[1] - along_w[0]) * input_.offset_stride(2) : 0;
    strip_floats_ =
        static_cast<int64_t>(axes_[0].offsets.size() * axes_[1].offsets.size() * along_w.size()) *
        strips_.width();
  }

  int64_t packed_floats() const { return strips_.count() * strip_floats_; }
  int64_t tasks() const { return cut_.bricks() * chunks_; }

  // [strip][tap in the order of the offsets][channel], zeros behind the last channel.
  void pack(const float* w, float* packed) const {
    for (int64_t s = 0; s < strips_.count(); ++s) {
      const Strip strip = strips_.strip(s);
      float* to = packed + s * strip_floats_;
      for (std::size_t d = 0; d < axes_[0].offsets.size(); ++d)
        for (std::size_t h = 0; h < axes_[1].offsets.size(); ++h)
          for (std::size_t i = 0; i < axes_[2].offsets.size(); ++i, to += strips_.width()) {
            const int64_t tap =
                (axes_[0].taps[d] * g_.kernel[1] + axes_[1].taps[h]) * g_.kernel[2] +
                axes_[2].taps[i];
            for (int64_t c = 0; c < strips_.width(); ++c)
              to[c] = c < strip.count ? w[(strip.first + c) * tap_count(g_) + tap] : 0.0f;
          }
    }
  }

  void run(int64_t task, const float* x, const float* packed, const ConvEpilogue& epilogue,
           float* y) const {
    const TileKernels& kernels = tile_kernels();
    const int64_t chunk = task % chunks_;
    const Brick brick = cut_.brick(task / chunks_);
    const float* const base =
        strip_floats_ == 0 ? x : input_.base(x, brick, {0, g_.in_channels}, nullptr);
    const std::vector<RowTable> tables =
        list_rows({axes_, input_, base, zeros_.data(), out_, g_.in_channels}, brick);
    const int64_t first_strip = strips_.count() * chunk / chunks_;
    const int64_t end_strip = strips_.count() * (chunk + 1) / chunks_;
    const int64_t height = kernels.max_rows[kMaxTileVectors];
    std::vector<TileSegment> segments;
    // Whole vectors of the bias must not reach beyond it.
    std::vector<float> bias;
    if (epilogue.bias != nullptr) {
      bias.assign(static_cast<std::size_t>(strips_.count() * strips_.width()), 0.0f);
      std::copy_n(epilogue.bias, g_.in_channels, bias.begin());
    }
    for (const RowTable& table : tables) {
      const auto total = static_cast<int64_t>(table.output.size());
      const int64_t tiles = ceil_div(total, height);
      const std::vector<TapRun> runs = list_taps(axes_, input_, table, true);
      segments.clear();
      for (const TapRun& run : runs) segments.push_back({run.a, run.first * strips_.width()});
      TileJob job;
      job.segment_count = static_cast<int64_t>(segments.size());
      job.segments = segments.data();
      job.rows_step = table.per_tap ? total : 0;
      job.depth = runs.empty() ? 0 : runs.front().count;
      job.a_step = a_step_;
      job.b_step = strips_.width();
      job.clamps = epilogue.clamps();
      job.low = epilogue.low;
      job.high = epilogue.high;
      // All channels of a few pixels before the next pixels: memory is walked in its order.
      for (int64_t tile = 0; tile < tiles; ++tile) {
        const int64_t begin = total * tile / tiles;
        const int64_t end = total * (tile + 1) / tiles;
        job.rows = table.input.data() + begin;
        job.c_offset = table.output.data() + begin;
        for (int64_t index = first_strip; index < end_strip; ++index) {
          const Strip strip = strips_.strip(index);
          job.a_start = strip.first;
          job.b = packed + index * strip_floats_;
          job.c = y + strip.first;
          job.columns = strip.count;
          job.bias = bias.empty() ? nullptr : bias.data() + strip.first;
          job.residual = epilogue.residual != nullptr ? epilogue.residual + strip.first : nullptr;
          kernels.run_elementwise[strip.vectors][end - begin](job);
        }
      }
    }
  }

 private:
  ConvGeometry g_;
  Extents out_;
  std::array<AxisLattice, kAxes> axes_;
  Strips strips_;
  Buffer<float> zeros_;
  BrickInput input_;
  BrickCut cut_;
  int64_t a_step_ = 0;
  int64_t strip_floats_ = 0;
  int64_t chunks_ = 1;
};

class DepthwiseCorrelations : public ConvProgram {
 public:
  explicit DepthwiseCorrelations(std::vector<Depthwise> parts) : parts_(std::move(parts)) {
    for (const Depthwise& part : parts_) {
      packed_start_.push_back(packed_floats_);
      task_start_.push_back(tasks_);
      packed_floats_ += part.packed_floats();
      tasks_ += part.tasks();
    }
  }

  int64_t packed_floats() const override { return packed_floats_; }
  ConvWork work() const override { return {.products = 1.0}; }
  void pack(const float* w, float* packed) const override {
    parallel_for(static_cast<int64_t>(parts_.size()), [&](int64_t part) {
      const auto index = static_cast<std::size_t>(part);
      parts_[index].pack(w, packed + packed_start_[index]);
    });
  }
  void run(const float* x, const float* packed, const ConvEpilogue& epilogue,
           float* y) const override {
    parallel_for(tasks_, [&](int64_t task) {
      const auto part = static_cast<std::size_t>(
          std::upper_bound(task_start_.begin(), task_start_.end(), task) - task_start_.begin() - 1);
      parts_[part].run(task - task_start_[part], x, packed + packed_start_[part], epilogue, y);
    });
  }

 private:
  std::vector<Depthwise> parts_;
  std::vector<int64_t> packed_start_;
  std::vector<int64_t> task_start_;
  int64_t packed_floats_ = 0;
  int64_t tasks_ = 0;
};

// Taps are the rows of tiles here, positions their depth. A task computes the dw of a chunk of
// strips over one slice of the positions, as [strip][tap][channel of the strip].
class DepthwiseWeight : public ConvProgram {
 public:
  explicit DepthwiseWeight(const ConvGeometry& g) : g_(g), strips_(g.in_channels) {
    const std::array<int64_t, 4> positions = {g.batch, g.out[0], g.out[1], g.out[2]};
    const int64_t total = positions[0] * positions[1] * positions[2] * positions[3];
    const int64_t affordable =
        std::max<int64_t>(1, kPartialLimit / (strips_.count() * strip_floats()));
    slices_ = std::clamp<int64_t>(total / kSlicePositions, 1, std::min(kMostSlices, affordable));
    chunks_ = std::clamp<int64_t>(ceil_div(kWantedTasks, slices_), 1, strips_.count());
    chunk_strips_ = ceil_div(strips_.count(), chunks_);
    chunks_ = ceil_div(strips_.count(), chunk_strips_);

    std::array<InputAxis, kAxes> axes;
    for (int axis = 0; axis < kAxes; ++axis)
      axes[axis] = {.size = g.in[axis],
                    .rows = g.out[axis],
                    .start = -g.pad_lo[axis],
                    .step = g.stride[axis],
                    .low = 0,
                    .high = (g.kernel[axis] - 1) * g.dilation[axis]};
    input_ =
        BrickInput(axes, g.in_channels, chunk_strips_ * strips_.width(), BrickInput::Copy::always);
    for (int64_t wanted = kBrickRows;; wanted /= 2) {
      cut_ = BrickCut(positions, wanted);
      input_.set_brick_size(cut_.size());
      if (input_.scratch_floats() <= kScratchLimit || wanted <= kMaxTileRows) break;
    }
    slices_ = std::min(slices_, cut_.bricks());
    for (int64_t kd = 0; kd < g.kernel[0]; ++kd)
      for (int64_t kh = 0; kh < g.kernel[1]; ++kh)
        for (int64_t kw = 0; kw < g.kernel[2]; ++kw) {
          c_offset_.push_back(static_cast<int64_t>(c_offset_.size()) * strips_.width());
          row_offset_.push_back(kd * g.dilation[0] * input_.offset_stride(0) +
                                kh * g.dilation[1] * input_.offset_stride(1) +
                                kw * g.dilation[2] * input_.offset_stride(2));
        }
  }

  void run(const float* x, const float* dy, const ConvEpilogue&, float* dw) const override {
    Buffer<float> partial(static_cast<std::size_t>(partial_floats()));
    parallel_for(tasks(), [&](int64_t task) { run_task(task, x, dy, partial.data()); });
    parallel_for(sum_tasks(), [&](int64_t task) { sum(task, partial.data(), dw); });
  }
  ConvWork work() const override { return {.products = 1.0}; }

 private:
  int64_t tasks() const { return chunks_ * slices_; }
  int64_t partial_floats() const { return strips_.count() * slices_ * strip_floats(); }

  void run_task(int64_t task, const float* x, const float* dy, float* partial) const {
    const int64_t slice = task % slices_;
    const int64_t first_strip = task / slices_ * chunk_strips_;
    const int64_t end_strip = std::min(strips_.count(), first_strip + chunk_strips_);
    const ChannelRange channels = {
        first_strip * strips_.width(),
        std::min(g_.in_channels, end_strip * strips_.width()) - first_strip * strips_.width()};
    Buffer<float> scratch(static_cast<std::size_t>(input_.scratch_floats()));
    Buffer<float> packed(static_cast<std::size_t>(brick_positions() * strips_.width()));
    const int64_t first_brick = cut_.bricks() * slice / slices_;
    const int64_t end_brick = cut_.bricks() * (slice + 1) / slices_;
    for (int64_t index = first_brick; index < end_brick; ++index) {
      const Brick brick = cut_.brick(index);
      const float* const base = input_.base(x, brick, channels, scratch.data());
      for (int64_t s = first_strip; s < end_strip; ++s)
        run_strip(strips_.strip(s), brick, base + (s - first_strip) * strips_.width(), dy,
                  packed.data(), index > first_brick,
                  partial + (s * slices_ + slice) * strip_floats());
    }
  }

  int64_t sum_tasks() const { return strips_.count(); }
  // dw = the sum of the slices' dw, in the order of the slices.
  void sum(int64_t task, float* partial, float* dw) const {
    const Strip strip = strips_.strip(task);
    float* const total = partial + task * slices_ * strip_floats();
    for (int64_t slice = 1; slice < slices_; ++slice)
      for (int64_t i = 0; i < strip_floats(); ++i) total[i] += total[slice * strip_floats() + i];
    for (int64_t c = 0; c < strip.count; ++c)
      for (int64_t tap = 0; tap < tap_count(g_); ++tap)
        dw[(strip.first + c) * tap_count(g_) + tap] = total[tap * strips_.width() + c];
  }

  int64_t strip_floats() const { return tap_count(g_) * strips_.width(); }
  int64_t brick_positions() const {
    return cut_.size()[0] * cut_.size()[1] * cut_.size()[2] * cut_.size()[3];
  }

  void run_strip(const Strip& strip, const Brick& brick, const float* x, const float* dy,
                 float* packed, bool accumulate, float* to) const {
    const TileKernels& kernels = tile_kernels();
    const int64_t width = strip.vectors * kernels.lanes;
    // Whole vectors of dy must not reach beyond the tensor.
    const bool pack = strip.count < width;
    std::vector<TileSegment> segments;
    int64_t packed_place = 0;
    for (int64_t n = 0; n < brick.count[0]; ++n)
      for (int64_t d = 0; d < brick.count[1]; ++d)
        for (int64_t h = 0; h < brick.count[2]; ++h) {
          const int64_t plane = (brick.first[0] + n) * g_.out[0] + brick.first[1] + d;
          const int64_t position =
              (plane * g_.out[1] + brick.first[2] + h) * g_.out[2] + brick.first[3];
          const int64_t in_x =
              n * input_.batch_stride() + d * input_.row_stride(0) + h * input_.row_stride(1);
          const int64_t in_dy = position * g_.in_channels + strip.first;
          segments.push_back({in_x, pack ? packed_place : in_dy});
          for (int64_t i = 0; pack && i < brick.count[3]; ++i, packed_place += width) {
            std::copy_n(dy + in_dy + i * g_.in_channels, strip.count, packed + packed_place);
            std::fill_n(packed + packed_place + strip.count, width - strip.count, 0.0f);
          }
        }
    RowTable taps;
    for (const int64_t offset : row_offset_) taps.input.push_back(x + offset);
    taps.output = c_offset_;
    TileJob job;
    job.segments = segments.data();
    job.segment_count = static_cast<int64_t>(segments.size());
    job.depth = brick.count[3];
    job.a_step = input_.row_stride(2);
    job.b = pack ? packed : dy;
    job.b_step = pack ? width : g_.in_channels;
    job.c = to;
    job.columns = width;
    job.accumulate = accumulate;
    run_tiles(taps, kernels.run_elementwise[strip.vectors], kernels.max_rows[strip.vectors], job);
  }

  ConvGeometry g_;
  Strips strips_;
  BrickInput input_;
  BrickCut cut_;
  std::vector<int64_t> row_offset_;
  std::vector<int64_t> c_offset_;
  int64_t slices_ = 1;
  int64_t chunks_ = 1;
  int64_t chunk_strips_ = 1;
};

}  // namespace

std::string depthwise_why_not(const ConvGeometry& g, Direction) {
  if (g.groups == 1) return "not depthwise: with one group channels do not fill the vectors";
  if (g.groups == g.in_channels && g.groups == g.out_channels) return {};
  return message("not depthwise: ", g.groups, " groups of ", g.group_in(), " → ", g.group_out(),
                 " channels, where each group must be 1 → 1");
}

std::unique_ptr<ConvProgram> prepare_depthwise(const ConvGeometry& g, Direction direction) {
  if (direction == Direction::backward_weight) return std::make_unique<DepthwiseWeight>(g);
  std::vector<Depthwise> parts;
  if (direction == Direction::forward)
    parts.emplace_back(
        g, g.in, g.out,
        std::array<AxisLattice, kAxes>{forward_lattice(g, 0, 1), forward_lattice(g, 1, 1),
                                       forward_lattice(g, 2, 1)});
  else
    for (const AxisLattice& d : backward_lattices(g, 0, 1))
      for (const AxisLattice& h : backward_lattices(g, 1, 1))
        for (const AxisLattice& i : backward_lattices(g, 2, 1))
          parts.emplace_back(g, g.out, g.in, std::array<AxisLattice, kAxes>{d, h, i});
  return std::make_unique<DepthwiseCorrelations>(std::move(parts));
}

}  // namespace convkit::kernels
