#pragma once

#include <string>

#include "convkit/nn/module.h"
#include "convkit/ops/loss.h"

/// Losses as layers, called with (x, target); formulas, shapes and errors are those of ops/loss.h.
namespace convkit::nn {

using CrossEntropyLossOptions = ops::CrossEntropyParams;
/// Logits against class indices or probabilities:
///   nn::CrossEntropyLoss loss({.label_smoothing = 0.1});
struct CONVKIT_API CrossEntropyLoss : Layer {
  explicit CrossEntropyLoss(const CrossEntropyLossOptions& options = {}) : options(options) {}
  Tensor operator()(const Tensor& x, const Tensor& target) const;
  void visit(auto&& /*v*/) {}
  std::string describe() const { return "CrossEntropyLoss()"; }

  CrossEntropyLossOptions options;
};

using NLLLossOptions = ops::NllLossParams;
/// Log-probabilities against class indices.
struct CONVKIT_API NLLLoss : Layer {
  explicit NLLLoss(const NLLLossOptions& options = {}) : options(options) {}
  Tensor operator()(const Tensor& x, const Tensor& target) const;
  void visit(auto&& /*v*/) {}
  std::string describe() const { return "NLLLoss()"; }

  NLLLossOptions options;
};

using LossOptions = ops::LossParams;
/// (x − target)².
struct CONVKIT_API MSELoss : Layer {
  explicit MSELoss(const LossOptions& options = {}) : options(options) {}
  Tensor operator()(const Tensor& x, const Tensor& target) const;
  void visit(auto&& /*v*/) {}
  std::string describe() const { return "MSELoss()"; }

  LossOptions options;
};

/// |x − target|.
struct CONVKIT_API L1Loss : Layer {
  explicit L1Loss(const LossOptions& options = {}) : options(options) {}
  Tensor operator()(const Tensor& x, const Tensor& target) const;
  void visit(auto&& /*v*/) {}
  std::string describe() const { return "L1Loss()"; }

  LossOptions options;
};

using SmoothL1LossOptions = ops::SmoothL1Params;
/// Squared below beta, absolute above.
struct CONVKIT_API SmoothL1Loss : Layer {
  explicit SmoothL1Loss(const SmoothL1LossOptions& options = {}) : options(options) {}
  Tensor operator()(const Tensor& x, const Tensor& target) const;
  void visit(auto&& /*v*/) {}
  std::string describe() const { return "SmoothL1Loss()"; }

  SmoothL1LossOptions options;
};

using BCEWithLogitsLossOptions = ops::BceWithLogitsParams;
/// Binary cross-entropy of logits.
struct CONVKIT_API BCEWithLogitsLoss : Layer {
  explicit BCEWithLogitsLoss(const BCEWithLogitsLossOptions& options = {}) : options(options) {}
  Tensor operator()(const Tensor& x, const Tensor& target) const;
  void visit(auto&& /*v*/) {}
  std::string describe() const { return "BCEWithLogitsLoss()"; }

  BCEWithLogitsLossOptions options;
};

}  // namespace convkit::nn
