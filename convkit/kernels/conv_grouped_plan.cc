#include "convkit/kernels/conv_grouped_plan.h"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <limits>
#include <numeric>
#include <utility>

#include "convkit/base/checked.h"
#include "convkit/base/conv_size.h"
#include "convkit/kernels/cache.h"
#include "convkit/kernels/conv_lattice.h"
#include "convkit/kernels/conv_tile.h"

namespace convkit::kernels {
namespace {

// Beyond this the input comes from far away: fetch it ahead.
constexpr double kManyBytes = 4 << 20;
// And beyond this from memory, which wants to be asked in order, for the output's lines as well.
constexpr double kHugeBytes = 10 << 20;

// What a kernel spends besides a block's multiply-adds, in outputs.
constexpr int64_t kBlockOverhead = 3;
// Numbers so many floats apart share one set of the first-level cache, or two, which have room for
// the pixels of few outputs. Each multiply-add takes longer then, unless those with so many
// channels to read have been copied.
constexpr int64_t kPage = 1024;
constexpr int64_t kNearOutputs = 8;
constexpr double kCollisionCost = 0.5;
constexpr double kLongCollisionCost = 0.25;  // where sums stay over a line
constexpr int64_t kCopyDepth = 16;
// As many steps as a plan may keep, 32 bytes each. Longer lists each task makes for itself.
constexpr int64_t kMostPrepared = 2048;
// So few positions do not pay for packing weights that lie as vectors want them.
constexpr int64_t kFewPositions = 512;
// What adding up the lanes of one vector costs, in multiply-adds of vectors.
constexpr double kReduceCost = 14.0;
// What a number costs that a lookup finds among floats which begin anywhere, most often on two
// cache lines, beside one that all lanes take, in multiply-adds. With several taps to a position
// the processor does it meanwhile, for the most part.
constexpr double kLookupCost = 0.8;

// Of a strip whose numbers need lookups, beside one that broadcasts.
double lookup_cost(const ConvGeometry& g) {
  const double taps = std::max(
      1.0, static_cast<double>(g.kernel[kAxes - 1]) / static_cast<double>(g.stride[kAxes - 1]));
  return 1.0 + kLookupCost / (taps * taps);
}

// How many outputs of each size make `count`, cheapest first choice per count.
class Sizes {
 public:
  Sizes(int64_t most, const std::function<bool(const WindowKernels::Size&)>& may)
      : choice_(static_cast<std::size_t>(std::min(most, kTable) + 1)) {
    constexpr int64_t kNone = std::numeric_limits<int64_t>::max();
    std::vector<int64_t> cost(choice_.size(), kNone);
    cost[0] = 0;
    for (std::size_t n = 1; n < cost.size(); ++n)
      for (const WindowKernels::Size& size : window_kernels().sizes) {
        const auto outputs = static_cast<std::size_t>(size.outputs);
        if (outputs > n || cost[n - outputs] == kNone || !may(size)) continue;
        const int64_t total = cost[n - outputs] + size.outputs + kBlockOverhead;
        if (total < cost[n]) {
          cost[n] = total;
          choice_[n] = &size;
        }
      }
  }
  const WindowKernels::Size* first(int64_t count) const {
    return choice_[static_cast<std::size_t>(std::min(count, kTable))];
  }

 private:
  static constexpr int64_t kTable = 128;  // beyond, what is best there comes first
  std::vector<const WindowKernels::Size*> choice_;
};

// Unless a line is just one block that has a kernel of its own.
bool takes_long_sums(const ConvGeometry& g, WindowRead read) {
  const int64_t line = g.out[kAxes - 1];
  for (const WindowKernels::Size& size : window_kernels().sizes)
    if (size.outputs == line && g.dilation[kAxes - 1] == 1 &&
        size.weight[static_cast<std::size_t>(read)] != nullptr)
      return false;
  return window_weight_kernel(read) != nullptr;
}

}  // namespace

GroupedStrips::GroupedStrips(const ConvGeometry& g, Direction direction)
    : lanes_(window_kernels().lanes), taps_(g.kernel[0] * g.kernel[1] * g.kernel[2]) {
  const bool backward = direction == Direction::backward_input;
  const int64_t group_in = backward ? g.group_out() : g.group_in();
  const int64_t group_out = backward ? g.group_in() : g.group_out();
  if (group_in == 1 && group_out == 1) {
    add_plain(g.groups);
  } else {
    add_spread(g.groups, group_in, group_out, lookup_cost(g));
    cost_ = static_cast<double>(count() * depth_);
    if (read_ == WindowRead::lookup && !in_vector_) cost_ *= lookup_cost(g);
    const bool may_reduce = group_in > 1 && group_in <= lanes_ && group_in > group_out;
    const auto vectors = static_cast<double>(
        ceil_div(g.groups, std::max<int64_t>(1, lanes_ / group_in)) * group_out);
    // The gradient of the weight has no lanes to add up.
    const double more =
        direction == Direction::backward_weight ? 0.0 : kReduceCost / static_cast<double>(taps_);
    if (may_reduce && vectors * (1.0 + more) < cost_) {
      add_reduce(g.groups, group_in, group_out);
      cost_ = vectors * (1.0 + more);
    }
  }
  const int64_t entries = in_vector_ ? depth_ * lanes_ : lanes_;
  for (int64_t s = 0; s < count(); ++s) {
    WindowStrip& strip = strips_[static_cast<std::size_t>(s)];
    strip.w = s * strip_floats();
    if (lookups_.empty()) continue;
    const int32_t* const lookup = lookups_.data() + s * entries;
    (strip.reduce == 0 ? strip.lookup : strip.y_lookup) = lookup;
  }
  find_weights(g, direction);
  in_place_ = backward && read_ == WindowRead::broadcast && group_out % lanes_ == 0 &&
              c_step_ % (kPage / 2) != 0 && input_count(g) / g.in_channels <= kFewPositions;
  if (in_place_)
    for (int64_t s = 0; s < count(); ++s)
      strips_[static_cast<std::size_t>(s)].w = weight_at_[static_cast<std::size_t>(s * lanes_)];
}

void GroupedStrips::add_plain(int64_t channels) {
  for (int64_t first = 0; first < channels; first += lanes_) {
    const int64_t lanes = std::min(lanes_, channels - first);
    strips_.push_back({.x = first, .x_count = lanes, .y = first, .y_count = lanes});
  }
  cost_ = static_cast<double>(count());
}

// Lanes that read more than a vector apart wait for the next strip. Where whole groups fit into a
// vector, all their channels come with one aligned read, each with a lookup of its own; else each
// is a read one float further, unless strips that end with their group are few enough: they need no
// lookup.
void GroupedStrips::add_spread(int64_t groups, int64_t group_in, int64_t group_out,
                               double lookup_cost) {
  depth_ = group_in;
  in_vector_ = lanes_ % group_in == 0;
  read_ = WindowRead::broadcast;
  const bool crosses =
      in_vector_ || static_cast<double>(groups * ceil_div(group_out, lanes_)) >
                        lookup_cost * static_cast<double>(ceil_div(groups * group_out, lanes_));
  for (int64_t first = 0; first < groups * group_out;) {
    const int64_t first_group = first / group_out;
    const int64_t end_group = first_group + (crosses ? (lanes_ - 1) / group_in : 0) + 1;
    const int64_t end = std::min({first + lanes_, groups * group_out, end_group * group_out});
    const int64_t last_group = (end - 1) / group_out;
    const int64_t span = (last_group - first_group) * group_in + (in_vector_ ? group_in : 1);
    strips_.push_back(
        {.x = first_group * group_in, .x_count = span, .y = first, .y_count = end - first});
    for (int64_t c = 0; c < (in_vector_ ? depth_ : 1); ++c)
      for (int64_t lane = 0; lane < lanes_; ++lane)
        lookups_.push_back(static_cast<int32_t>(
            lane < end - first ? ((first + lane) / group_out - first_group) * group_in + c : 0));
    if (last_group > first_group) read_ = WindowRead::lookup;
    first = end;
  }
  if (read_ == WindowRead::broadcast) in_vector_ = false;
}

void GroupedStrips::add_reduce(int64_t groups, int64_t group_in, int64_t group_out) {
  strips_.clear();
  lookups_.clear();
  depth_ = 1;
  in_vector_ = false;
  read_ = WindowRead::plain;
  const int64_t at_once = lanes_ / group_in;
  for (int64_t first = 0; first < groups; first += at_once) {
    const int64_t now = std::min(at_once, groups - first);
    for (int64_t o = 0; o < group_out; ++o) {
      strips_.push_back({.x = first * group_in,
                         .x_count = now * group_in,
                         .y = first * group_out + o,
                         .y_count = now,
                         .reduce = group_in,
                         .y_step = group_out,
                         .y_span = (now - 1) * group_out + 1});
      for (int64_t lane = 0; lane < lanes_; ++lane)
        lookups_.push_back(
            static_cast<int32_t>(lane < now * group_in ? lane / group_in * group_out : 0));
    }
  }
}

void GroupedStrips::find_weights(const ConvGeometry& g, Direction direction) {
  const bool backward = direction == Direction::backward_input;
  const int64_t a = g.group_in();
  const int64_t per_output = taps_ * a;
  tap_step_ = a;
  c_step_ = backward ? per_output : 1;
  weight_at_.assign(static_cast<std::size_t>(count() * lanes_), -1);
  // In terms of w: the output channel co and the channel ci of its group.
  for (int64_t s = 0; s < count(); ++s) {
    const WindowStrip& strip = strips_[static_cast<std::size_t>(s)];
    const int64_t used = strip.reduce == 0 ? strip.y_count : strip.x_count;
    for (int64_t lane = 0; lane < used; ++lane) {
      int64_t co = 0;
      int64_t ci = 0;
      if (strip.reduce == 0) {
        const int64_t channel = strip.y + lane;
        co = backward ? channel / a * g.group_out() : channel;
        ci = backward ? channel % a : 0;
      } else {
        const int64_t x_channel = strip.x + lane;
        const int64_t y_channel = strip.y + lane / strip.reduce * strip.y_step;
        co = backward ? x_channel : y_channel;
        ci = (backward ? y_channel : x_channel) % a;
      }
      weight_at_[static_cast<std::size_t>(s * lanes_ + lane)] = co * per_output + ci;
    }
  }
  regular_ = c_step_ == 1 && tap_step_ == depth_;
  for (int64_t s = 0; s < count(); ++s)
    for (int64_t lane = 1; lane < lanes_; ++lane) {
      const int64_t* const at = weight_at_.data() + s * lanes_ + lane;
      regular_ = regular_ && (*at < 0 || *at - at[-1] == per_output);
    }
}

void GroupedStrips::pack(int64_t strip, const float* w, float* packed) const {
  const int64_t* const at = weight_at_.data() + strip * lanes_;
  const int64_t used = std::count_if(at, at + lanes_, [](int64_t place) { return place >= 0; });
  const int64_t rows = taps_ * depth_;
  if (used < lanes_) std::fill_n(packed, strip_floats(), 0.0f);
  if (regular_) {
    tile_kernels().transpose(w + at[0], taps_ * tap_step_, used, rows, packed, lanes_);
    return;
  }
  const bool side_by_side = at[used - 1] - at[0] == used - 1;
  for (int64_t tap = 0; tap < taps_; ++tap, packed += depth_ * lanes_) {
    const float* const from = w + tap * tap_step_;
    if (side_by_side) {
      tile_kernels().pack_rows(from + at[0], c_step_, depth_, used, packed, lanes_);
      continue;
    }
    for (int64_t c = 0; c < depth_; ++c)
      for (int64_t lane = 0; lane < used; ++lane)
        packed[c * lanes_ + lane] = from[at[lane] + c * c_step_];
  }
}

void GroupedStrips::unpack(int64_t strip, const float* packed, float* dw) const {
  const int64_t* const at = weight_at_.data() + strip * lanes_;
  const int64_t used = std::count_if(at, at + lanes_, [](int64_t place) { return place >= 0; });
  const int64_t rows = taps_ * depth_;
  if (regular_) {
    tile_kernels().transpose(packed, lanes_, rows, used, dw + at[0], taps_ * tap_step_);
    return;
  }
  for (int64_t tap = 0; tap < taps_; ++tap)
    for (int64_t c = 0; c < depth_; ++c, packed += lanes_)
      for (int64_t lane = 0; lane < used; ++lane)
        dw[at[lane] + tap * tap_step_ + c * c_step_] = packed[lane];
}

GroupedPlan::GroupedPlan(const ConvGeometry& g, Direction direction, const GroupedStrips& strips)
    : batch_(g.batch),
      in_(g.in),
      out_(g.out),
      in_channels_(g.in_channels),
      out_channels_(g.out_channels),
      depth_(strips.depth()),
      lanes_(strips.lanes()),
      sums_stay_(direction == Direction::backward_weight && takes_long_sums(g, strips.read())),
      x_step_(strips.x_step()),
      lookup_step_(strips.lookup_step()) {
  if (direction == Direction::backward_input) {
    std::swap(in_, out_);
    std::swap(in_channels_, out_channels_);
  }
  if (sums_stay_ && strips.read() == WindowRead::broadcast && depth_ >= kCopyDepth &&
      depth_ <= kMostGradientDepth &&
      std::lcm(g.stride[2], g.dilation[2]) * in_channels_ % kPage == 0)
    copied_steps_ = depth_;
  channel_pitch_ = strips.channel_pitch();
  const int64_t unit = strips.tap_pitch();
  w_step_ = {g.kernel[1] * g.kernel[2] * unit, g.kernel[2] * unit};
  for (int axis = 0; axis < 2; ++axis) list_taps(g, direction, axis);
  list_blocks(g, direction, strips);
  products_ = output_count(g) / g.out_channels * g.kernel[0] * g.kernel[1] * g.kernel[2];
  seen_ = static_cast<double>(g.batch);
  for (int axis = 0; axis < kAxes; ++axis) {
    int64_t seen = 0;
    for (int64_t o = 0; o < g.out[axis]; ++o)
      for (int64_t k = 0; k < g.kernel[axis]; ++k) {
        const int64_t at = o * g.stride[axis] - g.pad_lo[axis] + k * g.dilation[axis];
        seen += at >= 0 && at < g.in[axis];
      }
    seen_ *= static_cast<double>(seen);
  }
  elements_ = static_cast<double>(input_count(g)) + static_cast<double>(output_count(g));
  is_large_ = elements_ * sizeof(float) > kManyBytes;
  // (Depthwise sums are so short that to ask for more lines costs more than it saves.)
  if (direction != Direction::backward_input && g.dilation[1] == 1 && depth_ > 1)
    new_lines_ = std::min(g.stride[1], g.kernel[1]);
  if (direction != Direction::backward_input) skipped_ = (g.stride[1] - 1) * in_[2] * in_channels_;
  prepare_lists();
}

void GroupedPlan::list_taps(const ConvGeometry& g, Direction direction, int axis) {
  std::vector<std::vector<Tap>>& kinds = kinds_[static_cast<std::size_t>(axis)];
  for (int64_t o = 0; o < out_[axis]; ++o) {
    std::vector<Tap> taps;
    int64_t start = 0;
    for (int64_t k = 0; k < g.kernel[axis]; ++k) {
      int64_t at = o * g.stride[axis] - g.pad_lo[axis] + k * g.dilation[axis];
      if (direction == Direction::backward_input) {
        const int64_t scaled = o + g.pad_lo[axis] - k * g.dilation[axis];
        at = floor_div(scaled, g.stride[axis]);
        if (at * g.stride[axis] != scaled) continue;
      }
      if (at < 0 || at >= in_[axis]) continue;
      if (taps.empty()) start = at;
      taps.push_back({k, at - start});
    }
    const auto found = std::find(kinds.rbegin(), kinds.rend(), taps);
    const int64_t kind = found == kinds.rend() ? std::ssize(kinds) : kinds.rend() - found - 1;
    if (found == kinds.rend()) kinds.push_back(std::move(taps));
    places_[static_cast<std::size_t>(axis)].push_back({kind, start});
  }
}

// Along W every stride and dilation comes down to sliding windows. With offsets `spacing` apart and
// L = lcm(in_step, spacing), the rows r, r + L / in_step, ... and the taps q, q + L / spacing, ...
// meet at positions L apart, one further for each row and each tap.
void GroupedPlan::list_blocks(const ConvGeometry& g, Direction direction,
                              const GroupedStrips& strips) {
  const int64_t w_unit = strips.tap_pitch();
  const int axis = kAxes - 1;
  const std::vector<AxisLattice> lattices =
      direction == Direction::backward_input
          ? backward_lattices(g, axis, 1)
          : std::vector<AxisLattice>{forward_lattice(g, axis, 1)};
  const auto read = static_cast<std::size_t>(strips.read());
  const Sizes sizes(out_[axis], [&](const WindowKernels::Size& size) {
    return direction != Direction::backward_weight || size.weight[read] != nullptr;
  });
  const int64_t size = in_[axis];
  for (const AxisLattice& lattice : lattices) {
    const auto offsets = static_cast<int64_t>(lattice.offsets.size());
    const int64_t spacing = offsets > 1 ? lattice.offsets[1] - lattice.offsets[0] : lattice.in_step;
    const int64_t pitch = std::lcm(lattice.in_step, spacing);
    const int64_t fetch_pitch = std::max(kLineFloats, spacing * in_channels_);
    const int64_t row_classes = pitch / lattice.in_step;
    const int64_t tap_classes = pitch / spacing;
    const int64_t tap_step =
        offsets > tap_classes
            ? lattice.taps[static_cast<std::size_t>(tap_classes)] - lattice.taps[0]
            : 0;
    // All runs of the lattice, as blocks inside of the line see them.
    struct Run {
      WindowStep run;
      int64_t offset;  // coordinates from the place of a row to position 0
    };
    std::vector<Run> all;
    for (int64_t q = 0; q < std::min(tap_classes, offsets); ++q) {
      const int64_t taps = ceil_div(offsets - q, tap_classes);
      const int64_t parts = ceil_div(taps, sums_stay_ ? kMaxGradientTaps : kMaxWindowTaps);
      for (int64_t part = 0; part < parts; ++part) {
        const int64_t first = q + taps * part / parts * tap_classes;
        const int64_t count = taps * (part + 1) / parts - taps * part / parts;
        const int64_t offset = lattice.offsets[static_cast<std::size_t>(first)];
        const int64_t tap = lattice.taps[static_cast<std::size_t>(first)];
        all.push_back(
            {{offset * in_channels_, tap * w_unit, static_cast<int16_t>(count), 1, 0, 0}, offset});
      }
    }
    // Blocks inside of the line share their runs, one list for each size.
    struct Inner {
      int64_t run = -1;
      int64_t list = 0;
    };
    std::vector<Inner> inner(static_cast<std::size_t>(kMostGradientOutputs) + 1);
    for (int64_t r = 0; r < std::min(row_classes, lattice.rows); ++r) {
      const int64_t rows = ceil_div(lattice.rows - r, row_classes);
      for (int64_t j = 0; j < rows;) {
        const WindowKernels::Size* const kernel = sums_stay_ ? nullptr : sizes.first(rows - j);
        const int64_t outputs = sums_stay_
                                    ? ceil_div(rows - j, ceil_div(rows - j, kMostGradientOutputs))
                                    : kernel->outputs;
        const int64_t row = r + j * row_classes;
        const int64_t at = lattice.in_start + row * lattice.in_step;
        WindowBlock block = {
            .x = at * in_channels_,
            .y = lattice.out_start + row * lattice.out_step,
            .x_pitch = pitch * in_channels_,
            .y_pitch = row_classes * lattice.out_step,
            .w_step = tap_step * w_unit,
            .first_run = static_cast<int64_t>(runs_.size()),
            .run_count = 0,
            .list = list_count_,
            .fetch_pitch = fetch_pitch,
            .fetch_count = ceil_div(outputs * tap_classes * spacing * in_channels_, fetch_pitch),
            .outputs = outputs,
            .size = kernel};
        bool inside = true;
        for (const Run& entry : all) {
          WindowStep run = entry.run;
          const int64_t all_positions = outputs + run.taps - 1;
          int64_t begin = 0;
          int64_t end = all_positions;
          const auto outside = [&](int64_t p) {
            const int64_t place = at + entry.offset + p * pitch;
            return place < 0 || place >= size;
          };
          while (begin < end && outside(begin)) ++begin;
          while (begin < end && outside(end - 1)) --end;
          inside = inside && end - begin == all_positions;
          if (begin == end) continue;
          if (!sums_stay_) {
            run.valid = ((uint32_t{1} << end) - 1) & ~((uint32_t{1} << begin) - 1);
            runs_.push_back(run);
          } else if (outputs >= run.taps - 1) {
            run.valid = positions(begin, end);
            runs_.push_back(run);
          } else {
            // Tap by tap.
            for (int64_t t = 0; t < entry.run.taps; ++t) {
              const int64_t first = std::max<int64_t>(begin - t, 0);
              const int64_t last = std::min(end - t, outputs);
              if (first >= last) continue;
              run.x = entry.run.x + t * pitch * in_channels_;
              run.w = entry.run.w + t * tap_step * w_unit;
              run.taps = 1;
              run.valid = positions(first, last);
              runs_.push_back(run);
            }
          }
        }
        block.run_count = static_cast<int64_t>(runs_.size()) - block.first_run;
        if (inside) {
          Inner& shared = inner[static_cast<std::size_t>(outputs)];
          if (shared.run < 0) {
            shared = {block.first_run, block.list};
          } else {
            runs_.resize(static_cast<std::size_t>(block.first_run));
            block.first_run = shared.run;
            block.list = shared.list;
          }
        }
        list_count_ = std::max(list_count_, block.list + 1);
        blocks_.push_back(block);
        const bool collide = block.x_pitch % (sums_stay_ ? kPage / 2 : kPage) == 0;
        if (collide && outputs > kNearOutputs && copied_steps_ == 0)
          collisions_ += (sums_stay_ ? kLongCollisionCost : kCollisionCost) *
                         static_cast<double>(outputs) / static_cast<double>(out_[axis]);
        j += outputs;
      }
    }
  }
  std::stable_sort(blocks_.begin(), blocks_.end(),
                   [](const WindowBlock& a, const WindowBlock& b) { return a.y < b.y; });
}

bool GroupedPlan::is_huge() const { return elements_ * sizeof(float) > kHugeBytes; }

ConvWork GroupedPlan::work(const GroupedStrips& strips) const {
  const auto lanes = static_cast<double>(strips.lanes());
  ConvWork work;
  work.products = seen_ * strips.cost() * (1.0 + collisions_);
  work.calls = static_cast<double>(blocks() * strips.count());
  work.tensors = elements_ / lanes;
  work.packing = static_cast<double>(strips.packed_floats()) / lanes;
  return work;
}

int64_t GroupedPlan::alike_lines(int64_t line, int64_t end) const {
  const int64_t outputs = blocks_[0].outputs;
  const int64_t most = std::min(kMostGradientOutputs / outputs,
                                kMostGradientPositions / (outputs + kMaxGradientTaps - 1));
  end = std::min(end, line + most);
  if (line + 1 >= end) return 1;
  const LinePlace first = place(line);
  const int64_t pitch = place(line + 1).x - first.x;
  int64_t count = 1;
  for (LinePlace now = first; line + count < end; ++count) {
    const LinePlace next = place(line + count);
    if (next.kind != first.kind || next.x - now.x != pitch) break;
    now = next;
  }
  return count;
}

GroupedPlan::LinePlace GroupedPlan::place(int64_t line) const {
  const AxisPlace h = places_[1][static_cast<std::size_t>(line % out_[1])];
  const AxisPlace d = places_[0][static_cast<std::size_t>(line / out_[1] % out_[0])];
  const int64_t n = line / out_[1] / out_[0];
  return {d.kind * std::ssize(kinds_[1]) + h.kind,
          ((n * in_[0] + d.at) * in_[1] + h.at) * in_[2] * in_channels_};
}

// To make the lists in each task took 5 % of the time of 16 channels a group on 56×56 pictures.
void GroupedPlan::prepare_lists() {
  const int64_t kinds = std::ssize(kinds_[0]) * std::ssize(kinds_[1]);
  int64_t tap_lines = 0;  // over all kinds
  for (const std::vector<Tap>& d : kinds_[0])
    for (const std::vector<Tap>& h : kinds_[1]) tap_lines += std::ssize(d) * std::ssize(h);
  int64_t runs = 0;
  for (const WindowBlock& block : blocks_) runs = std::max(runs, block.run_count);
  if (list_count_ * tap_lines * runs * depth_ > kMostPrepared) return;
  prepared_.reserve(static_cast<std::size_t>(kinds * list_count_));
  for (int64_t i = 0; i < kinds * list_count_; ++i)
    prepared_.emplace_back(std::pmr::new_delete_resource());
  for (int64_t kind = 0; kind < kinds; ++kind)
    for (const WindowBlock& block : blocks_) {
      StepList& list = prepared_[static_cast<std::size_t>(kind * list_count_ + block.list)];
      if (list.kind != kind) list_steps(block, kind, list);
    }
}

void GroupedPlan::list_steps(const WindowBlock& block, int64_t kind, StepList& list) const {
  list.kind = kind;
  list.last_line = 0;
  list.steps.clear();
  const int64_t line = in_[2] * in_channels_;
  const auto add_runs = [&](int64_t first, int64_t end) {
    for (const Tap& tap_d : kinds_[0][static_cast<std::size_t>(kind / std::ssize(kinds_[1]))])
      for (const Tap& tap_h : kinds_[1][static_cast<std::size_t>(kind % std::ssize(kinds_[1]))]) {
        const int64_t x = (tap_d.at * in_[1] + tap_h.at) * line;
        list.last_line = std::max(list.last_line, x);
        for (int64_t r = first; r < end; ++r) {
          WindowStep step = runs_[static_cast<std::size_t>(r)];
          step.x += x;
          step.w += tap_d.k * w_step_[0] + tap_h.k * w_step_[1];
          for (int64_t c = 0; c < depth_; ++c) {
            list.steps.push_back(step);
            step.x += x_step_;
            step.w += channel_pitch_;
            step.lookup += lookup_step_;
          }
        }
      }
  };
  const int64_t end = block.first_run + block.run_count;
  if (!sums_stay_) {
    add_runs(block.first_run, end);
  } else {
    for (int64_t r = block.first_run; r < end; ++r) {
      const std::size_t before = list.steps.size();
      add_runs(r, r + 1);
      join_alike(std::span(list.steps).subspan(before));
    }
  }
}

// Threes and fours, as far as possible.
void GroupedPlan::join_alike(std::span<WindowStep> steps) const {
  const std::size_t at_once =
      copied_steps_ > 0 ? static_cast<std::size_t>(copied_steps_) : steps.size();
  for (std::size_t i = 0; i < steps.size();) {
    const auto left = static_cast<int64_t>(at_once - i % at_once);
    int64_t alike = 1;
    if (left % 4 == 0 || left == 5)
      alike = 4;
    else if (left >= 3)
      alike = 3;
    steps[i].alike = static_cast<int16_t>(alike);
    i += static_cast<std::size_t>(alike);
  }
}

}  // namespace convkit::kernels
