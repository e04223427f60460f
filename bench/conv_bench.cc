// Times convolution layers, one after the other:
//
//   bench_conv [OPTIONS] [PROBLEM[:DIRECTION]...]
//
// in all three directions or the one named, for the problems given (in benchdnn's notation) or for
// the shapes that the tests check too. One table: GFLOP/s (2 for each multiply-add of the
// definition), the share of the FMA peak measured beside it, and the GFLOP/s of the peers with
// convkit's advantage over each. Forward stands there twice: packing the weights in every call, as
// training must, and with weights packed beforehand, as in inference (and as oneDNN's always are).
// See measure.h for the method and its options.
//
//   --threads N    of both sides
//   --simd NAME    convkit's instruction set (the peers have environment variables of their own)
//   --direction D  forward, backward_input or backward_weight
//   --algorithms   instead of the peers: every algorithm of convkit that computes the problem
//   --subnormal    instead of the peers: the same layer with subnormal inputs
//   --scaling      instead of the peers: time on one thread / (N x time on N threads), ResNet-18's
//                  layers at batch 1 unless problems are given, with the FMA peak's beside them
//   --json         a JSON object a line instead of the table
//   --about        measures nothing else: build, peers, peak and memory bandwidth, as JSON
//   --list BATCHES measures nothing: every layer of layers.h at each batch (such as 1,8,32), and
//                  the shapes of the tests at their own, a JSON object a line
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "bench/bandwidth.h"
#include "bench/fma_peak.h"
#include "bench/foreign_load.h"
#include "bench/layers.h"
#include "bench/measure.h"
#include "bench/timed_layer.h"
#include "convkit/base/error.h"
#include "convkit/base/thread_pool.h"
#include "convkit/kernels/conv_planner.h"
#include "convkit/kernels/target.h"
#include "tests/support/conv_shapes.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace convkit::bench {
namespace {

using kernels::ConvGeometry;
using kernels::Direction;
using nlohmann::json;

enum class Mode { peers, algorithms, subnormal, scaling };

struct Settings {
  int threads = num_threads();
  Mode mode = Mode::peers;
  bool as_json = false;
  bool about = false;
  std::string direction;
  std::string list_batches;
  std::vector<std::string> problems;
};

// libtorch allocates its results, convkit's and oneDNN's calls write into memory they are given.
// Fresh pages from the system would cost libtorch as much as some layers do, so freed ones are
// kept.
void keep_freed_memory() {
#ifdef __GLIBC__
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
#endif
}

double gflop(const ConvGeometry& g) { return 2e-9 * static_cast<double>(macs(g)); }

std::vector<Rival> rivals_of(const TimedLayer& work, const TimedLayer& subnormal,
                             const ConvGeometry& g, Direction direction, const Settings& settings) {
  if (settings.mode == Mode::algorithms) return work.algorithms();
  std::vector<Rival> rivals = {{"convkit", {work.call()}}};
  if (settings.mode == Mode::subnormal) {
    rivals.push_back({"convkit_subnormal", {subnormal.call()}});
    return rivals;
  }
  if (direction == Direction::forward) rivals.push_back({"convkit_packed", {work.packed_call()}});
  for (const Peer& peer : peers())
    rivals.push_back({peer.name, peer.convolution(g, direction, settings.threads)});
  return rivals;
}

// What each algorithm counts, for tools/fit-cost-model.
json work_by_algorithm(const ConvGeometry& g, Direction direction) {
  json all = json::object();
  for (const kernels::ConvAlgorithm& row : kernels::conv_algorithms()) {
    if (!row.why_not(g, direction).empty()) continue;
    const kernels::ConvWork work = prepare(row, g, direction)->work();
    all[row.name] = {{"products", work.products},     {"calls", work.calls},
                     {"transforms", work.transforms}, {"weights", work.weights},
                     {"tensors", work.tensors},       {"packing", work.packing}};
  }
  return all;
}

void print_json(const json& object) {
  std::printf("%s\n", object.dump().c_str());
  std::fflush(stdout);
}

// In the table of the peers: convkit's lines, of which forward has two.
void print_peer_lines(const std::vector<Rival>& rivals, const std::vector<double>& seconds,
                      const std::string& start, const std::array<const char*, 2>& algorithms,
                      double work, double peak) {
  const std::size_t ours = rivals.size() - peers().size();
  const std::vector<double> theirs(seconds.begin() + static_cast<std::ptrdiff_t>(ours),
                                   seconds.end());
  for (std::size_t i = 0; i < ours; ++i) {
    std::printf("%s %-10s %-6s %8.1f %4.0f%%", start.c_str(), algorithms[i],
                i == 0 ? "call" : "packed", work / seconds[i], 100.0 * work / seconds[i] / peak);
    print_peer_columns(seconds[i], theirs, [&](double time) { return work / time; });
  }
}

void time_direction(const ConvGeometry& g, Direction direction, const Settings& settings) {
  const TimedLayer work(g, direction);
  TimedLayer subnormal(settings.mode == Mode::subnormal ? g : ConvGeometry{}, direction);
  subnormal.make_subnormal();
  const std::vector<Rival> rivals = rivals_of(work, subnormal, g, direction, settings);
  rest_peers();
  const ForeignLoad load;
  const double peak = fma_peak();
  const std::vector<double> seconds = measure(rivals);
  const double foreign_load = load.processors();
  const char* const chosen = choose(g, direction).algorithm->name;
  const char* const chosen_packed =
      choose(g, direction, {.weights = kernels::Weights::fixed}).algorithm->name;
  if (settings.as_json) {
    json object = {{"problem", to_string(g)},
                   {"direction", name(direction)},
                   {"threads", settings.threads},
                   {"isa", kernels::simd_target()},
                   {"algorithm", chosen},
                   {"gflop", gflop(g)},
                   {"megabytes", 1e-6 * static_cast<double>(tensor_bytes(g))},
                   {"peak_gflops", peak},
                   {"foreign_load", foreign_load},
                   {"copy_gbs", copy_bandwidth(tensor_bytes(g))},
                   {"seconds", json::object()}};
    for (std::size_t i = 0; i < rivals.size(); ++i)
      object["seconds"][rivals[i].name] = seconds[i];  // NaN becomes null
    if (direction == Direction::forward) object["algorithm_packed"] = chosen_packed;
    if (settings.threads > 1 && std::thread::hardware_concurrency() > 1)
      object["round_trip_ns"] = 1e9 * core_round_trip();
    if (settings.mode == Mode::algorithms) object["work"] = work_by_algorithm(g, direction);
    print_json(object);
    return;
  }
  char start[128];
  std::snprintf(start, sizeof start, "%-66s %-15s", to_string(g).c_str(), name(direction));
  if (settings.mode == Mode::peers)
    return print_peer_lines(rivals, seconds, start, {chosen, chosen_packed}, gflop(g), peak);
  std::printf("%s %-10s", start, chosen);
  for (std::size_t i = 0; i < rivals.size(); ++i)
    std::printf("  %s %.1f", rivals[i].name.c_str(), gflop(g) / seconds[i]);
  std::printf("\n");
  std::fflush(stdout);
}

// Calls visit(geometry, direction) for each PROBLEM[:DIRECTION].
template <class Visit>
void for_each_direction(const std::vector<std::string>& problems, const Settings& settings,
                        const Visit& visit) {
  for (const std::string& item : problems) {
    const std::size_t colon = item.find(':');
    const std::string wanted =
        colon == std::string::npos ? settings.direction : item.substr(colon + 1);
    for (const Direction direction : kernels::kDirections)
      if (wanted.empty() || wanted == name(direction))
        visit(kernels::parse_problem(item.substr(0, colon)), direction);
  }
}

// One layer on one thread and on all, alternating. Adds its efficiencies to `all`.
void time_scaling(const ConvGeometry& g, Direction direction, const Settings& settings,
                  std::vector<double>& all) {
  const TimedLayer layer(g, direction);
  ThreadPool one(1);
  ThreadPool many(settings.threads);
  const auto on = [](ThreadPool& pool, Work work) -> Work {
    return [&pool, work = std::move(work)] {
      const UseThreadPool use(pool);
      work();
    };
  };
  const ForeignLoad load;
  std::vector<Rival> rivals = {{"one", {on(one, layer.call())}},
                               {"many", {on(many, layer.call())}}};
  if (direction == Direction::forward) {
    rivals.push_back({"one", {on(one, layer.packed_call())}});
    rivals.push_back({"many", {on(many, layer.packed_call())}});
  }
  const std::vector<double> seconds = measure(rivals);
  const double threads = settings.threads;
  for (std::size_t i = 0; i < seconds.size(); i += 2) {
    const double efficiency = seconds[i] / (threads * seconds[i + 1]);
    all.push_back(efficiency);
    std::printf("%-58s %-15s %-10s %-6s %10.1f %10.1f %5.0f%% %8.2f\n", to_string(g).c_str(),
                name(direction),
                choose(g, direction,
                       {.weights = i > 0 ? kernels::Weights::fixed : kernels::Weights::changing})
                    .algorithm->name,
                i > 0 ? "packed" : "call", 1e6 * seconds[i], 1e6 * seconds[i + 1],
                100.0 * efficiency, load.processors());
  }
  std::fflush(stdout);
}

void print_scaling(const Settings& settings) {
  std::vector<std::string> problems = settings.problems;
  if (problems.empty())
    for (const Layer& layer : kNetLayers)
      if (std::string_view(layer.group) == "ResNet-18")
        problems.push_back(std::string("mb1") + layer.problem);
  const auto peak_on = [](int threads) {
    ThreadPool pool(threads);
    const UseThreadPool use(pool);
    return fma_peak();
  };
  std::printf("%-58s %-15s %-10s %-6s %10s %10s %6s %8s\n", "problem", "direction", "algorithm", "",
              "us on 1", message("us on ", settings.threads).c_str(), "", "foreign");
  std::vector<double> all;
  for_each_direction(problems, settings, [&](const ConvGeometry& g, Direction direction) {
    time_scaling(g, direction, settings, all);
  });
  if (all.empty()) return;
  std::sort(all.begin(), all.end());
  double one = 0.0;
  double many = 0.0;
  for (int turn = 0; turn < 3; ++turn) {
    one = std::max(one, peak_on(1));
    many = std::max(many, peak_on(settings.threads));
  }
  std::printf("median %.0f %%, least %.0f %%; FMA peak %.0f %% (%.0f and %.0f GFLOP/s)\n",
              100.0 * all[all.size() / 2], 100.0 * all.front(),
              100.0 * many / (settings.threads * one), one, many);
}

void print_about(int threads) {
  json versions = json::object();
  for (const Peer& peer : peers()) versions[peer.name] = peer.version();
  print_json({{"threads", threads},
              {"isa", kernels::simd_target()},
              {"compiler", CONVKIT_BENCH_COMPILER},
              {"peers", versions},
              {"peak_gflops", fma_peak()},
              {"copy_gbs", copy_bandwidth(int64_t{1} << 40)}});
}

void list_layers(const std::string& batches) {
  const auto print = [](const char* group, const char* kind, int times, const ConvGeometry& g) {
    print_json({{"group", group},
                {"kind", kind},
                {"times", times},
                {"problem", to_string(g)},
                {"gflop", gflop(g)},
                {"megabytes", 1e-6 * static_cast<double>(tensor_bytes(g))}});
  };
  std::istringstream words(batches);
  for (std::string word; std::getline(words, word, ',');) {
    const auto at_batch = [&](const Layer& layer) {
      ConvGeometry g = kernels::parse_problem(layer.problem);
      g.batch = std::atoi(word.c_str());
      kernels::validate(g);
      return g;
    };
    for (const Layer& layer : kNetLayers) print(layer.group, "net", layer.times, at_batch(layer));
    for (const Layer& layer : kHoleLayers) print(layer.group, "hole", layer.times, at_batch(layer));
  }
  for (const test::ConvShape& shape : test::kConvShapes)
    print("shapes of the tests", "test", 1, kernels::parse_problem(shape.problem));
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
    else if (argument == "--algorithms")
      settings.mode = Mode::algorithms;
    else if (argument == "--subnormal")
      settings.mode = Mode::subnormal;
    else if (argument == "--scaling")
      settings.mode = Mode::scaling;
    else if (argument == "--json")
      settings.as_json = true;
    else if (argument == "--about")
      settings.about = true;
    else if (argument == "--list")
      settings.list_batches = value();
    else if (argument.starts_with("--"))
      throw ValueError(
          message("unknown option ", argument,
                  "; there are --threads, --simd, --direction, --algorithms, "
                  "--subnormal, --scaling, --json, --about, --list and --benchmark_*"));
    else
      settings.problems.push_back(argument);
  }
  if (settings.problems.empty() && settings.mode != Mode::scaling)
    for (const test::ConvShape& shape : test::kConvShapes)
      settings.problems.emplace_back(shape.problem);
  return settings;
}

void run(const Settings& settings) {
  if (!settings.list_batches.empty()) return list_layers(settings.list_batches);
  set_num_threads(settings.threads);
  if (settings.about) return print_about(settings.threads);
  if (settings.mode == Mode::scaling) return print_scaling(settings);
  if (!settings.as_json) {
    std::printf("%d threads, %s, FMA peak %.0f GFLOP/s\n", settings.threads,
                kernels::simd_target().c_str(), fma_peak());
    if (settings.mode == Mode::peers) {
      std::printf("%-66s %-15s %-10s %-6s %8s %5s", "problem", "direction", "algorithm", "",
                  "GFLOP/s", "peak");
      print_peer_heading();
    }
  }
  for_each_direction(settings.problems, settings, [&](const ConvGeometry& g, Direction direction) {
    time_direction(g, direction, settings);
  });
}

}  // namespace
}  // namespace convkit::bench

int main(int argc, char** argv) {
  using namespace convkit;
  try {
    bench::keep_freed_memory();
    bench::start_measuring(&argc, argv);
    bench::run(bench::read_settings(argc, argv));
  } catch (const Error& error) {
    std::fprintf(stderr, "bench_conv: %s\n", error.what());
    return 1;
  }
  return 0;
}
