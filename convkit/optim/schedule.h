#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <utility>
#include <vector>

#include "convkit/optim/optimizer.h"

/// Learning rates over time. A schedule is a plain value with PyTorch's name, options and formula:
/// its rate in step t (after t calls of LrScheduler::step) is a function of t alone, so that to
/// resume is to set t. Steps are whatever the caller counts, epochs or batches.
///
///   optim::LrScheduler scheduler(optimizer, optim::CosineAnnealingLR{.T_max = 90});
///   for each epoch { train(); scheduler.step(); }
namespace convkit::optim {

/// What a schedule sets in one parameter group.
struct GroupRates {
  double lr = 0;
  std::optional<double> momentum;  ///< SGD's momentum or Adam's beta1, where the schedule moves it
};

/// lr = base · gamma^⌊t / step_size⌋
struct CONVKIT_API StepLR {
  int64_t step_size = 0;  ///< required; ≥ 1
  double gamma = 0.1;
  GroupRates at(int64_t step, double base_lr, std::size_t group) const;
  void check(std::size_t groups) const;
};

/// lr = base · gamma^(number of milestones ≤ t); a milestone may be listed more than once.
struct CONVKIT_API MultiStepLR {
  std::vector<int64_t> milestones;  ///< in any order
  double gamma = 0.1;
  GroupRates at(int64_t step, double base_lr, std::size_t group) const;
  void check(std::size_t groups) const;
};

/// lr = base · gamma^t
struct CONVKIT_API ExponentialLR {
  double gamma = 0;  ///< required; > 0
  GroupRates at(int64_t step, double base_lr, std::size_t group) const;
  void check(std::size_t groups) const;
};

/// lr = eta_min + (base − eta_min)·(1 + cos(π·t / T_max)) / 2; beyond T_max it rises again
/// (Loshchilov and Hutter, "SGDR", ICLR 2017, without restarts).
struct CONVKIT_API CosineAnnealingLR {
  int64_t T_max = 0;  ///< required; ≥ 1
  double eta_min = 0;
  GroupRates at(int64_t step, double base_lr, std::size_t group) const;
  void check(std::size_t groups) const;
};

/// lr = base·(start_factor + (end_factor − start_factor)·min(t, total_iters) / total_iters):
/// a warm-up with the default end_factor.
struct CONVKIT_API LinearLR {
  double start_factor = 1.0 / 3;  ///< in (0, 1]
  double end_factor = 1;          ///< in [0, 1]
  int64_t total_iters = 5;        ///< ≥ 1
  GroupRates at(int64_t step, double base_lr, std::size_t group) const;
  void check(std::size_t groups) const;
};

/// One number for all parameter groups, or one for each.
class PerGroup {
 public:
  PerGroup() = default;
  PerGroup(double all) : values_{all} {}  // NOLINT(google-explicit-constructor): .max_lr = 0.1
  PerGroup(std::initializer_list<double> each) : values_(each) {}
  PerGroup(std::vector<double> each)  // NOLINT(google-explicit-constructor)
      : values_(std::move(each)) {}
  const std::vector<double>& values() const { return values_; }
  double operator[](std::size_t group) const {
    return values_.size() == 1 ? values_[0] : values_.at(group);
  }

 private:
  std::vector<double> values_;
};

enum class Anneal { cos, linear };

/// Smith and Topin, "Super-convergence" (2017): from max_lr / div_factor up to max_lr in the first
/// pct_start of all steps, then down to (max_lr / div_factor) / final_div_factor at the last one;
/// the momentum moves the other way. With three phases it first falls as long as it rose, then the
/// rest of the way. Beyond the last step the last rates stay. The group's own rate takes no part.
struct CONVKIT_API OneCycleLR {
  PerGroup max_lr;          ///< required
  int64_t total_steps = 0;  ///< this, or epochs and steps_per_epoch
  int64_t epochs = 0;
  int64_t steps_per_epoch = 0;
  double pct_start = 0.3;
  Anneal anneal_strategy = Anneal::cos;
  bool cycle_momentum = true;
  PerGroup base_momentum = 0.85;
  PerGroup max_momentum = 0.95;
  double div_factor = 25;
  double final_div_factor = 1e4;
  bool three_phase = false;
  GroupRates at(int64_t step, double base_lr, std::size_t group) const;
  void check(std::size_t groups) const;
};

/// Any schedule. `S` has the two members that the schedules above have.
class CONVKIT_API Schedule {
 public:
  template <class S>
  requires(!std::same_as<S, Schedule>) && requires(const S& s) {
    { s.at(int64_t{}, double{}, std::size_t{}) } -> std::same_as<GroupRates>;
    s.check(std::size_t{});
  }
  Schedule(S schedule)  // NOLINT(google-explicit-constructor)
      : check_([schedule](std::size_t groups) { schedule.check(groups); }),
        at_([schedule = std::move(schedule)](int64_t step, double base_lr, std::size_t group) {
          return schedule.at(step, base_lr, group);
        }) {}

  /// The rates of step t ≥ 0 in a group whose own rate is `base_lr`.
  GroupRates at(int64_t step, double base_lr, std::size_t group = 0) const;
  /// Throws ValueError for options out of range or that do not fit so many groups.
  void check(std::size_t groups = 1) const { check_(groups); }

 private:
  std::function<void(std::size_t)> check_;
  std::function<GroupRates(int64_t, double, std::size_t)> at_;
};

/// One schedule after the other; each begins its own count at its milestone.
struct CONVKIT_API SequentialLR {
  std::vector<Schedule> schedulers;
  std::vector<int64_t> milestones;  ///< one less than schedulers, > 0 and growing
  GroupRates at(int64_t step, double base_lr, std::size_t group) const;
  void check(std::size_t groups) const;
};

/// The usual recipe: linear from start_factor·base to base in `warm_up` steps, then a cosine down
/// to eta_min in the remaining `total − warm_up`. Without a warm-up the cosine alone.
struct WarmUpCosine {
  int64_t warm_up = 0;
  int64_t total = 0;  ///< required; > warm_up
  double start_factor = 0.01;
  double eta_min = 0;
};
CONVKIT_API Schedule warm_up_cosine(const WarmUpCosine& options);

/// Sets the rates of an optimiser's groups to those of a schedule, each from its own initial_lr.
/// The optimiser must outlive it.
class CONVKIT_API LrScheduler {
 public:
  /// Sets the rates of step 0. Throws ValueError when the schedule's options do not fit.
  LrScheduler(Optimizer& optimizer, Schedule schedule);

  /// To be called after the optimiser's step() (or after each epoch): counts on, sets the rates.
  void step() { set_step_count(step_count_ + 1); }
  int64_t step_count() const { return step_count_; }
  /// Moves to step t ≥ 0 at once: all that resuming needs.
  void set_step_count(int64_t step_count);
  /// The rates now in force, one per group.
  std::vector<double> last_lrs() const;

 private:
  Optimizer* optimizer_;
  Schedule schedule_;
  int64_t step_count_ = 0;
};

}  // namespace convkit::optim
