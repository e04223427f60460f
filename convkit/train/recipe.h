#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "convkit/optim/optimizer.h"
#include "convkit/optim/schedule.h"
#include "convkit/train/config.h"

/// From the words of a TrainConfig to the objects that train.
namespace convkit::train {

/// The optimiser a config names, over `parameters`.
CONVKIT_API std::unique_ptr<optim::Optimizer> make_optimizer(const TrainConfig& config,
                                                             std::vector<Tensor> parameters);

/// The learning rate of every step of the run:
///   constant   the rate itself
///   step       divided by 10 after half of the run and again after three quarters
///   cosine     down to 0 over the run
///   onecycle   up over the first 30 % and down to 0 (OneCycleLR, momentum unmoved)
/// The first three rise linearly over `warmup` epochs first, and then cover the rest.
CONVKIT_API optim::Schedule make_schedule(const TrainConfig& config, int64_t steps_per_epoch);

}  // namespace convkit::train
