#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "convkit/autograd/engine.h"
#include "convkit/autograd/gradcheck.h"
#include "convkit/tensor/tensor.h"

/// Short ways to check an op's gradients.
namespace convkit::test {

/// A float64 leaf with normally distributed elements that collects its gradient.
inline Tensor leaf(const Shape& shape, uint64_t seed) {
  Generator random(seed, 3);
  Tensor x = randn(shape, random, DType::float64);
  x.set_requires_grad();
  return x;
}

/// Expects the tape's gradients of `function` to agree with central differences.
inline void expect_gradients(const std::function<Tensor(const std::vector<Tensor>&)>& function,
                             const std::vector<Tensor>& inputs) {
  EXPECT_EQ(autograd::gradcheck(function, inputs), "");
}

/// The gradient of `input` when `grad` flows into function(input).
inline Tensor gradient_of(const std::function<Tensor(const Tensor&)>& function, Tensor input,
                          const Tensor& grad) {
  input = input.clone();
  input.set_requires_grad();
  autograd::backward(function(input), grad);
  return input.grad();
}

}  // namespace convkit::test
