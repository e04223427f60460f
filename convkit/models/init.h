#pragma once

#include "convkit/nn/functions.h"
#include "convkit/nn/init.h"

namespace convkit::models {

/// torchvision's initialisation of convolutions: every weight (rank ≥ 3) Kaiming-normal over its
/// fan-out for ReLU; batch norms stay 1 and 0, linear layers and biases keep their default.
template <class M>
void init_convolutions(M& net) {
  nn::for_each_tensor(net, [](const std::string&, Tensor& tensor, bool is_parameter) {
    if (is_parameter && tensor.dim() >= 3)
      nn::init::kaiming_normal_(tensor, {.mode = nn::init::FanMode::fan_out});
  });
}

/// torchvision's initialisation of linear layers in VGG and MobileNet: weights (rank 2) normal with
/// deviation 0.01; and every bias, those of convolutions too, 0.
template <class M>
void init_linear_layers(M& net) {
  nn::for_each_tensor(net, [](const std::string& path, Tensor& tensor, bool is_parameter) {
    if (is_parameter && tensor.dim() == 2) nn::init::normal_(tensor, 0.0, 0.01);
    if (is_parameter && path.ends_with(".bias")) nn::init::zeros_(tensor);
  });
}

}  // namespace convkit::models
