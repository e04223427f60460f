#pragma once

#include <memory>
#include <string>

#include "convkit/kernels/conv_geometry.h"
#include "convkit/kernels/conv_program.h"

/// Depthwise convolution: every channel is a group of its own, so the channels fill the vectors and
/// nothing is summed over them. Contracts as in conv_algorithm.h. Internal to kernels/.
namespace convkit::kernels {

std::string depthwise_why_not(const ConvGeometry& geometry, Direction direction);
std::unique_ptr<ConvProgram> prepare_depthwise(const ConvGeometry& geometry, Direction direction);

}  // namespace convkit::kernels
