#include "convkit/ops/batch_norm.h"

#include <cmath>
#include <memory>
#include <vector>

#include "convkit/autograd/record.h"
#include "convkit/kernels/batch_norm.h"
#include "convkit/kernels/batch_norm_pool.h"
#include "convkit/ops/dispatch.h"
#include "convkit/ops/pool_windows.h"
#include "convkit/tensor/layout.h"

namespace convkit::ops {
namespace {

using kernels::BatchNormAffine;
using kernels::BatchNormGeometry;

// Tensors as batch_norm_relu takes them.
struct Operands {
  Tensor x, residual, running_mean, running_var, weight, bias;
};

// What stands behind the normalisation.
struct Rest {
  bool relu = false;
  std::shared_ptr<const kernels::PoolGeometry> pool = nullptr;  // behind a ReLU only
};

// What the backward needs of the statistics, one value per channel.
struct Statistics {
  explicit Statistics(int64_t channels)
      : mean(static_cast<std::size_t>(channels)), invstd(mean.size()) {}
  std::vector<double> mean;
  std::vector<double> invstd;
};

BatchNormGeometry geometry_of(const Tensor& x) {
  const int64_t channels = x.size(1);
  return {channels == 0 ? 0 : x.numel() / channels, channels};
}

void check_input(const char* op, const Tensor& x) {
  CONVKIT_CHECK(x.defined(), ValueError, op, ": the input is undefined (never assigned)");
  CONVKIT_CHECK(x.dim() >= 2, ShapeError, op, ": the input is ", x.shape(), " with ", x.dim(),
                " axes; it must be (N, C) or (N, C, spatial...)");
  check_floating(op, x);
}

void check_per_channel(const char* op, const char* name, const Tensor& tensor, const Tensor& x) {
  if (!tensor.defined()) return;
  CONVKIT_CHECK(tensor.dim() == 1 && tensor.size(0) == x.size(1), ShapeError, op, ": ", name,
                " is ", tensor.shape(), ", but the input ", x.shape(), " has ", x.size(1),
                " channels; it must have one value for each");
  check_same_type(op, x, tensor, name);
}

void check_statistics(const char* op, const Tensor& x, const Tensor& running_mean,
                      const Tensor& running_var, bool training) {
  const BatchNormGeometry g = geometry_of(x);
  CONVKIT_CHECK(!training || g.rows != 1, ValueError, op,
                ": expected more than 1 value per channel when training, but the input ", x.shape(),
                " has one, whose variance is 0; use a larger batch, or evaluation mode");
  CONVKIT_CHECK(training || (running_mean.defined() && running_var.defined()), ValueError, op, ": ",
                running_mean.defined() ? "running_var" : "running_mean",
                " is undefined, and training is false; give both running statistics, or set"
                " training to use those of the batch");
}

template <class T>
BatchNormAffine<T> affine_of(const Statistics& statistics, const Tensor& weight,
                             const Tensor& bias) {
  return {statistics.mean.data(), statistics.invstd.data(),
          weight.defined() ? weight.data<T>() : nullptr, bias.defined() ? bias.data<T>() : nullptr};
}

template <class T>
void update_running(Tensor running, const std::vector<double>& batch, double momentum) {
  if (!running.defined()) return;
  Tensor updated = running.clone();
  T* const values = updated.mutable_data<T>();
  for (std::size_t c = 0; c < batch.size(); ++c)
    values[c] =
        static_cast<T>((1.0 - momentum) * static_cast<double>(values[c]) + momentum * batch[c]);
  running.copy_from(updated);
}

template <class T>
void batch_statistics(const Tensor& x, const Tensor& running_mean, const Tensor& running_var,
                      const BatchNormParams& params, Statistics& result) {
  const BatchNormGeometry g = geometry_of(x);
  if (g.rows == 0) return;
  std::vector<double> variance(result.mean.size());
  kernels::batch_norm_statistics(g, x.data<T>(), result.mean.data(), variance.data());
  for (std::size_t c = 0; c < variance.size(); ++c)
    result.invstd[c] = 1.0 / std::sqrt(variance[c] + params.eps);
  const auto rows = static_cast<double>(g.rows);
  for (double& v : variance) v *= rows / (rows - 1.0);
  update_running<T>(running_mean, result.mean, params.momentum);
  update_running<T>(running_var, variance, params.momentum);
}

template <class T>
void running_statistics(const Tensor& running_mean, const Tensor& running_var, double eps,
                        Statistics& result) {
  const T* const mean = running_mean.data<T>();
  const T* const variance = running_var.data<T>();
  for (std::size_t c = 0; c < result.mean.size(); ++c) {
    result.mean[c] = static_cast<double>(mean[c]);
    result.invstd[c] = 1.0 / std::sqrt(static_cast<double>(variance[c]) + eps);
  }
}

template <class T>
Tensor as_tensor(const std::vector<double>& values, DType dtype) {
  Tensor tensor = empty({static_cast<int64_t>(values.size())}, dtype);
  T* const target = tensor.mutable_data<T>();
  for (std::size_t i = 0; i < values.size(); ++i) target[i] = static_cast<T>(values[i]);
  return tensor;
}

// What the backward needs.
struct Kept {
  explicit Kept(int64_t channels) : statistics(channels) {}
  Statistics statistics;
  bool training = false;
  bool relu = false;
  autograd::Saved x, weight;
  Tensor bias;        // a copy: who changes the bias afterwards need not know that it is read again
  autograd::Saved y;  // with a residual, the ReLU's output; without one, x tells its sign
  std::shared_ptr<const kernels::PoolGeometry> pool;
  Tensor taps;  // with a pool: its winners, which tell whether the ReLU was open, too
};

// The gradients of x, weight and bias through a pool.
template <class T>
autograd::Gradients pool_backward_as(const Kept& kept, const Tensor& dy, autograd::Needs needs) {
  const Tensor& x = kept.x.get();
  const kernels::PoolGeometry& g = *kept.pool;
  const auto affine = affine_of<T>(kept.statistics, kept.weight.get(), kept.bias);
  const kernels::PoolTaps taps = taps_in(kept.taps);
  autograd::Gradients grads(5);
  std::vector<double> sum(kept.statistics.mean.size(), 0.0);
  std::vector<double> product(kept.statistics.mean.size(), 0.0);
  const kernels::BatchNormSums sums{sum.data(), product.data()};
  if (x.numel() > 0 && (needs[1] || needs[2] || (needs[0] && kept.training)))
    kernels::batch_norm_pool_gradient_sums(g, affine, x.data<T>(), dy.data<T>(), taps, sums);
  if (needs[0]) {
    grads[0] = autograd::memory_for_gradient(kept.x);
    T* const dx = grads[0].mutable_data<T>();
    if (x.numel() > 0 && kept.training) {
      kernels::batch_norm_pool_backward(g, affine, x.data<T>(), dy.data<T>(), taps, sums, dx);
    } else if (x.numel() > 0) {
      kernels::batch_norm_pool_backward_constant(g, affine, dy.data<T>(), taps, dx);
    }
  }
  if (needs[1]) grads[1] = as_tensor<T>(product, x.dtype());
  if (needs[2]) grads[2] = as_tensor<T>(sum, x.dtype());
  return grads;
}

template <class T>
autograd::Gradients backward_as(const Kept& kept, const Tensor& dy, autograd::Needs needs) {
  const Tensor& x = kept.x.get();
  const Tensor& y = kept.y.get();
  const BatchNormGeometry g = geometry_of(x);
  BatchNormAffine<T> affine = affine_of<T>(kept.statistics, kept.weight.get(), kept.bias);
  affine.relu = kept.relu && !y.defined();
  autograd::Gradients grads(6);
  std::vector<double> sum(kept.statistics.mean.size(), 0.0);
  std::vector<double> product(kept.statistics.mean.size(), 0.0);
  const kernels::BatchNormSums sums{sum.data(), product.data()};
  Tensor incoming;  // what arrives at the normalised values; undefined: dy itself
  if (y.defined()) {
    incoming = autograd::memory_for_gradient(dy);
    if (g.rows > 0)
      kernels::batch_norm_add_relu_gradient(g, affine, x.data<T>(), y.data<T>(), dy.data<T>(), sums,
                                            incoming.mutable_data<T>());
    if (needs[5]) grads[5] = incoming;
  } else if (needs[1] || needs[2] || (needs[0] && kept.training)) {
    if (g.rows > 0) kernels::batch_norm_gradient_sums(g, affine, x.data<T>(), dy.data<T>(), sums);
  }
  if (needs[0]) {
    if (incoming.defined())
      grads[0] = needs[5] ? empty_like(x) : incoming;
    else
      grads[0] = autograd::memory_for_gradient(dy);
    const T* const from = (incoming.defined() ? incoming : dy).template data<T>();
    T* const dx = grads[0].mutable_data<T>();
    if (g.rows > 0 && kept.training) {
      kernels::batch_norm_backward(g, affine, x.data<T>(), from, sums, dx);
    } else if (g.rows > 0) {
      kernels::batch_norm_backward_constant(g, affine, x.data<T>(), from, dx);
    }
  }
  if (needs[1]) grads[1] = as_tensor<T>(product, x.dtype());
  if (needs[2]) grads[2] = as_tensor<T>(sum, x.dtype());
  return grads;
}

template <class T>
Tensor forward_as(const autograd::Op& op, const Operands& o, const Rest& rest,
                  const BatchNormParams& params) {
  const BatchNormGeometry g = geometry_of(o.x);
  const auto kept = std::make_shared<Kept>(g.channels);
  Statistics& statistics = kept->statistics;
  if (params.training) {
    batch_statistics<T>(o.x, o.running_mean, o.running_var, params, statistics);
  } else {
    running_statistics<T>(o.running_mean, o.running_var, params.eps, statistics);
  }
  std::vector<Tensor> inputs = {o.x, o.weight, o.bias, o.running_mean, o.running_var};
  const bool has_residual_input = rest.relu && !rest.pool;
  if (has_residual_input) inputs.push_back(o.residual);
  const bool records = autograd::will_record(inputs);
  Tensor y = empty(rest.pool ? pooled_shape(o.x, *rest.pool) : o.x.shape(), o.x.dtype());
  BatchNormAffine<T> affine = affine_of<T>(statistics, o.weight, o.bias);
  affine.relu = rest.relu;
  if (rest.pool && records) kept->taps = empty_taps(y.shape(), rest.pool->most_taps() + 1);
  if (g.rows > 0 && rest.pool) {
    kernels::batch_norm_pool_forward(*rest.pool, affine, o.x.data<T>(), y.mutable_data<T>(),
                                     taps_in(kept->taps));
  } else if (g.rows > 0 && o.residual.defined()) {
    kernels::batch_norm_add_relu_forward(g, affine, o.x.data<T>(), o.residual.data<T>(),
                                         y.mutable_data<T>());
  } else if (g.rows > 0) {
    kernels::batch_norm_forward(g, affine, o.x.data<T>(), y.mutable_data<T>());
  }
  if (records) {
    kept->training = params.training;
    kept->relu = rest.relu;
    kept->pool = rest.pool;
    kept->x = autograd::Saved(o.x);
    kept->weight = autograd::Saved(o.weight);
    if (rest.relu && o.bias.defined()) kept->bias = o.bias.clone();
    if (o.residual.defined()) kept->y = autograd::Saved(y);
  }
  return autograd::record(op, inputs, y, [kept](const Tensor& dy, autograd::Needs needs) {
    if (kept->pool) return pool_backward_as<T>(*kept, dy, needs);
    autograd::Gradients grads = backward_as<T>(*kept, dy, needs);
    if (!kept->relu) grads.resize(5);
    return grads;
  });
}

void check(const char* op, const Operands& o, const BatchNormParams& params) {
  check_input(op, o.x);
  check_per_channel(op, "running_mean", o.running_mean, o.x);
  check_per_channel(op, "running_var", o.running_var, o.x);
  check_per_channel(op, "weight", o.weight, o.x);
  check_per_channel(op, "bias", o.bias, o.x);
  check_statistics(op, o.x, o.running_mean, o.running_var, params.training);
  if (!o.residual.defined()) return;
  CONVKIT_CHECK(o.residual.shape() == o.x.shape(), ShapeError, op, ": the residual is ",
                o.residual.shape(), ", the input ", o.x.shape(),
                "; they are added element by element, so the shapes must be equal");
  check_same_type(op, o.x, o.residual, "the residual");
}

}  // namespace

Tensor batch_norm(const Tensor& x, const Tensor& running_mean, const Tensor& running_var,
                  const Tensor& weight, const Tensor& bias, const BatchNormParams& params) {
  const Operands o{x, Tensor(), running_mean, running_var, weight, bias};
  check("batch_norm", o, params);
  return with_float_type(x, [&]<class T>() {
    return forward_as<T>({"batch_norm", params}, o, {}, params);
  });
}

Tensor batch_norm_relu(const Tensor& x, const Tensor& residual, const Tensor& running_mean,
                       const Tensor& running_var, const Tensor& weight, const Tensor& bias,
                       const BatchNormParams& params) {
  const Operands o{x, residual, running_mean, running_var, weight, bias};
  check("batch_norm_relu", o, params);
  return with_float_type(x, [&]<class T>() {
    return forward_as<T>({"batch_norm_relu", params}, o, {.relu = true}, params);
  });
}

template <int Rank>
Tensor batch_norm_relu_max_pool(const Tensor& x, const Tensor& running_mean,
                                const Tensor& running_var, const Tensor& weight, const Tensor& bias,
                                const BatchNormPoolParams<Rank>& params) {
  constexpr const char* kName = "batch_norm_relu_max_pool";
  const Operands o{x, Tensor(), running_mean, running_var, weight, bias};
  check(kName, o, params.norm);
  CONVKIT_CHECK(x.dim() == Rank + 2, ShapeError, kName, ": the input is ", x.shape(), " with ",
                x.dim(), " axes; it must have a batch, channels and ", Rank, " spatial axes");
  validate(params.pool);
  check_pool_input(kName, x, Rank);
  const Rest rest{true, std::make_shared<const kernels::PoolGeometry>(
                            max_pool_geometry(kName, x, with_stride(params.pool)))};
  return with_float_type(x, [&]<class T>() {
    return forward_as<T>({kName, params}, o, rest, params.norm);
  });
}

#define CONVKIT_INSTANTIATE_BATCH_NORM_POOL(Rank)                                       \
  template Tensor batch_norm_relu_max_pool(const Tensor&, const Tensor&, const Tensor&, \
                                           const Tensor&, const Tensor&,                \
                                           const BatchNormPoolParams<Rank>&);
CONVKIT_INSTANTIATE_BATCH_NORM_POOL(1)
CONVKIT_INSTANTIATE_BATCH_NORM_POOL(2)
CONVKIT_INSTANTIATE_BATCH_NORM_POOL(3)

}  // namespace convkit::ops
