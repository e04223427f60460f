#include "convkit/nn/activation.h"

namespace convkit::nn {

Tensor ReLU::operator()(const Tensor& x) const {
  const Scope scope(path);
  if (!options.inplace) return ops::relu(x);
  Tensor y = x;
  return ops::relu_(y);
}

std::string ReLU::describe() const { return options.inplace ? "ReLU(inplace=True)" : "ReLU()"; }

Tensor LeakyReLU::operator()(const Tensor& x) const {
  const Scope scope(path);
  return ops::leaky_relu(x, options.negative_slope);
}

std::string LeakyReLU::describe() const {
  return message("LeakyReLU(negative_slope=", options.negative_slope, ")");
}

PReLU::PReLU(const PReLUOptions& o) : options(o) {
  CONVKIT_CHECK(o.num_parameters >= 1, ValueError, "PReLU: num_parameters (", o.num_parameters,
                ") must be 1 or the number of channels");
  weight = full({o.num_parameters}, o.init);
}

Tensor PReLU::operator()(const Tensor& x) const {
  const Scope scope(path);
  return ops::prelu(x, weight);
}

std::string PReLU::describe() const {
  return message("PReLU(num_parameters=", options.num_parameters, ")");
}

Tensor GELU::operator()(const Tensor& x) const {
  const Scope scope(path);
  return ops::gelu(x, options.approximate);
}

std::string GELU::describe() const {
  const bool by_tanh = options.approximate == ops::GeluApproximation::tanh;
  return message("GELU(approximate='", by_tanh ? "tanh" : "none", "')");
}

Tensor ReLU6::operator()(const Tensor& x) const {
  const Scope scope(path);
  return ops::relu6(x);
}

Tensor Sigmoid::operator()(const Tensor& x) const {
  const Scope scope(path);
  return ops::sigmoid(x);
}

Tensor Tanh::operator()(const Tensor& x) const {
  const Scope scope(path);
  return ops::tanh(x);
}

Tensor SiLU::operator()(const Tensor& x) const {
  const Scope scope(path);
  return ops::silu(x);
}

Tensor ELU::operator()(const Tensor& x) const {
  const Scope scope(path);
  return ops::elu(x, options.alpha);
}
std::string ELU::describe() const { return message("ELU(alpha=", options.alpha, ")"); }

Tensor SELU::operator()(const Tensor& x) const {
  const Scope scope(path);
  return ops::selu(x);
}

Tensor Softplus::operator()(const Tensor& x) const {
  const Scope scope(path);
  return ops::softplus(x);
}

Tensor Mish::operator()(const Tensor& x) const {
  const Scope scope(path);
  return ops::mish(x);
}

Tensor Hardswish::operator()(const Tensor& x) const {
  const Scope scope(path);
  return ops::hardswish(x);
}

Tensor Hardsigmoid::operator()(const Tensor& x) const {
  const Scope scope(path);
  return ops::hardsigmoid(x);
}

}  // namespace convkit::nn
