#pragma once

#include <memory>
#include <string>

#include "convkit/kernels/conv_geometry.h"
#include "convkit/kernels/conv_program.h"
#include "convkit/kernels/winograd_transform.h"

/// Winograd's convolution for kernels of 3 along W, or 3×3 along H and W, with stride and dilation
/// 1; taps along D are summed in the transformed domain. The transforms: winograd_transform.h.
/// Contracts as in conv_algorithm.h. Internal to kernels/.
namespace convkit::kernels {

/// F(4×4, 3×3), or F(4, 3) along W for kernels that are flat along H.
std::string winograd4_why_not(const ConvGeometry& geometry, Direction direction);
std::unique_ptr<ConvProgram> prepare_winograd4(const ConvGeometry& geometry, Direction direction);

/// F(2×2, 3×3): fewer products saved, but smaller tiles and errors.
std::string winograd2_why_not(const ConvGeometry& geometry, Direction direction);
std::unique_ptr<ConvProgram> prepare_winograd2(const ConvGeometry& geometry, Direction direction);

/// F(4, 4) along W for the first layers of nets: kernels of any length and stride along W, few
/// channels in, forward (conv_winograd_line.cc). A part of the row winograd4.
std::string winograd_line_why_not(const ConvGeometry& geometry);
std::unique_ptr<ConvProgram> prepare_winograd_line(const ConvGeometry& geometry);

/// The program of backward_weight (conv_winograd_weight.cc).
std::unique_ptr<ConvProgram> prepare_winograd_weight(const ConvGeometry& geometry,
                                                     WinogradVariant variant);

}  // namespace convkit::kernels
