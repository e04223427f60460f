#pragma once

#include <optional>
#include <string>

#include "convkit/nn/activation.h"
#include "convkit/nn/module.h"
#include "convkit/nn/pool.h"

namespace convkit::nn {

/// Options of batch normalisation, in PyTorch's order with PyTorch's defaults. num_features is
/// required: a forgotten one is 0 and refused.
struct BatchNormOptions {
  int64_t num_features = 0;
  double eps = 1e-5;  ///< added to the variance
  /// Weight of a new batch in the running statistics; std::nullopt takes the plain average over
  /// all batches. (ONNX writes 1 − momentum.)
  std::optional<double> momentum = 0.1;
  bool affine = true;               ///< learn weight and bias
  bool track_running_stats = true;  ///< otherwise evaluation uses the batch's statistics, too
};

/// Batch normalisation, torch.nn.BatchNorm1d/2d/3d: see ops::batch_norm for the formula.
///   nn::BatchNorm2d norm(64);
///
/// Takes (N, C, spatial...) with Rank spatial axes; BatchNorm1d takes (N, C) as well. Training
/// normalises with the batch's statistics and updates the running ones; evaluation uses those.
///
/// Parameters: weight (C), ones at first, and bias (C), zeros, with `affine`. Buffers with
/// `track_running_stats`: running_mean (C), running_var (C), num_batches_tracked (an int64 scalar).
/// Throws ValueError for num_features < 1 and for training on one value per channel, ShapeError for
/// an input that does not fit.
template <int Rank>
struct CONVKIT_API BatchNorm : Layer {
  explicit BatchNorm(const BatchNormOptions& options);
  explicit BatchNorm(int64_t num_features)
      : BatchNorm(BatchNormOptions{.num_features = num_features}) {}

  Tensor operator()(const Tensor& x);
  /// relu((*this)(x) + residual), the residual being optional: one pass over memory where nobody
  /// watches the layers (see ops::batch_norm_relu), with the bits of the separate layers, which run
  /// while a tracer listens.
  Tensor then_relu(const Tensor& x, const ReLU& relu, const Tensor& residual = Tensor());
  /// pool(relu((*this)(x))) likewise; see ops::batch_norm_relu_max_pool.
  Tensor then_relu_pool(const Tensor& x, const ReLU& relu, const MaxPool<Rank>& pool);
  /// Running mean 0, variance 1, no batch seen.
  void reset_running_stats();
  void visit(auto&& v) {
    v("weight", weight);
    v("bias", bias);
    v("running_mean", running_mean);
    v("running_var", running_var);
    v("num_batches_tracked", num_batches_tracked);
  }
  /// PyTorch's text without the defaults of the last two options, e.g.
  /// "BatchNorm2d(64, eps=1e-05, momentum=0.1)".
  std::string describe() const;

  BatchNormOptions options;
  Parameter weight;  ///< undefined without `affine`
  Parameter bias;
  Buffer running_mean;  ///< undefined without `track_running_stats`
  Buffer running_var;
  Buffer num_batches_tracked;

 private:
  template <class Operation>
  Tensor run(const Tensor& x, const Operation& operation);
};
using BatchNorm1d = BatchNorm<1>;
using BatchNorm2d = BatchNorm<2>;
using BatchNorm3d = BatchNorm<3>;

}  // namespace convkit::nn
