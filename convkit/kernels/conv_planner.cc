#include "convkit/kernels/conv_planner.h"

#include <algorithm>
#include <cmath>
#include <list>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "convkit/base/error.h"
#include "convkit/kernels/conv_cost.h"
#include "convkit/kernels/conv_tile.h"
#include "convkit/kernels/conv_tuning.h"

namespace convkit::kernels {
namespace {

// Programs are small beside the tensors they work on (tables of rows and taps); a training step of
// a deep net uses some 300.
constexpr std::size_t kMostPrograms = 1024;
// The model errs by less (docs/design/convolution.md): what it sees farther behind is not tried.
constexpr double kWorthMeasuring = 4.0;

// How long a run waits for packed weights that are in no cache: two cores read some 25 GB/s from
// memory, half of it while they compute.
constexpr double kSecondsPerStreamedFloat = sizeof(float) / 50e9;

struct Candidate {
  const ConvAlgorithm* row = nullptr;
  std::unique_ptr<ConvProgram> program;
  double seconds = 0.0;
};

// The rows that may compute this, in the order of the table.
std::vector<Candidate> candidates(const ConvGeometry& g, Direction direction,
                                  const PlanOptions& options) {
  std::vector<Candidate> all;
  for (const ConvAlgorithm& row : conv_algorithms()) {
    if ((options.exactness == Exactness::exact && !row.exact) || !row.why_not(g, direction).empty())
      continue;
    Candidate candidate{&row, prepare(row, g, direction), 0.0};
    candidate.seconds =
        estimated_seconds(row, direction, *candidate.program, options.weights == Weights::changing);
    if (options.streams_weights)
      candidate.seconds +=
          kSecondsPerStreamedFloat * static_cast<double>(candidate.program->packed_floats());
    all.push_back(std::move(candidate));
  }
  return all;
}

bool faster(const Candidate& a, const Candidate& b) { return a.seconds < b.seconds; }

// In ascending order of their estimates; those tried come first, in the order of their measured
// times. `measured` tells how many these are.
struct Ranking {
  std::vector<Candidate> candidates;
  std::size_t measured = 0;
};

Ranking ranking(const ConvGeometry& g, Direction direction, const PlanOptions& options) {
  Ranking ranked{candidates(g, direction, options)};
  std::vector<Candidate>& all = ranked.candidates;
  std::stable_sort(all.begin(), all.end(), faster);
  if (options.planning == Planning::estimated || g.batch == 0) return ranked;
  std::vector<TuningCandidate> tried;
  for (const Candidate& candidate : all)
    if (candidate.seconds <= kWorthMeasuring * all.front().seconds)
      tried.push_back({candidate.row, candidate.program.get()});
  if (tried.size() < 2) return ranked;
  for (const TuningRecord::Time& time : tuned_times(g, direction, options, tried)) {
    const auto place = all.begin() + static_cast<std::ptrdiff_t>(ranked.measured);
    const auto found = std::find_if(place, all.end(), [&](const Candidate& candidate) {
      return candidate.row->name == time.algorithm;
    });
    if (found == all.end()) continue;
    found->seconds = time.seconds;
    std::rotate(place, found, found + 1);
    ++ranked.measured;
  }
  return ranked;
}

Candidate best(const ConvGeometry& g, Direction direction, const PlanOptions& options) {
  return std::move(ranking(g, direction, options).candidates.front());
}

struct Key {
  ConvGeometry geometry;
  Direction direction;
  PlanOptions options;
  const TileKernels* kernels;  // programs are made for one instruction set
  bool operator==(const Key&) const = default;
};

struct KeyHash {
  std::size_t operator()(const Key& key) const {
    return hash(key.geometry) * 3 + static_cast<std::size_t>(key.direction);
  }
};

// The least recently used is forgotten first.
class ProgramCache {
 public:
  std::shared_ptr<const ConvProgram> find(const Key& key) {
    {
      const std::lock_guard lock(mutex_);
      const auto found = places_.find(key);
      if (found != places_.end()) {
        entries_.splice(entries_.begin(), entries_, found->second);
        return found->second->second;
      }
    }
    std::shared_ptr<const ConvProgram> program =
        std::move(best(key.geometry, key.direction, key.options).program);
    const std::lock_guard lock(mutex_);
    if (places_.contains(key)) return program;
    entries_.emplace_front(key, program);
    places_[key] = entries_.begin();
    if (entries_.size() > kMostPrograms) {
      places_.erase(entries_.back().first);
      entries_.pop_back();
    }
    return program;
  }

 private:
  using Entries = std::list<std::pair<Key, std::shared_ptr<const ConvProgram>>>;
  std::mutex mutex_;
  Entries entries_;
  std::unordered_map<Key, Entries::iterator, KeyHash> places_;
};

}  // namespace

ConvChoice choose(const ConvGeometry& g, Direction direction, const PlanOptions& options) {
  const auto [all, measured] = ranking(g, direction, options);
  const auto microseconds = [](double seconds) { return message(std::ceil(1e6 * seconds), " us"); };
  std::string reason;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (i > 0 && i + 1 == all.size() && !std::isfinite(all[i].seconds)) break;  // the reference
    if (i == 0 || i == measured)
      reason += message(i > 0 ? "; " : "", i < measured ? "measured " : "estimated ");
    else
      reason += i == 1 ? "; " : ", ";
    if (i > 0) reason += message(all[i].row->name, " ");
    reason += microseconds(all[i].seconds);
  }
  for (const ConvAlgorithm& row : conv_algorithms()) {
    if (options.exactness == Exactness::exact && !row.exact) {
      reason += message("; ", row.name, ": excluded as not exact");
      continue;
    }
    const std::string why = row.why_not(g, direction);
    if (!why.empty() && reason.find(why) == std::string::npos) reason += "; " + why;
  }
  return {all.front().row, reason, all.front().seconds};
}

std::shared_ptr<const ConvProgram> planned_program(const ConvGeometry& geometry,
                                                   Direction direction,
                                                   const PlanOptions& options) {
  static ProgramCache cache;
  return cache.find({geometry, direction, options, &tile_kernels()});
}

}  // namespace convkit::kernels
