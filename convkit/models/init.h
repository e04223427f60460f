#pragma once

#include "convkit/nn/functions.h"
#include "convkit/nn/init.h"

namespace convkit::models {

/// torchvision's initialisation of ResNets: every convolution weight (rank ≥ 3) Kaiming-normal over
/// its fan-out for ReLU; batch norms stay 1 and 0, linear layers keep their default.
template <class M>
void init_convolutions(M& net) {
  nn::for_each_tensor(net, [](const std::string&, Tensor& tensor, bool is_parameter) {
    if (is_parameter && tensor.dim() >= 3)
      nn::init::kaiming_normal_(tensor, {.mode = nn::init::FanMode::fan_out});
  });
}

}  // namespace convkit::models
