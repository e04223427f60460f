#include "convkit/kernels/conv_planner.h"

#include <list>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "convkit/base/error.h"
#include "convkit/kernels/conv_tile.h"

namespace convkit::kernels {
namespace {

// Programs are small beside the tensors they work on (tables of rows and taps); a training step of
// a deep net uses some 300.
constexpr std::size_t kMostPrograms = 1024;

struct Key {
  ConvGeometry geometry;
  Direction direction;
  const ConvAlgorithm* algorithm;
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
        prepare(*key.algorithm, key.geometry, key.direction);
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

const ConvAlgorithm& plan(const ConvGeometry& g, Direction, Exactness) {
  // With a single channel the direct engine fills vectors with neighbouring outputs instead.
  const bool depthwise = g.groups > 1 && g.groups == g.in_channels && g.groups == g.out_channels;
  return conv_algorithm(depthwise ? "depthwise" : "direct");
}

ConvChoice choose(const ConvGeometry& g, Direction direction, Exactness exactness) {
  const ConvAlgorithm& row = plan(g, direction, exactness);
  const ConvAlgorithm& depthwise = conv_algorithm("depthwise");
  if (&row == &depthwise)
    return {&row, message("each of the ", g.groups,
                          " groups is one channel, so channels fill the vectors")};
  return {&row, message("the tile engine serves every geometry; ",
                        g.groups == 1 ? "with one group all channels share its tiles"
                                      : depthwise.why_not(g, direction))};
}

std::shared_ptr<const ConvProgram> planned_program(const ConvGeometry& geometry,
                                                   Direction direction) {
  static ProgramCache cache;
  return cache.find({geometry, direction, &plan(geometry, direction), &tile_kernels()});
}

}  // namespace convkit::kernels
