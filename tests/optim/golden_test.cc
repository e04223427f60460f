#include "tests/support/golden.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "convkit/optim/adam.h"
#include "convkit/optim/clip.h"
#include "convkit/optim/schedule.h"
#include "convkit/optim/sgd.h"

// Optimisers over ten steps, schedules and clipping against PyTorch 1.13 (tools/golden/topics/
// optim.py), which computed in float64 and stored float32.
namespace convkit::optim {
namespace {

using nlohmann::json;
using test::GoldenFile;

const GoldenFile& golden() {
  static const GoldenFile file("optim");
  return file;
}

template <class T>
void read(const json& from, const char* name, T& into) {
  if (from.contains(name)) into = from.at(name).get<T>();
}

void read_options(const json& from, SGDOptions& o) {
  read(from, "lr", o.lr);
  read(from, "momentum", o.momentum);
  read(from, "dampening", o.dampening);
  read(from, "weight_decay", o.weight_decay);
  read(from, "nesterov", o.nesterov);
  read(from, "maximize", o.maximize);
}

template <class Options>
void read_options(const json& from, Options& o) {
  read(from, "lr", o.lr);
  read(from, "betas", o.betas);
  read(from, "eps", o.eps);
  read(from, "weight_decay", o.weight_decay);
  read(from, "amsgrad", o.amsgrad);
  read(from, "maximize", o.maximize);
}

// Entry `index` along the first axis of a stack.
Tensor entry(const Tensor& stack, int64_t index) {
  const Shape shape = stack.shape().without(0);
  const std::vector<float> all = stack.to_vector<float>();
  const auto begin = all.begin() + index * shape.numel();
  return from_values(std::vector<float>(begin, begin + shape.numel()), shape);
}

template <class Optimizer, class Options>
void expect_steps(const json& golden_case, DType dtype, double absolute) {
  const std::string name = golden_case.at("name");
  SCOPED_TRACE(name);
  std::vector<Tensor> params;
  for (int i = 0; golden().has(golden_case, "p" + std::to_string(i)); ++i) {
    params.push_back(golden().tensor(golden_case, "p" + std::to_string(i)).to(dtype).clone());
    params.back().set_requires_grad();
  }
  Options defaults;
  read_options(golden_case.at("defaults"), defaults);
  std::vector<ParamGroup<Options>> groups;
  for (const json& described : golden_case.at("groups")) {
    ParamGroup<Options> group{{}, defaults};
    read_options(described, group.options);
    for (const std::size_t i : described.at("params").get<std::vector<std::size_t>>())
      group.params.push_back(params[i]);
    groups.push_back(std::move(group));
  }
  Optimizer optimizer(groups);
  for (int64_t step = 0; step < golden_case.at("steps").get<int64_t>(); ++step) {
    for (std::size_t g = 0; golden_case.contains("lrs") && g < optimizer.group_count(); ++g)
      optimizer.set_lr(golden_case.at("lrs")[static_cast<std::size_t>(step)], g);
    for (std::size_t i = 0; i < params.size(); ++i) {
      const Tensor& grads = golden().tensor(golden_case, "grads_p" + std::to_string(i));
      params[i].set_grad(entry(grads, step).to(dtype));
    }
    optimizer.step();
    for (std::size_t i = 0; i < params.size(); ++i) {
      const Tensor& steps = golden().tensor(golden_case, "steps_p" + std::to_string(i));
      // Relative: half a unit in the last place of the stored float32.
      test::expect_close(params[i], entry(steps, step), absolute, 0x1p-24,
                         message("parameter ", i, " after step ", step + 1));
    }
  }
}

template <class Optimizer, class Options>
void expect_all_steps(const std::string& op) {
  for (const json& golden_case : golden().cases_of(op)) {
    // Ten steps of a few roundings each; values stay below 32.
    expect_steps<Optimizer, Options>(golden_case, DType::float64, 100 * 32 * 0x1p-53);
    expect_steps<Optimizer, Options>(golden_case, DType::float32, 10 * 4 * 4 * 0x1p-24);
  }
}

TEST(SgdGolden, MakesPyTorchsSteps) { expect_all_steps<SGD, SGDOptions>("sgd"); }
TEST(AdamGolden, MakesPyTorchsSteps) { expect_all_steps<Adam, AdamOptions>("adam"); }
TEST(AdamWGolden, MakesPyTorchsSteps) { expect_all_steps<AdamW, AdamWOptions>("adamw"); }

PerGroup per_group(const json& value) {
  if (value.is_array()) return value.get<std::vector<double>>();
  return value.get<double>();
}

Schedule schedule_of(const json& c);

Schedule one_cycle_of(const json& c) {
  OneCycleLR schedule{.max_lr = per_group(c.at("max_lr"))};
  read(c, "total_steps", schedule.total_steps);
  read(c, "epochs", schedule.epochs);
  read(c, "steps_per_epoch", schedule.steps_per_epoch);
  read(c, "pct_start", schedule.pct_start);
  read(c, "cycle_momentum", schedule.cycle_momentum);
  read(c, "div_factor", schedule.div_factor);
  read(c, "final_div_factor", schedule.final_div_factor);
  read(c, "three_phase", schedule.three_phase);
  if (c.contains("base_momentum")) schedule.base_momentum = per_group(c.at("base_momentum"));
  if (c.contains("max_momentum")) schedule.max_momentum = per_group(c.at("max_momentum"));
  if (c.value("anneal_strategy", "cos") == "linear") schedule.anneal_strategy = Anneal::linear;
  return schedule;
}

Schedule sequential_of(const json& c) {
  SequentialLR schedule{.schedulers = {}, .milestones = test::int_list(c.at("milestones"))};
  for (const json& part : c.at("schedulers")) schedule.schedulers.push_back(schedule_of(part));
  return schedule;
}

Schedule schedule_of(const json& c) {
  const std::string kind = c.at("kind");
  if (kind == "StepLR") return StepLR{.step_size = c.at("step_size"), .gamma = c.at("gamma")};
  if (kind == "MultiStepLR")
    return MultiStepLR{.milestones = test::int_list(c.at("milestones")), .gamma = c.at("gamma")};
  if (kind == "ExponentialLR") return ExponentialLR{.gamma = c.at("gamma")};
  if (kind == "CosineAnnealingLR")
    return CosineAnnealingLR{.T_max = c.at("T_max"), .eta_min = c.at("eta_min")};
  if (kind == "LinearLR")
    return LinearLR{.start_factor = c.at("start_factor"),
                    .end_factor = c.at("end_factor"),
                    .total_iters = c.at("total_iters")};
  if (kind == "OneCycleLR") return one_cycle_of(c);
  if (kind == "SequentialLR") return sequential_of(c);
  throw std::runtime_error("unknown schedule " + kind);
}

template <class Optimizer, class Options>
void expect_rates(const json& c, Optimizer& optimizer) {
  LrScheduler scheduler(optimizer, schedule_of(c));
  const json& lrs = c.at("lrs");
  for (std::size_t t = 0; t < lrs[0].size(); ++t) {
    for (std::size_t g = 0; g < lrs.size(); ++g) {
      const double expected = lrs[g][t];
      // PyTorch gets most of them by recursion over at most 40 steps: rounding errors add up. On
      // the way to a rate of 0 they are absolute ones, of the size of the first rate's.
      EXPECT_NEAR(optimizer.lr(g), expected, 1e-13 + 1e-12 * expected)
          << c.at("name") << ", step " << t << ", group " << g;
      if (c.contains("momentums") && c.value("cycle_momentum", true)) {
        const double momentum = c.at("momentums")[g][t];
        EXPECT_NEAR(optimizer.momentum(g), momentum, 1e-13)
            << c.at("name") << ", step " << t << ", group " << g;
      }
    }
    scheduler.step();
  }
}

TEST(ScheduleGolden, GivesPyTorchsRatesInEveryStep) {
  for (const json& c : golden().cases_of("schedule")) {
    std::vector<Tensor> params;
    for (std::size_t g = 0; g < c.at("base_lrs").size(); ++g) params.push_back(zeros({1}));
    if (c.at("optimiser") == "sgd") {
      std::vector<SGD::Group> groups;
      for (std::size_t g = 0; g < params.size(); ++g)
        groups.push_back({{params[g]}, {.lr = c.at("base_lrs")[g], .momentum = 0.9}});
      SGD optimizer(groups);
      expect_rates<SGD, SGDOptions>(c, optimizer);
    } else {
      std::vector<Adam::Group> groups;
      for (std::size_t g = 0; g < params.size(); ++g)
        groups.push_back({{params[g]}, {.lr = c.at("base_lrs")[g]}});
      Adam optimizer(groups);
      expect_rates<Adam, AdamOptions>(c, optimizer);
    }
  }
}

std::vector<Tensor> with_gradients(const json& c, DType dtype) {
  std::vector<Tensor> params;
  for (int i = 0; golden().has(c, "g" + std::to_string(i)); ++i) {
    const Tensor& grad = golden().tensor(c, "g" + std::to_string(i));
    params.push_back(zeros(grad.shape(), dtype));
    params.back().set_grad(grad.to(dtype).clone());
  }
  return params;
}

void expect_clipped(const json& c, const std::vector<Tensor>& params, double relative) {
  for (std::size_t i = 0; i < params.size(); ++i)
    test::expect_close(params[i].grad(), golden().tensor(c, "clipped_g" + std::to_string(i)), 0,
                       relative, message(c.at("name").get<std::string>(), ", gradient ", i));
}

TEST(ClipGradNormGolden, ScalesAsPyTorch) {
  for (const json& c : golden().cases_of("clip_grad_norm")) {
    const std::string type = c.at("norm_type");
    const ClipGradNormOptions options{.norm_type = type == "inf" ? INFINITY : std::stod(type)};
    for (const DType dtype : {DType::float32, DType::float64}) {
      const std::vector<Tensor> params = with_gradients(c, dtype);
      const double norm = clip_grad_norm_(params, c.at("max_norm"), options);
      // Stored as float32: half a unit in the last place; float32 gradients round once or twice
      // more.
      EXPECT_NEAR(norm, golden().tensor(c, "total_norm").item(), norm * 0x1p-24) << c.at("name");
      expect_clipped(c, params, dtype == DType::float32 ? 3 * 0x1p-24 : 1.01 * 0x1p-24);
    }
  }
}

TEST(ClipGradValueGolden, ClampsAsPyTorch) {
  for (const json& c : golden().cases_of("clip_grad_value")) {
    for (const DType dtype : {DType::float32, DType::float64}) {
      const std::vector<Tensor> params = with_gradients(c, dtype);
      clip_grad_value_(params, c.at("clip_value"));
      expect_clipped(c, params, 0x1p-24);
    }
  }
}

}  // namespace
}  // namespace convkit::optim
