#include "convkit/nn/batch_norm.h"

#include "convkit/autograd/record.h"
#include "convkit/ops/arithmetic.h"
#include "convkit/ops/batch_norm.h"

namespace convkit::nn {
namespace {

constexpr const char* kShapes[] = {"(N, C) or (N, C, L)", "(N, C, H, W)", "(N, C, D, H, W)"};

}  // namespace

template <int Rank>
BatchNorm<Rank>::BatchNorm(const BatchNormOptions& o) : options(o) {
  CONVKIT_CHECK(o.num_features >= 1, ValueError, "BatchNorm", Rank, "d: num_features is ",
                o.num_features, "; it is required and at least 1");
  if (o.affine) {
    weight = ones({o.num_features});
    bias = zeros({o.num_features});
  }
  if (o.track_running_stats) {
    running_mean = empty({o.num_features});
    running_var = empty({o.num_features});
    num_batches_tracked = empty({}, DType::int64);
    reset_running_stats();
  }
}

template <int Rank>
void BatchNorm<Rank>::reset_running_stats() {
  if (!options.track_running_stats) return;
  running_mean.fill(0.0);
  running_var.fill(1.0);
  num_batches_tracked.fill(0.0);
}

// Checks x, calls operation(parameters), and counts the batch.
template <int Rank>
template <class Operation>
Tensor BatchNorm<Rank>::run(const Tensor& x, const Operation& operation) {
  const Scope scope(path);
  CONVKIT_CHECK(x.defined(), ValueError, "BatchNorm", Rank,
                "d: the input is undefined (never assigned)");
  CONVKIT_CHECK(x.dim() == Rank + 2 || (Rank == 1 && x.dim() == 2), ShapeError, "BatchNorm", Rank,
                "d: the input is ", x.shape(), " with ", x.dim(), " axes; it must be ",
                kShapes[Rank - 1]);
  CONVKIT_CHECK(x.size(1) == options.num_features, ShapeError, "BatchNorm", Rank, "d: the input ",
                x.shape(), " has ", x.size(1), " channels, but num_features is ",
                options.num_features);
  const bool tracks = training && num_batches_tracked.defined();
  double momentum = options.momentum.value_or(0.0);
  if (tracks && !options.momentum)
    momentum = 1.0 / static_cast<double>(num_batches_tracked.template data<int64_t>()[0] + 1);
  Tensor y = operation(ops::BatchNormParams{
      .training = training || !running_mean.defined(), .momentum = momentum, .eps = options.eps});
  if (tracks) ++num_batches_tracked.template mutable_data<int64_t>()[0];
  return y;
}

template <int Rank>
Tensor BatchNorm<Rank>::operator()(const Tensor& x) {
  return run(x, [&](const ops::BatchNormParams& params) {
    return ops::batch_norm(x, running_mean, running_var, weight, bias, params);
  });
}

template <int Rank>
Tensor BatchNorm<Rank>::then_relu(const Tensor& x, const ReLU& relu, const Tensor& residual) {
  if (!autograd::tracing())
    return run(x, [&](const ops::BatchNormParams& params) {
      return ops::batch_norm_relu(x, residual, running_mean, running_var, weight, bias, params);
    });
  Tensor y = (*this)(x);
  if (residual.defined()) ops::add_(y, residual);
  return relu(y);
}

template <int Rank>
Tensor BatchNorm<Rank>::then_relu_pool(const Tensor& x, const ReLU& relu,
                                       const MaxPool<Rank>& pool) {
  if (autograd::tracing() || !x.defined() || x.dim() != Rank + 2) return pool(then_relu(x, relu));
  {
    const Scope scope(pool.path);  // what the pool refuses is the pool's error
    static_cast<void>(ops::max_pool_shape(x, pool.options));
  }
  return run(x, [&](const ops::BatchNormParams& params) {
    return ops::batch_norm_relu_max_pool<Rank>(x, running_mean, running_var, weight, bias,
                                               {.norm = params, .pool = pool.options});
  });
}

template <int Rank>
std::string BatchNorm<Rank>::describe() const {
  std::string text =
      message("BatchNorm", Rank, "d(", options.num_features, ", eps=", options.eps,
              ", momentum=", options.momentum ? to_text(*options.momentum) : std::string("None"));
  if (!options.affine) text += ", affine=False";
  if (!options.track_running_stats) text += ", track_running_stats=False";
  return text + ")";
}

template struct BatchNorm<1>;
template struct BatchNorm<2>;
template struct BatchNorm<3>;

}  // namespace convkit::nn
