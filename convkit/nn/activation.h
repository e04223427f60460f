#pragma once

#include <string>

#include "convkit/nn/module.h"
#include "convkit/ops/activation.h"

/// Activations as layers; the functions are those of ops/activation.h. Names, defaults and printed
/// form are PyTorch's.
namespace convkit::nn {

struct ReLUOptions {
  bool inplace = false;  ///< overwrite the input, which saves memory
};
/// max(x, 0):  nn::ReLU act;  nn::ReLU act({.inplace = true});
struct CONVKIT_API ReLU : Layer {
  explicit ReLU(const ReLUOptions& options = {}) : options(options) {}
  Tensor operator()(const Tensor& x) const;
  void visit(auto&& /*v*/) {}
  std::string describe() const;

  ReLUOptions options;
};

struct LeakyReLUOptions {
  double negative_slope = 0.01;
};
/// x > 0 ? x : negative_slope · x.
struct CONVKIT_API LeakyReLU : Layer {
  explicit LeakyReLU(const LeakyReLUOptions& options = {}) : options(options) {}
  Tensor operator()(const Tensor& x) const;
  void visit(auto&& /*v*/) {}
  std::string describe() const;

  LeakyReLUOptions options;
};

struct PReLUOptions {
  int64_t num_parameters = 1;  ///< 1, or the number of channels
  double init = 0.25;          ///< of every slope
};
/// x > 0 ? x : weight · x. Parameter: weight (num_parameters). Throws ValueError for
/// num_parameters < 1.
struct CONVKIT_API PReLU : Layer {
  explicit PReLU(const PReLUOptions& options = {});
  Tensor operator()(const Tensor& x) const;
  void visit(auto&& v) { v("weight", weight); }
  std::string describe() const;

  PReLUOptions options;
  Parameter weight;
};

struct GELUOptions {
  ops::GeluApproximation approximate = ops::GeluApproximation::none;
};
/// x·Φ(x).
struct CONVKIT_API GELU : Layer {
  explicit GELU(const GELUOptions& options = {}) : options(options) {}
  Tensor operator()(const Tensor& x) const;
  void visit(auto&& /*v*/) {}
  std::string describe() const;

  GELUOptions options;
};

/// min(max(x, 0), 6).
struct CONVKIT_API ReLU6 : Layer {
  Tensor operator()(const Tensor& x) const;
  void visit(auto&& /*v*/) {}
  std::string describe() const { return "ReLU6()"; }
};

/// 1 / (1 + e^−x).
struct CONVKIT_API Sigmoid : Layer {
  Tensor operator()(const Tensor& x) const;
  void visit(auto&& /*v*/) {}
  std::string describe() const { return "Sigmoid()"; }
};

/// y = tanh(x), torch.nn.Tanh.
struct CONVKIT_API Tanh : Layer {
  Tensor operator()(const Tensor& x) const;
  void visit(auto&& /*v*/) {}
  std::string describe() const { return "Tanh()"; }
};

/// x·sigmoid(x).
struct CONVKIT_API SiLU : Layer {
  Tensor operator()(const Tensor& x) const;
  void visit(auto&& /*v*/) {}
  std::string describe() const { return "SiLU()"; }
};

struct ELUOptions {
  double alpha = 1;
};

/// x > 0 ? x : alpha·(e^x − 1).
struct CONVKIT_API ELU : Layer {
  explicit ELU(const ELUOptions& options = {}) : options(options) {}
  Tensor operator()(const Tensor& x) const;
  void visit(auto&& /*v*/) {}
  std::string describe() const;

  ELUOptions options;
};

/// ELU with fixed scales that keep means near 0 and variances near 1.
struct CONVKIT_API SELU : Layer {
  Tensor operator()(const Tensor& x) const;
  void visit(auto&& /*v*/) {}
  std::string describe() const { return "SELU()"; }
};

/// log(1 + e^x).
struct CONVKIT_API Softplus : Layer {
  Tensor operator()(const Tensor& x) const;
  void visit(auto&& /*v*/) {}
  std::string describe() const { return "Softplus(beta=1, threshold=20)"; }
};

/// x·tanh(log(1 + e^x)).
struct CONVKIT_API Mish : Layer {
  Tensor operator()(const Tensor& x) const;
  void visit(auto&& /*v*/) {}
  std::string describe() const { return "Mish()"; }
};

/// x·relu6(x + 3) / 6.
struct CONVKIT_API Hardswish : Layer {
  Tensor operator()(const Tensor& x) const;
  void visit(auto&& /*v*/) {}
  std::string describe() const { return "Hardswish()"; }
};

/// relu6(x + 3) / 6.
struct CONVKIT_API Hardsigmoid : Layer {
  Tensor operator()(const Tensor& x) const;
  void visit(auto&& /*v*/) {}
  std::string describe() const { return "Hardsigmoid()"; }
};

}  // namespace convkit::nn
