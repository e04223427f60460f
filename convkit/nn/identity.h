#pragma once

#include <string>

#include "convkit/nn/module.h"

namespace convkit::nn {

/// Passes its input on: a place holder where a net may have a layer.
struct Identity : Layer {
  Tensor operator()(const Tensor& x) const { return x; }
  void visit(auto&& /*v*/) {}
  std::string describe() const { return "Identity()"; }
};

}  // namespace convkit::nn
