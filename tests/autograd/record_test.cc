#include "convkit/autograd/record.h"

#include <gtest/gtest.h>

#include <thread>

#include "convkit/autograd/engine.h"
#include "convkit/base/scope.h"
#include "tests/autograd/toy_ops.h"
#include "tests/support/throws.h"

namespace convkit::autograd {
namespace {

using namespace toy;

TEST(Record, MarksOutputsOfWhatRequiresGradients) {
  const Tensor a = leaf({1});
  const Tensor constant = ones({1});
  const Tensor y = add(constant, a);
  EXPECT_TRUE(y.requires_grad());
  EXPECT_FALSE(y.is_leaf());
  EXPECT_TRUE(a.is_leaf());
  const Tensor z = add(constant, constant);
  EXPECT_FALSE(z.requires_grad());
  EXPECT_TRUE(z.is_leaf());
  EXPECT_FALSE(y.detach().requires_grad());
  EXPECT_FALSE(y.clone().requires_grad());
}

TEST(Record, RefusesAnInputAsOutput) {
  const Tensor a = leaf({1});
  const auto pass = [](const Tensor& g, Needs) -> Gradients { return {g}; };
  EXPECT_ERROR(record("same", {a}, a, pass), GradError, "same: its output is its input");
  EXPECT_TRUE(a.is_leaf());
  EXPECT_NO_THROW(record("same", {ones({1})}, ones({1}), pass));
}

TEST(Record, RefusesMoreInputsThanItCanMark) {
  const std::vector<Tensor> inputs(65, leaf({1}));
  const auto none = [](const Tensor&, Needs) -> Gradients { return {}; };
  EXPECT_ERROR(record("cat", inputs, ones({1}), none), GradError, "cat: 65 inputs", "64");
  std::vector<Tensor> most(64, ones({1}));
  most[63] = leaf({1});
  bool needed = false;
  const Tensor y = record("cat", most, ones({1}), [&](const Tensor& g, Needs needs) -> Gradients {
    needed = needs[63] && !needs[62];
    Gradients grads(64);
    grads[63] = g;
    return grads;
  });
  y.backward();
  EXPECT_TRUE(needed);
  EXPECT_EQ(grad_of(most[63]), Floats{1});
}

TEST(SetRequiresGrad, IsForLeaves) {
  Tensor y = scale(leaf({1}), 2);
  EXPECT_ERROR(y.set_requires_grad(false), GradError, "only be set on a leaf", "detach()");
  EXPECT_ERROR(y.set_requires_grad(true), GradError, "leaf");
}

TEST(NoGrad, RecordsNothingWhileItLives) {
  const Tensor a = leaf({1});
  {
    const NoGradGuard guard;
    EXPECT_FALSE(grad_enabled());
    EXPECT_FALSE(scale(a, 2).requires_grad());
    EXPECT_FALSE(will_record({a}));
    { const NoGradGuard nested; }
    EXPECT_FALSE(grad_enabled());
  }
  EXPECT_TRUE(grad_enabled());
  EXPECT_TRUE(scale(a, 2).requires_grad());
  EXPECT_TRUE(will_record({ones({1}), a}));
  EXPECT_FALSE(will_record({ones({1}), Tensor()}));
}

TEST(NoGrad, EndsWithAnExceptionAndBelongsToItsThread) {
  try {
    const NoGradGuard guard;
    std::thread([] { EXPECT_TRUE(grad_enabled()); }).join();
    throw ValueError("x");
  } catch (const ValueError&) {
    EXPECT_TRUE(grad_enabled());
  }
}

TEST(InPlace, ChangesTheTensorAndItsGradient) {
  const Tensor a = leaf({1, 2});
  Tensor y = scale(a, 3);
  const float* memory = y.data<float>();
  scale_in_place(y, 5);
  EXPECT_EQ(y.data<float>(), memory);
  EXPECT_EQ(y.to_vector<float>(), (Floats{15, 30}));
  sum(y).backward();
  EXPECT_EQ(grad_of(a), (Floats{15, 15}));
}

TEST(InPlace, IsRefusedOnALeafThatCollectsAGradient) {
  Tensor a = leaf({1, 2});
  EXPECT_ERROR(scale_in_place(a, 2), GradError, "scale_: a leaf of shape 2", "NoGradGuard");
  EXPECT_EQ(a.to_vector<float>(), (Floats{1, 2}));
  {
    const NoGradGuard guard;
    scale_in_place(a, 2);
  }
  EXPECT_EQ(a.to_vector<float>(), (Floats{2, 4}));
  Tensor constant = ones({1});
  EXPECT_NO_THROW(scale_in_place(constant, 2));
}

TEST(InPlace, IsRefusedOnMemoryThatAnotherRecordedTensorShares) {
  const Tensor a = leaf({1, 2, 3, 4});
  Tensor y = scale(a, 1);
  Tensor view = reshape(y, {2, 2});
  EXPECT_ERROR(scale_in_place(view, 2), GradError, "2×2", "shares its memory");
  EXPECT_ERROR(scale_in_place(y, 2), GradError, "shape 4", "shares its memory");
}

TEST(InPlace, MakesABackwardThatNeedsTheOldValuesRefuse) {
  const Tensor a = leaf({1, 2});
  Tensor y = scale(a, 1);
  const Tensor z = mul(y, y);  // keeps y
  scale_in_place(y, 2);
  EXPECT_ERROR(sum(z).backward(), GradError, "mul: a tensor of shape 2", "changed in place",
               "version 1, saved at version 0", "out-of-place");
}

TEST(InPlace, OnAnOutputThatItsOwnOperationKeepsIsNoticed) {
  const Tensor a = leaf({1, 2});
  Tensor y = exp(a);
  scale_in_place(y, 2);
  EXPECT_ERROR(sum(y).backward(), GradError, "exp: a tensor of shape 2", "changed in place");
}

TEST(InPlace, IsFineWhereNobodyNeedsTheOldValues) {
  const Tensor a = leaf({1, 2});
  Tensor y = exp(a);
  Tensor z = scale(y, 3);
  scale_in_place(z, 2);
  sum(z).backward();
  EXPECT_FLOAT_EQ(a.grad().to_vector<float>()[0], 6 * std::exp(1.0F));
}

TEST(Saved, NoticesEveryWayOfChangingTheElements) {
  using Change = void (*)(Tensor&);
  const Change changes[] = {
      [](Tensor& t) { t.fill(3); },
      [](Tensor& t) { t.copy_from(zeros(t.shape())); },
      [](Tensor& t) {
        t.mutable_data<float>()[0] = 7;
        t.bump_version();
      },
      [](Tensor& t) { t.detach().fill(1); },
  };
  for (const Change change : changes) {
    Tensor t = ones({2});
    const Saved saved(t);
    EXPECT_EQ(saved.get().at({0}), 1);
    change(t);
    EXPECT_ERROR(saved.get(), GradError, "changed in place afterwards");
  }
}

TEST(Saved, MayHoldNothing) {
  EXPECT_FALSE(Saved().get().defined());
  EXPECT_FALSE(Saved(Tensor()).get().defined());
}

TEST(Saved, DoesNotKeepATapeAlive) {
  const Tensor a = leaf({1});
  std::weak_ptr<int> alive;
  Saved saved;
  {
    auto token = std::make_shared<int>(0);
    alive = token;
    const Tensor y = record("hold", {a}, a.clone(),
                            [token](const Tensor& g, Needs) -> Gradients { return {g}; });
    saved = Saved(y);
    EXPECT_FALSE(saved.get().requires_grad());
  }
  EXPECT_TRUE(alive.expired());
}

struct Seen {
  std::string op;
  std::string path;
  std::vector<bool> defined;
  Shape output;
  double factor = 0;
};

class Recorder final : public Tracer {
 public:
  void on_operation(const Event& event) override {
    Seen seen{event.op.name, event.path, {}, event.output.shape(), 0};
    for (const Tensor& input : event.inputs) seen.defined.push_back(input.defined());
    if (const auto* factor = std::any_cast<double>(&event.op.attributes)) seen.factor = *factor;
    operations.push_back(std::move(seen));
    scale(ones({1}), 2);  // what a tracer computes is not traced
  }
  std::vector<Seen> operations;
};

TEST(Tracer, SeesEveryOperationWithOrWithoutGradients) {
  const std::string path = "head.fc";
  const Tensor a = leaf({1, 2});
  Recorder recorder;
  {
    const TraceScope scope(recorder);
    const Tensor y = scale(a, 3);
    {
      const NoGradGuard guard;
      const Scope layer(path);
      sum(y);
    }
    record("optional", {y, Tensor()}, y.clone(),
           [](const Tensor& g, Needs) -> Gradients { return {g}; });
    Tensor z = scale(y, 1);
    scale_in_place(z, 4);
  }
  scale(a, 9);
  ASSERT_EQ(recorder.operations.size(), 5U);
  EXPECT_EQ(recorder.operations[0].op, "scale");
  EXPECT_EQ(recorder.operations[0].path, "");
  EXPECT_EQ(recorder.operations[0].factor, 3);
  EXPECT_EQ(recorder.operations[1].op, "sum");
  EXPECT_EQ(recorder.operations[1].path, "head.fc");
  EXPECT_EQ(recorder.operations[1].output, Shape());
  EXPECT_EQ(recorder.operations[2].defined, (std::vector<bool>{true, false}));
  EXPECT_EQ(recorder.operations[4].op, "scale_");
}

TEST(Tracer, ScopesNestAndBelongToTheirThread) {
  Recorder outer;
  Recorder inner;
  {
    const TraceScope outer_scope(outer);
    {
      const TraceScope inner_scope(inner);
      scale(ones({1}), 2);
    }
    std::thread([] { scale(ones({1}), 2); }).join();
    add(ones({1}), ones({1}));
  }
  ASSERT_EQ(inner.operations.size(), 1U);
  ASSERT_EQ(outer.operations.size(), 1U);
  EXPECT_EQ(outer.operations[0].op, "add");
}

}  // namespace
}  // namespace convkit::autograd
