#pragma once

#include <optional>

#include "convkit/autograd/record.h"
#include "convkit/kernels/conv_geometry.h"

/// For tracers: which problem the kernels solve for a recorded convolution.
namespace convkit::ops {

/// The kernels' view of a convolution of any rank; std::nullopt for other operations.
CONVKIT_API std::optional<kernels::ConvGeometry> conv_geometry(const autograd::Event& event);

}  // namespace convkit::ops
