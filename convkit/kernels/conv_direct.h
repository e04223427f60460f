#pragma once

#include <memory>
#include <string>

#include "convkit/kernels/conv_geometry.h"
#include "convkit/kernels/conv_program.h"

/// The direct convolution: the tile engine that serves every geometry in all three directions.
/// docs/design/convolution.md says how; contracts as in conv_algorithm.h. Internal to kernels/.
namespace convkit::kernels {

std::string direct_why_not(const ConvGeometry& geometry, Direction direction);
std::unique_ptr<ConvProgram> prepare_direct(const ConvGeometry& geometry, Direction direction);

/// Forward for callers that run it inside of a task of their own, on one thread. Packed weights do
/// not depend on the batch and the pictures' sizes: programs for parts of a picture share them.
/// `to_afar`: whether the output is in no cache of the core.
std::unique_ptr<ConvProgram> prepare_direct_part(const ConvGeometry& geometry, bool to_afar);

/// The program of backward_weight (conv_direct_weight.cc).
std::unique_ptr<ConvProgram> prepare_direct_weight(const ConvGeometry& geometry);

/// A geometry that computes the same as `geometry` on the same memory with fewer axes: where a
/// 1×1×1 kernel neither strides nor pads, all positions of the batch become one long W axis.
ConvGeometry collapse_axes(const ConvGeometry& geometry);

}  // namespace convkit::kernels
