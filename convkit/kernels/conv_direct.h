#pragma once

#include <string>

#include "convkit/kernels/conv_geometry.h"

/// The direct convolution: the tile engine that serves every geometry in all three directions.
/// docs/design/convolution.md says how; contracts as in conv_algorithm.h. Internal to kernels/.
namespace convkit::kernels {

std::string direct_why_not(const ConvGeometry& geometry, Direction direction);
void direct_forward(const ConvGeometry& geometry, const float* x, const float* w, const float* bias,
                    float* y);
void direct_backward_input(const ConvGeometry& geometry, const float* dy, const float* w,
                           float* dx);
void direct_backward_weight(const ConvGeometry& geometry, const float* x, const float* dy,
                            float* dw);

/// A geometry that computes the same as `geometry` on the same memory with fewer axes: where a
/// 1×1×1 kernel neither strides nor pads, all positions of the batch become one long W axis.
ConvGeometry collapse_axes(const ConvGeometry& geometry);

}  // namespace convkit::kernels
