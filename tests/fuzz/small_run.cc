#include "tests/fuzz/small_run.h"

#include <algorithm>

#include "convkit/base/memory.h"
#include "convkit/base/thread_pool.h"
#include "convkit/infer/interpreter.h"
#include "convkit/infer/session.h"

namespace convkit::fuzz {
namespace {

constexpr int64_t kBytes = int64_t{2} << 20;
constexpr int64_t kLargestExtent = 16;
constexpr double kMostGflop = 0.05;

class MemoryLimit {
 public:
  MemoryLimit() : before_(infer::memory_limit()) {
    infer::set_memory_limit(static_cast<int64_t>(allocated_bytes()) + kBytes);
  }
  ~MemoryLimit() { infer::set_memory_limit(before_); }
  MemoryLimit(const MemoryLimit&) = delete;
  MemoryLimit& operator=(const MemoryLimit&) = delete;

 private:
  int64_t before_;
};

std::vector<Tensor> inputs_for(const infer::Session& session) {
  std::vector<Tensor> inputs;
  for (const graph::Value& input : session.inputs()) {
    std::vector<int64_t> extents;
    if (input.type.dims)
      for (const graph::Dim& dim : *input.type.dims)
        extents.push_back(dim.known() ? std::min(dim.extent, kLargestExtent) : 2);
    Shape shape(extents);
    if (shape.numel() > kBytes / 64) shape = Shape();
    inputs.push_back(ones(shape, input.type.dtype.value_or(DType::float32)));
  }
  return inputs;
}

}  // namespace

void run_small(const graph::Graph& net) {
  set_num_threads(1);
  const MemoryLimit limit;
  infer::Session session(net, {.memory_limit = kBytes});
  const std::vector<Tensor> inputs = inputs_for(session);
  double gflop = 0;
  for (const infer::StepDescription& step : session.steps(inputs)) gflop += step.gflop;
  if (gflop <= kMostGflop) session.run(inputs);
}

}  // namespace convkit::fuzz
