#include "convkit/kernels/conv_direct.h"

#include <algorithm>
#include <atomic>
#include <span>
#include <utility>
#include <vector>

#include "convkit/base/checked.h"
#include "convkit/base/thread_pool.h"
#include "convkit/kernels/conv_correlation.h"

namespace convkit::kernels {
namespace {

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
    const ConvEpilogue sums = without_function(epilogue);
    const Residual residual(epilogue, y, outputs_);
    if (!folded_.run_parts(x, {packed, nullptr}, sums, y))
      plain_.pack_and_run(x, packed + folded_.packed_floats(), residual.again(sums), y);
    finish(epilogue, y);
  }
  void pack_and_run(const float* x, const float* w, const ConvEpilogue& epilogue,
                    float* y) const override {
    const ConvEpilogue sums = without_function(epilogue);
    const Residual residual(epilogue, y, outputs_);
    if (!folded_.pack_and_run_parts(x, w, sums, y))
      plain_.pack_and_run(x, w, residual.again(sums), y);
    finish(epilogue, y);
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

  // It may turn what is not finite into what is.
  static ConvEpilogue without_function(ConvEpilogue epilogue) {
    epilogue.function = nullptr;
    return epilogue;
  }
  void finish(const ConvEpilogue& epilogue, float* y) const {
    if (epilogue.function != nullptr)
      unary_forward(epilogue.function->op, epilogue.function->params, outputs_, y, y);
  }

  DirectCorrelations folded_;
  DirectCorrelations plain_;
  int64_t weights_;
  int64_t outputs_;
};

std::vector<Correlation> forward_parts(const ConvGeometry& g, int64_t fold,
                                       CorrelationPlace place = CorrelationPlace::whole) {
  const int64_t taps = g.kernel[0] * g.kernel[1] * g.kernel[2];
  const CorrelationSides sides = {.in = g.in,
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
      place);
  return parts;
}

std::vector<Correlation> backward_input_parts(const ConvGeometry& g, int64_t fold) {
  const int64_t taps = g.kernel[0] * g.kernel[1] * g.kernel[2];
  const CorrelationSides sides = {.in = g.out,
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
        parts.emplace_back(g, sides, std::array<AxisLattice, kAxes>{d, h, w_axis},
                           CorrelationPlace::whole);
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

std::unique_ptr<ConvProgram> prepare_direct_part(const ConvGeometry& geometry, bool to_afar) {
  return std::make_unique<DirectCorrelations>(
      forward_parts(collapse_axes(geometry), 1,
                    to_afar ? CorrelationPlace::part_to_afar : CorrelationPlace::part));
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
