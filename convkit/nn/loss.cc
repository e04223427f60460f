#include "convkit/nn/loss.h"

namespace convkit::nn {

Tensor CrossEntropyLoss::operator()(const Tensor& x, const Tensor& target) const {
  const Scope scope(path);
  return ops::cross_entropy(x, target, options);
}

Tensor NLLLoss::operator()(const Tensor& x, const Tensor& target) const {
  const Scope scope(path);
  return ops::nll_loss(x, target, options);
}

Tensor MSELoss::operator()(const Tensor& x, const Tensor& target) const {
  const Scope scope(path);
  return ops::mse_loss(x, target, options.reduction);
}

Tensor L1Loss::operator()(const Tensor& x, const Tensor& target) const {
  const Scope scope(path);
  return ops::l1_loss(x, target, options.reduction);
}

Tensor SmoothL1Loss::operator()(const Tensor& x, const Tensor& target) const {
  const Scope scope(path);
  return ops::smooth_l1_loss(x, target, options);
}

Tensor BCEWithLogitsLoss::operator()(const Tensor& x, const Tensor& target) const {
  const Scope scope(path);
  return ops::binary_cross_entropy_with_logits(x, target, options);
}

}  // namespace convkit::nn
