#pragma once

#include <memory>
#include <string>

#include "convkit/kernels/conv_geometry.h"
#include "convkit/kernels/conv_program.h"

/// Convolutions whose groups have so few channels that a vector holds several groups: depthwise
/// (every channel a group of its own) and its multipliers, and groups of few channels; also single
/// groups that sum over few channels, such as a first layer. Windows slide along W
/// (conv_grouped_window.h); channels fill the vectors. Contracts as in conv_algorithm.h. Internal
/// to kernels/.
namespace convkit::kernels {

std::string depthwise_why_not(const ConvGeometry& geometry, Direction direction);
std::string grouped_why_not(const ConvGeometry& geometry, Direction direction);
/// Serves both rows.
std::unique_ptr<ConvProgram> prepare_grouped(const ConvGeometry& geometry, Direction direction);
/// Forward for callers that run it inside of a task of their own, on one thread, and go on where it
/// ends. Packed weights do not depend on the pictures' sizes. `from_afar`: whether the input is in
/// no cache of the core.
std::unique_ptr<ConvProgram> prepare_grouped_part(const ConvGeometry& geometry, bool from_afar);
/// The part of prepare_grouped for backward_weight.
std::unique_ptr<ConvProgram> prepare_grouped_weight(const ConvGeometry& geometry);

}  // namespace convkit::kernels
