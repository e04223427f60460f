#pragma once

#include "convkit/base/exactness.h"
#include "convkit/base/export.h"

/// What a plan depends on besides the geometry, the direction and the instruction set.
namespace convkit::kernels {

/// Whether weights are packed for each run, as in training, or once, as for a trained net.
enum class Weights { changing, fixed };

/// Whether the planner goes by the cost model, or times the algorithms when it meets a convolution
/// for the first time (conv_tuning.h).
enum class Planning { estimated, measured };

/// The setting of the process: `estimated` unless set.
CONVKIT_API Planning planning();
CONVKIT_API void set_planning(Planning planning);

struct PlanOptions {
  Exactness exactness = convkit::exactness();
  Weights weights = Weights::changing;
  Planning planning = kernels::planning();
  /// Whether packed weights stand in memory rather than in a cache when a run begins, as those of a
  /// layer among many do: an algorithm with larger ones then waits longer. For estimates only.
  bool streams_weights = false;

  bool operator==(const PlanOptions&) const = default;
};

}  // namespace convkit::kernels
