#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "convkit/tensor/tensor.h"
#include "tests/support/golden.h"

namespace convkit::test {

/// How far a convolution's results lie from PyTorch's, in units of what float32 allows.
struct ConvCaseResult {
  double worst = 0;   ///< largest |error| / bound over y and all gradients; ≤ 1 is a pass
  std::string where;  ///< the result and element that was worst
};

/// Builds the layer a golden case of topic "conv" describes (through nn::Conv, as a user would),
/// runs it forward and backward in float32 and compares y, grad_x, grad_weight and grad_bias. The
/// bound for a sum of k products is (k + 2) · 2⁻²⁴ · Σ|products| (Higham, "Accuracy and Stability
/// of Numerical Algorithms", §3.1), with the case's `k…` and the largest Σ|products| as its
/// `scale…`.
ConvCaseResult run_conv_case(const GoldenFile& golden, const nlohmann::json& c);

}  // namespace convkit::test
