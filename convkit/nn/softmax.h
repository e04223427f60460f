#pragma once

#include <string>

#include "convkit/nn/module.h"

namespace convkit::nn {

struct SoftmaxOptions {
  int64_t dim = 1;  ///< the axis that sums to 1; the classes of (N, C, ...)
};

/// softmax over one axis; see ops::softmax.
struct CONVKIT_API Softmax : Layer {
  explicit Softmax(const SoftmaxOptions& options = {}) : options(options) {}
  Tensor operator()(const Tensor& x) const;
  void visit(auto&& /*v*/) {}
  std::string describe() const;

  SoftmaxOptions options;
};

/// log softmax over one axis; see ops::log_softmax.
struct CONVKIT_API LogSoftmax : Layer {
  explicit LogSoftmax(const SoftmaxOptions& options = {}) : options(options) {}
  Tensor operator()(const Tensor& x) const;
  void visit(auto&& /*v*/) {}
  std::string describe() const;

  SoftmaxOptions options;
};

}  // namespace convkit::nn
