#pragma once

#include <functional>
#include <string>
#include <vector>

#include "convkit/tensor/tensor.h"

namespace convkit::autograd {

struct GradcheckOptions {
  double step = 1e-6;      ///< of the central difference
  double absolute = 1e-7;  ///< an error is allowed up to absolute + relative · |numerical|
  double relative = 1e-5;
  uint64_t seed = 0;  ///< of the random weights that turn the output into a scalar
};

/// Compares the tape's gradients of `function` with central differences in float64,
///   ∂L/∂x_i ≈ (L(x + h·e_i) − L(x − h·e_i)) / 2h,  L = Σ r ∘ function(x), r random,
/// for every element of every input that requires a gradient. Inputs must be float64. Returns an
/// empty string when all agree, else the worst disagreement in words.
CONVKIT_API std::string gradcheck(const std::function<Tensor(const std::vector<Tensor>&)>& function,
                                  std::vector<Tensor> inputs, const GradcheckOptions& options = {});

}  // namespace convkit::autograd
