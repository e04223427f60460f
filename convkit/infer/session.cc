#include "convkit/infer/session.h"

#include <algorithm>
#include <atomic>
#include <list>
#include <mutex>
#include <utility>

#include "convkit/base/memory.h"
#include "convkit/graph/edit.h"
#include "convkit/graph/verify.h"
#include "convkit/infer/interpreter.h"
#include "convkit/infer/passes/passes.h"
#include "convkit/infer/plan.h"

namespace convkit::infer {
namespace {

using Key = std::vector<std::pair<DType, Shape>>;

Key key_of(std::span<const Tensor> inputs) {
  Key key;
  for (const Tensor& input : inputs) key.emplace_back(input.dtype(), input.shape());
  return key;
}

std::vector<graph::Value> values_of(const graph::Graph& graph,
                                    const std::vector<graph::ValueId>& ids) {
  std::vector<graph::Value> values;
  for (const graph::ValueId id : ids) {
    values.push_back(graph.value(id));
    values.back().constant = Tensor();
  }
  return values;
}

std::vector<StepDescription> described(const Plan& plan, std::span<const double> seconds) {
  constexpr double kGiga = 1e9;
  std::vector<StepDescription> all;
  for (std::size_t n = 0; n < plan.steps().size(); ++n) {
    const PlannedStep& step = plan.steps()[n];
    StepDescription description{.name = step.node.name,
                                .op = std::string(graph::name_of(step.node.op)),
                                .bytes = step.bytes};
    if (const auto* fused = step.node.attributes.find("fused"))
      description.fused = std::get<std::vector<std::string>>(*fused);
    if (step.step) {
      const Algorithm algorithm = step.step->algorithm();
      description.algorithm = algorithm.name;
      description.reason = algorithm.reason;
      description.gflop = algorithm.flop / kGiga;
      description.weight_bytes = step.step->weight_bytes();
      description.output = step.output;
    } else {
      description.algorithm = "interpreter";
      if (!step.facts.empty() && step.facts[0].shaped) description.output = step.facts[0].shape;
    }
    if (!seconds.empty()) description.seconds = seconds[n];
    all.push_back(std::move(description));
  }
  return all;
}

}  // namespace

struct Session::State {
  graph::Graph graph;
  SessionOptions options;
  std::vector<graph::Value> inputs;
  std::vector<graph::Value> outputs;
  std::atomic<int64_t> memory_limit{0};

  std::mutex mutex;
  std::list<std::pair<Key, std::shared_ptr<const Plan>>> plans;  // the last used first
  std::vector<Buffer<float>> arenas;                             // idle

  std::shared_ptr<const Plan> plan_for(std::span<const Tensor> given) {
    check_inputs(graph, given);
    const Key key = key_of(given);
    {
      const std::lock_guard lock(mutex);
      if (auto known = find(key)) return known;
    }
    auto made = std::make_shared<const Plan>(graph, given, options.exactness);
    const std::lock_guard lock(mutex);
    if (auto known = find(key)) return known;
    plans.emplace_front(key, made);
    while (std::ssize(plans) > options.most_plans) plans.pop_back();
    return made;
  }
  // Under the lock.
  std::shared_ptr<const Plan> find(const Key& key) {
    const auto found = std::find_if(plans.begin(), plans.end(),
                                    [&](const auto& plan) { return plan.first == key; });
    if (found == plans.end()) return nullptr;
    plans.splice(plans.begin(), plans, found);
    return found->second;
  }

  Tensors run(const Plan& plan, std::span<const Tensor> given, std::span<double> seconds) {
    const int64_t bytes = plan.arena_floats() * static_cast<int64_t>(sizeof(float));
    const int64_t limit = memory_limit;
    CONVKIT_CHECK(limit == 0 || bytes <= limit, ValueError, "the values between steps take ", bytes,
                  " bytes for inputs of this shape; the session's limit is ", limit,
                  " (set_memory_limit); a smaller batch takes less");
    const UseExactness exact(options.exactness);
    Buffer<float> arena = take_arena(static_cast<std::size_t>(plan.arena_floats()));
    Tensors results = plan.run(given, arena.data(), seconds);
    const std::lock_guard lock(mutex);
    arenas.push_back(std::move(arena));
    return results;
  }
  // The smallest idle one that is large enough. One that is too small goes, so that there are never
  // more than runs have been under way at once.
  Buffer<float> take_arena(std::size_t floats) {
    Buffer<float> arena;
    {
      const std::lock_guard lock(mutex);
      auto best = arenas.end();
      for (auto at = arenas.begin(); at != arenas.end(); ++at)
        if (at->size() >= floats && (best == arenas.end() || at->size() < best->size())) best = at;
      if (best == arenas.end() && !arenas.empty()) {
        arenas.erase(arenas.begin());
      } else if (best != arenas.end()) {
        arena = std::move(*best);
        arenas.erase(best);
      }
    }
    if (arena.data() != nullptr) return arena;
    const auto bytes = static_cast<int64_t>(floats * sizeof(float));
    const auto taken = static_cast<int64_t>(allocated_bytes());
    CONVKIT_CHECK(bytes <= infer::memory_limit() - taken, ValueError,
                  "the values between steps take ", bytes, " bytes beside the ", taken,
                  " in use; the limit is ", infer::memory_limit(), " (infer::set_memory_limit)");
    return Buffer<float>(floats);
  }
};

Session::Session(graph::Graph graph, const SessionOptions& options)
    : state_(std::make_shared<State>()) {
  CONVKIT_CHECK(options.most_plans >= 1, ValueError, "most_plans (", options.most_plans,
                ") must be at least 1");
  graph::verify(graph);
  state_->options = options;
  state_->inputs = values_of(graph, graph.inputs);
  state_->outputs = values_of(graph, graph.outputs);
  state_->graph = std::move(graph);
  optimize(state_->graph);
  set_memory_limit(options.memory_limit);
}

std::vector<Tensor> Session::run(std::span<const Tensor> inputs) const {
  return state_->run(*state_->plan_for(inputs), inputs, {});
}

Tensor Session::operator()(const Tensor& x) const {
  CONVKIT_CHECK(state_->inputs.size() == 1 && !state_->outputs.empty(), ValueError, "the net has ",
                state_->inputs.size(), " inputs and ", state_->outputs.size(),
                " outputs; use run()");
  return run({x})[0];
}

const std::vector<graph::Value>& Session::inputs() const { return state_->inputs; }
const std::vector<graph::Value>& Session::outputs() const { return state_->outputs; }
const graph::Graph& Session::graph() const { return state_->graph; }

void Session::set_memory_limit(int64_t bytes) {
  CONVKIT_CHECK(bytes >= 0, ValueError, "set_memory_limit: ", bytes, " bytes");
  state_->memory_limit = bytes;
}

std::vector<StepDescription> Session::steps(std::span<const Tensor> inputs) const {
  return described(*state_->plan_for(inputs), {});
}

int64_t Session::arena_bytes(std::span<const Tensor> inputs) const {
  return state_->plan_for(inputs)->arena_floats() * static_cast<int64_t>(sizeof(float));
}

std::vector<StepDescription> Session::profile(std::span<const Tensor> inputs) const {
  const std::shared_ptr<const Plan> plan = state_->plan_for(inputs);
  std::vector<double> seconds(plan->steps().size());
  state_->run(*plan, inputs, seconds);
  return described(*plan, seconds);
}

int64_t Session::plan_count() const {
  const std::lock_guard lock(state_->mutex);
  return std::ssize(state_->plans);
}

}  // namespace convkit::infer
