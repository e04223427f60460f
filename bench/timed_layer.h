#pragma once

#include <memory>
#include <vector>

#include "bench/measure.h"
#include "convkit/base/memory.h"
#include "convkit/kernels/conv_algorithm.h"

/// One direction of one layer on convkit: its tensors, and the ways to compute it.
namespace convkit::bench {

class TimedLayer {
 public:
  /// Operands with numbers of [-1, 1).
  TimedLayer(const kernels::ConvGeometry& geometry, kernels::Direction direction);

  /// As a step of training calls it: the planned algorithm, weights packed in every call.
  Work call() const;
  /// As a trained net runs: weights packed once, beforehand. Forward only.
  Work packed_call() const;
  /// Every algorithm of the table that computes this, the naive reference apart, under its name;
  /// each packing in every call, and once more as "<name>_packed" with weights packed beforehand
  /// where there are any.
  std::vector<Rival> algorithms() const;

  /// Fills the first operand (x, or dy of backward-input) with subnormal numbers.
  void make_subnormal();

 private:
  Work packed(std::shared_ptr<const kernels::ConvProgram> program) const;

  kernels::ConvGeometry geometry_;
  kernels::Direction direction_;
  Buffer<float> first_;
  Buffer<float> second_;
  mutable Buffer<float> out_;
};

/// What the operands and the result take in memory.
int64_t tensor_bytes(const kernels::ConvGeometry& geometry);

}  // namespace convkit::bench
