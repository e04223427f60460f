#pragma once

#include <string>

#include "convkit/nn/module.h"
#include "convkit/ops/conv.h"

namespace convkit::nn {

/// Options of a convolution layer, in PyTorch's order with PyTorch's defaults. The first three are
/// required: a forgotten one is 0 and refused.
template <int Rank>
struct ConvOptions {
  int64_t in_channels = 0;
  int64_t out_channels = 0;
  Extents<Rank> kernel_size = 0;
  Extents<Rank> stride = 1;
  ConvPadding<Rank> padding = 0;  ///< number(s), Padding::same, or ConvPadding<Rank>::ends(...)
  Extents<Rank> dilation = 1;
  int64_t groups = 1;
  bool bias = true;
  PaddingMode padding_mode = PaddingMode::zeros;
};
using Conv1dOptions = ConvOptions<1>;
using Conv2dOptions = ConvOptions<2>;
using Conv3dOptions = ConvOptions<3>;

/// A convolution over Rank spatial axes, torch.nn.Conv1d/2d/3d:
///   nn::Conv2d conv({.in_channels = 3, .out_channels = 8, .kernel_size = 3, .padding = 1});
///
/// (N, in_channels, spatial...) → (N, out_channels, conv_output_size(...)...); see ops::conv for
/// the formula. Parameters: weight (out_channels, in_channels / groups, kernel...), bias
/// (out_channels). Both start uniform in ±1/√fan_in, fan_in = in_channels / groups · kernel volume
/// (Kaiming-uniform with a = √5, drawn from default_generator()). Throws ValueError or ShapeError
/// for options that no input could satisfy, and ShapeError for an input that does not fit.
template <int Rank>
struct CONVKIT_API Conv : Layer {
  explicit Conv(const ConvOptions<Rank>& options);

  Tensor operator()(const Tensor& x) const;
  void visit(auto&& v) {
    v("weight", weight);
    v("bias", bias);
  }
  /// PyTorch's text, e.g. "Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))".
  std::string describe() const;

  ConvOptions<Rank> options;
  Parameter weight;
  Parameter bias;  ///< undefined without bias
};
using Conv1d = Conv<1>;
using Conv2d = Conv<2>;
using Conv3d = Conv<3>;

}  // namespace convkit::nn
