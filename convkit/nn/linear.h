#pragma once

#include <string>

#include "convkit/nn/module.h"

namespace convkit::nn {

/// Options of a linear layer, in PyTorch's order. The first two are required: a forgotten one is 0
/// and refused.
struct LinearOptions {
  int64_t in_features = 0;
  int64_t out_features = 0;
  bool bias = true;
};

/// y = x·Wᵀ + b over the last axis of x: (..., in_features) → (..., out_features); see ops::linear.
///   nn::Linear fc({.in_features = 512, .out_features = 10});
///
/// Parameters: weight (out_features, in_features), bias (out_features), both uniform in
/// ±1/√in_features at first (PyTorch's default, drawn from default_generator()). Throws ValueError
/// for features below 1, ShapeError for an input that does not fit.
struct CONVKIT_API Linear : Layer {
  explicit Linear(const LinearOptions& options);
  Tensor operator()(const Tensor& x) const;
  void visit(auto&& v) {
    v("weight", weight);
    v("bias", bias);
  }
  /// PyTorch's text, "Linear(in_features=512, out_features=10, bias=True)".
  std::string describe() const;

  LinearOptions options;
  Parameter weight;
  Parameter bias;  ///< undefined without bias
};

}  // namespace convkit::nn
