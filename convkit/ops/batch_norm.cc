#include "convkit/ops/batch_norm.h"

#include <cmath>
#include <memory>
#include <vector>

#include "convkit/autograd/record.h"
#include "convkit/kernels/batch_norm.h"
#include "convkit/ops/dispatch.h"
#include "convkit/tensor/layout.h"

namespace convkit::ops {
namespace {

using kernels::BatchNormAffine;
using kernels::BatchNormGeometry;

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

void check_input(const Tensor& x) {
  CONVKIT_CHECK(x.defined(), ValueError, "batch_norm: the input is undefined (never assigned)");
  CONVKIT_CHECK(x.dim() >= 2, ShapeError, "batch_norm: the input is ", x.shape(), " with ", x.dim(),
                " axes; it must be (N, C) or (N, C, spatial...)");
  check_floating("batch_norm", x);
}

void check_per_channel(const char* name, const Tensor& tensor, const Tensor& x) {
  if (!tensor.defined()) return;
  CONVKIT_CHECK(tensor.dim() == 1 && tensor.size(0) == x.size(1), ShapeError, "batch_norm: ", name,
                " is ", tensor.shape(), ", but the input ", x.shape(), " has ", x.size(1),
                " channels; it must have one value for each");
  check_same_type("batch_norm", x, tensor, name);
}

void check_statistics(const Tensor& x, const Tensor& running_mean, const Tensor& running_var,
                      bool training) {
  const BatchNormGeometry g = geometry_of(x);
  CONVKIT_CHECK(!training || g.rows != 1, ValueError,
                "batch_norm: expected more than 1 value per channel when training, but the input ",
                x.shape(), " has one, whose variance is 0; use a larger batch, or evaluation mode");
  CONVKIT_CHECK(training || (running_mean.defined() && running_var.defined()), ValueError,
                "batch_norm: ", running_mean.defined() ? "running_var" : "running_mean",
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

template <class T>
autograd::Gradients backward_as(const Statistics& statistics, bool training, const Tensor& x,
                                const Tensor& weight, const Tensor& dy, autograd::Needs needs) {
  const BatchNormGeometry g = geometry_of(x);
  const BatchNormAffine<T> affine = affine_of<T>(statistics, weight, Tensor());
  autograd::Gradients grads(5);
  std::vector<double> sum(statistics.mean.size(), 0.0);
  std::vector<double> product(statistics.mean.size(), 0.0);
  const kernels::BatchNormSums sums{sum.data(), product.data()};
  if (needs[1] || needs[2] || (needs[0] && training)) {
    if (g.rows > 0) kernels::batch_norm_gradient_sums(g, affine, x.data<T>(), dy.data<T>(), sums);
  }
  if (needs[0]) {
    grads[0] = empty_like(x);
    T* const dx = grads[0].mutable_data<T>();
    if (g.rows > 0 && training) {
      kernels::batch_norm_backward(g, affine, x.data<T>(), dy.data<T>(), sums, dx);
    } else if (g.rows > 0) {
      kernels::batch_norm_backward_constant(g, affine, dy.data<T>(), dx);
    }
  }
  if (needs[1]) grads[1] = as_tensor<T>(product, x.dtype());
  if (needs[2]) grads[2] = as_tensor<T>(sum, x.dtype());
  return grads;
}

template <class T>
Tensor batch_norm_as(const Tensor& x, const Tensor& running_mean, const Tensor& running_var,
                     const Tensor& weight, const Tensor& bias, const BatchNormParams& params) {
  const BatchNormGeometry g = geometry_of(x);
  const auto statistics = std::make_shared<Statistics>(g.channels);
  if (params.training) {
    batch_statistics<T>(x, running_mean, running_var, params, *statistics);
  } else {
    running_statistics<T>(running_mean, running_var, params.eps, *statistics);
  }
  Tensor y = empty_like(x);
  if (g.rows > 0)
    kernels::batch_norm_forward(g, affine_of<T>(*statistics, weight, bias), x.data<T>(),
                                y.mutable_data<T>());
  return autograd::record(
      {"batch_norm", params}, {x, weight, bias, running_mean, running_var}, y,
      [statistics, training = params.training, saved_x = autograd::Saved(x),
       saved_weight = autograd::Saved(weight)](const Tensor& dy, autograd::Needs needs) {
        return backward_as<T>(*statistics, training, saved_x.get(), saved_weight.get(), dy, needs);
      });
}

}  // namespace

Tensor batch_norm(const Tensor& x, const Tensor& running_mean, const Tensor& running_var,
                  const Tensor& weight, const Tensor& bias, const BatchNormParams& params) {
  check_input(x);
  check_per_channel("running_mean", running_mean, x);
  check_per_channel("running_var", running_var, x);
  check_per_channel("weight", weight, x);
  check_per_channel("bias", bias, x);
  check_statistics(x, running_mean, running_var, params.training);
  return with_float_type(x, [&]<class T>() {
    return batch_norm_as<T>(x, running_mean, running_var, weight, bias, params);
  });
}

}  // namespace convkit::ops
