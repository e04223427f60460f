#include "convkit/nn/init.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "convkit/base/memory.h"
#include "convkit/base/thread_pool.h"
#include "convkit/tensor/layout.h"

namespace convkit::nn::init {
namespace {

constexpr int64_t kElementsPerTask = 1 << 14;

// Calls `fill(T* values, count)` on the elements in logical order, T being float or double.
template <class Fill>
Tensor filled(const char* name, Tensor tensor, Fill fill) {
  const DType dtype = tensor.dtype();
  CONVKIT_CHECK(dtype == DType::float32 || dtype == DType::float64, DTypeError, name,
                ": random values are float32 or float64, not ", dtype);
  const auto run = [&]<class T>(T) {
    if (is_row_major(tensor.shape())) return fill(tensor.mutable_data<T>(), tensor.numel());
    convkit::Buffer<T> logical(static_cast<std::size_t>(tensor.numel()));
    fill(logical.data(), tensor.numel());
    row_major_to_memory(tensor.shape(), sizeof(T), logical.data(), tensor.raw_mutable_data());
  };
  if (dtype == DType::float64) {
    run(double{});
  } else {
    run(float{});
  }
  tensor.bump_version();
  return tensor;
}

template <class T, class Map>
void map_all(T* values, int64_t count, Map map) {
  parallel_ranges(count, kElementsPerTask, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) values[i] = map(values[i]);
  });
}

Tensor draw_uniform(const char* name, Tensor tensor, double a, double b, Generator& generator) {
  return filled(name, std::move(tensor), [&]<class T>(T* values, int64_t count) {
    generator.fill_uniform(values, count);
    const T low = static_cast<T>(a);
    const T width = static_cast<T>(b - a);
    map_all(values, count, [=](T u) { return low + width * u; });
  });
}

Tensor draw_normal(const char* name, Tensor tensor, double mean, double std, Generator& generator) {
  return filled(name, std::move(tensor), [&]<class T>(T* values, int64_t count) {
    generator.fill_normal(values, count);
    if (mean == 0 && std == 1) return;
    const T centre = static_cast<T>(mean);
    const T scale = static_cast<T>(std);
    map_all(values, count, [=](T z) { return centre + scale * z; });
  });
}

double normal_cdf(double z) { return 0.5 * std::erfc(-z / std::numbers::sqrt2); }

// Acklam's rational approximation (relative error 1.2e-9) and one step of Halley's method, which
// leaves rounding errors only. p in (0, 0.5]: the lower half, where erfc keeps its digits.
double lower_quantile(double p) {
  constexpr double kA[] = {-3.969683028665376e+01, 2.209460984245205e+02,  -2.759285104469687e+02,
                           1.383577518672690e+02,  -3.066479806614716e+01, 2.506628277459239e+00};
  constexpr double kB[] = {-5.447609879822406e+01, 1.615858368580409e+02, -1.556989798598866e+02,
                           6.680131188771972e+01, -1.328068155288572e+01};
  constexpr double kC[] = {-7.784894002430293e-03, -3.223964580411365e-01, -2.400758277161838e+00,
                           -2.549732539343734e+00, 4.374664141464968e+00,  2.938163982698783e+00};
  constexpr double kD[] = {7.784695709041462e-03, 3.224671290700398e-01, 2.445134137142996e+00,
                           3.754408661907416e+00};
  double z = 0;
  if (p < 0.02425) {
    const double q = std::sqrt(-2 * std::log(p));
    z = (((((kC[0] * q + kC[1]) * q + kC[2]) * q + kC[3]) * q + kC[4]) * q + kC[5]) /
        ((((kD[0] * q + kD[1]) * q + kD[2]) * q + kD[3]) * q + 1);
  } else {
    const double q = p - 0.5;
    const double r = q * q;
    z = (((((kA[0] * r + kA[1]) * r + kA[2]) * r + kA[3]) * r + kA[4]) * r + kA[5]) * q /
        (((((kB[0] * r + kB[1]) * r + kB[2]) * r + kB[3]) * r + kB[4]) * r + 1);
  }
  const double error = normal_cdf(z) - p;
  const double step = error * std::sqrt(2 * std::numbers::pi) * std::exp(z * z / 2);
  return std::isfinite(step) ? z - step / (1 + z * step / 2) : z;
}

double normal_quantile(double p) {
  if (p <= 0) return -std::numeric_limits<double>::infinity();
  if (p >= 1) return std::numeric_limits<double>::infinity();
  return p <= 0.5 ? lower_quantile(p) : -lower_quantile(1 - p);
}

double fan_of(const Tensor& tensor, FanMode mode) {
  const Fans fans = calculate_fans(tensor.shape());
  return static_cast<double>(mode == FanMode::fan_in ? fans.fan_in : fans.fan_out);
}

double kaiming_deviation(const Tensor& tensor, const KaimingOptions& options) {
  return calculate_gain(options.nonlinearity, options.a) / std::sqrt(fan_of(tensor, options.mode));
}

double xavier_deviation(const Tensor& tensor, double gain) {
  const Fans fans = calculate_fans(tensor.shape());
  return gain * std::sqrt(2.0 / static_cast<double>(fans.fan_in + fans.fan_out));
}

// Makes the rows of a (count × length) orthonormal, count ≤ length: modified Gram–Schmidt, that is
// the Q of a QR factorisation whose R has a positive diagonal.
void orthonormalise(double* rows, int64_t count, int64_t length) {
  const auto dot = [length](const double* a, const double* b) {
    double sums[4] = {};
    int64_t i = 0;
    for (; i + 4 <= length; i += 4)
      for (int64_t lane = 0; lane < 4; ++lane) sums[lane] += a[i + lane] * b[i + lane];
    for (; i < length; ++i) sums[0] += a[i] * b[i];
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
  };
  for (int64_t done = 0; done < count; ++done) {
    double* unit = rows + done * length;
    const double scale = 1 / std::sqrt(dot(unit, unit));
    for (int64_t i = 0; i < length; ++i) unit[i] *= scale;
    const int64_t grain = std::max<int64_t>(1, kElementsPerTask / length);
    parallel_ranges(count - done - 1, grain, [&](int64_t begin, int64_t end) {
      for (int64_t k = begin; k < end; ++k) {
        double* row = rows + (done + 1 + k) * length;
        const double along = dot(unit, row);
        for (int64_t i = 0; i < length; ++i) row[i] -= along * unit[i];
      }
    });
  }
}

// Writes ones at the given places of an otherwise empty tensor, by memory offset.
void set_to_one(Tensor& tensor, const std::vector<int64_t>& offsets) {
  visit_dtype(tensor.dtype(), [&]<class T>() {
    T* data = tensor.mutable_data<T>();
    for (const int64_t offset : offsets) {
      if constexpr (std::is_same_v<T, Half>) {
        data[offset] = to_half(1);
      } else if constexpr (std::is_same_v<T, BFloat16>) {
        data[offset] = to_bfloat16(1);
      } else {
        data[offset] = T{1};
      }
    }
  });
}

}  // namespace

double calculate_gain(Nonlinearity nonlinearity, double negative_slope) {
  switch (nonlinearity) {
    case Nonlinearity::tanh:
      return 5.0 / 3;
    case Nonlinearity::relu:
      return std::numbers::sqrt2;
    case Nonlinearity::leaky_relu:
      return std::sqrt(2 / (1 + negative_slope * negative_slope));
    case Nonlinearity::selu:
      return 0.75;
    case Nonlinearity::linear:
    case Nonlinearity::conv:
    case Nonlinearity::sigmoid:
      break;
  }
  return 1;
}

Fans calculate_fans(const Shape& weight) {
  CONVKIT_CHECK(weight.dim() >= 2, ShapeError, "init: a weight of shape ", weight,
                " has no fan_in and fan_out; it needs at least two axes (out, in, kernel...)");
  int64_t volume = 1;
  for (int64_t axis = 2; axis < weight.dim(); ++axis) volume *= weight[axis];
  return {weight[1] * volume, weight[0] * volume};
}

Tensor uniform_(Tensor tensor, double a, double b, Generator& generator) {
  CONVKIT_CHECK(a <= b, ValueError, "uniform_: a (", a, ") must not be above b (", b, ")");
  return draw_uniform("uniform_", std::move(tensor), a, b, generator);
}

Tensor normal_(Tensor tensor, double mean, double std, Generator& generator) {
  CONVKIT_CHECK(std >= 0, ValueError, "normal_: std (", std, ") must not be negative");
  return draw_normal("normal_", std::move(tensor), mean, std, generator);
}

Tensor trunc_normal_(Tensor tensor, const TruncNormalOptions& options, Generator& generator) {
  const double mean = options.mean;
  const double std = options.std;
  const double a = options.a;
  const double b = options.b;
  CONVKIT_CHECK(std > 0, ValueError, "trunc_normal_: std (", std, ") must be above 0");
  CONVKIT_CHECK(a < b, ValueError, "trunc_normal_: a (", a, ") must be below b (", b, ")");
  // An interval above the mean is mirrored to where the distribution function keeps its digits.
  const bool mirrored = a > mean;
  const double low = normal_cdf((mirrored ? mean - b : a - mean) / std);
  const double high = normal_cdf((mirrored ? mean - a : b - mean) / std);
  const double sign = mirrored ? -1 : 1;
  return filled("trunc_normal_", std::move(tensor), [&]<class T>(T* values, int64_t count) {
    generator.fill_uniform(values, count);
    map_all(values, count, [=](T u) {
      const double z = normal_quantile(low + (high - low) * static_cast<double>(u));
      return static_cast<T>(std::clamp(mean + sign * std * z, a, b));
    });
  });
}

Tensor constant_(Tensor tensor, double value) {
  tensor.fill(value);
  return tensor;
}
Tensor ones_(Tensor tensor) { return constant_(std::move(tensor), 1); }
Tensor zeros_(Tensor tensor) { return constant_(std::move(tensor), 0); }

Tensor xavier_uniform_(Tensor tensor, double gain, Generator& generator) {
  const double bound = std::numbers::sqrt3 * xavier_deviation(tensor, gain);
  return draw_uniform("xavier_uniform_", std::move(tensor), -bound, bound, generator);
}

Tensor xavier_normal_(Tensor tensor, double gain, Generator& generator) {
  const double deviation = xavier_deviation(tensor, gain);
  return draw_normal("xavier_normal_", std::move(tensor), 0, deviation, generator);
}

Tensor kaiming_uniform_(Tensor tensor, const KaimingOptions& options, Generator& generator) {
  const double bound = std::numbers::sqrt3 * kaiming_deviation(tensor, options);
  return draw_uniform("kaiming_uniform_", std::move(tensor), -bound, bound, generator);
}

Tensor kaiming_normal_(Tensor tensor, const KaimingOptions& options, Generator& generator) {
  const double deviation = kaiming_deviation(tensor, options);
  return draw_normal("kaiming_normal_", std::move(tensor), 0, deviation, generator);
}

Tensor orthogonal_(Tensor tensor, double gain, Generator& generator) {
  CONVKIT_CHECK(tensor.dim() >= 2, ShapeError, "orthogonal_: a tensor of shape ", tensor.shape(),
                " is no matrix; it needs at least two axes");
  if (tensor.numel() == 0) return tensor;
  const int64_t rows = tensor.size(0);
  const int64_t columns = tensor.numel() / rows;
  const bool tall = rows > columns;
  const int64_t count = std::min(rows, columns);
  const int64_t length = std::max(rows, columns);
  convkit::Buffer<double> vectors(static_cast<std::size_t>(rows * columns));
  generator.fill_normal(vectors.data(), rows * columns);
  orthonormalise(vectors.data(), count, length);
  return filled("orthogonal_", std::move(tensor), [&]<class T>(T* values, int64_t) {
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < columns; ++c)
        values[r * columns + c] =
            static_cast<T>(gain * vectors.data()[tall ? c * length + r : r * length + c]);
  });
}

Tensor dirac_(Tensor tensor, int64_t groups) {
  CONVKIT_CHECK(tensor.dim() >= 3 && tensor.dim() <= 5, ShapeError, "dirac_: a tensor of shape ",
                tensor.shape(), " is no convolution's weight, which has 3 to 5 axes");
  CONVKIT_CHECK(groups >= 1 && tensor.size(0) % groups == 0, ValueError, "dirac_: groups (", groups,
                ") must divide the output channels (", tensor.size(0), ")");
  tensor.fill(0);
  if (tensor.numel() == 0) return tensor;
  const std::vector<int64_t> strides = memory_strides(tensor.shape());
  int64_t centre = 0;
  for (int64_t axis = 2; axis < tensor.dim(); ++axis)
    centre += tensor.size(axis) / 2 * strides[static_cast<std::size_t>(axis)];
  const int64_t per_group = tensor.size(0) / groups;
  std::vector<int64_t> offsets;
  for (int64_t group = 0; group < groups; ++group)
    for (int64_t i = 0; i < std::min(per_group, tensor.size(1)); ++i)
      offsets.push_back((group * per_group + i) * strides[0] + i * strides[1] + centre);
  set_to_one(tensor, offsets);
  return tensor;
}

Tensor eye_(Tensor tensor) {
  CONVKIT_CHECK(tensor.dim() == 2, ShapeError, "eye_: a tensor of shape ", tensor.shape(),
                " is no matrix; it needs two axes");
  tensor.fill(0);
  std::vector<int64_t> offsets;
  for (int64_t i = 0; i < std::min(tensor.size(0), tensor.size(1)); ++i)
    offsets.push_back(i * (tensor.size(1) + 1));
  set_to_one(tensor, offsets);
  return tensor;
}

void conv_default_init(Tensor weight, Tensor bias, Generator& generator) {
  const double bound = 1 / std::sqrt(fan_of(weight, FanMode::fan_in));
  draw_uniform("conv_default_init", std::move(weight), -bound, bound, generator);
  if (bias.defined()) draw_uniform("conv_default_init", std::move(bias), -bound, bound, generator);
}

}  // namespace convkit::nn::init
