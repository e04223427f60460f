#pragma once

#include <string>

#include "convkit/nn/module.h"

namespace convkit::train {

/// Why a loss is not finite: runs `net` once more on `images`, as it is (training or not), and
/// names the first operation whose output holds NaN or infinity, e.g.
///   the first output that is not finite is that of layer1.0.conv1 (conv2d, 8×64×32×32)
/// and, where one of that layer's own tensors is not finite to begin with, that too. Batch norms'
/// running statistics see the batch again. An empty text when all outputs are finite.
CONVKIT_API std::string explain_not_finite(nn::AnyModule& net, const Tensor& images);

/// The name of the first parameter or buffer that is not finite; empty when all are.
CONVKIT_API std::string first_not_finite_tensor(nn::AnyModule& net);

}  // namespace convkit::train
