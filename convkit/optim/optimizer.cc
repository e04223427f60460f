#include "convkit/optim/optimizer.h"

#include <algorithm>
#include <set>
#include <unordered_set>

namespace convkit::optim {
namespace {

constexpr const char* kRate[] = {"lr"};
constexpr const char* kMomentum[] = {"momentum", "beta1"};

std::string group_key(std::size_t group, std::string_view name) {
  return message("param_groups.", group, ".", name);
}

std::string state_key(std::size_t index, std::string_view name) {
  return message("state.", index, ".", name);
}

// Takes entries out of a state dict by name, and knows which nobody asked for.
class Reader {
 public:
  Reader(const char* optimizer, const StateDict& state) : optimizer_(optimizer), state_(state) {
    for (const auto& [name, tensor] : state) {
      CONVKIT_CHECK(unread_.insert(name).second, ValueError, optimizer_, ": the saved state has ",
                    name, " twice");
      CONVKIT_CHECK(tensor.defined(), ValueError, optimizer_, ": the saved ", name,
                    " is an undefined tensor");
    }
  }

  Tensor find(const std::string& name) {
    if (unread_.erase(name) == 0) return Tensor();
    return std::find_if(state_.begin(), state_.end(),
                        [&](const auto& entry) { return entry.first == name; })
        ->second;
  }

  double number(const std::string& name) {
    const Tensor tensor = find(name);
    CONVKIT_CHECK(tensor.defined(), ValueError, optimizer_, ": the saved state has no ", name,
                  "; it is not from this kind of optimiser, or the file is not whole");
    CONVKIT_CHECK(tensor.numel() == 1, ShapeError, optimizer_, ": the saved ", name,
                  " should be one number, but is ", tensor.shape());
    return tensor.item();
  }

  void refuse_the_rest() const {
    if (unread_.empty()) return;
    throw ValueError(
        message(optimizer_, ": the saved state has ", unread_.size(),
                " entries that fit nothing here, e.g. ", *unread_.begin(),
                "; build the optimiser with the groups and options it was saved with"));
  }

 private:
  const char* optimizer_;
  const StateDict& state_;
  std::set<std::string> unread_;
};

}  // namespace

void Optimizer::step() {
  for (std::size_t group = 0; group < group_count(); ++group) {
    std::vector<Tensor>& params = group_params(group);
    std::vector<State>& states = this->states(group);
    for (std::size_t i = 0; i < params.size(); ++i) {
      if (!params[i].grad().defined()) continue;
      states[i].tensors.resize(state_names().size());
      ++states[i].step;
      update(group, params[i], params[i].grad(), states[i]);
      params[i].bump_version();
    }
  }
}

void Optimizer::zero_grad() {
  for (Tensor& param : params()) param.zero_grad();
}

std::vector<Tensor> Optimizer::params() {
  std::vector<Tensor> all;
  for (std::size_t group = 0; group < group_count(); ++group)
    all.insert(all.end(), group_params(group).begin(), group_params(group).end());
  return all;
}

std::vector<Optimizer::State>& Optimizer::states(std::size_t group) {
  if (states_.size() < group_count()) states_.resize(group_count());
  states_[group].resize(group_params(group).size());
  return states_[group];
}

double& Optimizer::option(std::size_t group, std::span<const char* const> names) {
  CONVKIT_CHECK(group < group_count(), ValueError, name(), ": there is no parameter group ", group,
                "; there are ", group_count());
  for (const Option& option : group_options(group))
    for (const char* wanted : names)
      if (option.number != nullptr && std::string_view(option.name) == wanted)
        return *option.number;
  throw ValueError(message(name(), ": its groups have no option ", names[0]));
}

double Optimizer::lr(std::size_t group) { return option(group, kRate); }
void Optimizer::set_lr(double lr, std::size_t group) { option(group, kRate) = lr; }
double Optimizer::momentum(std::size_t group) { return option(group, kMomentum); }
void Optimizer::set_momentum(double momentum, std::size_t group) {
  option(group, kMomentum) = momentum;
}

double Optimizer::initial_lr(std::size_t group) {
  const double now = lr(group);
  if (initial_lrs_.size() <= group) initial_lrs_.resize(group + 1);
  if (!initial_lrs_[group]) initial_lrs_[group] = now;
  return *initial_lrs_[group];
}

void Optimizer::check_group(std::size_t group) {
  check_options(group);
  const std::vector<Tensor>& params = group_params(group);
  CONVKIT_CHECK(!params.empty(), ValueError, name(), ": parameter group ", group,
                " is empty; pass nn::parameters(net)");
  std::unordered_set<const TensorImpl*> known;
  for (std::size_t other = 0; other < group; ++other)
    for (const Tensor& param : group_params(other)) known.insert(param.impl());
  for (std::size_t i = 0; i < params.size(); ++i) {
    const Tensor& param = params[i];
    CONVKIT_CHECK(param.defined(), ValueError, name(), ": parameter ", i, " of group ", group,
                  " is an undefined tensor");
    CONVKIT_CHECK(param.dtype() == DType::float32 || param.dtype() == DType::float64, DTypeError,
                  name(), ": parameter ", i, " of group ", group, " is ", param.dtype(),
                  "; only float32 and float64 can be trained");
    CONVKIT_CHECK(param.is_leaf(), GradError, name(), ": parameter ", i, " of group ", group,
                  " was computed by a recorded operation; only leaves can be trained");
    CONVKIT_CHECK(known.insert(param.impl()).second, ValueError, name(), ": parameter ", i,
                  " of group ", group, " (", param.shape(),
                  ") appears twice; each parameter belongs to one group, once");
  }
}

StateDict Optimizer::state_dict() {
  StateDict saved;
  std::size_t index = 0;
  for (std::size_t group = 0; group < group_count(); ++group) {
    const std::vector<Tensor>& params = group_params(group);
    saved.emplace_back(group_key(group, "params"),
                       full({}, static_cast<double>(params.size()), DType::int64));
    for (const Option& option : group_options(group)) {
      saved.emplace_back(group_key(group, option.name),
                         option.number != nullptr ? full({}, *option.number, DType::float64)
                                                  : full({}, *option.flag ? 1 : 0, DType::boolean));
    }
    if (group < initial_lrs_.size() && initial_lrs_[group])
      saved.emplace_back(group_key(group, "initial_lr"),
                         full({}, *initial_lrs_[group], DType::float64));
    for (const State& state : states(group)) {
      if (state.step > 0) {
        saved.emplace_back(state_key(index, "step"),
                           full({}, static_cast<double>(state.step), DType::int64));
        for (std::size_t k = 0; k < state.tensors.size(); ++k)
          if (state.tensors[k].defined())
            saved.emplace_back(state_key(index, state_names()[k]), state.tensors[k]);
      }
      ++index;
    }
  }
  return saved;
}

void Optimizer::load_state_dict(const StateDict& state) {
  Reader reader(name(), state);
  std::vector<std::vector<State>> fresh(group_count());
  std::vector<std::optional<double>> fresh_initial(group_count());
  std::vector<std::pair<Option, double>> values;
  std::size_t index = 0;
  for (std::size_t group = 0; group < group_count(); ++group) {
    const std::vector<Tensor>& params = group_params(group);
    const double count = reader.number(group_key(group, "params"));
    CONVKIT_CHECK(count == static_cast<double>(params.size()), ValueError, name(),
                  ": parameter group ", group, " has ", params.size(),
                  " parameters, the saved one ", static_cast<int64_t>(count));
    for (const Option& option : group_options(group))
      values.emplace_back(option, reader.number(group_key(group, option.name)));
    if (const Tensor initial = reader.find(group_key(group, "initial_lr")); initial.defined())
      fresh_initial[group] = initial.item();
    fresh[group].resize(params.size());
    for (std::size_t i = 0; i < params.size(); ++i, ++index) {
      const Tensor step = reader.find(state_key(index, "step"));
      if (!step.defined()) continue;
      State& loaded = fresh[group][i];
      loaded.step = static_cast<int64_t>(step.item());
      for (const char* part : state_names()) {
        const Tensor saved = reader.find(state_key(index, part));
        CONVKIT_CHECK(!saved.defined() || saved.shape() == params[i].shape(), ShapeError, name(),
                      ": the saved ", state_key(index, part), " is ", saved.shape(),
                      ", its parameter is ", params[i].shape());
        // to() of the same type shares the elements, hence the copy.
        loaded.tensors.push_back(saved.defined() ? saved.to(params[i].dtype()).clone() : Tensor());
      }
    }
  }
  reader.refuse_the_rest();
  for (const auto& [option, value] : values) {
    if (option.number != nullptr) *option.number = value;
    if (option.flag != nullptr) *option.flag = value != 0;
  }
  states_ = std::move(fresh);
  initial_lrs_ = std::move(fresh_initial);
}

}  // namespace convkit::optim
