// Times one convolution layer after the other, in all three directions:
//
//   bench_conv [--threads N] [--seconds S] [--simd NAME] [--direction NAME] [PROBLEM...]
//
// for the problems given (in benchdnn's notation) or for the shapes that the tests check too. One
// table: GFLOP/s, the share of the FMA peak measured beside it, and, when built with
// CONVKIT_BENCH_PEERS, the ratio to oneDNN (above 1: convkit is faster). convkit and its peer take
// turns; figures are medians of `--seconds` (default 0.5) of runs.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "bench/conv_peak.h"
#include "bench/conv_peer.h"
#include "convkit/base/error.h"
#include "convkit/base/memory.h"
#include "convkit/base/thread_pool.h"
#include "convkit/kernels/conv.h"
#include "convkit/kernels/conv_algorithm.h"
#include "convkit/kernels/target.h"
#include "tests/support/conv_shapes.h"

namespace convkit::bench {
namespace {

using kernels::ConvGeometry;
using kernels::Direction;
using Clock = std::chrono::steady_clock;

struct Settings {
  int threads = num_threads();
  double seconds = 0.5;
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

double seconds_of(const std::function<void()>& run) {
  const auto start = Clock::now();
  run();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

void time_problem(const std::string& problem, const Settings& settings) {
  const ConvGeometry g = kernels::parse_problem(problem);
  Buffer<float> x = random_tensor(input_count(g));
  Buffer<float> w = random_tensor(weight_count(g));
  Buffer<float> y = random_tensor(output_count(g));
  const double gflop = 2e-9 * static_cast<double>(macs(g));
  for (const Direction direction : kernels::kDirections) {
    if (!settings.direction.empty() && settings.direction != name(direction)) continue;
    const std::function<void()> ours = [&] {
      if (direction == Direction::forward)
        conv_forward(g, x.data(), w.data(), nullptr, y.data());
      else if (direction == Direction::backward_input)
        conv_backward_input(g, y.data(), w.data(), x.data());
      else
        conv_backward_weight(g, x.data(), y.data(), w.data());
    };
    const std::function<void()> peer = onednn_convolution(g, direction, settings.threads);
    std::vector<double> our_times;
    std::vector<double> peer_times;
    const double peak = fma_peak();
    ours();
    if (peer) peer();
    const auto start = Clock::now();
    do {
      our_times.push_back(seconds_of(ours));
      if (peer) peer_times.push_back(seconds_of(peer));
    } while (our_times.size() < 5 ||
             std::chrono::duration<double>(Clock::now() - start).count() < settings.seconds);
    const double rate = gflop / median(our_times);
    std::printf("%-72s %-16s %-10s %8.1f %5.0f%%", problem.c_str(), name(direction),
                plan(g, direction).name, rate, 100.0 * rate / peak);
    if (peer)
      std::printf(" %8.1f %6.2f", gflop / median(peer_times), rate * median(peer_times) / gflop);
    std::printf("\n");
    std::fflush(stdout);
    // Gradients replaced what forward reads; numbers that grow without end would end as infinities.
    x = random_tensor(input_count(g));
    w = random_tensor(weight_count(g));
    y = random_tensor(output_count(g));
  }
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
    else if (argument == "--seconds")
      settings.seconds = std::atof(value().c_str());
    else if (argument == "--simd")
      kernels::set_simd_target(value());
    else if (argument == "--direction")
      settings.direction = value();
    else if (argument.starts_with("--"))
      throw ValueError(message("unknown option ", argument,
                               "; there are --threads, --seconds, --simd, --direction"));
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
    const bench::Settings settings = bench::read_settings(argc, argv);
    set_num_threads(settings.threads);
    std::printf("%d threads, %s, FMA peak %.0f GFLOP/s\n", settings.threads,
                kernels::simd_target().c_str(), bench::fma_peak());
    std::printf("%-72s %-16s %-10s %8s %6s %8s %6s\n", "problem", "direction", "algorithm",
                "GFLOP/s", "peak", "oneDNN", "ratio");
    for (const std::string& problem : settings.problems) bench::time_problem(problem, settings);
  } catch (const Error& error) {
    std::fprintf(stderr, "bench_conv: %s\n", error.what());
    return 1;
  }
  return 0;
}
