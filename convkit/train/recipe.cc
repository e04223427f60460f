#include "convkit/train/recipe.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "convkit/optim/adam.h"
#include "convkit/optim/sgd.h"

namespace convkit::train {
namespace {

constexpr double kWarmupStart = 0.01;

// The schedule after the warm-up, `steps` long.
optim::Schedule main_schedule(const TrainConfig& config, int64_t steps) {
  if (config.schedule == "cosine") return optim::CosineAnnealingLR{.T_max = steps};
  if (config.schedule == "step")
    return optim::MultiStepLR{
        .milestones = {std::max<int64_t>(steps / 2, 1), std::max<int64_t>(steps * 3 / 4, 1)},
        .gamma = 0.1};
  return optim::StepLR{.step_size = steps + 1, .gamma = 1.0};
}

}  // namespace

std::unique_ptr<optim::Optimizer> make_optimizer(const TrainConfig& config,
                                                 std::vector<Tensor> parameters) {
  const double lr = learning_rate(config);
  const double decay = weight_decay(config);
  if (config.optimizer == "adam")
    return std::make_unique<optim::Adam>(std::move(parameters),
                                         optim::AdamOptions{.lr = lr, .weight_decay = decay});
  if (config.optimizer == "adamw")
    return std::make_unique<optim::AdamW>(std::move(parameters),
                                          optim::AdamWOptions{.lr = lr, .weight_decay = decay});
  return std::make_unique<optim::SGD>(std::move(parameters),
                                      optim::SGDOptions{.lr = lr,
                                                        .momentum = config.momentum,
                                                        .weight_decay = decay,
                                                        .nesterov = config.nesterov});
}

optim::Schedule make_schedule(const TrainConfig& config, int64_t steps_per_epoch) {
  const int64_t total = steps_per_epoch * config.epochs;
  if (config.schedule == "onecycle")
    // One more than the run has: the rate of the last step is then not quite 0. A phase also needs
    // at least two steps to move in.
    return optim::OneCycleLR{.max_lr = learning_rate(config),
                             .total_steps = std::max<int64_t>(total + 1, 4),
                             .cycle_momentum = false};
  const auto warm_up =
      static_cast<int64_t>(std::llround(config.warmup * static_cast<double>(steps_per_epoch)));
  if (warm_up == 0) return main_schedule(config, total);
  return optim::SequentialLR{
      .schedulers = {optim::LinearLR{.start_factor = kWarmupStart, .total_iters = warm_up},
                     main_schedule(config, std::max<int64_t>(total - warm_up, 1))},
      .milestones = {warm_up}};
}

}  // namespace convkit::train
