#include "convkit/graph/capture.h"

#include <gtest/gtest.h>

#include <memory>

#include "convkit/autograd/record.h"
#include "convkit/base/exactness.h"
#include "convkit/graph/print.h"
#include "convkit/infer/interpreter.h"
#include "convkit/nn/activation.h"
#include "convkit/nn/batch_norm.h"
#include "convkit/nn/conv.h"
#include "convkit/nn/conv_norm_act.h"
#include "convkit/nn/dropout.h"
#include "convkit/nn/flatten.h"
#include "convkit/nn/functions.h"
#include "convkit/nn/linear.h"
#include "convkit/nn/pool.h"
#include "convkit/nn/residual.h"
#include "convkit/nn/sequential.h"
#include "convkit/ops/adaptive_pool.h"
#include "convkit/ops/arithmetic.h"
#include "convkit/ops/batch_norm.h"
#include "convkit/ops/dropout.h"
#include "convkit/ops/loss.h"
#include "convkit/ops/pad.h"
#include "convkit/ops/reduce.h"
#include "convkit/ops/shape.h"
#include "convkit/ops/softmax.h"
#include "tests/support/golden.h"
#include "tests/support/throws.h"

namespace convkit::graph {
namespace {

using Function = Tensor (*)(const Tensor&);

std::vector<std::string> node_names(const Graph& graph) {
  std::vector<std::string> names;
  for (const Node& node : graph.nodes) names.push_back(node.name);
  return names;
}

std::vector<std::string_view> operators_of(const Graph& graph) {
  std::vector<std::string_view> names;
  for (const Node& node : graph.nodes) names.push_back(name_of(node.op));
  return names;
}

// A rounding error or two of each operation, of which these nets have few.
constexpr double kRelative = 2e-6;

// The captured graph gives the net's numbers, for another batch too. Returns it.
Graph expect_same(nn::AnyModule net, const Shape& sample) {
  const UseExactness exact(Exactness::exact);
  Generator generator(17);
  Graph graph = capture(net, rand(sample.with_inserted(0, 2), generator));
  nn::eval(net);
  const NoGradGuard no_grad;
  for (const int64_t count : {2, 1, 5}) {
    const Tensor x = randn(sample.with_inserted(0, count), generator);
    const Tensor expected = net(x);
    const Tensor actual = infer::interpret(graph, std::vector<Tensor>{x})[0];
    double largest = 1e-30;
    for (const float v : expected.to_vector<float>())
      largest = std::max(largest, static_cast<double>(std::abs(v)));
    test::expect_close(actual.to(DType::float64), expected.to(DType::float64), kRelative * largest,
                       0, message(graph::to_text(graph), "a batch of ", count));
  }
  return graph;
}

TEST(Capture, NamesNodesByLayersAndConstantsByKeys) {
  nn::Sequential net{nn::ConvNormAct2d({.in_channels = 3, .out_channels = 4, .kernel_size = 3}),
                     nn::BasicBlock<2>({.in_channels = 4, .channels = 4}), nn::Flatten(),
                     nn::Linear({.in_features = 4 * 4 * 6, .out_features = 2})};
  const Graph graph = expect_same(net, {3, 6, 8});
  EXPECT_EQ(node_names(graph),
            (std::vector<std::string>{"0.conv", "0.norm", "0.act", "1.conv1", "1.bn1", "1.relu",
                                      "1.conv2", "1.bn2", "1.add", "1.relu_1", "2.flatten", "3"}));
  std::vector<std::string> constants;
  for (const Value& value : graph.values)
    if (value.is_constant()) constants.push_back(value.name);
  std::vector<std::string> keys;
  for (const auto& [key, tensor] : nn::state_dict(net))
    if (!key.ends_with("num_batches_tracked")) keys.push_back(key);
  EXPECT_EQ(constants, keys);
  EXPECT_EQ(to_text(graph.value(graph.find_input("input")).type), "float32 N×3×6×8");
  EXPECT_EQ(to_text(graph.value(graph.find_output("output")).type), "float32 N×2");
}

TEST(Capture, SharesTheNetsElements) {
  nn::Linear net({.in_features = 2, .out_features = 3});
  const Graph graph = capture(net, zeros({1, 2}));
  for (const Value& value : graph.values)
    if (value.name == "weight") {
      EXPECT_EQ(value.constant.raw_data(), net.weight.raw_data());
      EXPECT_FALSE(value.constant.requires_grad());
    }
}

struct SharingNet {
  std::shared_ptr<nn::Dropout> dropout;
  Tensor operator()(const Tensor& x) const { return ops::relu((*dropout)(x)); }
  void visit(auto&& v) { v("dropout", dropout); }
};

TEST(Capture, LeavesTheModeAlone) {
  auto shared = std::make_shared<nn::Dropout>(0.5);
  const Graph graph = capture(SharingNet{shared}, zeros({1, 2}));
  EXPECT_TRUE(shared->training);
  EXPECT_EQ(operators_of(graph), (std::vector<std::string_view>{"Relu"}));
}

TEST(Capture, EveryActivationComputesTheSame) {
  expect_same(
      nn::Sequential{nn::Conv2d({.in_channels = 2, .out_channels = 4, .kernel_size = 3}),
                     nn::LeakyReLU({.negative_slope = 0.2}), nn::PReLU({.num_parameters = 4}),
                     nn::PReLU(), nn::GELU(),
                     nn::GELU({.approximate = ops::GeluApproximation::tanh}), nn::SiLU(),
                     nn::ELU({.alpha = 0.7}), nn::SELU(), nn::Softplus(), nn::Mish(),
                     nn::Hardswish(), nn::Hardsigmoid(), nn::ReLU6(), nn::Sigmoid(), nn::Tanh()},
      {2, 5, 6});
  const Function functions = [](const Tensor& x) {
    const Tensor y = ops::sqrt(ops::abs(x) + 1.0) * ops::exp(-x) / 3.0 - ops::log(x * x + 0.5);
    return ops::clamp(y, -1e30, 3) + ops::clamp(y, -INFINITY, 0.5) +
           ops::clamp(2.0 - y, 0, INFINITY);
  };
  expect_same(functions, {3, 4});
}

TEST(Capture, PaddingOfEveryKindComputesTheSame) {
  for (const PaddingMode mode :
       {PaddingMode::zeros, PaddingMode::reflect, PaddingMode::replicate, PaddingMode::circular}) {
    const Graph graph = expect_same(nn::Conv1d({.in_channels = 2,
                                                .out_channels = 3,
                                                .kernel_size = 4,
                                                .padding = Padding::same,
                                                .padding_mode = mode}),
                                    {2, 9});
    if (mode != PaddingMode::zeros) {
      EXPECT_EQ(operators_of(graph), (std::vector<std::string_view>{"Pad", "Conv"}));
    }
  }
  expect_same(nn::Conv3d({.in_channels = 2,
                          .out_channels = 4,
                          .kernel_size = {1, 3, 2},
                          .stride = {1, 2, 1},
                          .padding = ConvPadding<3>::ends({0, 1, 2}, {1, 0, 0}),
                          .dilation = {1, 1, 2},
                          .groups = 2}),
              {2, 4, 5, 6});
  const Function constant = [](const Tensor& x) {
    return ops::pad(ops::pad(x, {.lo = {1, -1}, .hi = {0, 2}, .value = 7}), {.lo = {0}, .hi = {0}});
  };
  expect_same(constant, {3, 4});
}

TEST(Capture, PoolsComputeTheSame) {
  for (const bool ceil_mode : {false, true}) {
    expect_same(nn::MaxPool2d({.kernel_size = 3,
                               .stride = 2,
                               .padding = 1,
                               .dilation = {1, 2},
                               .ceil_mode = ceil_mode}),
                {2, 8, 10});
    for (const bool counts : {false, true})
      expect_same(nn::AvgPool2d({.kernel_size = {3, 2},
                                 .stride = 2,
                                 .padding = 1,
                                 .ceil_mode = ceil_mode,
                                 .count_include_pad = counts}),
                  {2, 8, 7});
  }
  expect_same(nn::AvgPool1d({.kernel_size = 3, .padding = 1, .divisor_override = 5}), {2, 9});
  const auto names_of_pool = [](const auto& pool, const Shape& sample) {
    return operators_of(expect_same(pool, sample));
  };
  using Names = std::vector<std::string_view>;
  EXPECT_EQ(names_of_pool(nn::AdaptiveAvgPool2d({.output_size = 1}), {2, 5, 7}),
            (Names{"GlobalAveragePool"}));
  EXPECT_EQ(names_of_pool(nn::AdaptiveMaxPool3d({.output_size = 1}), {2, 3, 4, 5}),
            (Names{"GlobalMaxPool"}));
  EXPECT_EQ(names_of_pool(nn::AdaptiveAvgPool2d({.output_size = {2, 7}}), {2, 6, 7}),
            (Names{"AveragePool"}));
  EXPECT_EQ(names_of_pool(nn::AdaptiveMaxPool1d({.output_size = 2}), {2, 6}), (Names{"MaxPool"}));
  EXPECT_EQ(names_of_pool(nn::AdaptiveAvgPool2d({.output_size = 7}), {2, 7, 7}),
            (Names{"Identity"}));
  // Windows of unlike sizes, and more outputs than inputs.
  EXPECT_EQ(names_of_pool(nn::AdaptiveAvgPool2d({.output_size = {3, 5}}), {2, 7, 2}),
            (Names{"MatMul", "MatMul"}));
  EXPECT_EQ(names_of_pool(nn::AdaptiveMaxPool2d({.output_size = {3, 5}}), {2, 7, 5}),
            (Names{"Gather", "ReduceMax"}));
  expect_same(nn::AdaptiveMaxPool3d({.output_size = {3, 2, 6}}), {2, 4, 5, 4});
  expect_same(nn::AdaptiveAvgPool3d({.output_size = {3, 2, 4}}), {2, 4, 5, 4});
  expect_same(nn::AdaptiveAvgPool1d({.output_size = 3}), {2, 7});
}

TEST(Capture, MovementStaysTrueForAnyBatch) {
  const Function moves = [](const Tensor& x) {
    const int64_t batch = x.size(0);
    Tensor y = ops::reshape(x, {batch, 2, 6});            // (N, 3, 4) → (N, 2, 6)
    y = ops::permute(y, {1, 0, 2});                       // (2, N, 6)
    y = ops::concat({y, ops::slice(y, 2, 1, -1, 2)}, 2);  // (2, N, 8)
    y = ops::transpose(y, 0, 1);                          // (N, 2, 8)
    y = ops::reshape(y, {batch * 2, 8});                  // grows with the batch
    y = ops::softmax(y, 1) + ops::log_softmax(y, 0);
    y = ops::reshape(y, {-1, 2, 2, 4});
    y = ops::unsqueeze(ops::select(y, 1, 1), 1);   // (N, 1, 2, 4)
    y = ops::squeeze(ops::mean(y, {2}, true), 1);  // (N, 1, 4)
    y = y - ops::sum(y, {2}, true);
    return ops::flatten(ops::slice(y, 0, 0, batch), 1);
  };
  expect_same(moves, {3, 4});
  const Function unbatched = [](const Tensor& x) { return ops::adaptive_avg_pool1d(x, 2); };
  const Graph graph = capture(unbatched, ones({3, 4}), {.any_batch = false});
  EXPECT_EQ(to_text(graph.value(graph.inputs[0]).type), "float32 3×4");
  EXPECT_TRUE(
      bit_equal(infer::interpret(graph, std::vector<Tensor>{ones({3, 4})})[0], ones({3, 2})));
}

TEST(Capture, LinearAndNormTakeEveryRank) {
  expect_same(nn::Linear({.in_features = 4, .out_features = 3}), {2, 4});
  expect_same(nn::Linear({.in_features = 4, .out_features = 3, .bias = false}), {2, 5, 4});
  expect_same(nn::BatchNorm1d({.num_features = 3}), {3});
  expect_same(nn::BatchNorm1d({.num_features = 3, .affine = false}), {3, 5});
  const Function fused = [](const Tensor& x) {
    const Tensor some = full({3}, 0.5);
    return ops::batch_norm_relu(x, x, some, some);
  };
  expect_same(fused, {3, 5});
}

TEST(Capture, WorksInPlaceAndOnNothing) {
  const Function in_place = [](const Tensor& x) {
    Tensor y = x * 2.0;
    ops::add_(y, x);
    const Tensor z = y * 1.0;
    ops::relu_(y);
    return y + z;
  };
  expect_same(in_place, {3});
  const Function nothing = [](const Tensor& x) { return x; };
  EXPECT_EQ(operators_of(expect_same(nothing, {3})), (std::vector<std::string_view>{"Identity"}));
}

struct FormlessNet : nn::Layer {
  nn::BatchNorm1d norm{nn::BatchNormOptions{.num_features = 3, .track_running_stats = false}};
  Tensor operator()(const Tensor& x) {
    Tensor y = ops::dropout(norm(x), 0.5);
    y = ops::adaptive_max_pool1d(ops::unsqueeze(y, 1), 2);
    Tensor view = ops::reshape(y, {-1, 2});
    ops::relu_(view);
    y = ops::add(y, 1.0);
    return ops::mse_loss(y, y);
  }
  void visit(auto&& v) { v("norm", norm); }
};

TEST(Capture, NamesEveryOperationWithoutForm) {
  try {
    capture(FormlessNet(), ones({2, 3}));
    FAIL() << "there are four";
  } catch (const CaptureError& error) {
    std::vector<std::string> ops;
    for (const Uncaptured& each : error.operations()) ops.push_back(each.op);
    EXPECT_EQ(ops, (std::vector<std::string>{"batch_norm", "dropout", "add", "mse_loss"}));
    EXPECT_EQ(error.operations()[0].path, "norm");
  }
  EXPECT_ERROR(capture(FormlessNet(), ones({2, 3})), CaptureError, "batch_norm in 'norm'",
               "track_running_stats", "nn::Dropout", "in place", "a loss");
}

TEST(Capture, RefusesWhatDependsOnTheBatch) {
  const Function fixed = [](const Tensor& x) { return ops::reshape(x, {2, 12}); };
  EXPECT_ERROR(capture(fixed, ones({2, 3, 4})), CaptureError, "2×3×4", "3×3×4",
               "any_batch = false");
  EXPECT_EQ(capture(fixed, ones({2, 3, 4}), {.any_batch = false}).nodes.size(), 1U);
  const Function two = [](const Tensor& x) {
    return ops::reshape(x, {x.size(0) * 2, 6 / x.size(0), -1});
  };
  EXPECT_ERROR(capture(two, ones({2, 3, 4})), CaptureError, "more than one extent");
  const Function branches = [](const Tensor& x) {
    return x.size(0) > 2 ? ops::relu(x) : ops::neg(x);
  };
  EXPECT_ERROR(capture(branches, ones({2, 3})), CaptureError, "neg", "relu");
  const Function scaled = [](const Tensor& x) { return x * static_cast<double>(x.size(0)); };
  EXPECT_ERROR(capture(scaled, ones({2, 3})), CaptureError, "mul.constant", "does not record");
  const Function sloped = [](const Tensor& x) {
    return ops::leaky_relu(x, static_cast<double>(x.size(0)));
  };
  EXPECT_ERROR(capture(sloped, ones({2, 3})), CaptureError, "parameters depend on the batch");
  const Function secret = [](const Tensor& x) {
    return from_values(x.to_vector<float>(), x.shape());
  };
  EXPECT_ERROR(capture(secret, ones({2, 3})), CaptureError, "does not record");
}

TEST(Capture, RefusesExamplesThatAreNone) {
  const Function same = [](const Tensor& x) { return ops::relu(x); };
  EXPECT_ERROR(capture(same, Tensor()), ValueError, "undefined");
  EXPECT_ERROR(capture(same, ones({0, 3})), ShapeError, "0×3", "at least one sample");
  EXPECT_ERROR(capture(same, ones({1, 3}), {.output = "input"}), ValueError, "names that differ");
}

TEST(Capture, KnowsItsOperations) {
  const std::vector<std::string_view> names = captured_operations();
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
  EXPECT_EQ(std::count(names.begin(), names.end(), "conv2d"), 1);
  EXPECT_EQ(std::count(names.begin(), names.end(), "mse_loss"), 0);
}

}  // namespace
}  // namespace convkit::graph
