#pragma once

#include <any>
#include <string>
#include <vector>

#include "convkit/nn/module.h"

/// What the tape tells of one run, kept; for graph/ only.
namespace convkit::graph {

/// A tensor of a run. Only constants keep their elements.
struct TracedValue {
  Shape shape;
  DType dtype = DType::float32;
  Tensor constant = {};  ///< defined where no operation of the run computed it
};

struct TracedStep {
  std::string op;
  std::any parameters;
  std::string path;
  std::vector<int> inputs;  ///< into Trace::values; kUndefined, kStale
  int output;
};

struct Trace {
  static constexpr int kUndefined = -1;  ///< an operand that is not given
  /// Its memory was changed in place through another tensor, so that nothing computed it.
  static constexpr int kStale = -2;
  static constexpr int kInput = 0;  ///< the run's input is the first value

  std::vector<TracedValue> values;
  std::vector<TracedStep> steps;
  int result = kUndefined;
};

/// Runs the net on `x` without gradients.
Trace trace(nn::AnyModule& net, const Tensor& x);

}  // namespace convkit::graph
