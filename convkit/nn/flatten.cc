#include "convkit/nn/flatten.h"

#include "convkit/ops/shape.h"

namespace convkit::nn {

Tensor Flatten::operator()(const Tensor& x) const {
  const Scope scope(path);
  return ops::flatten(x, options.start_dim, options.end_dim);
}

std::string Flatten::describe() const {
  return message("Flatten(start_dim=", options.start_dim, ", end_dim=", options.end_dim, ")");
}

}  // namespace convkit::nn
