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

namespace convkit::kernels {
namespace {

// Programs are small beside the tensors they work on (tables of rows and taps); a training step of
// a deep net uses some 300.
constexpr std::size_t kMostPrograms = 1024;

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
    all.push_back(std::move(candidate));
  }
  return all;
}

bool faster(const Candidate& a, const Candidate& b) { return a.seconds < b.seconds; }

Candidate best(const ConvGeometry& g, Direction direction, const PlanOptions& options) {
  std::vector<Candidate> all = candidates(g, direction, options);
  return std::move(*std::min_element(all.begin(), all.end(), faster));
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
  std::vector<Candidate> all = candidates(g, direction, options);
  std::stable_sort(all.begin(), all.end(), faster);
  const auto microseconds = [](double seconds) { return message(std::ceil(1e6 * seconds), " us"); };
  std::string reason = message("estimated ", microseconds(all.front().seconds));
  for (std::size_t i = 1; i + 1 < all.size(); ++i)
    reason += message(i == 1 ? "; " : ", ", all[i].row->name, " ", microseconds(all[i].seconds));
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
