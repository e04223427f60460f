#pragma once

#include <vector>

#include "convkit/tensor/tensor.h"

namespace convkit::autograd {

struct BackwardOptions {
  /// Keep what the operations saved, so that backward can run over the same tape again.
  bool retain_graph = false;
};

/// Carries `grad_output` (the shape of `output`; may be undefined for a one-element output: then 1)
/// back over the tape, and adds to grad() of every leaf that requires it. Contributions to one
/// tensor are added in the reverse order of the forward operations, so that the sum is the same in
/// every run. Throws GradError when `output` is not on the tape or its tape was already used.
CONVKIT_API void backward(const Tensor& output, const Tensor& grad_output = Tensor(),
                          const BackwardOptions& options = {});

}  // namespace convkit::autograd
