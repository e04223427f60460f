#pragma once

#include <string>

#include "convkit/nn/module.h"
#include "convkit/ops/adaptive_pool.h"
#include "convkit/ops/pool.h"

/// Pools as layers, torch.nn.MaxPool1d … AdaptiveMaxPool3d. They have no parameters; formulas and
/// errors are those of ops/pool.h and ops/adaptive_pool.h, options that no input could satisfy are
/// refused at once, and describe() gives PyTorch's text.
///   nn::MaxPool2d pool({.kernel_size = 3, .stride = 2, .padding = 1});
///   nn::AdaptiveAvgPool2d average(1);
namespace convkit::nn {

template <int Rank>
using MaxPoolOptions = ops::MaxPoolParams<Rank>;
template <int Rank>
using AvgPoolOptions = ops::AvgPoolParams<Rank>;
template <int Rank>
using AdaptivePoolOptions = ops::AdaptivePoolParams<Rank>;

/// The largest value of each window: ops::max_pool.
template <int Rank>
struct CONVKIT_API MaxPool : Layer {
  explicit MaxPool(const MaxPoolOptions<Rank>& options);
  explicit MaxPool(int64_t kernel_size)
      : MaxPool(MaxPoolOptions<Rank>{.kernel_size = kernel_size}) {}
  Tensor operator()(const Tensor& x) const;
  void visit(auto&&) {}
  std::string describe() const;

  MaxPoolOptions<Rank> options;
};

/// The mean of each window: ops::avg_pool.
template <int Rank>
struct CONVKIT_API AvgPool : Layer {
  explicit AvgPool(const AvgPoolOptions<Rank>& options);
  explicit AvgPool(int64_t kernel_size)
      : AvgPool(AvgPoolOptions<Rank>{.kernel_size = kernel_size}) {}
  Tensor operator()(const Tensor& x) const;
  void visit(auto&&) {}
  std::string describe() const;

  AvgPoolOptions<Rank> options;
};

/// Means over as many windows as the output size says: ops::adaptive_avg_pool.
template <int Rank>
struct CONVKIT_API AdaptiveAvgPool : Layer {
  explicit AdaptiveAvgPool(const AdaptivePoolOptions<Rank>& options);
  explicit AdaptiveAvgPool(int64_t output_size)
      : AdaptiveAvgPool(AdaptivePoolOptions<Rank>{.output_size = output_size}) {}
  Tensor operator()(const Tensor& x) const;
  void visit(auto&&) {}
  std::string describe() const;

  AdaptivePoolOptions<Rank> options;
};

/// Maxima over as many windows as the output size says: ops::adaptive_max_pool.
template <int Rank>
struct CONVKIT_API AdaptiveMaxPool : Layer {
  explicit AdaptiveMaxPool(const AdaptivePoolOptions<Rank>& options);
  explicit AdaptiveMaxPool(int64_t output_size)
      : AdaptiveMaxPool(AdaptivePoolOptions<Rank>{.output_size = output_size}) {}
  Tensor operator()(const Tensor& x) const;
  void visit(auto&&) {}
  std::string describe() const;

  AdaptivePoolOptions<Rank> options;
};

using MaxPool1dOptions = MaxPoolOptions<1>;
using MaxPool2dOptions = MaxPoolOptions<2>;
using MaxPool3dOptions = MaxPoolOptions<3>;
using AvgPool1dOptions = AvgPoolOptions<1>;
using AvgPool2dOptions = AvgPoolOptions<2>;
using AvgPool3dOptions = AvgPoolOptions<3>;
using MaxPool1d = MaxPool<1>;
using MaxPool2d = MaxPool<2>;
using MaxPool3d = MaxPool<3>;
using AvgPool1d = AvgPool<1>;
using AvgPool2d = AvgPool<2>;
using AvgPool3d = AvgPool<3>;
using AdaptiveAvgPool1d = AdaptiveAvgPool<1>;
using AdaptiveAvgPool2d = AdaptiveAvgPool<2>;
using AdaptiveAvgPool3d = AdaptiveAvgPool<3>;
using AdaptiveMaxPool1d = AdaptiveMaxPool<1>;
using AdaptiveMaxPool2d = AdaptiveMaxPool<2>;
using AdaptiveMaxPool3d = AdaptiveMaxPool<3>;

}  // namespace convkit::nn
