// Times training steps of whole nets: forward, cross-entropy, backward, SGD with momentum:
//
//   bench_train [--threads N] [--json] [NET...]
//
// One table: GFLOP/s (2 for each multiply-add of forward and of both gradients; nobody computes the
// gradient of the net's input), the share of the FMA peak measured beside it, and the milliseconds
// of the peers with convkit's advantage over each; with --json an object a line instead. See
// measure.h for the method and its options.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench/fma_peak.h"
#include "bench/measure.h"
#include "convkit/base/error.h"
#include "convkit/base/thread_pool.h"
#include "convkit/kernels/target.h"
#include "convkit/models/registry.h"
#include "convkit/nn/functions.h"
#include "convkit/ops/loss.h"
#include "convkit/optim/sgd.h"
#include "convkit/train/summary.h"

namespace convkit::bench {
namespace {

nn::AnyModule make_net(const TrainNet& net) {
  return models::make_model(net.name, std::vector(net.input.begin() + 1, net.input.end()),
                            kTrainClasses);
}

double gflop_of(const TrainNet& net) {
  nn::AnyModule module = make_net(net);
  const train::Summary summary = train::summarize(module, net.input);
  int64_t multiply_adds = 3 * summary.multiply_adds;
  for (const train::SummaryRow& row : summary.rows)
    if (row.multiply_adds > 0 && !row.is_container) {
      multiply_adds -= row.multiply_adds;
      break;
    }
  return 2e-9 * static_cast<double>(multiply_adds);
}

void time_net(const TrainNet& chosen, int threads, bool as_json) {
  Generator generator(1);
  nn::AnyModule net = make_net(chosen);
  optim::SGD optimizer(nn::parameters(net), {.lr = 0.01, .momentum = 0.9});
  const Tensor x = randn(chosen.input, generator);
  std::vector<int64_t> labels(static_cast<std::size_t>(chosen.input[0]));
  for (std::size_t i = 0; i < labels.size(); ++i)
    labels[i] = static_cast<int64_t>(i) % kTrainClasses;
  const Tensor targets = from_values(labels, {chosen.input[0]});
  const Work ours = [&] {
    const Tensor loss = ops::cross_entropy(net(x), targets);
    optimizer.zero_grad();
    loss.backward();
    optimizer.step();
  };
  std::vector<Rival> rivals = {{"convkit", {ours}}};
  for (const Peer& peer : peers())
    rivals.push_back({peer.name, peer.training_step ? peer.training_step(chosen, threads)
                                                    : std::vector<Work>()});
  rest_peers();
  const double peak = fma_peak();
  const std::vector<double> seconds = measure(rivals);
  if (as_json) {
    nlohmann::json object = {{"net", chosen.name},
                             {"input", chosen.input},
                             {"threads", threads},
                             {"isa", kernels::simd_target()},
                             {"gflop", gflop_of(chosen)},
                             {"peak_gflops", peak},
                             {"seconds", nlohmann::json::object()}};
    for (std::size_t i = 0; i < rivals.size(); ++i)
      object["seconds"][rivals[i].name] = seconds[i];  // NaN becomes null
    std::printf("%s\n", object.dump().c_str());
    std::fflush(stdout);
    return;
  }
  const double rate = gflop_of(chosen) / seconds[0];
  std::printf("%-10s %-16s %8.1f %4.0f%% %11.1f", chosen.name.c_str(),
              to_text(Shape(chosen.input)).c_str(), rate, 100.0 * rate / peak, 1e3 * seconds[0]);
  print_peer_columns(seconds[0], {seconds.begin() + 1, seconds.end()},
                     [](double time) { return 1e3 * time; });
}

}  // namespace
}  // namespace convkit::bench

int main(int argc, char** argv) {
  using namespace convkit;
  bench::start_measuring(&argc, argv);
  int threads = num_threads();
  bool as_json = false;
  std::vector<std::string> names;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--threads" && i + 1 < argc)
      threads = std::atoi(argv[++i]);
    else if (argument == "--json")
      as_json = true;
    else
      names.push_back(argument);
  }
  try {
    for (const std::string& name : names)
      CONVKIT_CHECK(std::any_of(bench::kTrainNets.begin(), bench::kTrainNets.end(),
                                [&](const bench::TrainNet& net) { return net.name == name; }),
                    ValueError, "no net is called ", name,
                    "; there are default, resnet18, m5, r3d_18");
    set_num_threads(threads);
    if (!as_json) {
      std::printf("%d threads, %s, FMA peak %.0f GFLOP/s; the peers' figures are ms\n", threads,
                  kernels::simd_target().c_str(), bench::fma_peak());
      std::printf("%-10s %-16s %8s %5s %11s", "net", "input", "GFLOP/s", "peak", "convkit ms");
      bench::print_peer_heading();
    }
    for (const bench::TrainNet& net : bench::kTrainNets)
      if (names.empty() || std::find(names.begin(), names.end(), net.name) != names.end())
        bench::time_net(net, threads, as_json);
  } catch (const Error& error) {
    std::fprintf(stderr, "bench_train: %s\n", error.what());
    return 1;
  }
  return 0;
}
