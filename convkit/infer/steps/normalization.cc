#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "convkit/base/thread_pool.h"
#include "convkit/infer/steps/step.h"
#include "convkit/kernels/batch_norm.h"
#include "convkit/kernels/layer_norm.h"
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
  bool takes_pitch(int operand) const override { return operand == 0; }
  void set_pitch(int, int64_t floats) override { geometry_.x_pitch = floats; }

 private:
  kernels::BatchNormGeometry geometry_;
  std::vector<double> mean_;
  std::vector<double> invstd_;
  Tensor weight_;
  Tensor bias_;
};

// y = (x − mean) / √(variance + eps) · scale + shift along one axis, scale and shift for each place
// on it or for each line of neighbours across it. Sums are in double, in the axis's order, but
// where the axis is innermost in memory (layer_norm.h).
class AxisNormStep final : public Step {
 public:
  struct Affine {
    Tensor scale = {};  // undefined: 1
    Tensor shift = {};  // undefined: 0
    bool along = true;  // by the place on the axis
  };
  AxisNormStep(kernels::AxisGeometry geometry, double epsilon, Affine affine)
      : geometry_(geometry), epsilon_(epsilon), affine_(std::move(affine)) {}

  void run(std::span<const float* const> inputs, float* output) const override {
    if (geometry_.inner == 1 && affine_.along) {
      const auto data = [](const Tensor& list) {
        return list.defined() ? list.data<float>() : nullptr;
      };
      return kernels::layer_norm_rows(geometry_.outer, geometry_.extent, epsilon_, inputs[0],
                                      data(affine_.scale), data(affine_.shift), output);
    }
    const int64_t blocks = (geometry_.inner + kBlock - 1) / kBlock;
    parallel_for(geometry_.outer * blocks, [&](int64_t task) {
      const int64_t first = task % blocks * kBlock;
      const int64_t at = task / blocks * geometry_.extent * geometry_.inner + first;
      normalize(first, std::min(kBlock, geometry_.inner - first), inputs[0] + at, output + at);
    });
  }

 private:
  static constexpr int64_t kBlock = 32;  // lines at once
  using Sums = std::array<double, static_cast<std::size_t>(kBlock)>;

  void normalize(int64_t first, int64_t lines, const float* x, float* y) const {
    const auto length = static_cast<double>(geometry_.extent);
    Sums mean{};
    Sums scale{};
    each(lines, [&](int64_t, int64_t at, std::size_t line) { mean[line] += x[at]; });
    for (double& sum : mean) sum /= length;
    each(lines, [&](int64_t, int64_t at, std::size_t line) {
      const double off = x[at] - mean[line];
      scale[line] += off * off;
    });
    for (double& sum : scale) sum = 1 / std::sqrt(sum / length + epsilon_);
    const float* by = affine_.scale.defined() ? affine_.scale.data<float>() : nullptr;
    const float* shift = affine_.shift.defined() ? affine_.shift.data<float>() : nullptr;
    each(lines, [&](int64_t place, int64_t at, std::size_t line) {
      const int64_t number = affine_.along ? place : first + static_cast<int64_t>(line);
      const double value = (x[at] - mean[line]) * scale[line];
      y[at] = static_cast<float>(value * (by ? by[number] : 1.0F) + (shift ? shift[number] : 0.0F));
    });
  }

  template <class Body>
  void each(int64_t lines, const Body& body) const {
    for (int64_t place = 0; place < geometry_.extent; ++place)
      for (int64_t line = 0; line < lines; ++line)
        body(place, place * geometry_.inner + line, static_cast<std::size_t>(line));
  }

  kernels::AxisGeometry geometry_;
  double epsilon_;
  Affine affine_;
};

// y = (x − mean) / √(variance + eps) · scale + shift, with the mean and the variance of a picture's
// group of neighbouring channels, scale and shift of each channel. Each channel's sum is taken in
// double along the positions, then those of the group are added.
class GroupNormStep final : public Step {
 public:
  struct Geometry {
    int64_t batch;
    int64_t positions;
    int64_t channels;
    int64_t groups;
  };
  GroupNormStep(const Geometry& geometry, double epsilon, Tensor scale, Tensor shift)
      : geometry_(geometry),
        epsilon_(epsilon),
        scale_(std::move(scale)),
        shift_(std::move(shift)) {}

  void run(std::span<const float* const> inputs, float* output) const override {
    const int64_t width = geometry_.channels / geometry_.groups;
    parallel_for(geometry_.batch * geometry_.groups, [&](int64_t task) {
      const int64_t first = task % geometry_.groups * width;
      const int64_t at = task / geometry_.groups * geometry_.positions * geometry_.channels + first;
      normalize(first, width, inputs[0] + at, output + at);
    });
  }

 private:
  static constexpr int64_t kBlock = 64;  // channels at once
  using Numbers = std::array<double, static_cast<std::size_t>(kBlock)>;

  void normalize(int64_t first, int64_t width, const float* x, float* y) const {
    const auto count = static_cast<double>(width * geometry_.positions);
    double mean = 0;
    double variance = 0;
    for (int64_t c = 0; c < width; c += kBlock)
      mean += sum(std::min(kBlock, width - c), x + c, 0, false);
    mean /= count;
    for (int64_t c = 0; c < width; c += kBlock)
      variance += sum(std::min(kBlock, width - c), x + c, mean, true);
    const double by = 1 / std::sqrt(variance / count + epsilon_);
    for (int64_t c = 0; c < width; c += kBlock) {
      const int64_t channels = std::min(kBlock, width - c);
      Numbers scale{};
      Numbers shift{};
      for (int64_t i = 0; i < channels; ++i) {
        const auto k = static_cast<std::size_t>(i);
        scale[k] = by * static_cast<double>(scale_.data<float>()[first + c + i]);
        shift[k] = static_cast<double>(shift_.data<float>()[first + c + i]);
      }
      for (int64_t position = 0; position < geometry_.positions; ++position) {
        const int64_t at = position * geometry_.channels + c;
        for (int64_t i = 0; i < channels; ++i) {
          const auto k = static_cast<std::size_t>(i);
          y[at + i] =
              static_cast<float>((static_cast<double>(x[at + i]) - mean) * scale[k] + shift[k]);
        }
      }
    }
  }

  // Of x − center, or of its square.
  double sum(int64_t channels, const float* x, double center, bool squared) const {
    Numbers sums{};
    for (int64_t position = 0; position < geometry_.positions; ++position, x += geometry_.channels)
      for (int64_t i = 0; i < channels; ++i) {
        const double off = static_cast<double>(x[i]) - center;
        sums[static_cast<std::size_t>(i)] += squared ? off * off : off;
      }
    double total = 0;
    for (int64_t i = 0; i < channels; ++i) total += sums[static_cast<std::size_t>(i)];
    return total;
  }

  Geometry geometry_;
  double epsilon_;
  Tensor scale_;
  Tensor shift_;
};

// y = x / (bias + alpha / size · Σ x²)^beta over the `size` channels around each.
class LrnStep final : public Step {
 public:
  struct Numbers {
    int64_t before;  // channels that count beside the one itself
    int64_t after;
    double alpha;  // divided by the size
    double beta;
    double bias;
  };
  LrnStep(int64_t rows, int64_t channels, const Numbers& numbers)
      : rows_(rows), channels_(channels), numbers_(numbers) {}

  void run(std::span<const float* const> inputs, float* output) const override {
    constexpr int64_t kElementsPerTask = 1 << 11;
    parallel_ranges(rows_, std::max<int64_t>(1, kElementsPerTask / channels_),
                    [&](int64_t begin, int64_t end) {
                      for (int64_t row = begin; row < end; ++row)
                        normalize(inputs[0] + row * channels_, output + row * channels_);
                    });
  }

 private:
  void normalize(const float* x, float* y) const {
    const auto& [before, after, alpha, beta, bias] = numbers_;
    for (int64_t c = 0; c < channels_; ++c) {
      double sum = 0;
      const int64_t end = std::min(channels_, c + after + 1);
      for (int64_t k = std::max<int64_t>(0, c - before); k < end; ++k)
        sum += static_cast<double>(x[k]) * x[k];
      const double base = bias + alpha * sum;
      // Nets use 3/4, and powers are slow.
      const double power =
          beta == 0.75 ? std::sqrt(base) * std::sqrt(std::sqrt(base)) : std::pow(base, beta);
      y[c] = static_cast<float>(x[c] / power);
    }
  }

  int64_t rows_;
  int64_t channels_;
  Numbers numbers_;
};

// The shape as it lies in memory, split at one of its axes: the channels of three axes or more are
// innermost.
kernels::AxisGeometry split_at(const Shape& shape, std::size_t axis) {
  const auto rank = static_cast<std::size_t>(shape.dim());
  Integers order;
  for (std::size_t i = 0; i < rank; ++i)
    if (rank < 3 || i != 1) order.push_back(static_cast<int64_t>(i));
  if (rank >= 3) order.push_back(1);
  kernels::AxisGeometry geometry;
  geometry.extent = shape.begin()[axis];
  bool is_past = false;
  for (const int64_t each : order) {
    if (each == static_cast<int64_t>(axis)) {
      is_past = true;
    } else {
      (is_past ? geometry.inner : geometry.outer) *= shape[each];
    }
  }
  return geometry;
}

// Constants of that shape; false where a given input is something else.
bool read_affine(const Request& request, const Shape& shape, AxisNormStep::Affine& affine) {
  Tensor* const targets[] = {&affine.scale, &affine.shift};
  for (std::size_t i = 0; i < 2; ++i) {
    if (!request.given(i + 1)) continue;
    const Facts& facts = request.input(i + 1);
    if (!facts.constant.defined() || facts.dtype != DType::float32 || !(facts.shape == shape))
      return false;
    *targets[i] = facts.constant;
  }
  return true;
}

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
  const std::size_t axis = normal_axis(request.call().integer("axis"), x.shape.dim());
  const auto kind = request.node.op == graph::Op::softmax ? kernels::SoftmaxKind::softmax
                                                          : kernels::SoftmaxKind::log_softmax;
  return Native{std::make_unique<SoftmaxStep>(kind, split_at(x.shape, axis)), x.shape, 0};
}

std::optional<Native> make_instance_norm(const Request& request) {
  const Facts& x = request.input(0);
  if (!x.is_float() || x.shape.dim() < 3) return std::nullopt;
  AxisNormStep::Affine affine{.along = false};
  const int64_t channels = x.shape[1];
  if (!read_affine(request, Shape({channels}), affine)) return std::nullopt;
  const kernels::AxisGeometry geometry{x.shape[0], x.shape.numel() / (x.shape[0] * channels),
                                       channels};
  return Native{
      std::make_unique<AxisNormStep>(geometry, request.call().number("epsilon"), std::move(affine)),
      x.shape, 0};
}

std::optional<Native> make_layer_norm(const Request& request) {
  const Facts& x = request.input(0);
  if (!x.is_float() || x.shape.dim() < 1) return std::nullopt;
  // Over one axis only.
  const std::size_t axis = normal_axis(request.call().integer("axis"), x.shape.dim());
  const bool is_last = axis + 1 == static_cast<std::size_t>(x.shape.dim());
  if (!is_last && request.node.attributes.find("single_axis") == nullptr) return std::nullopt;
  AxisNormStep::Affine affine;
  Shape list({x.shape.begin()[axis]});
  while (list.dim() < x.shape.dim() - static_cast<int64_t>(axis))
    list = list.with_inserted(list.dim(), 1);
  if (!read_affine(request, list, affine)) return std::nullopt;
  return Native{std::make_unique<AxisNormStep>(split_at(x.shape, axis),
                                               request.call().number("epsilon"), std::move(affine)),
                x.shape, 0};
}

std::optional<Native> make_group_norm(const Request& request) {
  const Facts& x = request.input(0);
  if (!x.is_float() || x.shape.dim() < 2) return std::nullopt;
  const int64_t channels = x.shape[1];
  const int64_t groups = request.call().integer("num_groups");
  AxisNormStep::Affine affine;
  if (groups < 1 || channels % groups != 0 || !request.given(1) || !request.given(2) ||
      !read_affine(request, Shape({channels}), affine))
    return std::nullopt;
  return Native{make_group_norm(x.shape, groups, request.call().number("epsilon"),
                                std::move(affine.scale), std::move(affine.shift)),
                x.shape, 0};
}

std::unique_ptr<Step> make_group_norm(const Shape& x, int64_t groups, double epsilon, Tensor scale,
                                      Tensor shift) {
  const GroupNormStep::Geometry geometry{x[0], x.numel() / (x[0] * x[1]), x[1], groups};
  return std::make_unique<GroupNormStep>(geometry, epsilon, std::move(scale), std::move(shift));
}

std::optional<Native> make_lrn(const Request& request) {
  const Facts& x = request.input(0);
  const Call call = request.call();
  const int64_t size = call.integer("size");
  if (!x.is_float() || x.shape.dim() < 3 || size < 1 || size > INT32_MAX) return std::nullopt;
  const LrnStep::Numbers numbers{(size - 1) / 2, size / 2,
                                 call.number("alpha") / static_cast<double>(size),
                                 call.number("beta"), call.number("bias")};
  return Native{std::make_unique<LrnStep>(x.shape.numel() / x.shape[1], x.shape[1], numbers),
                x.shape};
}

}  // namespace convkit::infer
