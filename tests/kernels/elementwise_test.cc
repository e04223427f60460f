#include "convkit/kernels/elementwise.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "convkit/base/random.h"
#include "convkit/base/thread_pool.h"
#include "convkit/kernels/elementwise_reference.h"
#include "convkit/kernels/target.h"

namespace convkit::kernels {
namespace {

constexpr double kUnit = 0x1p-24;      // of one rounding in float
constexpr double kSmallest = 1.2e-38;  // what is below is flushed to 0

struct Row {
  UnaryOp op;
  const char* name;
  UnaryParams params;
  double value_units;     // relative error of f, in roundings
  double gradient_units;  // absolute error of f'·dy for |dy| ≤ 1, in roundings
};

// Where the allowances come from. e^x is within 1 ulp (2 roundings) by Highway's word, tanh and log
// within 4, as e^x − 1 and log(1 + x). sigmoid and silu add a sum and a quotient, mish two sums and
// two products, elu a product, softplus e^x and a sum. gelu: polynomial and e^x with its correction
// 7, two products and a difference. Of the gradients, the piecewise linear ones take one product;
// the smooth ones are sums of terms below 1.2 with as many roundings as the value, twice.
const Row kRows[] = {
    {UnaryOp::relu, "relu", {}, 0, 0},
    {UnaryOp::leaky_relu, "leaky_relu", {0.2, 0}, 2, 2},
    {UnaryOp::relu6, "relu6", {}, 0, 0},
    {UnaryOp::sigmoid, "sigmoid", {}, 4, 4},
    {UnaryOp::tanh, "tanh", {}, 8, 4},
    {UnaryOp::gelu, "gelu", {}, 10, 24},
    {UnaryOp::silu, "silu", {}, 4, 16},
    {UnaryOp::elu, "elu", {1.5, 1}, 10, 8},
    {UnaryOp::elu, "selu", {1.7580993408473766, 1.0507009873554805}, 10, 8},
    {UnaryOp::softplus, "softplus", {}, 12, 4},
    {UnaryOp::mish, "mish", {}, 8, 24},
    {UnaryOp::hardswish, "hardswish", {}, 4, 4},
    {UnaryOp::hardsigmoid, "hardsigmoid", {}, 3, 2},
    {UnaryOp::neg, "neg", {}, 0, 0},
    {UnaryOp::abs, "abs", {}, 0, 0},
    {UnaryOp::clamp, "clamp", {-1, 0.5}, 0, 0},
};

std::vector<float> inputs() {
  std::vector<float> x = {0.0F,  -0.0F,  1.0F,   -1.0F,   3.0F,       -3.0F,     6.0F,  -6.0F,
                          0.5F,  1e-6F,  20.0F,  -20.0F,  1e4F,       -1e4F,     1e20F, -1e20F,
                          3e38F, -3e38F, 1e-30F, -1e-30F, 2.9999998F, 6.0000005F};
  Generator random(5);
  for (int i = 0; i < 1200; ++i) x.push_back(static_cast<float>(3 * random.normal()));
  for (int i = 0; i < 1200; ++i) x.push_back(24 * random.uniform() - 12);
  return x;
}

class ElementwiseOnEveryTarget : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { set_simd_target(GetParam()); }
  void TearDown() override { set_simd_target("best"); }
};
INSTANTIATE_TEST_SUITE_P(Simd, ElementwiseOnEveryTarget, testing::ValuesIn(simd_targets()),
                         [](const auto& test) { return test.param; });

TEST_P(ElementwiseOnEveryTarget, ValuesAreWithinTheirAllowanceOfTheFormula) {
  const std::vector<float> x = inputs();
  std::vector<float> y(x.size());
  for (const Row& row : kRows) {
    unary_forward(row.op, row.params, static_cast<int64_t>(x.size()), x.data(), y.data());
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double expected = reference_value(row.op, row.params, x[i]);
      // Φ(x) of gelu: without a fused multiply-add, e^(−x²/2) has the error of its argument.
      const bool fused = GetParam().starts_with("avx");
      const double more = row.op == UnaryOp::gelu && !fused ? 0.5 * double{x[i]} * x[i] : 0;
      // What is subnormal is flushed to 0, before it is multiplied by x in some.
      const double allowed = (row.value_units + more) * kUnit * std::abs(expected) +
                             kSmallest * std::fmax(1, std::fmin(std::abs(x[i]), 100));
      EXPECT_NEAR(y[i], expected, allowed) << row.name << "(" << x[i] << ")";
    }
  }
}

TEST_P(ElementwiseOnEveryTarget, GeluByTanhIsWithinTheErrorOfItsArgument) {
  const std::vector<float> x = inputs();
  std::vector<float> y(x.size());
  unary_forward(UnaryOp::gelu_tanh, {}, static_cast<int64_t>(x.size()), x.data(), y.data());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double v = x[i];
    const double expected =
        std::abs(v) > 1e10 ? (v > 0 ? v : 0) : reference_value(UnaryOp::gelu_tanh, {}, v);
    // e^u of an argument with four roundings: its relative error is 4·|u| roundings.
    const double u = 1.6 * std::abs(v) * (1 + 0.045 * v * v);
    const double units = 5 + 4 * std::min(u, 90.0);
    EXPECT_NEAR(y[i], expected,
                units * kUnit * std::abs(expected) + kSmallest * (1 + std::fmin(std::abs(v), 100)))
        << v;
  }
}

TEST_P(ElementwiseOnEveryTarget, GradientsAreWithinTheirAllowanceOfTheFormula) {
  const std::vector<float> x = inputs();
  const auto count = static_cast<int64_t>(x.size());
  std::vector<float> dy;
  Generator random(6);
  for (std::size_t i = 0; i < x.size(); ++i) dy.push_back(2 * random.uniform() - 1);
  std::vector<float> saved(x.size());
  std::vector<float> dx(x.size());
  std::vector<Row> rows(std::begin(kRows), std::end(kRows));
  rows.push_back({UnaryOp::gelu_tanh, "gelu_tanh", {}, 0, 32});
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < x.size(); ++i)
      saved[i] = gradient_uses_output(row.op)
                     ? static_cast<float>(reference_value(row.op, row.params, x[i]))
                     : x[i];
    unary_backward(row.op, row.params, count, saved.data(), dy.data(), dx.data());
    for (std::size_t i = 0; i < x.size(); ++i) {
      double slope = reference_derivative(row.op, row.params, x[i]);
      if (std::abs(x[i]) > 1e4F && std::isnan(slope)) slope = x[i] > 0 ? 1 : 0;
      EXPECT_NEAR(dx[i], slope * dy[i], row.gradient_units * kUnit + kSmallest)
          << row.name << "'(" << x[i] << ")";
    }
  }
}

TEST_P(ElementwiseOnEveryTarget, ExpLogAndSqrtAreAccurateOverTheirRange) {
  std::vector<float> x(6000);
  Generator random(7);
  for (std::size_t i = 0; i < 3000; ++i) x[i] = std::exp2(230 * random.uniform() - 115);
  for (std::size_t i = 3000; i < x.size(); ++i) x[i] = 170 * random.uniform() - 85;
  const auto count = static_cast<int64_t>(x.size());
  std::vector<float> y(x.size());
  std::vector<float> dx(x.size());
  const std::vector<float> ones(x.size(), 1.0F);
  for (const UnaryOp op : {UnaryOp::exp, UnaryOp::log, UnaryOp::sqrt}) {
    unary_forward(op, {}, count, x.data(), y.data());
    unary_backward(op, {}, count, gradient_uses_output(op) ? y.data() : x.data(), ones.data(),
                   dx.data());
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double expected = reference_value(op, {}, x[i]);
      if (std::isnan(expected)) {
        EXPECT_TRUE(std::isnan(y[i])) << x[i];
        continue;
      }
      if (expected > 3.4e38) {
        EXPECT_TRUE(std::isinf(y[i])) << x[i];
        continue;
      }
      // Highway: e^x 1 ulp, log 4 ulp (2 and 8 roundings); the gradients one or two more.
      EXPECT_NEAR(y[i], expected, 9 * kUnit * std::abs(expected) + kSmallest) << x[i];
      const double slope = reference_derivative(op, {}, x[i]);
      EXPECT_NEAR(dx[i], slope, 4 * kUnit * std::abs(slope) + kSmallest) << x[i];
    }
  }
}

TEST_P(ElementwiseOnEveryTarget, NanAndInfinityGiveTheLimits) {
  const float inf = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> x = {nan, inf, -inf, 1.0F, nan};
  std::vector<float> y(x.size());
  for (int op = 0; op <= static_cast<int>(UnaryOp::clamp); ++op) {
    unary_forward(static_cast<UnaryOp>(op), {-1, 1}, 5, x.data(), y.data());
    EXPECT_TRUE(std::isnan(y[0]) && std::isnan(y[4])) << "op " << op << " of NaN gives " << y[0];
  }
  const auto at_infinities = [&](UnaryOp op, float above, float below) {
    unary_forward(op, {0.1, 0}, 5, x.data(), y.data());
    EXPECT_EQ(y[1], above) << static_cast<int>(op);
    EXPECT_EQ(y[2], below) << static_cast<int>(op);
  };
  at_infinities(UnaryOp::relu, inf, 0);
  at_infinities(UnaryOp::leaky_relu, inf, -inf);
  at_infinities(UnaryOp::relu6, 6, 0);
  at_infinities(UnaryOp::sigmoid, 1, 0);
  at_infinities(UnaryOp::tanh, 1, -1);
  at_infinities(UnaryOp::exp, inf, 0);
  at_infinities(UnaryOp::hardsigmoid, 1, 0);
  const float zeros[] = {0.0F, -1.0F};
  unary_forward(UnaryOp::log, {}, 2, zeros, y.data());
  EXPECT_EQ(y[0], -inf);
  EXPECT_TRUE(std::isnan(y[1]));
}

TEST_P(ElementwiseOnEveryTarget, AnElementsResultDoesNotDependOnItsPlaceOrTheThreads) {
  const std::vector<float> x = inputs();
  for (int op = 0; op <= static_cast<int>(UnaryOp::clamp); ++op) {
    std::vector<float> whole(x.size());
    unary_forward(static_cast<UnaryOp>(op), {0.1, 1}, static_cast<int64_t>(x.size()), x.data(),
                  whole.data());
    for (std::size_t i = 0; i < 50; ++i) {
      float alone = 0;
      unary_forward(static_cast<UnaryOp>(op), {0.1, 1}, 1, &x[i], &alone);
      const bool equal = alone == whole[i] || (std::isnan(alone) && std::isnan(whole[i]));
      EXPECT_TRUE(equal) << "op " << op << ": " << alone << " and " << whole[i];
    }
  }
}

TEST_P(ElementwiseOnEveryTarget, WorksInDoubleToo) {
  Generator random(8);
  std::vector<double> x(300);
  for (double& value : x) value = 6 * random.normal();
  std::vector<double> y(x.size());
  std::vector<double> dx(x.size());
  const std::vector<double> ones(x.size(), 1.0);
  const auto count = static_cast<int64_t>(x.size());
  for (int k = 0; k <= static_cast<int>(UnaryOp::clamp); ++k) {
    const auto op = static_cast<UnaryOp>(k);
    if (op == UnaryOp::log || op == UnaryOp::sqrt)
      for (double& v : x) v = std::abs(v);
    unary_forward(op, {0.2, 1}, count, x.data(), y.data());
    unary_backward(op, {0.2, 1}, count, gradient_uses_output(op) ? y.data() : x.data(), ones.data(),
                   dx.data());
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double value = reference_value(op, {0.2, 1}, x[i]);
      const double slope = reference_derivative(op, {0.2, 1}, x[i]);
      EXPECT_NEAR(y[i], value, 1e-13 * std::abs(value) + 1e-300) << "op " << k << " of " << x[i];
      EXPECT_NEAR(dx[i], slope, 1e-13 * (1 + std::abs(slope))) << "op " << k << " of " << x[i];
    }
  }
}

// y = a op b by indices.
std::vector<float> naive_binary(BinaryOp op, const Broadcast& axes, const std::vector<float>& a,
                                const std::vector<float>& b) {
  int64_t count = 1;
  for (int i = 0; i < axes.axes; ++i) count *= axes.extents[static_cast<std::size_t>(i)];
  std::vector<float> y;
  for (int64_t k = 0; k < count; ++k) {
    int64_t rest = k;
    int64_t at_a = 0;
    int64_t at_b = 0;
    for (int i = axes.axes - 1; i >= 0; --i) {
      const auto axis = static_cast<std::size_t>(i);
      at_a += rest % axes.extents[axis] * axes.a_strides[axis];
      at_b += rest % axes.extents[axis] * axes.b_strides[axis];
      rest /= axes.extents[axis];
    }
    const float left = a[static_cast<std::size_t>(at_a)];
    const float right = b[static_cast<std::size_t>(at_b)];
    y.push_back(op == BinaryOp::add   ? left + right
                : op == BinaryOp::sub ? left - right
                : op == BinaryOp::mul ? left * right
                                      : left / right);
  }
  return y;
}

TEST_P(ElementwiseOnEveryTarget, BinaryStretchesItsOperands) {
  // {extents, a's strides, b's strides}, outermost first.
  const Broadcast cases[] = {
      {1, {37}, {1}, {1}},
      {1, {37}, {1}, {0}},
      {1, {37}, {0}, {1}},
      {1, {37}, {0}, {0}},
      {2, {5, 19}, {19, 1}, {0, 1}},
      {2, {5, 19}, {1, 0}, {19, 1}},
      {3, {4, 3, 16}, {48, 16, 1}, {16, 0, 1}},
      {4, {2, 3, 4, 5}, {60, 20, 5, 1}, {5, 0, 0, 1}},
      {3, {2, 70000, 1}, {70000, 1, 1}, {0, 1, 1}},
      {1, {0}, {1}, {1}},
      {0, {}, {}, {}},
  };
  Generator random(9);
  std::vector<float> a(140000);
  std::vector<float> b(140000);
  for (float& value : a) value = random.uniform() + 0.5F;
  for (float& value : b) value = random.uniform() + 0.5F;
  for (const Broadcast& axes : cases) {
    for (const BinaryOp op : {BinaryOp::add, BinaryOp::sub, BinaryOp::mul, BinaryOp::div}) {
      const std::vector<float> expected = naive_binary(op, axes, a, b);
      std::vector<float> y(expected.size());
      binary(op, make_broadcast(axes), a.data(), b.data(), y.data());
      EXPECT_EQ(y, expected);
    }
  }
}

TEST(Elementwise, MakeBroadcastMergesAxesThatCanBeWalkedAsOne) {
  const Broadcast plain = make_broadcast({4, {2, 3, 4, 5}, {60, 20, 5, 1}, {60, 20, 5, 1}});
  EXPECT_EQ(plain.axes, 1);
  EXPECT_EQ(plain.extents[0], 120);
  const Broadcast channels = make_broadcast({4, {2, 3, 4, 5}, {60, 20, 5, 1}, {0, 0, 0, 1}});
  EXPECT_EQ(channels.axes, 2);
  EXPECT_EQ(channels.extents[0], 24);
  EXPECT_EQ(channels.b_strides[0], 0);
  const Broadcast scalar = make_broadcast({3, {2, 3, 4}, {12, 4, 1}, {0, 0, 0}});
  EXPECT_EQ(scalar.axes, 1);
}

TEST(Elementwise, GivesTheSameBitsOnAnyNumberOfThreads) {
  std::vector<float> x(200003);
  Generator random(10);
  for (float& value : x) value = static_cast<float>(random.normal());
  const auto run = [&](int threads) {
    ThreadPool pool(threads);
    const UseThreadPool use(pool);
    std::vector<float> y(x.size());
    unary_forward(UnaryOp::gelu, {}, static_cast<int64_t>(x.size()), x.data(), y.data());
    return y;
  };
  const std::vector<float> one = run(1);
  EXPECT_EQ(run(2), one);
  EXPECT_EQ(run(3), one);
}

TEST(Elementwise, PreluFollowsItsFormula) {
  Generator random(11);
  const int64_t rows = 70;
  const int64_t channels = 33;
  std::vector<float> x;
  std::vector<float> dy;
  std::vector<float> w;
  for (int64_t i = 0; i < rows * channels; ++i) {
    x.push_back(i % 7 == 0 ? 0.0F : static_cast<float>(random.normal()));
    dy.push_back(static_cast<float>(random.normal()));
  }
  for (int64_t c = 0; c < channels; ++c) w.push_back(random.uniform());
  std::vector<float> y(x.size());
  std::vector<float> dx(x.size());
  std::vector<float> terms(x.size());
  prelu_forward(rows, channels, x.data(), w.data(), y.data());
  prelu_backward(rows, channels, x.data(), w.data(), dy.data(), dx.data(), terms.data());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const float slope = w[i % static_cast<std::size_t>(channels)];
    EXPECT_EQ(y[i], x[i] > 0 ? x[i] : slope * x[i]);
    EXPECT_EQ(dx[i], x[i] > 0 ? dy[i] : slope * dy[i]);
    EXPECT_EQ(terms[i], x[i] > 0 ? 0 : x[i] * dy[i]);
  }
}

}  // namespace
}  // namespace convkit::kernels
