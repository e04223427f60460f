#pragma once

#include <memory>
#include <string>
#include <vector>

#include "convkit/base/exactness.h"
#include "convkit/base/export.h"
#include "convkit/kernels/conv_algorithm.h"

/// Which algorithm computes a convolution: the one with the least estimated time (conv_cost.h).
/// That depends on the geometry and the instruction set, never on the number of threads: other
/// algorithms round otherwise.
namespace convkit::kernels {

/// Whether weights are packed for each run, as in training, or once, as for a trained net.
enum class Weights { changing, fixed };

/// What is asked for besides the geometry.
struct PlanOptions {
  Exactness exactness = convkit::exactness();
  Weights weights = Weights::changing;

  bool operator==(const PlanOptions&) const = default;
};

struct ConvChoice {
  const ConvAlgorithm* algorithm;
  std::string reason;  ///< one sentence
  /// Estimated seconds on two cores.
  double seconds;
};

/// The planner's choice, and why, for people to read.
CONVKIT_API ConvChoice choose(const ConvGeometry& geometry, Direction direction,
                              const PlanOptions& options = {});

/// The planned program for `geometry`. Kept for the next call with the same arguments; the least
/// recently used are forgotten, so that changing shapes do not grow memory. Thread-safe.
CONVKIT_API std::shared_ptr<const ConvProgram> planned_program(const ConvGeometry& geometry,
                                                               Direction direction,
                                                               const PlanOptions& options = {});

}  // namespace convkit::kernels
