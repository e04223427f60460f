#include <algorithm>
#include <cmath>
#include <numeric>

#include "convkit/infer/elements.h"
#include "convkit/infer/operators.h"
#include "convkit/kernels/batch_norm.h"
#include "convkit/ops/batch_norm.h"

namespace convkit::infer {
namespace {

// Statistics over the elements that share all indices but those along some axes.
struct Moments {
  Tensor mean;       ///< float64, extent 1 along the axes taken in
  Tensor variance;   ///< biased
  Integers strides;  ///< of both, as the input's indices walk them
};

Moments moments_of(const Tensor& x, const std::vector<bool>& taken) {
  Integers kept = x.shape().to_vector();
  for (std::size_t i = 0; i < kept.size(); ++i)
    if (taken[i]) kept[i] = 1;
  Moments m;
  m.mean = make(Shape(kept), DType::float64);
  m.variance = make(Shape(kept), DType::float64);
  m.mean.fill(0);
  m.variance.fill(0);
  m.strides = memory_strides(m.mean.shape());
  for (std::size_t i = 0; i < kept.size(); ++i)
    if (kept[i] == 1) m.strides[i] = 0;
  double* mean = m.mean.mutable_data<double>();
  double* variance = m.variance.mutable_data<double>();
  if (x.numel() == 0) return m;
  const int64_t elements = x.numel() / m.mean.numel();
  const auto count = static_cast<double>(elements);
  const auto fold = [&](auto take) {
    for_each_row(x.shape().to_vector(), {memory_strides(x.shape()), m.strides},
                 [&](const int64_t* offsets, int64_t run, const int64_t* steps) {
                   for (int64_t i = 0; i < run; ++i) {
                     double value = 0;
                     load(x.dtype(), x.raw_data(), offsets[0] + i * steps[0], 1, 1, &value);
                     take(value, offsets[1] + i * steps[1]);
                   }
                 });
  };
  fold([&](double value, int64_t at) { mean[at] += value; });
  for (int64_t i = 0; i < m.mean.numel(); ++i) mean[i] /= count;
  fold([&](double value, int64_t at) { variance[at] += (value - mean[at]) * (value - mean[at]); });
  for (int64_t i = 0; i < m.mean.numel(); ++i) variance[i] /= count;
  return m;
}

// y = (x − mean) / √(variance + eps) · scale + bias; scale and bias stretch to x by their strides.
Tensor normalized(const Tensor& x, const Moments& m, double eps, const Tensor& scale,
                  const Integers& scale_strides, const Tensor& bias, const Integers& bias_strides) {
  Tensor y = make(x.shape(), x.dtype());
  const double* mean = m.mean.data<double>();
  const double* variance = m.variance.data<double>();
  for_each_row(x.shape().to_vector(),
               {memory_strides(x.shape()), m.strides, scale_strides, bias_strides},
               [&](const int64_t* offsets, int64_t count, const int64_t* steps) {
                 for (int64_t i = 0; i < count; ++i) {
                   const int64_t at = offsets[0] + i * steps[0];
                   const int64_t statistics = offsets[1] + i * steps[1];
                   double value = 0;
                   double by = 1;
                   double shift = 0;
                   load(x.dtype(), x.raw_data(), at, 1, 1, &value);
                   if (scale.defined())
                     load(scale.dtype(), scale.raw_data(), offsets[2] + i * steps[2], 1, 1, &by);
                   if (bias.defined())
                     load(bias.dtype(), bias.raw_data(), offsets[3] + i * steps[3], 1, 1, &shift);
                   value = (value - mean[statistics]) / std::sqrt(variance[statistics] + eps);
                   value = value * by + shift;
                   store(y.dtype(), y.raw_mutable_data(), at, 1, 1, &value);
                 }
               });
  return y;
}

Integers none(const Tensor& x) { return Integers(static_cast<std::size_t>(x.dim()), 0); }

// Strides of a list with one number per channel, axis 1.
Integers per_channel(const Tensor& x) {
  Integers strides = none(x);
  strides[1] = 1;
  return strides;
}

void need_channels(const Call& call, std::size_t input, int64_t channels) {
  CONVKIT_CHECK(call.input(input).shape() == Shape({channels}), ShapeError, "input ", input,
                " has the shape ", call.input(input).shape(), ", but there are ", channels,
                " channels");
}

Tensors batch_normalization_of_batch(const Call& call) {
  const Tensor x = for_kernels(call.input(0));
  const int64_t channels = x.size(1);
  const double momentum = call.number("momentum");
  std::vector<bool> taken(static_cast<std::size_t>(x.dim()), true);
  taken[1] = false;
  const Moments m = moments_of(x, taken);
  const Tensor y = normalized(x, m, call.number("epsilon"), call.input(1), per_channel(x),
                              call.input(2), per_channel(x));
  const auto running = [&](const Tensor& old, const Tensor& current) {
    Tensor updated = make({channels}, old.dtype());
    const Tensor flat = current.reshaped({channels});
    for (int64_t c = 0; c < channels; ++c) {
      const double value = old.at({c}) * momentum + flat.at({c}) * (1 - momentum);
      store(updated.dtype(), updated.raw_mutable_data(), c, 1, 1, &value);
    }
    return updated;
  };
  return {y.to(call.input(0).dtype()), running(call.input(3), m.mean),
          running(call.input(4), m.variance)};
}

}  // namespace

Tensors run_batch_normalization(const Call& call) {
  const Tensor& x = call.input(0);
  need_floating(call, 0);
  need_rank(call, 0, 2);
  for (std::size_t i = 1; i <= 4; ++i) {
    need_floating(call, i);
    need_channels(call, i, x.size(1));
  }
  if (call.flag("training_mode")) return batch_normalization_of_batch(call);
  const Tensor in = for_kernels(x);
  const auto parameter = [&](std::size_t i) { return call.input(i).to(in.dtype()); };
  if (in.numel() == 0) return {x};
  return {ops::batch_norm(in, parameter(3), parameter(4), parameter(1), parameter(2),
                          {.eps = call.number("epsilon")})
              .to(x.dtype())};
}

Tensors run_instance_normalization(const Call& call) {
  const Tensor& x = call.input(0);
  need_floating(call, 0);
  need_rank(call, 0, 3);
  for (const std::size_t i : {std::size_t{1}, std::size_t{2}}) need_channels(call, i, x.size(1));
  std::vector<bool> taken(static_cast<std::size_t>(x.dim()), true);
  taken[0] = taken[1] = false;
  return {normalized(x, moments_of(x, taken), call.number("epsilon"), call.input(1), per_channel(x),
                     call.input(2), per_channel(x))};
}

Tensors run_layer_normalization(const Call& call) {
  const Tensor& x = call.input(0);
  need_floating(call, 0);
  const std::size_t axis = normal_axis(call.integer("axis"), x.dim());
  // All axes from that one on, or, where a pass has moved it (sink_transposes), that one.
  std::vector<bool> taken(static_cast<std::size_t>(x.dim()), true);
  std::fill_n(taken.begin(), axis, false);
  if (call.node.attributes.find("single_axis") != nullptr)
    std::fill(taken.begin() + static_cast<std::ptrdiff_t>(axis) + 1, taken.end(), false);
  const Moments m = moments_of(x, taken);
  const auto strides = [&](std::size_t i) {
    if (!call.has(i)) return none(x);
    CONVKIT_CHECK(
        broadcast_shapes(x.shape(), call.input(i).shape(), "LayerNormalization") == x.shape(),
        ShapeError, "input ", i, " has the shape ", call.input(i).shape(),
        ", which does not stretch to ", x.shape());
    return stretched_strides(call.input(i).shape(), x.shape());
  };
  const double eps = call.number("epsilon");
  const Tensor y = normalized(x, m, eps, call.input(1), strides(1),
                              call.has(2) ? call.input(2) : Tensor(), strides(2));
  const DType type = x.dtype() == DType::float64 ? DType::float64 : DType::float32;
  Tensor inverse = m.variance.clone();
  double* values = inverse.mutable_data<double>();
  for (int64_t i = 0; i < inverse.numel(); ++i) values[i] = 1 / std::sqrt(values[i] + eps);
  return {y, m.mean.to(type), inverse.to(type)};
}

Tensors run_group_normalization(const Call& call) {
  const Tensor& x = call.input(0);
  need_floating(call, 0);
  need_rank(call, 0, 2);
  const int64_t groups = call.integer("num_groups");
  CONVKIT_CHECK(groups >= 1 && x.size(1) % groups == 0, ShapeError, "the ", x.size(1),
                " channels are not divided by num_groups (", groups, ")");
  for (const std::size_t i : {std::size_t{1}, std::size_t{2}}) need_channels(call, i, x.size(1));
  // One row for each group of each picture; the elements of a group are far apart in memory.
  const int64_t rows = x.size(0) * groups;
  const Tensor grouped = x.reshaped({rows, rows == 0 ? 0 : x.numel() / rows});
  const Tensor flat =
      normalized(grouped, moments_of(grouped, {false, true}), call.number("epsilon"), Tensor(),
                 none(grouped), Tensor(), none(grouped));
  const Tensor y = flat.reshaped(x.shape());
  // Scale and bias alone: the mean is 0, and the variance 1.
  Moments identity{
      .mean = zeros({}, DType::float64), .variance = ones({}, DType::float64), .strides = none(x)};
  return {normalized(y, identity, 0, call.input(1), per_channel(x), call.input(2), per_channel(x))};
}

Tensors run_mean_variance_normalization(const Call& call) {
  const Tensor& x = call.input(0);
  need_floating(call, 0);
  std::vector<bool> taken(static_cast<std::size_t>(x.dim()), false);
  for (const int64_t axis : call.integers("axes")) taken[normal_axis(axis, x.dim())] = true;
  constexpr double kEpsilon = 1e-9;
  Moments m = moments_of(x, taken);
  // The definition adds its epsilon to the deviation, not to the variance.
  double* variance = m.variance.mutable_data<double>();
  for (int64_t i = 0; i < m.variance.numel(); ++i) {
    const double deviation = std::sqrt(variance[i]) + kEpsilon;
    variance[i] = deviation * deviation;
  }
  return {normalized(x, m, 0, Tensor(), none(x), Tensor(), none(x))};
}

// y = x / (bias + alpha / size · Σ x²)^beta over the `size` channels around each (Krizhevsky et al.
// 2012, section 3.3).
Tensors run_lrn(const Call& call) {
  const Tensor& x = call.input(0);
  need_floating(call, 0);
  need_rank(call, 0, 2);
  const int64_t size = call.integer("size");
  CONVKIT_CHECK(size >= 1 && size <= INT32_MAX, ValueError, "size (", size, ") must be at least 1");
  const double alpha = call.number("alpha") / static_cast<double>(size);
  const double beta = call.number("beta");
  const double bias = call.number("bias");
  Tensor y = make(x.shape(), x.dtype());
  const int64_t channels = x.size(1);
  const int64_t stride = line_stride(x.shape(), 1);
  const int64_t before = (size - 1) / 2;
  const int64_t after = size - 1 - before;
  std::vector<double> line(static_cast<std::size_t>(channels));
  std::vector<double> result(line.size());
  for_each_line(x.shape(), 1, [&](int64_t offset) {
    load(x.dtype(), x.raw_data(), offset, stride, channels, line.data());
    for (int64_t c = 0; c < channels; ++c) {
      double sum = 0;
      const int64_t end = std::min(channels, c + after + 1);
      for (int64_t k = std::max<int64_t>(0, c - before); k < end; ++k)
        sum += line[static_cast<std::size_t>(k)] * line[static_cast<std::size_t>(k)];
      const auto at = static_cast<std::size_t>(c);
      result[at] = line[at] / std::pow(bias + alpha * sum, beta);
    }
    store(y.dtype(), y.raw_mutable_data(), offset, stride, channels, result.data());
  });
  return {y};
}

}  // namespace convkit::infer
