#pragma once

#include "convkit/tensor/tensor.h"

namespace convkit {

/// What a loss returns: every element's (or position's) own, their mean, or their sum.
enum class Reduction : uint8_t { none, mean, sum };

}  // namespace convkit

/// Losses, as in torch.nn.functional; recorded. mean and sum give a scalar. Sums are taken in
/// double, in one order whatever the number of threads. float32 (or float64) throughout; DTypeError
/// otherwise.
namespace convkit::ops {

/// Attributes of mse_loss and l1_loss for a tracer; the other losses' are their parameters.
struct LossParams {
  Reduction reduction = Reduction::mean;
};

/// Parameters of cross_entropy, in PyTorch's order.
struct CrossEntropyParams {
  Tensor weight = Tensor();     ///< of each class, (C); a constant
  int64_t ignore_index = -100;  ///< positions with this label do not count
  Reduction reduction = Reduction::mean;
  double label_smoothing = 0;  ///< ε in [0, 1]: this part of the target is spread over all classes
};

/// Cross-entropy between logits x: (N, C), (N, C, d1, ...) or (C), and a target that is either
///
/// - the classes' indices, integers, shaped as x without C. With p = softmax(x) over the classes,
///     l = −(1 − ε)·w_t·log p_t − ε/C · Σ_c w_c·log p_c;
///   mean divides Σ l by Σ w_t; positions labelled ignore_index count for nothing;
/// - or probabilities q, shaped as x:  l = −Σ_c w_c·((1 − ε)·q_c + ε/C)·log p_c;
///   mean divides by the number of positions. The target gets a gradient too.
///
/// Computed in one pass from the logits: no logarithm of a rounded probability. Throws ValueError
/// for a label outside [0, C), which it names, and for ε outside [0, 1]; ShapeError otherwise.
CONVKIT_API Tensor cross_entropy(const Tensor& x, const Tensor& target,
                                 const CrossEntropyParams& params = {});

/// Parameters of nll_loss, in PyTorch's order.
struct NllLossParams {
  Tensor weight = Tensor();
  int64_t ignore_index = -100;
  Reduction reduction = Reduction::mean;
};
/// l = −w_t·x_t for log-probabilities x: (N, C), (N, C, d1, ...) or (C) and class indices t; the
/// mean is weighted by w_t. Errors as cross_entropy.
CONVKIT_API Tensor nll_loss(const Tensor& x, const Tensor& target,
                            const NllLossParams& params = {});

/// (x − target)², by elements. Shapes must be equal (ShapeError). Both get gradients.
CONVKIT_API Tensor mse_loss(const Tensor& x, const Tensor& target,
                            Reduction reduction = Reduction::mean);
/// |x − target|; the gradient where they are equal is 0.
CONVKIT_API Tensor l1_loss(const Tensor& x, const Tensor& target,
                           Reduction reduction = Reduction::mean);

struct SmoothL1Params {
  Reduction reduction = Reduction::mean;
  double beta = 1;
};
/// With d = |x − target|: d²/2β where d < β, else d − β/2 (Girshick 2015). β = 0 is l1_loss;
/// ValueError for β < 0.
CONVKIT_API Tensor smooth_l1_loss(const Tensor& x, const Tensor& target,
                                  const SmoothL1Params& params = {});

/// Parameters of binary_cross_entropy_with_logits, in PyTorch's order.
struct BceWithLogitsParams {
  Tensor weight = Tensor();  ///< of each element; broadcasts to x; a constant
  Reduction reduction = Reduction::mean;
  Tensor pos_weight = Tensor();  ///< of positive targets, per class; broadcasts to x; a constant
};
/// l = −w·(v·t·log σ(x) + (1 − t)·log(1 − σ(x))) for logits x, targets t in [0, 1] of x's shape,
/// σ the sigmoid, w = weight and v = pos_weight; finite for any x.
CONVKIT_API Tensor binary_cross_entropy_with_logits(const Tensor& x, const Tensor& target,
                                                    const BceWithLogitsParams& params = {});

}  // namespace convkit::ops
