#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "convkit/base/task_memory.h"
#include "convkit/kernels/conv_geometry.h"
#include "convkit/kernels/conv_grouped_window.h"
#include "convkit/kernels/conv_program.h"

/// What the sliding-window kernels are to do for one geometry: vectors of channels (strips), blocks
/// of outputs along a line, and which lines and taps each output sees. Internal to kernels/.
namespace convkit::kernels {

/// How channels become lanes, and how lanes find their weights. With a = group_in and b = group_out
/// of what is computed (swapped for backward-input):
///  - a = b = 1: lane = channel;
///  - spread: lane = output channel; the a inputs of its group come one after the other, each
///    spread over the lanes of the group by a lookup;
///  - reduce: lane = input channel, one strip per output of the groups; neighbours are added at the
///    end. For groups that read many more channels than they write, where spread would leave most
///    lanes empty.
class GroupedStrips {
 public:
  GroupedStrips(const ConvGeometry& geometry, Direction direction);
  GroupedStrips(GroupedStrips&&) = default;  // strips point into the lookups

  int64_t count() const { return static_cast<int64_t>(strips_.size()); }
  const WindowStrip* data() const { return strips_.data(); }
  int64_t lanes() const { return lanes_; }
  int64_t depth() const { return depth_; }
  WindowRead read() const { return read_; }
  /// Where channel c of depth() is: floats and lookup entries beyond those of channel 0.
  int64_t x_step() const { return in_vector_ ? 0 : 1; }
  int64_t lookup_step() const { return in_vector_ ? lanes_ : 0; }
  /// Multiply-adds of vectors per tap and output pixel, and what the sums of lanes cost.
  double cost() const { return cost_; }
  /// Floats of one strip's weights: [tap][c < depth][lane].
  int64_t strip_floats() const { return taps_ * depth_ * lanes_; }
  int64_t weight_floats() const { return count() * strip_floats(); }
  /// Backward-input finds the weights of a vector's lanes side by side, if they are of one group:
  /// then strips point into the weights as they are.
  bool in_place() const { return in_place_; }
  int64_t packed_floats() const { return in_place_ ? 0 : weight_floats(); }
  /// Floats from a strip's weights of a tap to those of the next, and of a channel.
  int64_t tap_pitch() const { return in_place_ ? tap_step_ : depth_ * lanes_; }
  int64_t channel_pitch() const { return in_place_ ? c_step_ : lanes_; }
  /// A strip's weights from w, zeros where lanes are empty; and back.
  void pack(int64_t strip, const float* w, float* packed) const;
  void unpack(int64_t strip, const float* packed, float* dw) const;

 private:
  void add_plain(int64_t channels);
  void add_spread(int64_t groups, int64_t group_in, int64_t group_out, double lookup_cost);
  void add_reduce(int64_t groups, int64_t group_in, int64_t group_out);
  void find_weights(const ConvGeometry& geometry, Direction direction);

  int64_t lanes_ = 1;
  int64_t taps_ = 1;
  int64_t depth_ = 1;
  double cost_ = 0.0;
  WindowRead read_ = WindowRead::plain;
  bool in_vector_ = false;  // all channels of a strip's groups fit into one vector
  std::vector<WindowStrip> strips_;
  std::vector<int32_t> lookups_;    // [strip][c if in_vector_][lane]
  std::vector<int64_t> weight_at_;  // [strip][lane]: in w, of tap 0 and c = 0; -1: an empty lane
  int64_t tap_step_ = 1;
  int64_t c_step_ = 1;
  bool regular_ = false;  // packing is a transposition
  bool in_place_ = false;
};

/// The outputs of one line that one call of a kernel computes, and where they lie.
struct WindowBlock {
  int64_t x;  ///< floats from the start of a line of the input to what the runs' x counts from
  int64_t y;  ///< positions from the start of a line of the output
  int64_t x_pitch;
  int64_t y_pitch;  ///< positions from one output to the next
  int64_t w_step;
  int64_t first_run;
  int64_t run_count;
  int64_t list;         ///< number of the list of steps that the block shares with its like
  int64_t fetch_pitch;  ///< between pixels of the input that blocks read, floats
  int64_t fetch_count;
  int64_t outputs;
  const WindowKernels::Size* size;  ///< null for window_weight_kernel()
};

/// Forward, backward-input (whose input is dy and output dx), or backward-weight (whose
/// output is dy).
class GroupedPlan {
 public:
  GroupedPlan(const ConvGeometry& geometry, Direction direction, const GroupedStrips& strips);

  /// Lines of the output: batch · D · H.
  int64_t lines() const { return batch_ * out_[0] * out_[1]; }
  /// All blocks of all lines.
  int64_t blocks() const { return lines() * line_blocks(); }
  /// What `strips` cost, packing included.
  ConvWork work(const GroupedStrips& strips) const;
  /// Pixels of y times taps: what a strip multiplies for each of its depth channels.
  int64_t products() const { return products_; }

  /// Blocks [first, end) in the order of memory, for the strips of `job`: completes the job with
  /// what each reads, then calls run(job, block, floats from the start of the output). All strips
  /// of a block come before the next block: so memory is walked in its order. The job's y_pitch is
  /// that from position to position of the output, 0 for its channels.
  template <class Run>
  void walk(int64_t first, int64_t end, WindowJob job, const Run& run) const {
    const float* const x = job.x;
    const int64_t pitch = job.y_pitch > 0 ? job.y_pitch : out_channels_;
    TaskMemory memory;
    std::pmr::vector<StepList> lists(&memory);
    if (prepared_.empty()) {
      lists.reserve(static_cast<std::size_t>(list_count_));
      for (int64_t i = 0; i < list_count_; ++i) lists.emplace_back(&memory);
    }
    for (int64_t index = first; index < end;) {
      const int64_t line = index / line_blocks();
      const LinePlace seen = place(line);
      for (const int64_t line_end = std::min(end, (line + 1) * line_blocks()); index < line_end;
           ++index) {
        const WindowBlock& block = blocks_[static_cast<std::size_t>(index - line * line_blocks())];
        if (prepared_.empty() && lists[static_cast<std::size_t>(block.list)].kind != seen.kind)
          list_steps(block, seen.kind, lists[static_cast<std::size_t>(block.list)]);
        const StepList& list =
            prepared_.empty()
                ? lists[static_cast<std::size_t>(block.list)]
                : prepared_[static_cast<std::size_t>(seen.kind * list_count_ + block.list)];
        job.steps = list.steps.data();
        job.step_count = static_cast<int64_t>(list.steps.size());
        job.outputs = block.outputs;
        job.copied_steps = copied_steps_;
        job.x = x + seen.x + block.x;
        job.x_pitch = block.x_pitch;
        job.w_step = block.w_step;
        // window_weight_kernel() takes lines together that see the same taps.
        if (sums_stay_ && line_blocks() == 1) {
          job.lines = alike_lines(line, end);
          job.x_line = job.lines > 1 ? place(line + 1).x - seen.x : 0;
          job.y_line = out_[2] * pitch;
        }
        job.y_pitch = block.y_pitch * pitch;
        if (is_large_ && job.step_count > 0) {
          job.fetch = job.x + list.last_line + (job.lines - 1) * job.x_line +
                      (next_line_ > 0 ? next_line_ : block.outputs * block.x_pitch);
          if (next_line_ == 0 && index + 1 == line_end) job.fetch += skipped_;
          job.fetch_lines = new_lines_;
          job.fetch_line = -in_[2] * in_channels_;
          job.fetch_pitch = block.fetch_pitch;
          job.fetch_count = block.fetch_count * job.lines;
        }
        run(job, block, (line * out_[2] + block.y) * pitch);
      }
      index += job.lines - 1;
    }
  }
  /// Has blocks fetch what those on the next line will read, from memory if need be: a line's time
  /// ahead, instead of a block's.
  void fetch_next_line(const ConvGeometry& geometry) {
    is_large_ = true;
    next_line_ = geometry.stride[1] * in_[2] * in_channels_;
  }
  /// Whether input and output are too large for the caches of one core.
  bool is_large() const { return is_large_; }
  /// Whether they come from memory.
  bool is_huge() const;

 private:
  struct Tap {
    int64_t k;
    int64_t at;  // coordinate of the input, from that of the first tap on
    bool operator==(const Tap&) const = default;
  };
  // What an output's coordinate along D or H sees. Coordinates that see the same taps, equally far
  // apart, are of one kind.
  struct AxisPlace {
    int64_t kind;
    int64_t at;  // coordinate of the input that the first tap meets
  };
  struct LinePlace {
    int64_t kind;  // of D times the kinds of H, plus that of H
    int64_t x;     // floats from the start of the input to the first line seen
  };
  // What the first strip's channels c = 0, 1, ... of a block meet on the lines it sees, for lines
  // of one kind; x counts from the first line seen.
  struct StepList {
    explicit StepList(std::pmr::memory_resource* memory) : steps(memory) {}
    int64_t kind = -1;
    int64_t last_line = 0;  // floats from the first line seen to the last, the one that is new
    std::pmr::vector<WindowStep> steps;
  };
  int64_t line_blocks() const { return static_cast<int64_t>(blocks_.size()); }
  LinePlace place(int64_t line) const;
  // Lines of [line, end) from the first on that see the same taps and lie equally far apart.
  int64_t alike_lines(int64_t line, int64_t end) const;
  void list_steps(const WindowBlock& block, int64_t kind, StepList& list) const;
  void join_alike(std::span<WindowStep> steps) const;
  void prepare_lists();
  void list_taps(const ConvGeometry& geometry, Direction direction, int axis);
  void list_blocks(const ConvGeometry& geometry, Direction direction, const GroupedStrips& strips);

  int64_t batch_ = 1;
  Extents in_ = {1, 1, 1};
  Extents out_ = {1, 1, 1};
  int64_t in_channels_ = 1;
  int64_t out_channels_ = 1;
  bool is_large_ = false;
  int64_t next_line_ = 0;  // floats to what is fetched, if not the next block's
  int64_t new_lines_ = 1;  // of the input with each line of the output, side by side
  int64_t skipped_ = 0;    // floats of the other lines that a stride goes over
  int64_t products_ = 0;
  double seen_ = 0.0;        // of the products, those that are not with padding
  double elements_ = 0.0;    // of input and output
  double collisions_ = 0.0;  // what they cost, in multiply-adds for each one
  int64_t depth_ = 1;
  int64_t lanes_ = 1;
  bool sums_stay_ = false;  // window_weight_kernel() is used
  int64_t copied_steps_ = 0;
  int64_t x_step_ = 0;
  int64_t lookup_step_ = 0;
  int64_t channel_pitch_ = 1;
  std::array<int64_t, 2> w_step_ = {};  // floats of packed weights per tap of D and H
  std::array<std::vector<std::vector<Tap>>, 2> kinds_;  // [axis][kind]
  std::array<std::vector<AxisPlace>, 2> places_;        // [axis][output coordinate]
  int64_t list_count_ = 0;
  std::vector<WindowBlock> blocks_;
  std::vector<WindowStep> runs_;    // of one line
  std::vector<StepList> prepared_;  // [kind][list]; empty where they would be long
};

}  // namespace convkit::kernels
