#include "convkit/kernels/conv_grouped.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "convkit/base/checked.h"
#include "convkit/base/error.h"
#include "convkit/base/memory.h"
#include "convkit/base/thread_pool.h"
#include "convkit/kernels/conv_grouped_plan.h"
#include "hwy/cache_control.h"

namespace convkit::kernels {
namespace {

// Multiply-adds of vectors that are worth a task, about a microsecond, and how many tasks keep 16
// threads busy.
constexpr int64_t kTaskWork = 4096;
constexpr int64_t kMostTasks = 64;
constexpr int64_t kMostLanes = 64;     // of any instruction set
constexpr int64_t kPackFloats = 4096;  // that are worth a task
constexpr int64_t kMostGroupChannels = 64;
// Packed weights of an eighth of the tensors' size are what a thread should find in its own cache.
constexpr int64_t kHeavyWeights = 8;
// With one group, more channels to sum over than these make sums long enough for the direct engine.
constexpr int64_t kFewChannels = 8;

// Forward or backward-input.
class GroupedCorrelation : public ConvProgram {
 public:
  GroupedCorrelation(const ConvGeometry& g, Direction direction)
      : strips_(g, direction), plan_(g, direction, strips_) {
    const double work = static_cast<double>(plan_.products()) * strips_.cost();
    const int64_t tasks = std::clamp<int64_t>(
        static_cast<int64_t>(work / static_cast<double>(kTaskWork)), 1, kMostTasks);
    block_parts_ = std::min(plan_.blocks(), tasks);
    strip_parts_ = std::min(strips_.count(), ceil_div(tasks, block_parts_));
    const bool forward = direction == Direction::forward;
    outputs_ = forward ? output_count(g) : input_count(g);
    channels_ = forward ? g.out_channels : g.in_channels;
    strips_first_ = kHeavyWeights * strips_.weight_floats() > input_count(g) + output_count(g);
  }
  // A part, which is one task.
  GroupedCorrelation(const ConvGeometry& g, bool from_afar)
      : strips_(g, Direction::forward), plan_(g, Direction::forward, strips_) {
    if (from_afar) plan_.fetch_next_line(g);
  }

  ConvWork work() const override { return plan_.work(strips_); }
  bool takes_out_pitch() const override { return true; }
  int64_t packed_floats() const override { return strips_.packed_floats(); }
  void pack(const float* w, float* packed) const override {
    if (strips_.in_place()) return;
    parallel_ranges(strips_.count(), ceil_div(kPackFloats, strips_.strip_floats()),
                    [&](int64_t begin, int64_t end) {
                      for (int64_t s = begin; s < end; ++s)
                        strips_.pack(s, w, packed + s * strips_.strip_floats());
                    });
  }

  void run(const float* x, const float* packed, const ConvEpilogue& epilogue,
           float* y) const override {
    const Buffer<float> bias = padded_bias(epilogue.bias);
    WindowJob job;
    job.x = x;
    job.w = packed;
    job.bias = epilogue.bias != nullptr ? bias.data() : nullptr;
    job.clamps = epilogue.clamps();
    job.low = epilogue.low;
    job.high = epilogue.high;
    job.y_pitch = epilogue.out_pitch;
    job.streams = epilogue.streams(y, outputs_, channels_);
    parallel_for(block_parts_ * strip_parts_,
                 [&](int64_t task) { run_task(task, job, epilogue, y); });
  }

 private:
  // [strip][lane], since whole vectors of the bias must not reach beyond it.
  Buffer<float> padded_bias(const float* bias) const {
    if (bias == nullptr) return {};
    Buffer<float> padded(static_cast<std::size_t>(strips_.count() * strips_.lanes()));
    std::fill_n(padded.data(), padded.size(), 0.0f);
    for (int64_t s = 0; s < strips_.count(); ++s) {
      const WindowStrip& strip = strips_.data()[s];
      for (int64_t i = 0; i < strip.y_count; ++i)
        padded[static_cast<std::size_t>(s * strips_.lanes() + i)] =
            bias[strip.y + i * strip.y_step];
    }
    return padded;
  }

  void run_task(int64_t task, WindowJob job, const ConvEpilogue& epilogue, float* y) const {
    const int64_t strip_part = strips_first_ ? task / block_parts_ : task % strip_parts_;
    const int64_t block_part = strips_first_ ? task % block_parts_ : task / strip_parts_;
    const auto read = static_cast<std::size_t>(strips_.read());
    const int64_t first_strip = strips_.count() * strip_part / strip_parts_;
    job.strips = strips_.data() + first_strip;
    job.strip_count = strips_.count() * (strip_part + 1) / strip_parts_ - first_strip;
    if (job.bias != nullptr) job.bias += first_strip * strips_.lanes();
    plan_.walk(plan_.blocks() * block_part / block_parts_,
               plan_.blocks() * (block_part + 1) / block_parts_, job,
               [&](WindowJob& now, const WindowBlock& block, int64_t place) {
                 now.y = y + place;
                 if (strip_parts_ == 1 && plan_.is_huge())
                   now.fetch_y = now.y + block.outputs * now.y_pitch;
                 now.residual = epilogue.residual != nullptr ? epilogue.residual + place : nullptr;
                 block.size->forward[read](now);
                 if (epilogue.function != nullptr) finish(now, block.outputs, epilogue);
               });
    if (job.streams) hwy::FlushStream();
  }

  // Applies the function to what the job has stored: channels side by side, but for strips of sums
  // of lanes, whose channels interleave.
  static void finish(const WindowJob& job, int64_t outputs, const ConvEpilogue& epilogue) {
    const WindowStrip& first = job.strips[0];
    const WindowStrip& last = job.strips[job.strip_count - 1];
    const int64_t channels = last.y + last.y_count - first.y;
    const bool side_by_side = first.reduce == 0;
    if (side_by_side && channels == job.y_pitch)
      return epilogue.finish(job.y + first.y, outputs * channels);
    for (int64_t j = 0; j < outputs; ++j) {
      float* const pixel = job.y + j * job.y_pitch;
      if (side_by_side) {
        epilogue.finish(pixel + first.y, channels);
        continue;
      }
      for (int64_t s = 0; s < job.strip_count; ++s) {
        const WindowStrip& strip = job.strips[s];
        float values[kMostLanes];
        for (int64_t i = 0; i < strip.y_count; ++i) values[i] = pixel[strip.y + i * strip.y_step];
        epilogue.finish(values, strip.y_count);
        for (int64_t i = 0; i < strip.y_count; ++i) pixel[strip.y + i * strip.y_step] = values[i];
      }
    }
  }

  GroupedStrips strips_;
  GroupedPlan plan_;
  int64_t outputs_ = 0;  // 0: a part's are near
  int64_t channels_ = 0;
  int64_t block_parts_ = 1;
  int64_t strip_parts_ = 1;
  // Threads take neighbouring tasks. Strips first, each reads the weights that it has packed itself
  // (out of another core's cache they come slowly); blocks first, its part of the picture.
  bool strips_first_ = false;
};

bool is_depthwise(const ConvGeometry& g) {
  return g.groups == g.in_channels && g.groups == g.out_channels;
}

}  // namespace

std::string depthwise_why_not(const ConvGeometry& g, Direction) {
  if (g.groups == 1) return "not depthwise: with one group channels do not fill the vectors";
  if (is_depthwise(g)) return {};
  return message("not depthwise: ", g.groups, " groups of ", g.group_in(), " → ", g.group_out(),
                 " channels, where each group must be 1 → 1");
}

std::string grouped_why_not(const ConvGeometry& g, Direction direction) {
  const int64_t summed = direction == Direction::backward_input ? g.group_out() : g.group_in();
  if (g.groups == 1 && summed > kFewChannels)
    return message("one group: sums over ", summed, " channels need no window");
  if (is_depthwise(g)) return "every group is one channel: that is depthwise";
  if (g.groups > 1 && std::max(g.group_in(), g.group_out()) > kMostGroupChannels)
    return message("groups of ", g.group_in(), " → ", g.group_out(),
                   " channels fill vectors by themselves");
  // Groups wider than a vector do not share one: then each strip is a part of one group's outputs.
  const int64_t lanes = window_kernels().lanes;
  if (direction == Direction::backward_weight && g.group_in() > lanes &&
      10 * g.group_out() < 7 * round_up(g.group_out(), lanes))
    return message("groups of ", g.group_in(), " → ", g.group_out(),
                   " channels leave too many lanes of ", lanes, " empty");
  return {};
}

std::unique_ptr<ConvProgram> prepare_grouped(const ConvGeometry& g, Direction direction) {
  if (direction == Direction::backward_weight) return prepare_grouped_weight(g);
  return std::make_unique<GroupedCorrelation>(g, direction);
}

std::unique_ptr<ConvProgram> prepare_grouped_part(const ConvGeometry& g, bool from_afar) {
  return std::make_unique<GroupedCorrelation>(g, from_afar);
}

}  // namespace convkit::kernels
