#pragma once

#include <string_view>

#include "convkit/kernels/conv_algorithm.h"

/// The planner's model of time: a program's ConvWork times what each kind of work costs. The costs
/// were fitted to measurements by tools/fit-cost-model. Internal to kernels/.
namespace convkit::kernels {

/// What the work of one algorithm costs: nanoseconds per unit of each kind, and per run.
struct ConvCosts {
  double products;
  double calls;
  double transforms;
  double weights;
  double tensors;
  double run;
  double packing;
  double pack;

  double seconds(const ConvWork& work, bool packs) const {
    double nanoseconds = products * work.products + calls * work.calls +
                         transforms * work.transforms + weights * work.weights +
                         tensors * work.tensors + run;
    if (packs) nanoseconds += packing * work.packing + pack;
    return 1e-9 * nanoseconds;
  }
};

/// Of the row of that name; null if it has none (the reference).
const ConvCosts* conv_costs(std::string_view algorithm, Direction direction);

/// Estimated seconds of one run of `program`, which `row` prepared for `direction`, on two cores;
/// with `packs`, packing included.
double estimated_seconds(const ConvAlgorithm& row, Direction direction, const ConvProgram& program,
                         bool packs);

}  // namespace convkit::kernels
