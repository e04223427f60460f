#pragma once

#include <string>

#include "convkit/nn/module.h"

namespace convkit::nn {

struct DropoutOptions {
  double p = 0.5;  ///< probability of dropping, in [0, 1]
};

/// Drops single elements while training; passes its input on in evaluation. See ops::dropout. The
/// mask comes from default_generator(). Throws ValueError for p outside [0, 1].
struct CONVKIT_API Dropout : Layer {
  explicit Dropout(const DropoutOptions& options = {});
  explicit Dropout(double p) : Dropout(DropoutOptions{.p = p}) {}
  Tensor operator()(const Tensor& x) const;
  void visit(auto&& /*v*/) {}
  std::string describe() const;

  DropoutOptions options;
};

/// Drops whole channels of inputs with Rank spatial axes, torch.nn.Dropout1d/2d/3d.
template <int Rank>
struct CONVKIT_API ChannelDropout : Layer {
  explicit ChannelDropout(const DropoutOptions& options = {});
  explicit ChannelDropout(double p) : ChannelDropout(DropoutOptions{.p = p}) {}
  Tensor operator()(const Tensor& x) const;
  void visit(auto&& /*v*/) {}
  std::string describe() const;

  DropoutOptions options;
};
using Dropout1d = ChannelDropout<1>;
using Dropout2d = ChannelDropout<2>;
using Dropout3d = ChannelDropout<3>;

}  // namespace convkit::nn
