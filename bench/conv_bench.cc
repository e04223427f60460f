// Times one convolution layer after the other, in all three directions:
//
//   bench_conv [--threads N] [--simd NAME] [--direction NAME] [PROBLEM...]
//
// for the problems given (in benchdnn's notation) or for the shapes that the tests check too. One
// table: GFLOP/s (2 for each multiply-add of the definition), the share of the FMA peak measured
// beside it, and the GFLOP/s of the peers with convkit's advantage over each. See measure.h for the
// method and its options.
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "bench/fma_peak.h"
#include "bench/measure.h"
#include "convkit/base/error.h"
#include "convkit/base/memory.h"
#include "convkit/base/thread_pool.h"
#include "convkit/kernels/conv.h"
#include "convkit/kernels/conv_planner.h"
#include "convkit/kernels/target.h"
#include "tests/support/conv_shapes.h"

namespace convkit::bench {
namespace {

using kernels::ConvGeometry;
using kernels::Direction;

struct Settings {
  int threads = num_threads();
  std::string direction;
  std::vector<std::string> problems;
};

Buffer<float> random_tensor(int64_t count) {
  static std::mt19937 random(1);
  std::uniform_real_distribution<float> values(-1.0f, 1.0f);
  Buffer<float> tensor(static_cast<std::size_t>(count));
  for (int64_t i = 0; i < count; ++i) tensor[static_cast<std::size_t>(i)] = values(random);
  return tensor;
}

void time_direction(const std::string& problem, const ConvGeometry& g, Direction direction,
                    int threads) {
  Buffer<float> x = random_tensor(input_count(g));
  Buffer<float> w = random_tensor(weight_count(g));
  Buffer<float> y = random_tensor(output_count(g));
  const Work ours = [&] {
    if (direction == Direction::forward)
      conv_forward(g, x.data(), w.data(), nullptr, y.data());
    else if (direction == Direction::backward_input)
      conv_backward_input(g, y.data(), w.data(), x.data());
    else
      conv_backward_weight(g, x.data(), y.data(), w.data());
  };
  std::vector<std::vector<Work>> peers_ways;
  for (const Peer& peer : peers()) peers_ways.push_back(peer.convolution(g, direction, threads));
  rest_peers();
  const double peak = fma_peak();
  const Times times = measure_against(ours, peers_ways);
  const double gflop = 2e-9 * static_cast<double>(macs(g));
  std::printf("%-66s %-15s %-9s %8.1f %4.0f%%", problem.c_str(), name(direction),
              choose(g, direction).algorithm->name, gflop / times.ours,
              100.0 * gflop / times.ours / peak);
  print_peer_columns(times, [&](double seconds) { return gflop / seconds; });
}

Settings read_settings(int argc, char** argv) {
  Settings settings;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const auto value = [&] {
      CONVKIT_CHECK(i + 1 < argc, ValueError, argument, " needs a value");
      return std::string(argv[++i]);
    };
    if (argument == "--threads")
      settings.threads = std::atoi(value().c_str());
    else if (argument == "--simd")
      kernels::set_simd_target(value());
    else if (argument == "--direction")
      settings.direction = value();
    else if (argument.starts_with("--"))
      throw ValueError(message("unknown option ", argument,
                               "; there are --threads, --simd, --direction and --benchmark_*"));
    else
      settings.problems.push_back(argument);
  }
  if (settings.problems.empty())
    for (const test::ConvShape& shape : test::kConvShapes)
      settings.problems.emplace_back(shape.problem);
  return settings;
}

}  // namespace
}  // namespace convkit::bench

int main(int argc, char** argv) {
  using namespace convkit;
  try {
    bench::start_measuring(&argc, argv);
    const bench::Settings settings = bench::read_settings(argc, argv);
    set_num_threads(settings.threads);
    std::printf("%d threads, %s, FMA peak %.0f GFLOP/s\n", settings.threads,
                kernels::simd_target().c_str(), bench::fma_peak());
    std::printf("%-66s %-15s %-9s %8s %5s", "problem", "direction", "algorithm", "GFLOP/s", "peak");
    bench::print_peer_heading();
    for (const std::string& problem : settings.problems)
      for (const kernels::Direction direction : kernels::kDirections)
        if (settings.direction.empty() || settings.direction == name(direction))
          bench::time_direction(problem, kernels::parse_problem(problem), direction,
                                settings.threads);
  } catch (const Error& error) {
    std::fprintf(stderr, "bench_conv: %s\n", error.what());
    return 1;
  }
  return 0;
}
