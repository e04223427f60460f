#include "convkit/nn/module.h"

#include <gtest/gtest.h>

#include "convkit/nn/functions.h"
#include "convkit/nn/sequential.h"
#include "tests/support/throws.h"

namespace convkit::nn {
namespace {

// A layer of one number, so that these tests need no arithmetic of the library.
struct Scale : Layer {
  Parameter factor{full({1}, 2)};
  Buffer calls{zeros({1}, DType::int64)};
  Tensor operator()(const Tensor& x) {
    calls.fill(calls.item() + 1);
    return full(x.shape(), x.item() * factor.item());
  }
  void visit(auto&& v) {
    v("factor", factor);
    v("calls", calls);
  }
  std::string describe() const { return message("Scale(", factor.item(), ")"); }
};

struct Pair {
  Scale first;
  Sequential rest{Scale(), Scale()};
  std::vector<Scale> more{2};
  std::optional<Scale> absent;
  Tensor operator()(const Tensor& x) { return rest(first(x)); }
  void visit(auto&& v) {
    v("first", first);
    v("rest", rest);
    v("more", more);
    v("absent", absent);
  }
};

std::vector<std::string> names(const StateDict& state) {
  std::vector<std::string> result;
  for (const auto& [name, tensor] : state) result.push_back(name);
  return result;
}

TEST(Module, StateDictNamesEverythingByPathInOrder) {
  Pair net;
  EXPECT_EQ(names(state_dict(net)),
            (std::vector<std::string>{
                "first.factor", "first.calls", "rest.0.factor", "rest.0.calls", "rest.1.factor",
                "rest.1.calls", "more.0.factor", "more.0.calls", "more.1.factor", "more.1.calls"}));
  EXPECT_EQ(parameters(net).size(), 5U);
  EXPECT_EQ(parameter_count(net), 5);
}

TEST(Module, ParametersRequireGradientsAndBuffersDoNot) {
  Pair net;
  for_each_tensor(net, [](const std::string& path, Tensor& tensor, bool is_parameter) {
    EXPECT_EQ(tensor.requires_grad(), is_parameter) << path;
  });
}

TEST(Module, AParameterUsedTwiceIsListedOnce) {
  Scale layer;
  Sequential net(layer, layer);  // copies share their tensors
  EXPECT_EQ(state_dict(net).size(), 4U);
  EXPECT_EQ(parameters(net).size(), 1U);
}

TEST(Module, TrainAndEvalReachEveryLayer) {
  Pair net;
  eval(net);
  int layers = 0;
  for_each_module(net, [&](const ModuleView& module) {
    if (module.layer == nullptr) return;
    ++layers;
    EXPECT_FALSE(module.layer->training) << module.path;
  });
  EXPECT_EQ(layers, 5);
  train(net);
  EXPECT_TRUE(net.first.training);
}

TEST(Module, WalkingTellsLayersTheirPaths) {
  Pair net;
  eval(net);
  EXPECT_EQ(net.more[1].path, "more.1");
  EXPECT_EQ(net.rest[0].get<Scale>()->path, "rest.0");
}

TEST(Module, CloneIsIndependentAndKeepsSharingInside) {
  Scale layer;
  Sequential net(layer, layer);
  Sequential copy = clone(net);
  EXPECT_EQ(parameters(copy).size(), 1U);
  parameters(copy)[0].fill(5);
  EXPECT_EQ(parameters(net)[0].item(), 2);
  EXPECT_EQ(copy[1].get<Scale>()->factor.item(), 5);
  EXPECT_TRUE(copy[1].get<Scale>()->factor.requires_grad());
}

TEST(Module, LoadsWhatStateDictSaved) {
  Pair from;
  from.more[1].factor.fill(7);
  Pair to;
  load_state_dict(to, state_dict(from));
  EXPECT_EQ(to.more[1].factor.item(), 7);
  from.more[1].factor.fill(8);
  EXPECT_EQ(to.more[1].factor.item(), 7) << "loading copies";
}

TEST(Module, LoadingNamesEveryMissingAndUnexpectedKeyAndShape) {
  Pair net;
  StateDict state = state_dict(net);
  state[0].first = "first.fraction";
  state.pop_back();
  EXPECT_ERROR(load_state_dict(net, state), ValueError, "Missing: first.factor, more.1.calls",
               "Unexpected: first.fraction");
  load_state_dict(net, state, /*strict=*/false);
  state = state_dict(net);
  state[2].second = zeros({2, 3});
  EXPECT_ERROR(load_state_dict(net, state), ShapeError, "rest.0.factor (file 2×3, net 1)");
  state[2].second = zeros({1}, DType::int32);
  EXPECT_ERROR(load_state_dict(net, state), DTypeError, "rest.0.factor (file int32, net float32)",
               "floating-point");
  state[2].second = zeros({1}, DType::float64);
  load_state_dict(net, state);
  state.push_back(state[2]);
  EXPECT_ERROR(load_state_dict(net, state), ValueError, "rest.0.factor is given twice");
}

TEST(Module, PrintsAsPyTorchDoes) {
  Sequential net{Scale(), Sequential{Scale()}};
  EXPECT_EQ(describe(net),
            "Sequential(\n"
            "  (0): Scale(2)\n"
            "  (1): Sequential(\n"
            "    (0): Scale(2)\n"
            "  )\n"
            ")");
}

TEST(Module, PrintsTheNamesOfVectorsOfModules) {
  Pair net;
  const std::string text = describe(net);
  EXPECT_NE(text.find("(more.0): Scale"), std::string::npos) << text;
  EXPECT_NE(text.find("(more.1): Scale"), std::string::npos) << text;
}

TEST(Sequential, TakesAnyCallable) {
  Sequential net{Scale(), [](const Tensor& x) { return full({1}, x.item() + 1); }};
  EXPECT_EQ(net(full({1}, 10)).item(), 21);
}

TEST(Sequential, RefusesNamesThatWouldBreakPaths) {
  Sequential net;
  net.add("stem", Scale());
  EXPECT_ERROR(net.add("stem", Scale()), ValueError, "'stem'");
  EXPECT_ERROR(net.add("a.b", Scale()), ValueError, "no dot");
  EXPECT_ERROR(net[3], ValueError, "no child 3 among 1");
}

}  // namespace
}  // namespace convkit::nn
