#pragma once

#include <memory>
#include <string>

#include "convkit/kernels/conv_geometry.h"
#include "convkit/kernels/conv_program.h"

/// Convolutions that give few channels: 64 → 3, or the gradient of a picture. Such outputs would
/// leave a vector mostly empty; here its columns are (tap, channel). One matrix product gives what
/// each input position contributes to all the outputs that see it, and these contributions are
/// added to the outputs (col2im). Contracts as in conv_algorithm.h. Internal to kernels/.
namespace convkit::kernels {

std::string scatter_why_not(const ConvGeometry& geometry, Direction direction);
std::unique_ptr<ConvProgram> prepare_scatter(const ConvGeometry& geometry, Direction direction);

}  // namespace convkit::kernels
