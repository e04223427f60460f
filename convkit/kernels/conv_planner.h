#pragma once

#include <memory>
#include <string>
#include <vector>

#include "convkit/base/export.h"
#include "convkit/kernels/conv_algorithm.h"
#include "convkit/kernels/conv_plan_options.h"

/// Which algorithm computes a convolution: the one with the least estimated time (conv_cost.h), or
/// with the least measured time (conv_tuning.h) where that is asked for. An estimate depends on the
/// geometry and the instruction set, never on the number of threads: other algorithms round
/// otherwise.
namespace convkit::kernels {

struct ConvChoice {
  const ConvAlgorithm* algorithm;
  std::string reason;  ///< one sentence
  /// Estimated for two cores, or measured on the threads at hand.
  double seconds;
};

/// The planner's choice, and why, for people to read. Measures if `options` say so and nothing is
/// on record.
CONVKIT_API ConvChoice choose(const ConvGeometry& geometry, Direction direction,
                              const PlanOptions& options = {});

/// The planned program for `geometry`. Kept for the next call with the same arguments; the least
/// recently used are forgotten, so that changing shapes do not grow memory. Thread-safe.
CONVKIT_API std::shared_ptr<const ConvProgram> planned_program(const ConvGeometry& geometry,
                                                               Direction direction,
                                                               const PlanOptions& options = {});

}  // namespace convkit::kernels
