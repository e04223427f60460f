#include "convkit/nn/linear.h"

#include "convkit/nn/init.h"
#include "convkit/ops/linear.h"

namespace convkit::nn {

Linear::Linear(const LinearOptions& o) : options(o) {
  CONVKIT_CHECK(o.in_features >= 1, ValueError, "Linear: in_features is ", o.in_features,
                "; it is required and at least 1");
  CONVKIT_CHECK(o.out_features >= 1, ValueError, "Linear: out_features is ", o.out_features,
                "; it is required and at least 1");
  weight = empty({o.out_features, o.in_features});
  if (o.bias) bias = empty({o.out_features});
  init::conv_default_init(weight, bias);
}

Tensor Linear::operator()(const Tensor& x) const {
  const Scope scope(path);
  return ops::linear(x, weight, bias);
}

std::string Linear::describe() const {
  return message("Linear(in_features=", options.in_features,
                 ", out_features=", options.out_features,
                 ", bias=", options.bias ? "True" : "False", ")");
}

}  // namespace convkit::nn
