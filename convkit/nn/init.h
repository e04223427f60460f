#pragma once

#include "convkit/base/random.h"
#include "convkit/tensor/tensor.h"

/// torch.nn.init: fills a tensor in place and returns it. Values are drawn in logical order, so
/// that a seed gives the same tensor whatever the memory order and the number of threads. Nothing
/// is recorded on the tape; parameters may be passed. Random initialisers take float32 and float64
/// and throw DTypeError for other types.
namespace convkit::nn::init {

/// What follows the layer, for its gain.
enum class Nonlinearity { linear, conv, sigmoid, tanh, relu, leaky_relu, selu };
/// Keep the variance of activations (fan_in) or of gradients (fan_out).
enum class FanMode { fan_in, fan_out };

/// The factor that keeps the deviation of what passes the nonlinearity: linear, conv and sigmoid 1,
/// tanh 5/3, relu √2, leaky_relu √(2 / (1 + negative_slope²)), selu 3/4.
CONVKIT_API double calculate_gain(Nonlinearity nonlinearity, double negative_slope = 0.01);

struct Fans {
  int64_t fan_in;
  int64_t fan_out;
};
/// Of a weight (out, in / groups, kernel...): fan_in = size(1)·kernel volume, fan_out = size(0)·
/// kernel volume. Throws ShapeError for fewer than two axes.
CONVKIT_API Fans calculate_fans(const Shape& weight);

/// Uniform in [a, b]; b itself occurs by rounding only.
CONVKIT_API Tensor uniform_(Tensor tensor, double a = 0, double b = 1,
                            Generator& generator = default_generator());
CONVKIT_API Tensor normal_(Tensor tensor, double mean = 0, double std = 1,
                           Generator& generator = default_generator());

struct TruncNormalOptions {
  double mean = 0;
  double std = 1;
  double a = -2;  ///< bounds of the values, not multiples of std
  double b = 2;
};
/// Normal, conditioned on [a, b] (by the inverse of the distribution function).
CONVKIT_API Tensor trunc_normal_(Tensor tensor, const TruncNormalOptions& options = {},
                                 Generator& generator = default_generator());

/// Every element becomes `value`.
CONVKIT_API Tensor constant_(Tensor tensor, double value);
CONVKIT_API Tensor ones_(Tensor tensor);
CONVKIT_API Tensor zeros_(Tensor tensor);

/// Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks"
/// (2010): deviation gain·√(2 / (fan_in + fan_out)); uniform in ± √3 deviations, or normal.
CONVKIT_API Tensor xavier_uniform_(Tensor tensor, double gain = 1,
                                   Generator& generator = default_generator());
CONVKIT_API Tensor xavier_normal_(Tensor tensor, double gain = 1,
                                  Generator& generator = default_generator());

struct KaimingOptions {
  double a = 0;  ///< negative slope of the leaky_relu
  FanMode mode = FanMode::fan_in;
  Nonlinearity nonlinearity = Nonlinearity::leaky_relu;
};
/// He et al., "Delving deep into rectifiers" (2015): deviation gain / √fan; uniform in ± √3
/// deviations, or normal.
CONVKIT_API Tensor kaiming_uniform_(Tensor tensor, const KaimingOptions& options = {},
                                    Generator& generator = default_generator());
CONVKIT_API Tensor kaiming_normal_(Tensor tensor, const KaimingOptions& options = {},
                                   Generator& generator = default_generator());

/// Saxe et al., "Exact solutions to the nonlinear dynamics of learning" (2013): the matrix
/// [size(0), rest] gets orthogonal rows (or columns, the fewer) of length `gain`, uniformly
/// distributed. Throws ShapeError for fewer than two axes.
CONVKIT_API Tensor orthogonal_(Tensor tensor, double gain = 1,
                               Generator& generator = default_generator());

/// The convolution that passes its input channels on: 1 in the centre of kernel (i, i), in each of
/// `groups` groups of output channels. For weights of 3 to 5 axes; throws ShapeError otherwise.
CONVKIT_API Tensor dirac_(Tensor tensor, int64_t groups = 1);
/// The identity matrix. Throws ShapeError unless there are two axes.
CONVKIT_API Tensor eye_(Tensor tensor);

/// PyTorch's reset_parameters of convolutions and Linear: kaiming_uniform_ with a = √5, that is
/// uniform in ±1/√fan_in, for both; fan_in is the weight's. `bias` may be undefined.
CONVKIT_API void conv_default_init(Tensor weight, Tensor bias,
                                   Generator& generator = default_generator());

}  // namespace convkit::nn::init
