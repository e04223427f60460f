#include "bench/measure.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string>

namespace convkit::bench {
namespace {

// Keeps what Google Benchmark measured instead of printing it.
class Collector : public benchmark::BenchmarkReporter {
 public:
  explicit Collector(std::size_t rivals) : seconds(rivals) {}
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs)
      if (run.run_type == Run::RT_Iteration)
        seconds[std::stoul(run.run_name.function_name)].push_back(
            run.real_accumulated_time / static_cast<double>(run.iterations));
  }

  std::vector<std::vector<double>> seconds;
};

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

void start_measuring(int* argc, char** argv) {
  std::vector<std::string> defaults = {argv[0], "--benchmark_enable_random_interleaving=true",
                                       "--benchmark_repetitions=5", "--benchmark_min_time=0.1"};
  std::vector<char*> pointers;
  pointers.reserve(defaults.size());
  for (std::string& option : defaults) pointers.push_back(option.data());
  int count = static_cast<int>(pointers.size());
  benchmark::Initialize(&count, pointers.data());
  benchmark::Initialize(argc, argv);
}

std::vector<double> measure(const std::vector<Work>& rivals) {
  for (std::size_t i = 0; i < rivals.size(); ++i)
    benchmark::RegisterBenchmark(std::to_string(i).c_str(), [&rivals, i](benchmark::State& state) {
      rest_peers();
      rivals[i]();
      for ([[maybe_unused]] auto _ : state) rivals[i]();
    })->UseRealTime();
  Collector collector(rivals.size());
  benchmark::RunSpecifiedBenchmarks(&collector, ".*");
  benchmark::ClearRegisteredBenchmarks();
  std::vector<double> medians;
  for (const std::vector<double>& turns : collector.seconds) medians.push_back(median(turns));
  return medians;
}

Times measure_against(const Work& ours, const std::vector<std::vector<Work>>& peers_ways) {
  std::vector<Work> rivals = {ours};
  for (const std::vector<Work>& ways : peers_ways)
    rivals.insert(rivals.end(), ways.begin(), ways.end());
  const std::vector<double> seconds = measure(rivals);
  Times times{.ours = seconds[0], .peers = {}};
  auto next = seconds.begin() + 1;
  for (const std::vector<Work>& ways : peers_ways) {
    const auto end = next + static_cast<std::ptrdiff_t>(ways.size());
    times.peers.push_back(ways.empty() ? std::numeric_limits<double>::quiet_NaN()
                                       : *std::min_element(next, end));
    next = end;
  }
  return times;
}

void print_peer_heading() {
  for (const Peer& peer : peers()) std::printf(" %9s %6s", peer.name, "ratio");
  std::printf("\n");
}

void print_peer_columns(const Times& times, const std::function<double(double)>& figure) {
  for (const double peer : times.peers)
    if (std::isnan(peer))
      std::printf(" %9s %6s", "-", "-");
    else
      std::printf(" %9.1f %6.2f", figure(peer), peer / times.ours);
  std::printf("\n");
  std::fflush(stdout);
}

}  // namespace convkit::bench
