// convkit bench: how long a net takes, and where.
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <iomanip>
#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>
#include <sstream>

#include "bench/fma_peak.h"
#include "cli/json_output.h"
#include "cli/net_input.h"
#include "cli/option_checks.h"
#include "cli/step_table.h"
#include "cli/subject.h"
#include "cli/verbs.h"
#include "convkit/base/thread_pool.h"
#include "convkit/graph/capture.h"
#include "convkit/onnx/load.h"

namespace convkit::cli {
namespace {

using Clock = std::chrono::steady_clock;

struct BenchArguments {
  SubjectOptions subject;
  int64_t batch = 0;
  int threads = 0;
  double seconds = 3;
  bool steps = false;
};

struct Times {
  double load_ms = 0;  ///< reading or making the net, planning, packing, and the first run
  double median_ms = 0;
  double min_ms = 0;
  double p99_ms = 0;
  int64_t runs = 0;
};

double milliseconds_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

Times measure(const infer::Session& net, const std::vector<Tensor>& inputs, double seconds) {
  constexpr std::size_t kFewest = 5;
  constexpr std::size_t kMost = 100000;
  std::vector<double> all;
  const Clock::time_point start = Clock::now();
  while (all.size() < kFewest ||
         (all.size() < kMost && milliseconds_since(start) < 1000 * seconds)) {
    const Clock::time_point begin = Clock::now();
    static_cast<void>(net.run(inputs));
    all.push_back(milliseconds_since(begin));
  }
  std::sort(all.begin(), all.end());
  const auto last = static_cast<double>(all.size() - 1);
  return {.median_ms = all[all.size() / 2],
          .min_ms = all.front(),
          .p99_ms = all[static_cast<std::size_t>(std::ceil(0.99 * last))],
          .runs = std::ssize(all)};
}

// Of the process, in bytes.
int64_t peak_memory() {
  constexpr int64_t kKibibyte = 1024;
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss * kKibibyte;
}

// The median of each step over several runs: one run alone is at the mercy of its neighbours.
std::vector<infer::StepDescription> profiled(const infer::Session& net,
                                             const std::vector<Tensor>& inputs) {
  constexpr std::size_t kRuns = 15;
  std::vector<infer::StepDescription> steps = net.profile(inputs);
  std::vector<std::vector<double>> seconds(steps.size());
  for (std::size_t run = 0; run < kRuns; ++run) {
    const auto again = net.profile(inputs);
    for (std::size_t i = 0; i < steps.size(); ++i) seconds[i].push_back(again[i].seconds);
  }
  for (std::size_t i = 0; i < steps.size(); ++i) {
    std::nth_element(seconds[i].begin(), seconds[i].begin() + kRuns / 2, seconds[i].end());
    steps[i].seconds = seconds[i][kRuns / 2];
  }
  return steps;
}

// A net in a file, or one of convkit's own, captured.
infer::Session session_of(const SubjectOptions& options) {
  if (is_onnx_file(options.what)) {
    if (options.classes > 0) throw UsageError("--classes goes with a net by name");
    return load(options.what);
  }
  const Subject subject = find_subject(options);
  return infer::Session(graph::capture(subject.net, zeros(subject.input), {.name = subject.name}));
}

// Throws where --batch asks for what cannot be.
void check_batch(const BenchArguments& arguments, const std::vector<Tensor>& inputs) {
  if (arguments.batch == 0 || inputs.empty() || inputs[0].dim() == 0) return;
  const int64_t batch = inputs[0].size(0);
  if (batch == arguments.batch) return;
  if (!arguments.subject.input.empty())
    throw UsageError(message("--input ", arguments.subject.input, " is a batch of ", batch,
                             ", --batch says ", arguments.batch, "; leave one of them out"));
  throw UsageError(message("--batch ", arguments.batch, ": the file fixes the batch at ", batch,
                           "; export the net with a batch of any size"));
}

int bench(const BenchArguments& arguments, Console& console) {
  if (arguments.threads > 0) set_num_threads(arguments.threads);
  const Clock::time_point begin = Clock::now();
  const infer::Session net = session_of(arguments.subject);
  const double read_ms = milliseconds_since(begin);
  const std::vector<Tensor> inputs =
      random_inputs(net.inputs(), std::max<int64_t>(1, arguments.batch), arguments.subject.input);
  check_batch(arguments, inputs);
  const Clock::time_point first = Clock::now();
  static_cast<void>(net.run(inputs));
  const double load_ms = read_ms + milliseconds_since(first);
  Times times = measure(net, inputs, arguments.seconds);
  times.load_ms = load_ms;
  const int64_t memory = peak_memory();
  const std::vector<infer::StepDescription> steps =
      arguments.steps ? profiled(net, inputs) : net.steps(inputs);
  double gflop = 0;
  for (const infer::StepDescription& step : steps) gflop += step.gflop;
  const double gflops = gflop / times.median_ms * 1000;
  const double peak = bench::fma_peak();

  if (console.json()) {
    nlohmann::ordered_json json;
    json["model"] = arguments.subject.what;
    json["threads"] = num_threads();
    json["input"] = inputs.empty() ? std::vector<int64_t>() : inputs[0].shape().to_vector();
    json["runs"] = times.runs;
    json["median_ms"] = times.median_ms;
    json["min_ms"] = times.min_ms;
    json["p99_ms"] = times.p99_ms;
    json["load_ms"] = times.load_ms;
    json["gflop"] = gflop;
    json["gflops"] = gflops;
    json["peak_gflops"] = peak;
    json["peak_share"] = gflops / peak;
    json["peak_memory"] = memory;
    json["arena_bytes"] = net.arena_bytes(inputs);
    if (arguments.steps) json["steps"] = steps_json(steps);
    write_json(json, console);
    return kSuccess;
  }
  std::ostringstream text;
  text << std::fixed << std::setprecision(2) << "median " << times.median_ms << " ms, minimum "
       << times.min_ms << " ms, 99th percentile " << times.p99_ms << " ms of " << times.runs
       << " runs\n"
       << gflops << " GFLOP/s, " << 100 * gflops / peak << " % of the " << peak
       << " this machine's multiply-adds reach on " << num_threads() << " threads\n"
       << "load and first run " << times.load_ms << " ms, peak memory "
       << static_cast<double>(memory) / (1 << 20) << " MiB, of which between steps "
       << static_cast<double>(net.arena_bytes(inputs)) / (1 << 20) << " MiB\n";
  console.out() << text.str();
  if (arguments.steps) console.out() << "\n" << step_table(steps, /*with_reasons=*/false);
  return kSuccess;
}

}  // namespace

void add_bench(CLI::App& app, Session& session) {
  const auto arguments = std::make_shared<BenchArguments>();
  CLI::App* const verb =
      app.add_subcommand("bench", "How fast a net runs, and where its time goes");
  verb->footer(
      "Examples:\n"
      "  convkit bench model.onnx --batch 1 --threads 2\n"
      "  convkit bench model.onnx --input 1x3x224x224 --steps\n"
      "  convkit bench resnet50 --batch 8");
  verb->add_option("model", arguments->subject.what,
                   "An ONNX file, a net by name, a run folder, or a weights file")
      ->required()
      ->check(not_empty());
  verb->add_option("--batch", arguments->batch, "The batch, where the net leaves it open [1]")
      ->check(whole_number(1, INT32_MAX));
  verb->add_option("--input", arguments->subject.input,
                   "Shape NxCxSIZES of the first input [the net's own]");
  verb->add_option("--classes", arguments->subject.classes,
                   "Classes of a net by name [its paper's]")
      ->check(whole_number(1, INT32_MAX));
  verb->add_option("--threads", arguments->threads, "Threads [one for each processor]")
      ->check(whole_number(1, 1024));
  verb->add_option("--seconds", arguments->seconds, "How long to measure [3]")
      ->check(CLI::Range(0.01, 3600.0));
  verb->add_flag("--steps", arguments->steps, "The time of each step");
  add_exact_flag(*verb);
  add_json_flag(*verb, session);
  verb->callback([&session, arguments] {
    session.job = [&session, arguments] { return bench(*arguments, session.console); };
  });
}

}  // namespace convkit::cli
