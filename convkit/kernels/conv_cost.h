#pragma once

#include "convkit/kernels/conv_algorithm.h"

/// The planner's model of time: a program's ConvWork times what each kind of work costs. The costs
/// were fitted to measurements by tools/fit-cost-model. Internal to kernels/.
namespace convkit::kernels {

/// Estimated seconds of one run of `program`, which `row` prepared for `direction`, on two cores;
/// with `packs`, packing included.
double estimated_seconds(const ConvAlgorithm& row, Direction direction, const ConvProgram& program,
                         bool packs);

}  // namespace convkit::kernels
