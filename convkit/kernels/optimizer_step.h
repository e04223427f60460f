#pragma once

#include <cstdint>

/// One step of an optimiser over `count` elements: parameter, gradient and state are read and
/// written once, in one pass. The formulas and their order are PyTorch 1.13's. All arrays have
/// `count` elements and do not overlap. Elements are independent, so any cut into ranges gives the
/// same bits.
namespace convkit::kernels {

/// Stochastic gradient descent (Sutskever et al., "On the importance of initialization and
/// momentum in deep learning", ICML 2013, in PyTorch's form):
///   g ← ±g + weight_decay·p                        (− to maximise)
///   b ← momentum·b + (1 − dampening)·g              (b ← g in the first step)
///   p ← p − lr·(nesterov ? g + momentum·b : b)      (lr·g without momentum)
struct SgdStep {
  double lr = 0;
  double momentum = 0;
  double dampening = 0;
  double weight_decay = 0;
  bool nesterov = false;
  bool maximize = false;
  bool first = false;  ///< the momentum buffer holds nothing yet
};
/// `momentum_buffer` is b; null when momentum is 0.
void sgd_step(const SgdStep& step, int64_t count, const float* gradient, float* parameter,
              float* momentum_buffer);
void sgd_step(const SgdStep& step, int64_t count, const double* gradient, double* parameter,
              double* momentum_buffer);

/// Adam (Kingma and Ba, ICLR 2015; AMSGrad: Reddi et al., ICLR 2018; decoupled weight decay:
/// Loshchilov and Hutter, ICLR 2019), with s = √(1 − beta2^t) and
/// step_size = lr / (1 − beta1^t) for step t = 1, 2, …:
///   p ← shrink·p
///   g ← ±g + weight_decay·p
///   m ← beta1·m + (1 − beta1)·g
///   v ← beta2·v + (1 − beta2)·g²
///   w ← max(w, v) with AMSGrad, else v
///   p ← p − step_size·m / (√w / s + eps)
struct AdamStep {
  double step_size = 0;
  double beta1 = 0;
  double beta2 = 0;
  double eps = 0;
  double second_moment_scale = 1;  ///< s
  double weight_decay = 0;         ///< added to the gradient (Adam)
  double shrink = 1;               ///< 1 − lr·weight_decay (AdamW), else 1
  bool maximize = false;
};
/// The state of Adam's elements: m, v, and w (null without AMSGrad).
template <class T>
struct AdamMoments {
  T* first;
  T* second;
  T* largest_second;
};
void adam_step(const AdamStep& step, int64_t count, const float* gradient, float* parameter,
               const AdamMoments<float>& moments);
void adam_step(const AdamStep& step, int64_t count, const double* gradient, double* parameter,
               const AdamMoments<double>& moments);

}  // namespace convkit::kernels
