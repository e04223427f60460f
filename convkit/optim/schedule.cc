#include "convkit/optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace convkit::optim {
namespace {

double interpolate(double from, double to, double part, Anneal how) {
  if (how == Anneal::linear) return from + (to - from) * part;
  return to + (from - to) / 2 * (1 + std::cos(std::numbers::pi * part));
}

void check_per_group(const char* what, const PerGroup& values, std::size_t groups) {
  const std::size_t count = values.values().size();
  CONVKIT_CHECK(count == 1 || count == groups, ValueError, "OneCycleLR: ", what, " has ", count,
                " values; one for all or one for each of the ", groups,
                " parameter groups is needed");
}

}  // namespace

GroupRates StepLR::at(int64_t step, double base_lr, std::size_t) const {
  const int64_t periods = step / step_size;
  return {base_lr * std::pow(gamma, static_cast<double>(periods)), {}};
}

void StepLR::check(std::size_t) const {
  CONVKIT_CHECK(step_size >= 1, ValueError, "StepLR: step_size (", step_size,
                ") is required and must be at least 1");
}

GroupRates MultiStepLR::at(int64_t step, double base_lr, std::size_t) const {
  const auto passed = std::count_if(milestones.begin(), milestones.end(),
                                    [=](int64_t milestone) { return milestone <= step; });
  return {base_lr * std::pow(gamma, static_cast<double>(passed)), {}};
}

void MultiStepLR::check(std::size_t) const {
  for (const int64_t milestone : milestones)
    CONVKIT_CHECK(milestone >= 1, ValueError, "MultiStepLR: milestone ", milestone,
                  " must be at least 1");
}

GroupRates ExponentialLR::at(int64_t step, double base_lr, std::size_t) const {
  return {base_lr * std::pow(gamma, static_cast<double>(step)), {}};
}

void ExponentialLR::check(std::size_t) const {
  CONVKIT_CHECK(gamma > 0, ValueError, "ExponentialLR: gamma (", gamma,
                ") is required and must be above 0, e.g. 0.95");
}

GroupRates CosineAnnealingLR::at(int64_t step, double base_lr, std::size_t) const {
  const double part = static_cast<double>(step) / static_cast<double>(T_max);
  return {interpolate(base_lr, eta_min, part, Anneal::cos), {}};
}

void CosineAnnealingLR::check(std::size_t) const {
  CONVKIT_CHECK(T_max >= 1, ValueError, "CosineAnnealingLR: T_max (", T_max,
                ") is required and must be at least 1");
}

GroupRates LinearLR::at(int64_t step, double base_lr, std::size_t) const {
  const double part =
      static_cast<double>(std::min(step, total_iters)) / static_cast<double>(total_iters);
  return {base_lr * interpolate(start_factor, end_factor, part, Anneal::linear), {}};
}

void LinearLR::check(std::size_t) const {
  CONVKIT_CHECK(start_factor > 0 && start_factor <= 1, ValueError, "LinearLR: start_factor (",
                start_factor, ") must be above 0 and at most 1");
  CONVKIT_CHECK(end_factor >= 0 && end_factor <= 1, ValueError, "LinearLR: end_factor (",
                end_factor, ") must be between 0 and 1");
  CONVKIT_CHECK(total_iters >= 1, ValueError, "LinearLR: total_iters (", total_iters,
                ") must be at least 1");
}

GroupRates OneCycleLR::at(int64_t step, double, std::size_t group) const {
  struct Phase {
    double end;  // the step in which it arrives
    double from_lr, to_lr;
    double from_momentum, to_momentum;
  };
  const int64_t steps = total_steps > 0 ? total_steps : epochs * steps_per_epoch;
  const auto total = static_cast<double>(steps);
  const double highest = max_lr[group];
  const double initial = highest / div_factor;
  const double lowest = initial / final_div_factor;
  const double heavy = max_momentum[group];
  const double light = base_momentum[group];
  const Phase rise{pct_start * total - 1, initial, highest, heavy, light};
  std::vector<Phase> phases;
  if (three_phase) {
    phases = {rise,
              {2 * pct_start * total - 2, highest, initial, light, heavy},
              {total - 1, initial, lowest, heavy, heavy}};
  } else {
    phases = {rise, {total - 1, highest, lowest, light, heavy}};
  }
  const double now = std::min(static_cast<double>(step), total - 1);
  double begin = 0;
  std::size_t i = 0;
  while (i + 1 < phases.size() && now > phases[i].end) begin = phases[i++].end;
  const Phase& phase = phases[i];
  // A phase of no length (one step in all) has arrived.
  const double length = phase.end - begin;
  const double part = length == 0 ? 1 : (now - begin) / length;
  GroupRates rates{interpolate(phase.from_lr, phase.to_lr, part, anneal_strategy), {}};
  if (cycle_momentum)
    rates.momentum = interpolate(phase.from_momentum, phase.to_momentum, part, anneal_strategy);
  return rates;
}

void OneCycleLR::check(std::size_t groups) const {
  CONVKIT_CHECK(!max_lr.values().empty(), ValueError, "OneCycleLR: max_lr is required");
  check_per_group("max_lr", max_lr, groups);
  check_per_group("base_momentum", base_momentum, groups);
  check_per_group("max_momentum", max_momentum, groups);
  CONVKIT_CHECK(total_steps >= 1 || (total_steps == 0 && epochs >= 1 && steps_per_epoch >= 1),
                ValueError, "OneCycleLR: total_steps (", total_steps,
                ") must be at least 1, or epochs (", epochs, ") and steps_per_epoch (",
                steps_per_epoch, ") both");
  CONVKIT_CHECK(pct_start >= 0 && pct_start <= 1, ValueError, "OneCycleLR: pct_start (", pct_start,
                ") must be between 0 and 1");
  CONVKIT_CHECK(div_factor > 0 && final_div_factor > 0, ValueError, "OneCycleLR: div_factor (",
                div_factor, ") and final_div_factor (", final_div_factor, ") must be above 0");
}

GroupRates Schedule::at(int64_t step, double base_lr, std::size_t group) const {
  CONVKIT_CHECK(step >= 0, ValueError, "schedule: step ", step, " is before the first, 0");
  return at_(step, base_lr, group);
}

GroupRates SequentialLR::at(int64_t step, double base_lr, std::size_t group) const {
  const auto next = std::upper_bound(milestones.begin(), milestones.end(), step);
  const int64_t begin = next == milestones.begin() ? 0 : *std::prev(next);
  const auto index = static_cast<std::size_t>(next - milestones.begin());
  return schedulers[index].at(step - begin, base_lr, group);
}

void SequentialLR::check(std::size_t groups) const {
  CONVKIT_CHECK(!schedulers.empty() && schedulers.size() == milestones.size() + 1, ValueError,
                "SequentialLR: ", schedulers.size(), " schedulers need one milestone less, not ",
                milestones.size());
  for (std::size_t i = 0; i < milestones.size(); ++i)
    CONVKIT_CHECK(milestones[i] > (i == 0 ? 0 : milestones[i - 1]), ValueError,
                  "SequentialLR: milestones ", milestones, " must be positive and grow");
  for (const Schedule& schedule : schedulers) schedule.check(groups);
}

Schedule warm_up_cosine(const WarmUpCosine& options) {
  CONVKIT_CHECK(options.warm_up >= 0 && options.total > options.warm_up, ValueError,
                "warm_up_cosine: warm_up (", options.warm_up,
                ") must be at least 0 and below total (", options.total, ")");
  const CosineAnnealingLR cosine{.T_max = options.total - options.warm_up,
                                 .eta_min = options.eta_min};
  if (options.warm_up == 0) return cosine;
  const LinearLR rise{.start_factor = options.start_factor, .total_iters = options.warm_up};
  return SequentialLR{.schedulers = {rise, cosine}, .milestones = {options.warm_up}};
}

LrScheduler::LrScheduler(Optimizer& optimizer, Schedule schedule)
    : optimizer_(&optimizer), schedule_(std::move(schedule)) {
  schedule_.check(optimizer.group_count());
  set_step_count(0);
}

void LrScheduler::set_step_count(int64_t step_count) {
  for (std::size_t group = 0; group < optimizer_->group_count(); ++group) {
    const GroupRates rates = schedule_.at(step_count, optimizer_->initial_lr(group), group);
    optimizer_->set_lr(rates.lr, group);
    if (rates.momentum) optimizer_->set_momentum(*rates.momentum, group);
  }
  step_count_ = step_count;
}

std::vector<double> LrScheduler::last_lrs() const {
  std::vector<double> rates;
  for (std::size_t group = 0; group < optimizer_->group_count(); ++group)
    rates.push_back(optimizer_->lr(group));
  return rates;
}

}  // namespace convkit::optim
