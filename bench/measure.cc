#include "bench/measure.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <exception>
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

double seconds_of(const Work& work) {
  using Clock = std::chrono::steady_clock;
  rest_peers();
  const auto start = Clock::now();
  work();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

constexpr double kNeedsNoWarmUp = 0.1;
constexpr double kFewTurns = 0.5;
constexpr double kOneCall = 2.0;
constexpr int kTurnsOfFew = 3;
constexpr double kLost = 2.0;
constexpr double kSecondsOfTheLost = 0.2;

// At most, of work that takes `seconds` while others take no more than `least`; 0: as many as the
// command line says.
int turns_of(double seconds, double least) {
  const int turns = seconds > kFewTurns ? kTurnsOfFew : 0;
  const auto for_the_lost = std::max(1, static_cast<int>(kSecondsOfTheLost / seconds));
  return seconds > kLost * least && for_the_lost < kTurnsOfFew ? for_the_lost : turns;
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

std::vector<double> measure(const std::vector<Rival>& rivals) {
  std::vector<double> fastest(rivals.size(), std::numeric_limits<double>::quiet_NaN());
  struct Way {
    std::size_t rival;
    const Work* work;
    double first;  // seconds
  };
  std::vector<Way> ways;
  double least = std::numeric_limits<double>::infinity();
  for (std::size_t rival = 0; rival < rivals.size(); ++rival)
    for (const Work& work : rivals[rival].ways) {
      try {
        ways.push_back({rival, &work, seconds_of(work)});
        least = std::min(least, ways.back().first);
      } catch (const std::exception&) {
      }
    }
  std::vector<std::size_t> owner;  // of each benchmark: the rival's index
  for (const Way& way : ways) {
    if (way.first > kOneCall) {
      fastest[way.rival] = std::fmin(fastest[way.rival], way.first);
      continue;
    }
    benchmark::internal::Benchmark* const turns = benchmark::RegisterBenchmark(
        std::to_string(owner.size()).c_str(), [&way](benchmark::State& state) {
          rest_peers();
          if (way.first < kNeedsNoWarmUp) (*way.work)();
          for ([[maybe_unused]] auto _ : state) (*way.work)();
        });
    turns->UseRealTime();
    if (const int most = turns_of(way.first, least); most > 0) turns->Repetitions(most);
    owner.push_back(way.rival);
  }
  if (owner.empty()) return fastest;
  Collector collector(owner.size());
  benchmark::RunSpecifiedBenchmarks(&collector, ".*");
  benchmark::ClearRegisteredBenchmarks();
  for (std::size_t i = 0; i < owner.size(); ++i)
    fastest[owner[i]] = std::fmin(fastest[owner[i]], median(collector.seconds[i]));
  return fastest;
}

void print_peer_heading() {
  for (const Peer& peer : peers()) std::printf(" %9s %6s", peer.name, "ratio");
  std::printf("\n");
}

void print_peer_columns(double ours, const std::vector<double>& theirs,
                        const std::function<double(double)>& figure) {
  for (const double peer : theirs)
    if (std::isnan(peer))
      std::printf(" %9s %6s", "-", "-");
    else
      std::printf(" %9.1f %6.2f", figure(peer), peer / ours);
  std::printf("\n");
  std::fflush(stdout);
}

}  // namespace convkit::bench
