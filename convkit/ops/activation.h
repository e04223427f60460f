#pragma once

#include "convkit/tensor/tensor.h"

/// Activation functions, elementwise, as in torch.nn.functional: y has x's shape and type (float32
/// or float64; DTypeError otherwise), NaN gives NaN, and the gradient at a kink is PyTorch's. All
/// recorded.
namespace convkit::ops {

/// max(x, 0); the gradient at 0 is 0.
CONVKIT_API Tensor relu(const Tensor& x);
/// x ← max(x, 0); returns x. Its backward reads the output only, so that no copy of the input is
/// kept. Throws GradError where overwriting x would falsify a gradient.
CONVKIT_API Tensor& relu_(Tensor& x);

/// Attributes for a tracer.
struct LeakyReluParams {
  double negative_slope;
};
/// x > 0 ? x : negative_slope · x.
CONVKIT_API Tensor leaky_relu(const Tensor& x, double negative_slope = 0.01);

/// x > 0 ? x : weight_c · x, with one weight for all or one per channel (axis 1), both trained
/// (He et al. 2015, "Delving deep into rectifiers"). weight: (1) or (channels); ShapeError
/// otherwise.
CONVKIT_API Tensor prelu(const Tensor& x, const Tensor& weight);

/// min(max(x, 0), 6).
CONVKIT_API Tensor relu6(const Tensor& x);
/// 1 / (1 + e^−x).
CONVKIT_API Tensor sigmoid(const Tensor& x);
CONVKIT_API Tensor tanh(const Tensor& x);

/// PyTorch's `approximate`.
enum class GeluApproximation : uint8_t { none, tanh };
struct GeluParams {
  GeluApproximation approximate;
};
/// x·Φ(x) with Φ the normal distribution function, or its approximation by tanh (Hendrycks and
/// Gimpel 2016).
CONVKIT_API Tensor gelu(const Tensor& x, GeluApproximation approximate = GeluApproximation::none);

/// x·sigmoid(x), also called swish.
CONVKIT_API Tensor silu(const Tensor& x);

/// Attributes for a tracer.
struct EluParams {
  double alpha;
};
/// x > 0 ? x : alpha·(e^x − 1) (Clevert et al. 2015).
CONVKIT_API Tensor elu(const Tensor& x, double alpha = 1);
/// scale·(x > 0 ? x : alpha·(e^x − 1)) with the numbers of Klambauer et al. 2017, "Self-normalizing
/// neural networks".
CONVKIT_API Tensor selu(const Tensor& x);
inline constexpr double kSeluAlpha = 1.6732632423543772848;
inline constexpr double kSeluScale = 1.0507009873554804934;
/// log(1 + e^x): PyTorch's with beta = 1.
CONVKIT_API Tensor softplus(const Tensor& x);
/// x·tanh(softplus(x)) (Misra 2019).
CONVKIT_API Tensor mish(const Tensor& x);

/// x·relu6(x + 3) / 6 (Howard et al. 2019, MobileNetV3).
CONVKIT_API Tensor hardswish(const Tensor& x);
/// relu6(x + 3) / 6.
CONVKIT_API Tensor hardsigmoid(const Tensor& x);

}  // namespace convkit::ops
