#pragma once

#include <span>
#include <vector>

#include "convkit/tensor/tensor.h"

/// Limits on gradients, between backward() and step(). Parameters without a gradient take no part.
namespace convkit::optim {

struct ClipGradNormOptions {
  double norm_type = 2;             ///< p of the p-norm, > 0; infinity gives the largest magnitude
  bool error_if_nonfinite = false;  ///< throw NotFiniteError instead of scaling by a useless factor
};

/// torch.nn.utils.clip_grad_norm_: takes the norm of all gradients together as one vector,
///   norm = (Σ |g|^p)^(1/p),
/// scales them in place by min(1, max_norm / (norm + 1e-6)), and returns the norm before. Sums are
/// taken in double and in one order. As in PyTorch a norm that is infinite or NaN makes the
/// gradients 0 or NaN, unless it is made an error. Throws ValueError for a negative max_norm.
CONVKIT_API double clip_grad_norm_(std::span<const Tensor> params, double max_norm,
                                   const ClipGradNormOptions& options = {});

/// torch.nn.utils.clip_grad_value_: clamps every element of the gradients to [−clip_value,
/// clip_value]; NaN stays NaN. Throws ValueError for a negative clip_value.
CONVKIT_API void clip_grad_value_(std::span<const Tensor> params, double clip_value);

}  // namespace convkit::optim
