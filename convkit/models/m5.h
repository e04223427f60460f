#pragma once

#include "convkit/nn/conv_norm_act.h"
#include "convkit/nn/linear.h"
#include "convkit/nn/pool.h"

namespace convkit::models {

struct M5Options {
  int64_t in_channels = 1;
  int64_t num_classes = 10;
};

/// M5, a net on raw sound (Dai et al., "Very Deep Convolutional Neural Networks for Raw Waveforms",
/// ICASSP 2017): a first layer of 79 taps with stride 4 that learns filters, then three of 3 taps,
/// each followed by batch norm, ReLU and a pool of 4; global average; linear. Channels 64, 64, 128,
/// 256. (N, in_channels, samples) → (N, num_classes), samples ≥ 1021 (about 0.1 s at 8 kHz).
struct CONVKIT_API M5 {
  explicit M5(const M5Options& options = {});
  Tensor operator()(const Tensor& x);
  void visit(auto&& v) {
    v("conv1", conv1);
    v("bn1", bn1);
    v("conv2", conv2);
    v("bn2", bn2);
    v("conv3", conv3);
    v("bn3", bn3);
    v("conv4", conv4);
    v("bn4", bn4);
    v("relu", relu);
    v("pool", pool);
    v("avgpool", avgpool);
    v("fc", fc);
  }

  nn::Conv1d conv1;
  nn::BatchNorm1d bn1;
  nn::Conv1d conv2;
  nn::BatchNorm1d bn2;
  nn::Conv1d conv3;
  nn::BatchNorm1d bn3;
  nn::Conv1d conv4;
  nn::BatchNorm1d bn4;
  nn::ReLU relu{nn::ReLUOptions{.inplace = true}};
  nn::MaxPool1d pool;
  nn::AdaptiveAvgPool1d avgpool;
  nn::Linear fc;
};

}  // namespace convkit::models
