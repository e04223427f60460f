#pragma once

#include <string>

#include "convkit/nn/module.h"

namespace convkit::nn {

struct FlattenOptions {
  int64_t start_dim = 1;
  int64_t end_dim = -1;
};

/// Makes axes start_dim … end_dim one: (N, C, H, W) becomes (N, C·H·W), in logical order, so that
/// weights of a Linear behind it are PyTorch's. See ops::flatten.
struct CONVKIT_API Flatten : Layer {
  explicit Flatten(const FlattenOptions& options = {}) : options(options) {}
  Tensor operator()(const Tensor& x) const;
  void visit(auto&& /*v*/) {}
  std::string describe() const;

  FlattenOptions options;
};

}  // namespace convkit::nn
