#include "convkit/optim/adam.h"

#include <cmath>
#include <type_traits>

#include "convkit/base/thread_pool.h"
#include "convkit/kernels/optimizer_step.h"

namespace convkit::optim {
namespace {

constexpr const char* kStateNames[] = {"exp_avg", "exp_avg_sq", "max_exp_avg_sq"};
constexpr int64_t kElementsPerTask = 1 << 15;

// Adam adds the decay to the gradient; AdamW shrinks the parameter itself.
template <class Options>
constexpr bool kDecoupled = std::is_same_v<Options, AdamWOptions>;

template <class T>
void run_as(const kernels::AdamStep& step, Tensor& param, const Tensor& grad,
            std::vector<Tensor>& state, bool amsgrad) {
  T* p = param.mutable_data<T>();
  const T* g = grad.data<T>();
  T* m = state[0].mutable_data<T>();
  T* v = state[1].mutable_data<T>();
  T* w = amsgrad ? state[2].mutable_data<T>() : nullptr;
  parallel_ranges(param.numel(), kElementsPerTask, [&](int64_t begin, int64_t end) {
    kernels::adam_step(step, end - begin, g + begin, p + begin,
                       {m + begin, v + begin, w == nullptr ? w : w + begin});
  });
}

void run(const kernels::AdamStep& step, Tensor& param, const Tensor& grad,
         std::vector<Tensor>& state, bool amsgrad) {
  for (std::size_t k = 0; k < (amsgrad ? 3U : 2U); ++k)
    if (!state[k].defined()) state[k] = zeros_like(param);
  if (param.dtype() == DType::float64) {
    run_as<double>(step, param, grad, state, amsgrad);
  } else {
    run_as<float>(step, param, grad, state, amsgrad);
  }
}

}  // namespace

template <class Options>
BasicAdam<Options>::BasicAdam(std::vector<Tensor> params, const Options& options) {
  this->add_group({std::move(params), options});
}

template <class Options>
BasicAdam<Options>::BasicAdam(std::vector<Group> groups) {
  CONVKIT_CHECK(!groups.empty(), ValueError, name(), ": there is no parameter group to train");
  for (Group& group : groups) this->add_group(std::move(group));
}

template <class Options>
const char* BasicAdam<Options>::name() const {
  return kDecoupled<Options> ? "AdamW" : "Adam";
}

template <class Options>
std::vector<Optimizer::Option> BasicAdam<Options>::group_options(std::size_t group) {
  Options& o = this->options(group);
  return {{.name = "lr", .number = &o.lr},
          {.name = "beta1", .number = &o.betas[0]},
          {.name = "beta2", .number = &o.betas[1]},
          {.name = "eps", .number = &o.eps},
          {.name = "weight_decay", .number = &o.weight_decay},
          {.name = "amsgrad", .flag = &o.amsgrad},
          {.name = "maximize", .flag = &o.maximize}};
}

template <class Options>
std::span<const char* const> BasicAdam<Options>::state_names() const {
  return kStateNames;
}

template <class Options>
void BasicAdam<Options>::check_options(std::size_t group) {
  const Options& o = this->options(group);
  CONVKIT_CHECK(o.lr >= 0, ValueError, name(), ": lr (", o.lr, ") must not be negative");
  for (const double beta : o.betas)
    CONVKIT_CHECK(beta >= 0 && beta < 1, ValueError, name(), ": betas (", o.betas[0], ", ",
                  o.betas[1], ") must be at least 0 and below 1");
  CONVKIT_CHECK(o.eps >= 0, ValueError, name(), ": eps (", o.eps, ") must not be negative");
  CONVKIT_CHECK(o.weight_decay >= 0, ValueError, name(), ": weight_decay (", o.weight_decay,
                ") must not be negative");
}

template <class Options>
void BasicAdam<Options>::update(std::size_t group, Tensor& param, const Tensor& grad,
                                State& state) {
  const Options& o = this->options(group);
  const auto t = static_cast<double>(state.step);
  const kernels::AdamStep step{.step_size = o.lr / (1 - std::pow(o.betas[0], t)),
                               .beta1 = o.betas[0],
                               .beta2 = o.betas[1],
                               .eps = o.eps,
                               .second_moment_scale = std::sqrt(1 - std::pow(o.betas[1], t)),
                               .weight_decay = kDecoupled<Options> ? 0 : o.weight_decay,
                               .shrink = kDecoupled<Options> ? 1 - o.lr * o.weight_decay : 1,
                               .maximize = o.maximize};
  run(step, param, grad, state.tensors, o.amsgrad);
}

template class BasicAdam<AdamOptions>;
template class BasicAdam<AdamWOptions>;

}  // namespace convkit::optim
