#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "convkit/tensor/tensor.h"

/// What all optimisers share: groups of parameters with options of their own, the state per
/// parameter, and how both are saved.
///
///   optim::SGD optimizer(nn::parameters(net), {.lr = 0.1, .momentum = 0.9});
///   loss.backward();
///   optimizer.step();
///   optimizer.zero_grad();
namespace convkit::optim {

/// Tensors by name, in a fixed order: what a safetensors file holds.
using StateDict = std::vector<std::pair<std::string, Tensor>>;

/// Parameters that are trained with the same options.
template <class Options>
struct ParamGroup {
  std::vector<Tensor> params;
  Options options;
};

/// Base of the optimisers. Holds handles on the parameters: it trains the tensors it was given, and
/// a parameter that the net later replaces by another tensor is lost to it.
class CONVKIT_API Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  /// Changes every parameter that has a gradient, in place; the others and their state stay as
  /// they are. The same bits whatever the number of threads.
  void step();
  /// Drops the gradients of all parameters (PyTorch's set_to_none).
  void zero_grad();

  virtual std::size_t group_count() const = 0;
  /// All parameters, group after group: the numbering of state_dict().
  std::vector<Tensor> params();

  /// The learning rate of a group; ValueError when there is no such group.
  double lr(std::size_t group = 0);
  void set_lr(double lr, std::size_t group = 0);
  /// SGD's momentum or Adam's beta1, which one-cycle schedules move against the rate.
  double momentum(std::size_t group = 0);
  void set_momentum(double momentum, std::size_t group = 0);
  /// The rate that schedules scale (PyTorch's initial_lr): the group's rate when a schedule first
  /// asked for it. It is saved, so that a resumed run scales the same number.
  double initial_lr(std::size_t group = 0);

  /// Everything a resumed run needs to go on bit for bit. Keys, with i counting the parameters of
  /// all groups:
  ///   param_groups.<g>.params     how many parameters the group has (int64)
  ///   param_groups.<g>.<option>   float64 or bool, e.g. lr, weight_decay, nesterov
  ///   state.<i>.step              steps the parameter has made (int64)
  ///   state.<i>.<name>            e.g. momentum_buffer, exp_avg; the parameter's shape and type
  /// A parameter that never had a gradient has no state. The tensors are the optimiser's own.
  StateDict state_dict();
  /// Takes copies. Throws ValueError naming what is missing, unexpected or does not belong to these
  /// groups, ShapeError for a state of another shape; on an error nothing is changed.
  void load_state_dict(const StateDict& state);

 protected:
  Optimizer() = default;

  /// One option of a group, by PyTorch's name: a number or a flag (the other is null).
  struct Option {
    const char* name;
    double* number = nullptr;
    bool* flag = nullptr;
  };
  struct State {
    int64_t step = 0;
    std::vector<Tensor> tensors;  ///< in the order of state_names(); undefined until first used
  };

  virtual const char* name() const = 0;
  virtual std::vector<Tensor>& group_params(std::size_t group) = 0;
  virtual std::vector<Option> group_options(std::size_t group) = 0;
  virtual std::span<const char* const> state_names() const = 0;
  /// Throws ValueError for options out of range.
  virtual void check_options(std::size_t group) = 0;
  /// One step of one parameter; `state.step` is already counted up, `state.tensors` has its size.
  virtual void update(std::size_t group, Tensor& param, const Tensor& grad, State& state) = 0;

  /// Refuses options and parameters that cannot be trained; called for each new group.
  void check_group(std::size_t group);
  double& option(std::size_t group, std::span<const char* const> names);

 private:
  std::vector<State>& states(std::size_t group);

  std::vector<std::vector<State>> states_;  // per group and parameter; may lag behind the groups
  std::vector<std::optional<double>> initial_lrs_;
};

/// An optimiser whose groups have `Options`.
template <class Options>
class CONVKIT_API BasicOptimizer : public Optimizer {
 public:
  using Group = ParamGroup<Options>;

  std::size_t group_count() const override { return groups_.size(); }
  /// Options may be changed between steps, and parameters appended; they must not change places.
  std::span<Group> param_groups() { return groups_; }

 protected:
  std::vector<Tensor>& group_params(std::size_t group) override { return groups_[group].params; }
  Options& options(std::size_t group) { return groups_[group].options; }
  void add_group(Group group) {
    groups_.push_back(std::move(group));
    try {
      check_group(groups_.size() - 1);
    } catch (...) {
      groups_.pop_back();
      throw;
    }
  }

 private:
  std::vector<Group> groups_;
};

}  // namespace convkit::optim
