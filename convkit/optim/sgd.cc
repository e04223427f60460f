#include "convkit/optim/sgd.h"

#include "convkit/base/thread_pool.h"
#include "convkit/kernels/optimizer_step.h"

namespace convkit::optim {
namespace {

constexpr const char* kStateNames[] = {"momentum_buffer"};
constexpr int64_t kElementsPerTask = 1 << 15;

template <class T>
void run(const kernels::SgdStep& step, Tensor& param, const Tensor& grad, Tensor& buffer) {
  T* p = param.mutable_data<T>();
  const T* g = grad.data<T>();
  T* b = step.momentum != 0 ? buffer.mutable_data<T>() : nullptr;
  parallel_ranges(param.numel(), kElementsPerTask, [&](int64_t begin, int64_t end) {
    kernels::sgd_step(step, end - begin, g + begin, p + begin, b == nullptr ? b : b + begin);
  });
}

}  // namespace

SGD::SGD(std::vector<Tensor> params, const SGDOptions& options) {
  add_group({std::move(params), options});
}

SGD::SGD(std::vector<Group> groups) {
  CONVKIT_CHECK(!groups.empty(), ValueError, "SGD: there is no parameter group to train");
  for (Group& group : groups) add_group(std::move(group));
}

std::vector<Optimizer::Option> SGD::group_options(std::size_t group) {
  SGDOptions& o = options(group);
  return {{.name = "lr", .number = &o.lr},
          {.name = "momentum", .number = &o.momentum},
          {.name = "dampening", .number = &o.dampening},
          {.name = "weight_decay", .number = &o.weight_decay},
          {.name = "nesterov", .flag = &o.nesterov},
          {.name = "maximize", .flag = &o.maximize}};
}

std::span<const char* const> SGD::state_names() const { return kStateNames; }

void SGD::check_options(std::size_t group) {
  const SGDOptions& o = options(group);
  CONVKIT_CHECK(o.lr >= 0, ValueError, "SGD: lr (", o.lr,
                ") is required and must not be negative, e.g. .lr = 0.1");
  CONVKIT_CHECK(o.momentum >= 0, ValueError, "SGD: momentum (", o.momentum,
                ") must not be negative");
  CONVKIT_CHECK(o.weight_decay >= 0, ValueError, "SGD: weight_decay (", o.weight_decay,
                ") must not be negative");
  CONVKIT_CHECK(!o.nesterov || (o.momentum > 0 && o.dampening == 0), ValueError,
                "SGD: nesterov needs a momentum above 0 and a dampening of 0, not momentum ",
                o.momentum, " and dampening ", o.dampening);
}

void SGD::update(std::size_t group, Tensor& param, const Tensor& grad, State& state) {
  const SGDOptions& o = options(group);
  Tensor& buffer = state.tensors[0];
  const kernels::SgdStep step{.lr = o.lr,
                              .momentum = o.momentum,
                              .dampening = o.dampening,
                              .weight_decay = o.weight_decay,
                              .nesterov = o.nesterov,
                              .maximize = o.maximize,
                              .first = !buffer.defined()};
  if (o.momentum != 0 && !buffer.defined()) buffer = empty_like(param);
  if (param.dtype() == DType::float64) {
    run<double>(step, param, grad, buffer);
  } else {
    run<float>(step, param, grad, buffer);
  }
}

}  // namespace convkit::optim
