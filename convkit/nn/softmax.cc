#include "convkit/nn/softmax.h"

#include "convkit/ops/softmax.h"

namespace convkit::nn {

Tensor Softmax::operator()(const Tensor& x) const {
  const Scope scope(path);
  return ops::softmax(x, options.dim);
}

std::string Softmax::describe() const { return message("Softmax(dim=", options.dim, ")"); }

Tensor LogSoftmax::operator()(const Tensor& x) const {
  const Scope scope(path);
  return ops::log_softmax(x, options.dim);
}

std::string LogSoftmax::describe() const { return message("LogSoftmax(dim=", options.dim, ")"); }

}  // namespace convkit::nn
