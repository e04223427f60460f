#include <algorithm>
#include <utility>
#include <vector>

#include "convkit/base/checked.h"
#include "convkit/base/memory.h"
#include "convkit/base/thread_pool.h"
#include "convkit/kernels/conv_grouped.h"
#include "convkit/kernels/conv_grouped_plan.h"

namespace convkit::kernels {
namespace {

constexpr int64_t kSlicePositions = 256;
constexpr int64_t kMostSlices = 32;
constexpr int64_t kPartialLimit = int64_t{1} << 22;  // floats, over all slices
constexpr int64_t kTaskWork = 4096;                  // multiply-adds of vectors
constexpr int64_t kMostTasks = 64;

// The blocks of all lines, one after the other, are cut into slices. Each slice has a dw of its
// own, laid out as packed weights, and these are added in their order.
class GroupedWeight : public ConvProgram {
 public:
  explicit GroupedWeight(const ConvGeometry& g)
      : strips_(g, Direction::backward_weight), plan_(g, Direction::backward_weight, strips_) {
    const int64_t positions = g.batch * g.out[0] * g.out[1] * g.out[2];
    const int64_t affordable = std::max<int64_t>(1, kPartialLimit / strips_.packed_floats());
    slices_ = std::clamp<int64_t>(positions / kSlicePositions, 1,
                                  std::min({kMostSlices, affordable, plan_.blocks()}));
    const int64_t work = positions * (strips_.packed_floats() / strips_.lanes());
    const int64_t tasks = std::clamp<int64_t>(work / kTaskWork, 1, kMostTasks);
    strip_parts_ = std::min(strips_.count(), ceil_div(tasks, slices_));
  }

  ConvWork work() const override { return plan_.work(strips_); }
  void run(const float* x, const float* dy, const ConvEpilogue&, float* dw) const override {
    Buffer<float> partial(static_cast<std::size_t>(slices_ * strips_.packed_floats()));
    parallel_for(slices_ * strip_parts_,
                 [&](int64_t task) { run_task(task, x, dy, partial.data()); });
    parallel_for(strips_.count(), [&](int64_t strip) { sum(strip, partial.data(), dw); });
  }

 private:
  void run_task(int64_t task, const float* x, const float* dy, float* partial) const {
    const int64_t slice = task / strip_parts_;
    const int64_t first_strip = strips_.count() * (task % strip_parts_) / strip_parts_;
    const int64_t end_strip = strips_.count() * (task % strip_parts_ + 1) / strip_parts_;
    const auto read = static_cast<std::size_t>(strips_.read());
    const WindowKernels::Run any_size = window_weight_kernel(strips_.read());
    WindowJob job;
    job.x = x;
    job.dw = partial + slice * strips_.packed_floats();
    std::fill(job.dw + first_strip * strips_.strip_floats(),
              job.dw + end_strip * strips_.strip_floats(), 0.0f);
    job.strips = strips_.data() + first_strip;
    job.strip_count = end_strip - first_strip;
    plan_.walk(plan_.blocks() * slice / slices_, plan_.blocks() * (slice + 1) / slices_, job,
               [&](WindowJob& now, const WindowBlock& block, int64_t place) {
                 now.dy = dy + place;
                 if (plan_.is_large())
                   now.fetch_dy =
                       now.dy + (now.lines - 1) * now.y_line + block.outputs * now.y_pitch;
                 (block.size == nullptr ? any_size : block.size->weight[read])(now);
               });
  }

  void sum(int64_t strip, float* partial, float* dw) const {
    float* const total = partial + strip * strips_.strip_floats();
    for (int64_t slice = 1; slice < slices_; ++slice) {
      const float* const more = total + slice * strips_.packed_floats();
      for (int64_t i = 0; i < strips_.strip_floats(); ++i) total[i] += more[i];
    }
    strips_.unpack(strip, total, dw);
  }

  GroupedStrips strips_;
  GroupedPlan plan_;
  int64_t slices_ = 1;
  int64_t strip_parts_ = 1;
};

}  // namespace

std::unique_ptr<ConvProgram> prepare_grouped_weight(const ConvGeometry& geometry) {
  return std::make_unique<GroupedWeight>(geometry);
}

}  // namespace convkit::kernels
