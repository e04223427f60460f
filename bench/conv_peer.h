#pragma once

#include <functional>

#include "convkit/kernels/conv_geometry.h"

/// Another library's convolution, to be timed beside convkit's.
namespace convkit::bench {

/// Runs oneDNN once on `geometry`, on its own tensors in the memory formats it likes best, weights
/// packed beforehand. Empty where it refuses, or where the benchmark was built without peers.
std::function<void()> onednn_convolution(const kernels::ConvGeometry& geometry,
                                         kernels::Direction direction, int threads);

}  // namespace convkit::bench
