#pragma once

#include <string>

#include "convkit/kernels/conv_geometry.h"

/// Depthwise convolution: every channel is a group of its own, so the channels fill the vectors and
/// nothing is summed over them. Contracts as in conv_algorithm.h. Internal to kernels/.
namespace convkit::kernels {

std::string depthwise_why_not(const ConvGeometry& geometry, Direction direction);
void depthwise_forward(const ConvGeometry& geometry, const float* x, const float* w,
                       const float* bias, float* y);
void depthwise_backward_input(const ConvGeometry& geometry, const float* dy, const float* w,
                              float* dx);
void depthwise_backward_weight(const ConvGeometry& geometry, const float* x, const float* dy,
                               float* dw);

}  // namespace convkit::kernels
