#pragma once

#include <array>

#include "convkit/optim/optimizer.h"

namespace convkit::optim {

/// torch.optim.Adam's options, in its order.
struct CONVKIT_API AdamOptions {
  double lr = 1e-3;
  std::array<double, 2> betas = {0.9, 0.999};  ///< of the running mean and mean square; in [0, 1)
  double eps = 1e-8;
  double weight_decay = 0;  ///< of the squared norm of the parameter, added to its gradient
  bool amsgrad = false;     ///< divide by the largest mean square so far
  bool maximize = false;
};

/// torch.optim.AdamW's options, in its order.
struct CONVKIT_API AdamWOptions {
  double lr = 1e-3;
  std::array<double, 2> betas = {0.9, 0.999};
  double eps = 1e-8;
  double weight_decay = 1e-2;  ///< the parameter shrinks by lr · weight_decay in every step
  bool amsgrad = false;
  bool maximize = false;
};

/// Adam and AdamW (formula: kernels/optimizer_step.h). State per parameter: exp_avg, exp_avg_sq
/// and, with amsgrad, max_exp_avg_sq. Throws ValueError for options out of range.
template <class Options>
class CONVKIT_API BasicAdam final : public BasicOptimizer<Options> {
 public:
  using Group = ParamGroup<Options>;

  explicit BasicAdam(std::vector<Tensor> params, const Options& options = {});
  explicit BasicAdam(std::vector<Group> groups);
  void add_param_group(Group group) { this->add_group(std::move(group)); }

 private:
  using Option = Optimizer::Option;
  using State = Optimizer::State;

  const char* name() const override;
  std::vector<Option> group_options(std::size_t group) override;
  std::span<const char* const> state_names() const override;
  void check_options(std::size_t group) override;
  void update(std::size_t group, Tensor& param, const Tensor& grad, State& state) override;
};

using Adam = BasicAdam<AdamOptions>;
using AdamW = BasicAdam<AdamWOptions>;

extern template class BasicAdam<AdamOptions>;
extern template class BasicAdam<AdamWOptions>;

}  // namespace convkit::optim
