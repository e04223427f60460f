#pragma once

#include "convkit/optim/optimizer.h"

namespace convkit::optim {

/// torch.optim.SGD's options, in its order.
struct SGDOptions {
  double lr = -1;  ///< required; ≥ 0
  double momentum = 0;
  double dampening = 0;
  double weight_decay = 0;  ///< of the squared norm of the parameter, added to its gradient
  bool nesterov = false;    ///< needs a momentum and no dampening
  bool maximize = false;
};

/// Stochastic gradient descent with momentum (formula: kernels/optimizer_step.h). State per
/// parameter: momentum_buffer. Throws ValueError for options out of range.
class CONVKIT_API SGD final : public BasicOptimizer<SGDOptions> {
 public:
  SGD(std::vector<Tensor> params, const SGDOptions& options);
  explicit SGD(std::vector<Group> groups);
  void add_param_group(Group group) { add_group(std::move(group)); }

 private:
  const char* name() const override { return "SGD"; }
  std::vector<Option> group_options(std::size_t group) override;
  std::span<const char* const> state_names() const override;
  void check_options(std::size_t group) override;
  void update(std::size_t group, Tensor& param, const Tensor& grad, State& state) override;
};

}  // namespace convkit::optim
