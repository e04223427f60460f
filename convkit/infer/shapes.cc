#include "convkit/infer/shapes.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <string>
#include <utility>

#include "convkit/infer/plan.h"

namespace convkit::infer {
namespace {

using graph::Dim;
using graph::Graph;
using graph::ValueType;

// Fractions that are looked for, and how far extents are moved to tell them apart.
constexpr int64_t kLargestDivisor = 32;
// Of an input of larger sizes than the first: what the interpreter runs, it runs on zeros.
constexpr int64_t kMostElements = int64_t{1} << 23;

std::string symbol_of(const Dim& dim, std::size_t axis, std::size_t rank) {
  if (!dim.name.empty()) return dim.name;
  if (axis == 0) return "N";
  const char* const spatial = rank == 3 ? "L" : rank == 4 ? "HW" : "DHW";
  if (axis >= 2 && rank >= 3 && rank <= 5) return std::string(1, spatial[axis - 2]);
  return "d" + convkit::to_text(static_cast<int64_t>(axis));
}

// An open extent of the inputs.
struct Symbol {
  std::string name;
  bool is_first = false;  ///< an axis 0, of an input at least
};

// Extents of the symbols, and what the values' are then.
struct Probe {
  Integers extents;
  std::vector<Facts> facts;
};

// One extent of a value at one probe.
struct Sample {
  int64_t x;
  int64_t value;
};

// value = factor · ⌊(x + shift) / divisor⌋ + rest
struct Formula {
  int64_t factor;
  int64_t shift;
  int64_t divisor;
  int64_t rest;
  int64_t at(int64_t x) const { return factor * ((x + shift) / divisor) + rest; }
};

std::optional<Formula> fit(const std::vector<Sample>& samples, const Sample& far) {
  const Sample base = samples.front();
  int64_t up = far.value - base.value;
  int64_t across = far.x - base.x;
  const int64_t common = std::gcd(up, across);
  up /= common;
  across /= common;
  for (int64_t times = 1; times * across <= kLargestDivisor; times *= 2)
    for (int64_t shift = 0; shift < times * across; ++shift) {
      Formula formula{times * up, shift, times * across, 0};
      formula.rest = base.value - formula.at(base.x);
      const auto agrees = [&](const Sample& sample) {
        return formula.at(sample.x) == sample.value;
      };
      if (agrees(far) && std::all_of(samples.begin(), samples.end(), agrees)) return formula;
    }
  return std::nullopt;
}

std::string number(int64_t value) { return convkit::to_text(value); }

std::string to_text(const Formula& formula, const std::string& symbol, bool is_exact) {
  std::string text = symbol;
  const auto& [factor, shift, divisor, rest] = formula;
  const std::string by = "/" + number(divisor);
  if (divisor > 1 && is_exact) {
    text += by;
  } else if (divisor > 1 && shift == divisor - 1) {
    text = "⌈" + text + by + "⌉";
  } else if (divisor > 1) {
    if (shift != 0) text = "(" + text + " + " + number(shift) + ")";
    text = "⌊" + text + by + "⌋";
  }
  if (factor != 1) text = number(factor) + "·" + text;
  if (rest != 0) text += (rest > 0 ? " + " : " − ") + number(std::abs(rest));
  return text;
}

class Prober {
 public:
  explicit Prober(const Graph& graph) : graph_(graph) {
    each_input([&](const ValueType& type) {
      for (std::size_t axis = 0; axis < type.dims->size(); ++axis) {
        const Dim& dim = (*type.dims)[axis];
        if (dim.known()) continue;
        const std::string name = symbol_of(dim, axis, type.dims->size());
        if (find(name) == symbols_.size()) symbols_.push_back({name});
        symbols_[find(name)].is_first |= axis == 0;
      }
    });
  }

  std::vector<ValueType> types() {
    find_base();
    for (std::size_t s = 0; s < symbols_.size(); ++s) {
      Integers extents = base_.extents;
      extents[s] *= 2;
      doubled_.push_back(probe(std::move(extents)));
    }
    for (int64_t by = 1; by <= kLargestDivisor && !symbols_.empty(); ++by) {
      Integers extents = base_.extents;
      for (int64_t& extent : extents) extent += by;
      moved_.push_back(probe(std::move(extents)));
    }
    std::vector<ValueType> all;
    for (std::size_t i = 0; i < graph_.values.size(); ++i) {
      all.push_back(graph_.values[i].type);
      const Facts& facts = base_.facts[i];
      if (!facts.shaped) continue;
      all.back() = {.dtype = facts.dtype, .dims = std::vector<Dim>()};
      for (int64_t axis = 0; axis < facts.shape.dim(); ++axis)
        all.back().dims->push_back(dim_of(i, axis));
    }
    return all;
  }

 private:
  template <class Visit>
  void each_input(const Visit& visit) const {
    for (const graph::ValueId id : graph_.inputs)
      if (const ValueType& type = graph_.value(id).type; type.dims) visit(type);
  }

  std::size_t find(const std::string& name) const {
    std::size_t s = 0;
    while (s < symbols_.size() && symbols_[s].name != name) ++s;
    return s;
  }

  Shape shape_of(const ValueType& type, const Integers& extents) const {
    Integers shape;
    for (std::size_t axis = 0; axis < type.dims->size(); ++axis) {
      const Dim& dim = (*type.dims)[axis];
      shape.push_back(dim.known() ? dim.extent
                                  : extents[find(symbol_of(dim, axis, type.dims->size()))]);
    }
    return Shape(shape);
  }

  // Of the largest input.
  int64_t elements(const Integers& extents) const {
    int64_t most = 0;
    each_input(
        [&](const ValueType& type) { most = std::max(most, shape_of(type, extents).numel()); });
    return most;
  }

  Probe probe(Integers extents) const {
    std::vector<Facts> inputs;
    for (const graph::ValueId id : graph_.inputs) {
      const ValueType& type = graph_.value(id).type;
      Facts facts;
      if (type.dims) {
        facts.shaped = true;
        facts.dtype = type.dtype.value_or(DType::float32);
        facts.shape = shape_of(type, extents);
      }
      inputs.push_back(std::move(facts));
    }
    return {std::move(extents), facts_of_values(graph_, inputs)};
  }

  // Small sizes suit most nets; others need more before anything is left of them.
  void find_base() {
    int64_t most = -1;
    for (const int64_t size : {64, 256, 1024, 16384}) {
      Integers extents;
      for (const Symbol& symbol : symbols_) extents.push_back(symbol.is_first ? 2 : size);
      if (most >= 0 && elements(extents) > kMostElements) return;
      Probe tried = probe(std::move(extents));
      int64_t known = 0;
      for (const Facts& facts : tried.facts) known += facts.shaped ? 1 : 0;
      if (known > most) {
        most = known;
        base_ = std::move(tried);
      }
      if (most == std::ssize(graph_.values) || symbols_.empty()) return;
    }
  }

  // −1 where it is not known.
  int64_t extent(const Probe& probe, std::size_t value, int64_t axis) const {
    const Facts& facts = probe.facts[value];
    const bool is_known = facts.shaped && facts.shape.dim() == base_.facts[value].shape.dim();
    return is_known ? facts.shape[axis] : -1;
  }

  Dim dim_of(std::size_t value, int64_t axis) const {
    const int64_t known = extent(base_, value, axis);
    std::size_t symbol = symbols_.size();
    for (std::size_t s = 0; s < symbols_.size(); ++s) {
      const int64_t there = extent(doubled_[s], value, axis);
      if (there == known) continue;
      if (there < 0 || symbol < symbols_.size()) return {};
      symbol = s;
    }
    const bool is_open = symbol < symbols_.size();
    std::vector<Sample> samples;
    if (is_open) samples.push_back({base_.extents[symbol], known});
    bool is_exact = true;  // as far as is known
    for (const Probe& probe : moved_) {
      const int64_t there = extent(probe, value, axis);
      if (there < 0) continue;
      if (!is_open && there != known) return {};
      if (!is_open) continue;
      samples.push_back({probe.extents[symbol], there});
      is_exact = is_exact && samples.back().x % kLargestDivisor == 0;
    }
    if (!is_open) return {.extent = known};
    const Probe& far = doubled_[symbol];
    const auto formula = fit(samples, {far.extents[symbol], extent(far, value, axis)});
    if (!formula) return {};
    return {.name = to_text(*formula, symbols_[symbol].name, is_exact)};
  }

  const Graph& graph_;
  std::vector<Symbol> symbols_;
  Probe base_;
  std::vector<Probe> doubled_;  // one symbol each
  std::vector<Probe> moved_;    // all symbols, a little
};

}  // namespace

std::vector<ValueType> infer_types(const Graph& graph) { return Prober(graph).types(); }

}  // namespace convkit::infer
