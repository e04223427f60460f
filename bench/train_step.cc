// Times training steps of whole nets: forward, cross-entropy, backward, SGD with momentum.
//   bench_train_step NET [BATCH] [SECONDS] [THREADS]
// prints one line: the median and the minimum in milliseconds, and the number of steps.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "bench/train_nets.h"
#include "convkit/base/thread_pool.h"
#include "convkit/models/m5.h"
#include "convkit/models/r3d.h"
#include "convkit/models/resnet.h"
#include "convkit/models/small_net.h"
#include "convkit/nn/functions.h"
#include "convkit/ops/loss.h"
#include "convkit/optim/sgd.h"

namespace {

using namespace convkit;

nn::AnyModule make_net(const std::string& name) {
  if (name == "default") return models::SmallNet<2>({.in_channels = 1, .num_classes = 10});
  if (name == "resnet18") return models::resnet18<2>({.num_classes = 10});
  if (name == "m5") return models::M5({.num_classes = 10});
  return models::r3d_18({.num_classes = 10});
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  const bench::TrainNet* const chosen =
      arguments.empty() ? nullptr : bench::find_train_net(arguments[0]);
  if (chosen == nullptr) {
    std::fprintf(
        stderr, "usage: bench_train_step default|resnet18|m5|r3d_18 [BATCH] [SECONDS] [THREADS]\n");
    return 2;
  }
  const int64_t given = arguments.size() > 1 ? std::atoll(arguments[1].c_str()) : 0;
  const int64_t batch = given > 0 ? given : chosen->batch;
  const double seconds = arguments.size() > 2 ? std::atof(arguments[2].c_str()) : 3;
  if (arguments.size() > 3) set_num_threads(std::atoi(arguments[3].c_str()));

  nn::AnyModule net = make_net(chosen->name);
  optim::SGD optimizer(nn::parameters(net), {.lr = 0.01, .momentum = 0.9});
  std::vector<int64_t> extents = chosen->input;
  extents.insert(extents.begin(), batch);
  Generator generator(1);
  const Tensor x = randn(extents, generator);
  std::vector<int64_t> labels(static_cast<std::size_t>(batch));
  for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<int64_t>(i % 10);
  const Tensor targets = from_values(labels, {batch});

  std::vector<double> times;
  const bench::Stopwatch whole;
  for (int step = 0; step < 5 || whole.milliseconds() < seconds * 1000; ++step) {
    const bench::Stopwatch watch;
    const Tensor loss = ops::cross_entropy(net(x), targets);
    optimizer.zero_grad();
    loss.backward();
    optimizer.step();
    if (step >= 2) times.push_back(watch.milliseconds());
  }
  bench::print_times(times);
}
