#include <cmath>
#include <utility>

#include "convkit/infer/steps/step.h"
#include "convkit/kernels/batch_norm.h"
#include "convkit/kernels/softmax.h"

namespace convkit::infer {
namespace {

class BatchNormStep final : public Step {
 public:
  BatchNormStep(kernels::BatchNormGeometry geometry, std::vector<double> mean,
                std::vector<double> invstd, Tensor weight, Tensor bias)
      : geometry_(geometry),
        mean_(std::move(mean)),
        invstd_(std::move(invstd)),
        weight_(std::move(weight)),
        bias_(std::move(bias)) {}
  void run(std::span<const float* const> inputs, float* output) const override {
    kernels::batch_norm_forward(
        geometry_,
        kernels::BatchNormAffine<float>{mean_.data(), invstd_.data(), weight_.data<float>(),
                                        bias_.data<float>()},
        inputs[0], output);
  }

 private:
  kernels::BatchNormGeometry geometry_;
  std::vector<double> mean_;
  std::vector<double> invstd_;
  Tensor weight_;
  Tensor bias_;
};

class SoftmaxStep final : public Step {
 public:
  SoftmaxStep(kernels::SoftmaxKind kind, kernels::AxisGeometry geometry)
      : kind_(kind), geometry_(geometry) {}
  void run(std::span<const float* const> inputs, float* output) const override {
    kernels::softmax_forward(kind_, geometry_, inputs[0], output);
  }

 private:
  kernels::SoftmaxKind kind_;
  kernels::AxisGeometry geometry_;
};

}  // namespace

std::optional<Native> make_batch_norm(const Request& request) {
  const Facts& x = request.input(0);
  if (!x.is_float() || x.shape.dim() < 2 || request.call().flag("training_mode"))
    return std::nullopt;
  const int64_t channels = x.shape[1];
  for (std::size_t i = 1; i < 5; ++i) {
    const Tensor& given = request.input(i).constant;
    if (!given.defined() || given.numel() != channels || given.dtype() != DType::float32)
      return std::nullopt;
  }
  const double epsilon = request.call().number("epsilon");
  std::vector<double> mean;
  std::vector<double> invstd;
  for (int64_t c = 0; c < channels; ++c) {
    mean.push_back(request.input(3).constant.data<float>()[c]);
    invstd.push_back(1 / std::sqrt(request.input(4).constant.data<float>()[c] + epsilon));
  }
  return Native{
      std::make_unique<BatchNormStep>(
          kernels::BatchNormGeometry{x.shape.numel() / channels, channels}, std::move(mean),
          std::move(invstd), request.input(1).constant, request.input(2).constant),
      x.shape, 0};
}

std::optional<Native> make_softmax(const Request& request) {
  const Facts& x = request.input(0);
  if (!x.is_float() || x.shape.dim() < 1) return std::nullopt;
  const auto rank = static_cast<std::size_t>(x.shape.dim());
  const std::size_t axis = normal_axis(request.call().integer("axis"), x.shape.dim());
  // The axes in memory order: the channels of three axes or more are innermost.
  Integers order;
  for (std::size_t i = 0; i < rank; ++i)
    if (rank < 3 || i != 1) order.push_back(static_cast<int64_t>(i));
  if (rank >= 3) order.push_back(1);
  kernels::AxisGeometry geometry;
  geometry.extent = x.shape.begin()[axis];
  bool is_past = false;
  for (const int64_t each : order) {
    if (each == static_cast<int64_t>(axis)) {
      is_past = true;
    } else {
      (is_past ? geometry.inner : geometry.outer) *= x.shape[each];
    }
  }
  const auto kind = request.node.op == graph::Op::softmax ? kernels::SoftmaxKind::softmax
                                                          : kernels::SoftmaxKind::log_softmax;
  return Native{std::make_unique<SoftmaxStep>(kind, geometry), x.shape, 0};
}

}  // namespace convkit::infer
