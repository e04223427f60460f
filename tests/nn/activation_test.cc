#include "convkit/nn/activation.h"

#include <gtest/gtest.h>

#include "convkit/autograd/engine.h"
#include "convkit/nn/functions.h"
#include "convkit/nn/identity.h"
#include "convkit/nn/sequential.h"
#include "convkit/nn/softmax.h"
#include "convkit/ops/softmax.h"
#include "tests/support/throws.h"

namespace convkit {
namespace {

TEST(ActivationLayers, ComputeTheirFunctions) {
  const Tensor x = randn({2, 3, 4, 5});
  EXPECT_TRUE(bit_equal(nn::ReLU()(x), ops::relu(x)));
  EXPECT_TRUE(bit_equal(nn::LeakyReLU()(x), ops::leaky_relu(x, 0.01)));
  EXPECT_TRUE(bit_equal(nn::LeakyReLU({.negative_slope = 0.2})(x), ops::leaky_relu(x, 0.2)));
  EXPECT_TRUE(bit_equal(nn::ReLU6()(x), ops::relu6(x)));
  EXPECT_TRUE(bit_equal(nn::Sigmoid()(x), ops::sigmoid(x)));
  EXPECT_TRUE(bit_equal(nn::Tanh()(x), ops::tanh(x)));
  EXPECT_TRUE(bit_equal(nn::GELU()(x), ops::gelu(x)));
  EXPECT_TRUE(bit_equal(nn::GELU({.approximate = ops::GeluApproximation::tanh})(x),
                        ops::gelu(x, ops::GeluApproximation::tanh)));
  EXPECT_TRUE(bit_equal(nn::SiLU()(x), ops::silu(x)));
  EXPECT_TRUE(bit_equal(nn::ELU({.alpha = 0.5})(x), ops::elu(x, 0.5)));
  EXPECT_TRUE(bit_equal(nn::SELU()(x), ops::selu(x)));
  EXPECT_TRUE(bit_equal(nn::Softplus()(x), ops::softplus(x)));
  EXPECT_TRUE(bit_equal(nn::Mish()(x), ops::mish(x)));
  EXPECT_TRUE(bit_equal(nn::Hardswish()(x), ops::hardswish(x)));
  EXPECT_TRUE(bit_equal(nn::Hardsigmoid()(x), ops::hardsigmoid(x)));
  EXPECT_TRUE(bit_equal(nn::PReLU()(x), ops::prelu(x, full({1}, 0.25))));
  EXPECT_TRUE(bit_equal(nn::Softmax()(x), ops::softmax(x, 1)));
  EXPECT_TRUE(bit_equal(nn::LogSoftmax({.dim = -1})(x), ops::log_softmax(x, -1)));
  EXPECT_EQ(nn::Identity()(x).impl(), x.impl());
}

TEST(ActivationLayers, ReluIsDefaultConstructedAsAMember) {
  struct Net {
    nn::ReLU act;
    nn::Sigmoid gate;
  };
  Net net;
  EXPECT_FALSE(net.act.options.inplace);
  EXPECT_EQ(net.act(full({1}, -2)).item(), 0);
  EXPECT_EQ(net.gate(full({1}, 0)).item(), 0.5);
}

TEST(ActivationLayers, ReluInPlaceOverwritesItsInput) {
  const nn::ReLU act({.inplace = true});
  const Tensor x = from_values<float>({-1, 2}, {2});
  const Tensor y = act(x);
  EXPECT_EQ(y.raw_data(), x.raw_data());
  EXPECT_EQ(x.to_vector<float>(), (std::vector<float>{0, 2}));
}

TEST(ActivationLayers, PreluTrainsItsSlopes) {
  nn::PReLU act({.num_parameters = 3, .init = 0.5});
  EXPECT_EQ(nn::parameter_count(act), 3);
  const Tensor y = act(full({2, 3, 4}, -1));
  EXPECT_EQ(y.to_vector<float>(), std::vector<float>(24, -0.5F));
  autograd::backward(y, ones({2, 3, 4}));
  EXPECT_EQ(act.weight.grad().to_vector<float>(), (std::vector<float>{-8, -8, -8}));
}

TEST(ActivationLayers, PrintAsPyTorchDoes) {
  EXPECT_EQ(nn::ReLU().describe(), "ReLU()");
  EXPECT_EQ(nn::ReLU({.inplace = true}).describe(), "ReLU(inplace=True)");
  EXPECT_EQ(nn::LeakyReLU().describe(), "LeakyReLU(negative_slope=0.01)");
  EXPECT_EQ(nn::PReLU().describe(), "PReLU(num_parameters=1)");
  EXPECT_EQ(nn::GELU().describe(), "GELU(approximate='none')");
  EXPECT_EQ(nn::ELU({.alpha = 0.5}).describe(), "ELU(alpha=0.5)");
  EXPECT_EQ(nn::Softplus().describe(), "Softplus(beta=1, threshold=20)");
  EXPECT_EQ(nn::Softmax({.dim = 2}).describe(), "Softmax(dim=2)");
  EXPECT_EQ(nn::LogSoftmax().describe(), "LogSoftmax(dim=1)");
  nn::Sequential net{nn::ReLU6(),     nn::Sigmoid(),     nn::Tanh(),    nn::SiLU(),
                     nn::Hardswish(), nn::Hardsigmoid(), nn::Identity()};
  EXPECT_EQ(nn::describe(net),
            "Sequential(\n  (0): ReLU6()\n  (1): Sigmoid()\n  (2): Tanh()\n  (3): SiLU()\n"
            "  (4): Hardswish()\n  (5): Hardsigmoid()\n  (6): Identity()\n)");
}

TEST(ActivationLayers, NameTheirPlaceInErrors) {
  nn::Sequential net{nn::Identity(), nn::GELU()};
  nn::train(net);
  EXPECT_ERROR(net(arange(3, DType::int64)), DTypeError, "1: gelu", "int64");
  EXPECT_ERROR(nn::PReLU({.num_parameters = 0}), ValueError, "PReLU", "num_parameters (0)");
}

}  // namespace
}  // namespace convkit
