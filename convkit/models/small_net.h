#pragma once

#include <vector>

#include "convkit/nn/conv_norm_act.h"
#include "convkit/nn/dropout.h"
#include "convkit/nn/linear.h"
#include "convkit/nn/pool.h"
#include "convkit/nn/sequential.h"

namespace convkit::models {

struct SmallNetOptions {
  int64_t in_channels = 1;
  int64_t num_classes = 10;
  std::vector<int64_t> widths = {32, 64, 128};  ///< channels of each stage
  double dropout = 0.1;                         ///< before the linear layer
};

/// convkit's default net: small pictures, series or volumes, learnt in minutes on a CPU. Each stage
/// is two ConvNormAct of 3 taps a side; a max pool of 2 stands between stages; then the global
/// average, dropout and a linear layer. (N, in_channels, spatial...) → (N, num_classes); every axis
/// needs at least 2^(stages − 1) elements.
template <int Rank>
struct CONVKIT_API SmallNet {
  /// Throws ValueError unless there is a stage and every width is positive.
  explicit SmallNet(const SmallNetOptions& options = {});
  Tensor operator()(const Tensor& x);
  void visit(auto&& v) {
    v("features", features);
    v("avgpool", avgpool);
    v("dropout", dropout);
    v("fc", fc);
  }

  nn::Sequential features;
  nn::AdaptiveAvgPool<Rank> avgpool;
  nn::Dropout dropout;
  nn::Linear fc;
};

}  // namespace convkit::models
