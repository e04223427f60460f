#include <gtest/gtest.h>

#include <thread>

#include "convkit/autograd/engine.h"
#include "convkit/base/memory.h"
#include "convkit/base/scope.h"
#include "convkit/base/thread_pool.h"
#include "tests/autograd/toy_ops.h"
#include "tests/support/throws.h"

namespace convkit::autograd {
namespace {

using namespace toy;

TEST(Backward, CarriesTheGradientToEveryLeaf) {
  const Tensor a = leaf({1, 2});
  const Tensor b = leaf({3, 5});
  sum(mul(a, scale(b, 2))).backward();
  EXPECT_EQ(grad_of(a), (Floats{6, 10}));
  EXPECT_EQ(grad_of(b), (Floats{2, 4}));
}

TEST(Backward, SumsOverASharedSubexpression) {
  const Tensor a = leaf({2, 3});
  const Tensor b = mul(a, a);                     // a²
  const Tensor c = add(mul(b, b), scale(b, 10));  // a⁴ + 10a²
  sum(c).backward();
  EXPECT_EQ(grad_of(a), (Floats{4 * 8 + 20 * 2, 4 * 27 + 20 * 3}));
}

TEST(Backward, SumsOverATensorUsedTwiceByOneOperation) {
  const Tensor a = leaf({3});
  sum(add(a, a)).backward();
  EXPECT_EQ(grad_of(a), Floats{2});
  const Tensor b = leaf({3});
  sum(mul(b, b)).backward();
  EXPECT_EQ(grad_of(b), Floats{6});
}

TEST(Backward, RunsEachSharedOperationOnce) {
  const Tensor a = leaf({1});
  int runs = 0;
  Tensor x = record("count", {a}, a.clone(), [&runs](const Tensor& g, Needs) -> Gradients {
    ++runs;
    return {g};
  });
  // 2³⁰ paths lead back to `count`.
  for (int i = 0; i < 30; ++i) x = add(x, x);
  sum(x).backward();
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(grad_of(a), Floats{0x1p30F});
}

TEST(Backward, AddsToTheGradientThatIsThere) {
  const Tensor a = leaf({1, 2});
  for (int i = 0; i < 3; ++i) sum(scale(a, 2)).backward();
  EXPECT_EQ(grad_of(a), (Floats{6, 6}));
}

TEST(Backward, LeavesTheUsersHandleOnAnEarlierGradientAlone) {
  Tensor a = leaf({1, 2});
  sum(scale(a, 2)).backward();
  const Tensor kept = a.grad();  // NOLINT(performance-unnecessary-copy-initialization): the point
  sum(scale(a, 3)).backward();
  EXPECT_EQ(kept.to_vector<float>(), (Floats{2, 2}));
  EXPECT_EQ(grad_of(a), (Floats{5, 5}));
}

TEST(Backward, GivesEveryLeafAGradientOfItsOwn) {
  Tensor a = leaf({1, 2});
  Tensor b = leaf({3, 4});
  const Tensor seed = ones({2});
  backward(add(a, b), seed);
  Tensor grad = a.grad();
  grad.fill(100);
  EXPECT_EQ(grad_of(b), (Floats{1, 1}));
  EXPECT_EQ(seed.to_vector<float>(), (Floats{1, 1}));
}

TEST(Backward, DoesNotWriteIntoAGradientThatANeighbourStillNeeds) {
  // c receives g from two additions; summing in place would change what a and b receive.
  const Tensor a = leaf({1});
  const Tensor b = leaf({2});
  const Tensor c = scale(a, 1);
  const Tensor d = scale(b, 1);
  const Tensor e = add(c, d);  // c and d share one gradient
  const Tensor f = add(e, c);
  const Tensor g = add(f, d);
  sum(add(g, c)).backward();
  EXPECT_EQ(grad_of(a), Floats{3});
  EXPECT_EQ(grad_of(b), Floats{2});
}

TEST(Backward, DoesNotAliasGradientsThroughReshape) {
  const Tensor a = leaf({1, 2, 3, 4});
  const Tensor b = leaf({1, 1, 1, 1});
  const Tensor both = add(reshape(a, {2, 2}), reshape(b, {2, 2}));
  backward(both, ones({2, 2}));
  Tensor grad = a.grad();
  grad.fill(9);
  EXPECT_EQ(grad_of(b), (Floats{1, 1, 1, 1}));
}

TEST(Backward, OfALeafIsItsSeed) {
  const Tensor a = leaf({7});
  a.backward();
  EXPECT_EQ(grad_of(a), Floats{1});
  const Tensor seed = full({1}, 5);
  backward(a, seed);
  EXPECT_EQ(grad_of(a), Floats{6});
  EXPECT_EQ(seed.item(), 5);
}

TEST(Backward, TakesAGradientOfTheOutputsShape) {
  const Tensor a = leaf({1, 2});
  const Tensor y = scale(a, 3);
  EXPECT_ERROR(y.backward(), GradError, "output is 2", "only a scalar");
  EXPECT_ERROR(backward(y, ones({3})), GradError, "gradient is 3 float32", "output 2 float32");
  EXPECT_ERROR(backward(y, ones({2}, DType::float64)), GradError, "float64");
  backward(y, from_values<float>({1, 10}, {2}));
  EXPECT_EQ(grad_of(a), (Floats{3, 30}));
}

TEST(Backward, WorksInFloat64) {
  Tensor a = from_values<double>({0.5}, {1});
  a.set_requires_grad();
  sum(exp(a)).backward();
  EXPECT_DOUBLE_EQ(a.grad().item(), std::exp(0.5));
}

TEST(Backward, SkipsInputsThatNeedNoGradient) {
  const Tensor a = leaf({2});
  const Tensor constant = from_values<float>({3}, {1});
  std::vector<bool> seen;
  const Tensor y = record("three", {constant, a, Tensor()}, a.clone(),
                          [&](const Tensor& g, Needs needs) -> Gradients {
                            seen = {needs[0], needs[1], needs[2]};
                            return {g, g, Tensor()};
                          });
  y.backward();
  EXPECT_EQ(seen, (std::vector<bool>{false, true, false}));
  EXPECT_FALSE(constant.grad().defined());
  EXPECT_TRUE(a.grad().defined());
}

TEST(Backward, AllowsAnOperationToGiveNoGradient) {
  const Tensor a = leaf({2});
  const Tensor y =
      record("stop", {a}, a.clone(), [](const Tensor&, Needs) -> Gradients { return {Tensor()}; });
  y.backward();
  EXPECT_FALSE(a.grad().defined());
  const Tensor z =
      record("none", {a}, a.clone(), [](const Tensor&, Needs) -> Gradients { return {}; });
  z.backward();
  EXPECT_FALSE(a.grad().defined());
}

TEST(Backward, RefusesASecondRunOverTheSameTape) {
  const std::string path = "stem.conv";
  const Tensor a = leaf({1, 2});
  Tensor y;
  {
    const Scope scope(path);
    y = mul(a, a);
  }
  const Tensor loss = sum(y);
  loss.backward();
  EXPECT_ERROR(loss.backward(), GradError, "sum: backward ran over this part", "retain_graph");
  EXPECT_ERROR(sum(y).backward(), GradError, "stem.conv: mul: backward ran over this part");
  EXPECT_EQ(grad_of(a), (Floats{2, 4})) << "a refused run adds nothing";
}

TEST(Backward, RunsAgainWhenTheGraphIsRetained) {
  const Tensor a = leaf({1, 2});
  const Tensor loss = sum(mul(a, a));
  backward(loss, Tensor(), {.retain_graph = true});
  backward(loss, Tensor(), {.retain_graph = true});
  loss.backward();
  EXPECT_EQ(grad_of(a), (Floats{6, 12}));
  EXPECT_ERROR(loss.backward(), GradError, "backward ran");
}

TEST(Backward, RefusesWhatWasNotRecorded) {
  EXPECT_ERROR(ones({}).backward(), GradError, "not recorded", "NoGradGuard");
  const Tensor a = leaf({1});
  EXPECT_ERROR(scale(a, 2).detach().backward(), GradError, "not recorded");
  const NoGradGuard guard;
  EXPECT_ERROR(scale(a, 2).backward(), GradError, "not recorded");
}

TEST(Backward, RefusesGradientsThatDoNotFit) {
  const Tensor a = leaf({1, 2});
  const auto give = [&](const Gradients& grads) {
    return record("wrong", {a}, a.clone(),
                  [grads](const Tensor&, Needs) -> Gradients { return grads; });
  };
  EXPECT_ERROR(backward(give({ones({3})}), ones({2})), GradError, "wrong: the gradient of input 0",
               "is 3", "was 2");
  EXPECT_ERROR(backward(give({ones({2}), ones({2})}), ones({2})), GradError,
               "wrong: its backward gave 2 gradients for 1 inputs");
}

TEST(Backward, NamesTheLayerInErrorsOfItsOperations) {
  const std::string path = "layer3.1.conv2";
  const Tensor a = leaf({1});
  Tensor y;
  {
    const Scope scope(path);
    y = record("bad", {a}, a.clone(),
               [](const Tensor&, Needs) -> Gradients { throw ValueError("bad gradient"); });
  }
  EXPECT_ERROR(y.backward(), ValueError, "layer3.1.conv2: bad gradient");
  EXPECT_EQ(Scope::current_path(), "");
}

TEST(Backward, RecordsNothingItself) {
  const Tensor a = leaf({1});
  bool recording = true;
  const Tensor y = record("look", {a}, a.clone(), [&](const Tensor& g, Needs) -> Gradients {
    recording = grad_enabled();
    return {g};
  });
  y.backward();
  EXPECT_FALSE(recording);
  EXPECT_TRUE(grad_enabled());
  EXPECT_FALSE(a.grad().requires_grad());
}

TEST(Backward, OfADeepChainNeedsNoStack) {
  const Tensor a = leaf({1});
  Tensor x = a;
  for (int i = 0; i < 200000; ++i) x = scale(x, 1);
  sum(x).backward();
  EXPECT_EQ(grad_of(a), Floats{1});
}

TEST(Tape, OfADeepChainIsReleasedWithoutTheStack) {
  const std::size_t before = allocated_bytes();
  {
    const Tensor a = leaf({1});
    Tensor x = a;
    for (int i = 0; i < 200000; ++i) x = exp(scale(x, 0.1));  // each saves a tensor
    Tensor retained = a;
    for (int i = 0; i < 50000; ++i) retained = scale(retained, 1);
    backward(retained, Tensor(), {.retain_graph = true});
  }
  EXPECT_EQ(allocated_bytes(), before);
}

TEST(Tape, OfABranchingNetIsReleased) {
  const std::size_t before = allocated_bytes();
  {
    const Tensor a = leaf({1, 2, 3});
    Tensor x = a;
    for (int i = 0; i < 1000; ++i) x = mul(add(x, a), scale(x, 0.5));
    const Tensor held = scale(x, 2);
  }
  EXPECT_EQ(allocated_bytes(), before);
}

TEST(Backward, LetsGoOfWhatOperationsKept) {
  const Tensor a = leaf(Floats(1000, 0.5F));
  const std::size_t before = allocated_bytes();
  const Tensor y = sum(exp(scale(a, 1)));
  EXPECT_GE(allocated_bytes(), before + 4000) << "exp keeps its output";
  y.backward();
  EXPECT_LE(allocated_bytes(), before + 4096 + 64 * 2) << "the gradient and the scalar only";
}

TEST(Backward, GivesTheMemoryOfWhatAnOperationKeptOnlyWhereNobodyNeedsItAgain) {
  for (const bool held : {true, false})
    for (const bool retained : {true, false}) {
      const Tensor leaf = ones({4}).set_requires_grad();
      Tensor kept = full({4}, 3.0);
      const float* const memory = kept.data<float>();
      const float* given = nullptr;
      const Tensor y =
          record("keeps", {leaf}, ones({4}), [saved = Saved(kept), &given](const Tensor&, Needs) {
            const Tensor dx = memory_for_gradient(saved);
            given = dx.data<float>();
            return Gradients{dx};
          });
      if (!held) kept = Tensor();
      backward(y, ones({4}), {.retain_graph = retained});
      EXPECT_EQ(given == memory, !held && !retained) << held << retained;
    }
}

TEST(Backward, RunsOnSeveralThreadsOverTapesOfTheirOwn) {
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (int repeat = 0; repeat < 50; ++repeat) {
        const Tensor a = leaf({static_cast<float>(t), 1});
        Tensor x = a;
        for (int i = 0; i < 10; ++i) x = add(x, a);
        sum(mul(x, x)).backward();  // 121 a²
        ASSERT_EQ(grad_of(a), (Floats{242.0F * static_cast<float>(t), 242}));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(Backward, FlushesSubnormalsAndRestoresTheCallersMode) {
  const Tensor a = leaf({1});
  backward(scale(scale(a, 1e-20), 1e-10), full({1}, 1e-10));
  EXPECT_EQ(grad_of(a), Floats{0}) << "1e-40 is subnormal";
  volatile float small = 1e-30F;
  EXPECT_NE(small * 1e-10F, 0);
}

}  // namespace
}  // namespace convkit::autograd
