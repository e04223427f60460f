#include <gtest/gtest.h>

#include <array>

#include "convkit/autograd/record.h"
#include "convkit/base/thread_pool.h"
#include "convkit/optim/adam.h"
#include "convkit/optim/sgd.h"
#include "tests/support/throws.h"

namespace convkit::optim {
namespace {

Tensor param(const Shape& shape, uint64_t seed, DType dtype = DType::float32) {
  Generator generator(seed);
  Tensor tensor = randn(shape, generator, dtype);
  tensor.set_requires_grad();
  return tensor;
}

void give_gradients(std::vector<Tensor>& params, uint64_t seed) {
  Generator generator(seed);
  for (Tensor& p : params) p.set_grad(randn(p.shape(), generator, p.dtype()));
}

// Runs steps `from` … `to` − 1, each with gradients that depend on its number alone.
void train(Optimizer& optimizer, std::vector<Tensor>& params, uint64_t from, uint64_t to) {
  for (uint64_t step = from; step < to; ++step) {
    give_gradients(params, 1000 + step);
    optimizer.step();
  }
}

std::vector<Tensor> some_params() {
  return {param({4, 3, 3, 3}, 1), param({7}, 2, DType::float64), param({2, 5}, 3)};
}

TEST(Optimizer, ReadsLikePyTorch) {
  std::vector<Tensor> weights = {param({3, 2}, 1)};
  std::vector<Tensor> biases = {param({3}, 2)};
  SGD sgd(weights, {.lr = 0.1, .momentum = 0.9, .weight_decay = 5e-4, .nesterov = true});
  Adam adam(weights);
  AdamW adamw(weights, {.lr = 1e-3, .betas = {0.9, 0.95}, .weight_decay = 0.05});
  SGD grouped({{weights, {.lr = 0.1, .weight_decay = 5e-4}}, {biases, {.lr = 0.2}}});
  EXPECT_EQ(grouped.group_count(), 2U);
  EXPECT_EQ(grouped.lr(0), 0.1);
  EXPECT_EQ(grouped.lr(1), 0.2);
  grouped.param_groups()[1].options.momentum = 0.5;
  EXPECT_EQ(grouped.momentum(1), 0.5);
  EXPECT_EQ(adam.lr(), 1e-3);
  EXPECT_EQ(adam.momentum(), 0.9);
  EXPECT_EQ(adamw.param_groups()[0].options.betas[1], 0.95);
  EXPECT_EQ(AdamWOptions{}.weight_decay, 1e-2);
}

TEST(Optimizer, ChangesTheParametersItWasGivenInPlace) {
  Tensor p = from_values<float>({1, 2}, {2});
  p.set_requires_grad();
  const float* memory = p.data<float>();
  SGD sgd({p}, {.lr = 0.5});
  p.set_grad(from_values<float>({2, -4}, {2}));
  sgd.step();
  EXPECT_EQ(p.data<float>(), memory);
  EXPECT_EQ(p.to_vector<float>(), (std::vector<float>{0, 4}));
  EXPECT_TRUE(p.requires_grad());
  EXPECT_TRUE(p.is_leaf());
}

TEST(Optimizer, SkipsParametersWithoutAGradient) {
  std::vector<Tensor> params = {param({3}, 1), param({3}, 2)};
  const Tensor before = params[1].clone();
  AdamW adamw(params, {.lr = 0.1, .weight_decay = 0.5});
  params[0].set_grad(ones({3}));
  adamw.step();
  EXPECT_TRUE(bit_equal(params[1], before)) << "weight decay, too, needs a gradient";
  for (const auto& [name, tensor] : adamw.state_dict()) EXPECT_NE(name, "state.1.step");
  params[1].set_grad(ones({3}));
  adamw.step();
  // Its first step: corrected as the first one, so of size lr, though the group is at its second.
  for (int64_t i = 0; i < 3; ++i)
    EXPECT_NEAR(params[1].at({i}), before.at({i}) * (1 - 0.1 * 0.5) - 0.1, 1e-6);
}

TEST(Optimizer, ZeroGradDropsTheGradients) {
  std::vector<Tensor> params = some_params();
  SGD sgd(params, {.lr = 0.1});
  give_gradients(params, 5);
  sgd.zero_grad();
  for (const Tensor& p : params) EXPECT_FALSE(p.grad().defined());
}

TEST(Optimizer, MakesAStaleTapeRefuseToRun) {
  Tensor w = param({2}, 1);
  const Tensor x = ones({2});
  Tensor y = from_values<float>({w.data<float>()[0] + w.data<float>()[1]}, {});
  y = autograd::record("dot", {w, x}, y,
                       [saved = autograd::Saved(w)](const Tensor&, autograd::Needs) {
                         static_cast<void>(saved.get());
                         return autograd::Gradients{ones({2})};
                       });
  SGD sgd({w}, {.lr = 0.1});
  w.set_grad(ones({2}));
  sgd.step();
  EXPECT_ERROR(y.backward(), GradError, "dot", "changed in place");
}

template <class Optimizer>
class EveryOptimizer : public ::testing::Test {
 public:
  static Optimizer make(std::vector<Tensor>& params);
};
template <>
SGD EveryOptimizer<SGD>::make(std::vector<Tensor>& params) {
  return SGD({{{params[0], params[2]}, {.lr = 0.1, .momentum = 0.9, .weight_decay = 0.01}},
              {{params[1]}, {.lr = 0.05, .momentum = 0.8, .nesterov = true}}});
}
template <>
Adam EveryOptimizer<Adam>::make(std::vector<Tensor>& params) {
  return Adam({{{params[0], params[2]}, {.lr = 0.1, .amsgrad = true}}, {{params[1]}, {}}});
}
template <>
AdamW EveryOptimizer<AdamW>::make(std::vector<Tensor>& params) {
  return AdamW({{{params[0], params[2]}, {.lr = 0.1}}, {{params[1]}, {.betas = {0.5, 0.9}}}});
}
using Optimizers = ::testing::Types<SGD, Adam, AdamW>;
TYPED_TEST_SUITE(EveryOptimizer, Optimizers);

TYPED_TEST(EveryOptimizer, GoesOnBitForBitFromASavedState) {
  std::vector<Tensor> straight = some_params();
  TypeParam whole = TestFixture::make(straight);
  train(whole, straight, 0, 7);

  std::vector<Tensor> params = some_params();
  StateDict saved;
  {
    TypeParam first = TestFixture::make(params);
    train(first, params, 0, 4);
    for (const auto& [name, tensor] : first.state_dict()) saved.emplace_back(name, tensor.clone());
  }
  TypeParam second = TestFixture::make(params);
  second.set_lr(77, 0);  // comes back from the file
  second.load_state_dict(saved);
  train(second, params, 4, 7);
  for (std::size_t i = 0; i < params.size(); ++i) EXPECT_TRUE(bit_equal(params[i], straight[i]));
}

TYPED_TEST(EveryOptimizer, TakesCopiesOfALoadedState) {
  std::vector<Tensor> params = some_params();
  TypeParam optimizer = TestFixture::make(params);
  train(optimizer, params, 0, 2);
  StateDict saved = optimizer.state_dict();
  std::vector<Tensor> others = some_params();
  TypeParam other = TestFixture::make(others);
  other.load_state_dict(saved);
  for (auto& [name, tensor] : saved) tensor.fill(1);
  StateDict kept = other.state_dict();
  ASSERT_EQ(kept.size(), saved.size());
  for (std::size_t i = 0; i < kept.size(); ++i) {
    EXPECT_EQ(kept[i].first, saved[i].first);
    if (kept[i].second.numel() > 1) {
      EXPECT_FALSE(bit_equal(kept[i].second, saved[i].second)) << kept[i].first;
    }
  }
}

TYPED_TEST(EveryOptimizer, GivesTheSameBitsForAnyNumberOfThreads) {
  std::vector<Tensor> reference;
  for (const int threads : {1, 2, 3}) {
    ThreadPool pool(threads);
    const UseThreadPool use(pool);
    std::vector<Tensor> params = {param({50, 17, 10, 10}, 1), param({70001}, 2), param({3}, 3)};
    TypeParam optimizer = TestFixture::make(params);
    train(optimizer, params, 0, 3);
    if (reference.empty()) reference = params;
    for (std::size_t i = 0; i < params.size(); ++i) EXPECT_TRUE(bit_equal(params[i], reference[i]));
  }
}

TYPED_TEST(EveryOptimizer, RefusesAStateThatDoesNotBelongToIt) {
  std::vector<Tensor> params = some_params();
  TypeParam optimizer = TestFixture::make(params);
  train(optimizer, params, 0, 1);
  const StateDict good = optimizer.state_dict();
  const std::string some_state = good.back().first;

  StateDict missing = good;
  missing.erase(missing.begin() + 1);
  EXPECT_ERROR(optimizer.load_state_dict(missing), ValueError, "has no param_groups.0.lr");
  StateDict unexpected = good;
  unexpected.emplace_back("state.9.step", ones({}));
  EXPECT_ERROR(optimizer.load_state_dict(unexpected), ValueError, "1 entries", "state.9.step");
  StateDict twice = good;
  twice.push_back(good.front());
  EXPECT_ERROR(optimizer.load_state_dict(twice), ValueError, "param_groups.0.params twice");
  StateDict misshapen = good;
  misshapen.back().second = ones({1, 1});
  EXPECT_ERROR(optimizer.load_state_dict(misshapen), ShapeError, some_state, "1×1");
  StateDict undefined = good;
  undefined.back().second = Tensor();
  EXPECT_ERROR(optimizer.load_state_dict(undefined), ValueError, some_state, "undefined");
  StateDict other_groups = good;
  other_groups[0].second = full({}, 5, DType::int64);
  EXPECT_ERROR(optimizer.load_state_dict(other_groups), ValueError, "group 0 has 2 parameters",
               "saved one 5");
  StateDict not_a_number = good;
  not_a_number[1].second = ones({2});
  EXPECT_ERROR(optimizer.load_state_dict(not_a_number), ShapeError, "param_groups.0.lr");

  // Nothing was changed by the failures.
  const StateDict now = optimizer.state_dict();
  ASSERT_EQ(now.size(), good.size());
  for (std::size_t i = 0; i < now.size(); ++i)
    EXPECT_TRUE(bit_equal(now[i].second, good[i].second)) << now[i].first;
}

TEST(Optimizer, SavesItsStateUnderStableNames) {
  std::vector<Tensor> params = {param({2}, 1), param({3}, 2)};
  SGD sgd({{{params[0]}, {.lr = 0.1, .momentum = 0.9}}, {{params[1]}, {.lr = 0.2}}});
  train(sgd, params, 0, 1);
  sgd.initial_lr(0);
  std::vector<std::string> names;
  for (const auto& [name, tensor] : sgd.state_dict()) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{
                       "param_groups.0.params", "param_groups.0.lr", "param_groups.0.momentum",
                       "param_groups.0.dampening", "param_groups.0.weight_decay",
                       "param_groups.0.nesterov", "param_groups.0.maximize",
                       "param_groups.0.initial_lr", "state.0.step", "state.0.momentum_buffer",
                       "param_groups.1.params", "param_groups.1.lr", "param_groups.1.momentum",
                       "param_groups.1.dampening", "param_groups.1.weight_decay",
                       "param_groups.1.nesterov", "param_groups.1.maximize", "state.1.step"}));
}

TEST(Optimizer, TakesFurtherGroups) {
  std::vector<Tensor> params = {param({2}, 1), param({3}, 2)};
  Adam adam({params[0]});
  train(adam, params, 0, 2);
  adam.add_param_group({{params[1]}, {.lr = 1}});
  const Tensor before = params[1].clone();
  train(adam, params, 2, 3);
  EXPECT_FALSE(bit_equal(params[1], before));
  EXPECT_ERROR(adam.add_param_group({{params[1]}, {}}), ValueError, "appears twice");
  EXPECT_EQ(adam.group_count(), 2U);
}

TEST(Optimizer, LeavesAnEmptyParameterAlone) {
  Tensor p = zeros({0, 3});
  p.set_requires_grad();
  AdamW adamw({p});
  p.set_grad(zeros({0, 3}));
  EXPECT_NO_THROW(adamw.step());
}

TEST(Optimizer, RefusesWhatCannotBeTrained) {
  const Tensor p = param({2}, 1);
  EXPECT_ERROR(SGD({}, SGDOptions{.lr = 0.1}), ValueError, "group 0 is empty");
  EXPECT_ERROR(SGD(std::vector<SGD::Group>{}), ValueError, "no parameter group");
  EXPECT_ERROR(SGD({p, p}, {.lr = 0.1}), ValueError, "parameter 1 of group 0 (2) appears twice");
  EXPECT_ERROR(SGD({Tensor()}, {.lr = 0.1}), ValueError, "parameter 0", "undefined");
  EXPECT_ERROR(SGD({zeros({2}, DType::int64)}, {.lr = 0.1}), DTypeError, "int64");
  const Tensor computed =
      autograd::record("copy", {p}, p.clone(),
                       [](const Tensor& g, autograd::Needs) -> autograd::Gradients { return {g}; });
  EXPECT_ERROR(SGD({computed}, {.lr = 0.1}), GradError, "only leaves");
}

TEST(Optimizer, RefusesOptionsOutOfRange) {
  const std::vector<Tensor> p = {param({2}, 1)};
  EXPECT_ERROR(SGD(p, {}), ValueError, "lr (-1) is required", ".lr = 0.1");
  EXPECT_ERROR(SGD(p, {.lr = 0.1, .momentum = -1}), ValueError, "momentum (-1)");
  EXPECT_ERROR(SGD(p, {.lr = 0.1, .weight_decay = -2}), ValueError, "weight_decay (-2)");
  EXPECT_ERROR(SGD(p, {.lr = 0.1, .nesterov = true}), ValueError, "nesterov", "momentum 0");
  EXPECT_ERROR(SGD(p, {.lr = 0.1, .momentum = 0.9, .dampening = 0.5, .nesterov = true}), ValueError,
               "dampening 0.5");
  EXPECT_ERROR(Adam(p, {.lr = -0.1}), ValueError, "Adam: lr (-0.1)");
  EXPECT_ERROR(Adam(p, {.betas = {0.9, 1.0}}), ValueError, "betas (0.9, 1)");
  EXPECT_ERROR(AdamW(p, {.betas = {-0.1, 0.9}}), ValueError, "AdamW: betas (-0.1, 0.9)");
  EXPECT_ERROR(AdamW(p, {.eps = -1}), ValueError, "eps (-1)");
  EXPECT_ERROR(AdamW(p, {.weight_decay = -1}), ValueError, "weight_decay (-1)");
  SGD sgd(p, {.lr = 0.1});
  EXPECT_ERROR(sgd.lr(1), ValueError, "no parameter group 1", "there are 1");
}

}  // namespace
}  // namespace convkit::optim
