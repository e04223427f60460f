#include "convkit/kernels/conv_tuning.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <map>
#include <mutex>
#include <tuple>
#include <utility>

#include "convkit/base/error.h"
#include "convkit/base/memory.h"
#include "convkit/kernels/target.h"

namespace convkit::kernels {
namespace {

constexpr std::size_t kMostRecords = 65536;
constexpr int kRounds = 7;
// A turn shorter than this is a matter of luck.
constexpr double kTurnSeconds = 0.001;

std::atomic<Planning> setting{Planning::estimated};

using Key = std::tuple<std::string, Direction, Exactness, Weights, std::string>;

Key key_of(const TuningRecord& record) {
  return {record.problem, record.direction, record.exactness, record.weights, record.simd_target};
}
Key key_of(const ConvGeometry& g, Direction direction, const PlanOptions& options) {
  return {to_string(g), direction, options.exactness, options.weights, simd_target()};
}

struct Records {
  std::mutex mutex;
  std::vector<TuningRecord> in_order;
  std::map<Key, std::size_t> places;

  // With the mutex held.
  void add(TuningRecord record) {
    if (in_order.size() >= kMostRecords) return;
    if (places.emplace(key_of(record), in_order.size()).second)
      in_order.push_back(std::move(record));
  }
};

Records& records() {
  static Records all;
  return all;
}

// Operands whose values are neither zero nor subnormal: times do not depend on more.
Buffer<float> operand(int64_t count) {
  Buffer<float> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = 0.5f + static_cast<float>(i % 7) * 0.125f;
  return values;
}

class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// Seconds of a run, as the mean of a turn.
template <class F>
double turn(F&& run) {
  const Stopwatch watch;
  int runs = 0;
  do {
    run();
    ++runs;
  } while (watch.seconds() < kTurnSeconds);
  return watch.seconds() / runs;
}

std::vector<TuningRecord::Time> measure(const ConvGeometry& g, Direction direction, Weights weights,
                                        std::span<const TuningCandidate> candidates) {
  const bool from_output = direction == Direction::backward_input;
  const bool to_weight = direction == Direction::backward_weight;
  const Buffer<float> first = operand(from_output ? output_count(g) : input_count(g));
  const Buffer<float> second = operand(to_weight ? output_count(g) : weight_count(g));
  Buffer<float> out = operand(to_weight     ? weight_count(g)
                              : from_output ? input_count(g)
                                            : output_count(g));
  std::vector<TuningRecord::Time> times;
  std::vector<Buffer<float>> packed;
  for (const TuningCandidate& candidate : candidates) {
    times.push_back({candidate.row->name, INFINITY});
    const int64_t floats = weights == Weights::fixed ? candidate.program->packed_floats() : 0;
    packed.emplace_back(static_cast<std::size_t>(floats));
    if (floats > 0) candidate.program->pack(second.data(), packed.back().data());
  }
  // In turns, so that a disturbance meets all alike. The first round warms up.
  for (int round = 0; round < kRounds; ++round) {
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      const ConvProgram& program = *candidates[i].program;
      const double seconds = turn([&] {
        if (packed[i].size() > 0)
          program.run(first.data(), packed[i].data(), {}, out.data());
        else
          program.pack_and_run(first.data(), second.data(), {}, out.data());
      });
      if (round > 0) times[i].seconds = std::min(times[i].seconds, seconds);
    }
  }
  std::stable_sort(times.begin(), times.end(),
                   [](const auto& a, const auto& b) { return a.seconds < b.seconds; });
  return times;
}

}  // namespace

Planning planning() { return setting.load(std::memory_order_relaxed); }
void set_planning(Planning planning) { setting.store(planning, std::memory_order_relaxed); }

std::vector<TuningRecord> tuning_records() {
  Records& all = records();
  const std::lock_guard lock(all.mutex);
  return all.in_order;
}

void add_tuning_record(TuningRecord record) {
  const ConvGeometry geometry = parse_problem(record.problem);
  record.problem = to_string(geometry);
  CONVKIT_CHECK(!record.times.empty(), ValueError, "the measurements of ", record.problem,
                " name no algorithm");
  for (const TuningRecord::Time& time : record.times) {
    const ConvAlgorithm& row = conv_algorithm(time.algorithm);
    CONVKIT_CHECK(row.exact || record.exactness == Exactness::fast, ValueError, time.algorithm,
                  " is not exact");
    CONVKIT_CHECK(std::isfinite(time.seconds) && time.seconds > 0.0, ValueError, time.algorithm,
                  " cannot take ", time.seconds, " seconds for ", record.problem);
  }
  std::stable_sort(record.times.begin(), record.times.end(),
                   [](const auto& a, const auto& b) { return a.seconds < b.seconds; });
  Records& all = records();
  const std::lock_guard lock(all.mutex);
  all.add(std::move(record));
}

void clear_tuning_records() {
  Records& all = records();
  const std::lock_guard lock(all.mutex);
  all.in_order.clear();
  all.places.clear();
}

std::vector<TuningRecord::Time> recorded_times(const ConvGeometry& geometry, Direction direction,
                                               const PlanOptions& options) {
  Records& all = records();
  const std::lock_guard lock(all.mutex);
  const auto found = all.places.find(key_of(geometry, direction, options));
  return found == all.places.end() ? std::vector<TuningRecord::Time>()
                                   : all.in_order[found->second].times;
}

std::vector<TuningRecord::Time> tuned_times(const ConvGeometry& geometry, Direction direction,
                                            const PlanOptions& options,
                                            std::span<const TuningCandidate> candidates) {
  std::vector<TuningRecord::Time> times = recorded_times(geometry, direction, options);
  if (!times.empty()) return times;
  times = measure(geometry, direction, options.weights, candidates);
  Records& all = records();
  const std::lock_guard lock(all.mutex);
  all.add({to_string(geometry), direction, options.exactness, options.weights, simd_target(),
           std::move(times)});
  // Another thread may have measured meanwhile: the first record holds.
  const auto found = all.places.find(key_of(geometry, direction, options));
  return found == all.places.end() ? std::vector<TuningRecord::Time>()
                                   : all.in_order[found->second].times;
}

}  // namespace convkit::kernels
