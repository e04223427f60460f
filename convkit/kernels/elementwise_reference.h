#pragma once

#include <cmath>

#include "convkit/kernels/elementwise.h"

/// The oracle of elementwise.h: each function and its derivative as its formula says, in double.
namespace convkit::kernels {

/// Φ(x) and φ(x), the normal distribution function and its density.
inline double reference_normal_cdf(double x) { return 0.5 * std::erfc(-x * std::sqrt(0.5)); }
inline double reference_normal_pdf(double x) {
  return std::exp(-0.5 * x * x) * 0.39894228040143267794;
}

/// f(x).
inline double reference_value(UnaryOp op, const UnaryParams& params, double x) {
  const auto gate = [](double v) { return std::fmin(std::fmax(v + 3, 0.0), 6.0) / 6; };
  if (std::isnan(x)) return x;
  switch (op) {
    case UnaryOp::relu:
      return x > 0 ? x : 0;
    case UnaryOp::leaky_relu:
      return x > 0 ? x : params.a * x;
    case UnaryOp::relu6:
      return std::fmin(std::fmax(x, 0.0), 6.0);
    case UnaryOp::sigmoid:
      return 1 / (1 + std::exp(-x));
    case UnaryOp::tanh:
      return std::tanh(x);
    case UnaryOp::gelu:
      return x * reference_normal_cdf(x);
    case UnaryOp::gelu_tanh: {
      const double u = 0.79788456080286535588 * (x + 0.044715 * x * x * x);
      return x / (1 + std::exp(-2 * u));
    }
    case UnaryOp::silu:
      return x / (1 + std::exp(-x));
    case UnaryOp::elu:
      return x > 0 ? params.b * x : params.a * std::expm1(x);
    case UnaryOp::softplus:
      return std::fmax(x, 0.0) + std::log1p(std::exp(-std::fabs(x)));
    case UnaryOp::mish:
      return x * std::tanh(reference_value(UnaryOp::softplus, {}, x));
    case UnaryOp::hardswish:
      return x * gate(x);
    case UnaryOp::hardsigmoid:
      return gate(x);
    case UnaryOp::neg:
      return -x;
    case UnaryOp::exp:
      return std::exp(x);
    case UnaryOp::log:
      return std::log(x);
    case UnaryOp::sqrt:
      return std::sqrt(x);
    case UnaryOp::abs:
      return std::fabs(x);
    case UnaryOp::clamp:
      return std::fmin(std::fmax(x, params.a), params.b);
  }
  return x;
}

/// f'(x), at kinks as PyTorch has it.
inline double reference_derivative(UnaryOp op, const UnaryParams& params, double x) {
  const double s = 1 / (1 + std::exp(-x));
  switch (op) {
    case UnaryOp::relu:
      return x > 0 ? 1 : 0;
    case UnaryOp::leaky_relu:
      return x > 0 ? 1 : params.a;
    case UnaryOp::relu6:
      return x > 0 && x < 6 ? 1 : 0;
    case UnaryOp::sigmoid:
      return s * (1 - s);
    case UnaryOp::tanh:
      return 1 - std::tanh(x) * std::tanh(x);
    case UnaryOp::gelu:
      return reference_normal_cdf(x) + x * reference_normal_pdf(x);
    case UnaryOp::gelu_tanh: {
      const double u = 0.79788456080286535588 * (x + 0.044715 * x * x * x);
      const double du = 0.79788456080286535588 * (1 + 3 * 0.044715 * x * x);
      const double gate = 1 / (1 + std::exp(-2 * u));
      return gate + 2 * x * gate * (1 - gate) * du;
    }
    case UnaryOp::silu:
      return s * (1 + x * (1 - s));
    case UnaryOp::elu:
      return x > 0 ? params.b : params.a * std::exp(x);
    case UnaryOp::softplus:
      return s;
    case UnaryOp::mish: {
      const double t = std::tanh(reference_value(UnaryOp::softplus, {}, x));
      return t + x * s * (1 - t * t);
    }
    case UnaryOp::hardswish:
      return x < -3 ? 0 : x <= 3 ? x / 3 + 0.5 : 1;
    case UnaryOp::hardsigmoid:
      return x > -3 && x < 3 ? 1.0 / 6 : 0;
    case UnaryOp::neg:
      return -1;
    case UnaryOp::exp:
      return std::exp(x);
    case UnaryOp::log:
      return 1 / x;
    case UnaryOp::sqrt:
      return 0.5 / std::sqrt(x);
    case UnaryOp::abs:
      return x > 0 ? 1 : x < 0 ? -1 : 0;
    case UnaryOp::clamp:
      return x >= params.a && x <= params.b ? 1 : 0;
  }
  return 1;
}

}  // namespace convkit::kernels
