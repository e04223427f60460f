#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "convkit/autograd/engine.h"
#include "convkit/autograd/record.h"
#include "convkit/nn/functions.h"

/// Layers that run as one operation, unless somebody watches.
namespace convkit::test {

class OperationNames final : public autograd::Tracer {
 public:
  void on_operation(const autograd::Event& event) override {
    seen.push_back(event.path + ":" + event.op.name);
  }
  std::vector<std::string> seen;
};

/// Output, gradients and running statistics of one training step of a copy of `net`.
template <class Net>
std::vector<Tensor> step_of(const Net& original, const Shape& shape) {
  Net net = nn::clone(original);
  Generator random(4);
  nn::for_each_tensor(net, [&](const std::string&, Tensor& tensor, bool is_parameter) {
    if (is_parameter) tensor.copy_from(randn(tensor.shape(), random));
  });
  Tensor x = randn(shape, random).set_requires_grad();
  const Tensor y = net(x);
  autograd::backward(y, randn(y.shape(), random));
  std::vector<Tensor> all = {y, x.grad()};
  nn::for_each_tensor(net, [&](const std::string&, Tensor& tensor, bool is_parameter) {
    all.push_back(is_parameter ? tensor.grad() : tensor);
  });
  return all;
}

/// The separate layers, which run while a tracer listens, give the same bits; returns what it saw.
template <class Net>
std::vector<std::string> expect_same_when_watched(const Net& net, const Shape& shape) {
  const std::vector<Tensor> fused = step_of(net, shape);
  OperationNames names;
  std::vector<Tensor> watched;
  {
    const autograd::TraceScope trace(names);
    watched = step_of(net, shape);
  }
  EXPECT_EQ(fused.size(), watched.size());
  for (std::size_t i = 0; i < fused.size(); ++i) EXPECT_TRUE(bit_equal(fused[i], watched[i])) << i;
  return names.seen;
}

}  // namespace convkit::test
