#include "convkit/infer/plan.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

#include "convkit/autograd/record.h"
#include "convkit/base/scope.h"
#include "convkit/base/thread_pool.h"
#include "convkit/infer/arena.h"
#include "convkit/infer/channel_groups.h"
#include "convkit/infer/facts.h"
#include "convkit/infer/interpreter.h"
#include "convkit/infer/kernel_function.h"
#include "convkit/infer/slices.h"

namespace convkit::infer {
namespace {

using graph::Graph;
using graph::index_of;
using graph::kNoValue;
using graph::Node;
using graph::Op;
using graph::ValueId;

bool is_wanted_once(const Node& node) {
  return std::count_if(node.outputs.begin(), node.outputs.end(),
                       [](ValueId id) { return id != kNoValue; }) == 1 &&
         node.outputs[0] != kNoValue;
}

class Drafts {
 public:
  enum class Purpose : uint8_t { steps, shapes };

  Drafts(const Graph& graph, std::span<const Facts> inputs, Exactness exactness,
         Purpose purpose = Purpose::steps)
      : exactness_(exactness), purpose_(purpose), facts_(graph.values.size()) {
    for (std::size_t i = 0; i < graph.values.size(); ++i)
      if (graph.values[i].is_constant()) facts_[i] = facts_of(graph.values[i].constant);
    for (std::size_t i = 0; i < inputs.size(); ++i) facts_[index_of(graph.inputs[i])] = inputs[i];
    for (const Node& node : graph.nodes) add(node);
    if (purpose == Purpose::steps) {
      join_chains(graph);
      join_pools(graph);
      drafts_ = join_channel_groups(std::move(drafts_), facts_, graph);
    }
  }

  std::vector<Draft>& drafts() { return drafts_; }
  const std::vector<Facts>& facts() const { return facts_; }

 private:
  std::vector<Facts> facts_of_inputs(const Node& node) const {
    std::vector<Facts> all;
    for (const ValueId id : node.inputs)
      all.push_back(id == kNoValue ? Facts() : facts_[index_of(id)]);
    return all;
  }

  void add(const Node& node) {
    const std::vector<Facts> inputs = facts_of_inputs(node);
    bool shaped = true;
    bool constant = !node.inputs.empty();
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (node.inputs[i] == kNoValue) continue;
      shaped = shaped && inputs[i].shaped;
      constant = constant && inputs[i].constant.defined();
    }
    Draft draft{node, std::nullopt};
    const Maker maker = maker_of(node.op);
    if (shaped && !constant && is_wanted_once(node) && maker != nullptr) {
      try {
        draft.native = maker({node, inputs, exactness_, purpose_ == Purpose::shapes});
        if (draft.native) need_room(draft.native->output, DType::float32);
      } catch (const Error&) {
        // The generic step says what is wrong, with the node's name.
        draft.native.reset();
      }
    }
    if (draft.native) {
      facts_[index_of(node.outputs[0])] = {
          .shaped = true, .dtype = DType::float32, .shape = draft.native->output};
      drafts_.push_back(std::move(draft));
      return;
    }
    if (shaped && node.op == Op::fused_conv && node.input(3) != kNoValue) return add_apart(node);
    if (shaped && !constant && node.op == Op::split && inputs[0].is_float() &&
        add_slices(node, inputs))
      return;
    std::vector<Facts> outputs = facts_of_outputs(node, inputs);
    bool known = true;
    for (std::size_t i = 0; i < node.outputs.size(); ++i) {
      if (node.outputs[i] == kNoValue) continue;
      keep_within_bounds(outputs[i]);
      facts_[index_of(node.outputs[i])] = outputs[i];
      known = known && outputs[i].constant.defined();
    }
    if (!known) drafts_.push_back(std::move(draft));
  }

  // Many nodes could make constants of what is small for one; those beyond are made in every run.
  void keep_within_bounds(Facts& facts) {
    if (!facts.constant.defined()) return;
    constexpr int64_t kMostConstantBytes = int64_t{256} << 20;
    const int64_t bytes =
        facts.constant.numel() * static_cast<int64_t>(item_size(facts.constant.dtype()));
    if (constant_bytes_ + bytes > kMostConstantBytes) {
      facts.constant = Tensor();
    } else {
      constant_bytes_ += bytes;
    }
  }

  ValueId new_value(Facts facts) {
    facts_.push_back(std::move(facts));
    return static_cast<ValueId>(facts_.size() - 1);
  }

  // Each output of a Split by itself; false where that is not known.
  bool add_slices(const Node& node, const std::vector<Facts>& inputs) {
    const int64_t axis = node.attributes.integer("axis");
    const std::vector<Facts> outputs = facts_of_outputs(node, inputs);
    for (const Facts& output : outputs)
      if (!output.is_float()) return false;
    const auto number = [&](int64_t value) {
      return new_value(facts_of(from_values(Integers{value}, {1})));
    };
    int64_t begin = 0;
    for (std::size_t i = 0; i < node.outputs.size(); ++i) {
      const int64_t end = begin + outputs[i].shape[axis];
      if (node.outputs[i] != kNoValue)
        add({.op = Op::slice,
             .name = node.name,
             .inputs = {node.inputs[0], number(begin), number(end), number(axis)},
             .outputs = {node.outputs[i]}});
      begin = end;
    }
    return true;
  }

  // A residual of another shape than the convolution is added by itself.
  void add_apart(const Node& node) {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    Node conv = node;
    conv.inputs.resize(3);
    remove_function(conv);
    conv.attributes.set("low", -kInfinity);
    conv.attributes.set("high", kInfinity);
    conv.outputs = {new_value({})};
    add(conv);
    const ValueId sum = new_value({});
    add({.op = Op::add,
         .name = node.name,
         .inputs = {conv.outputs[0], node.inputs[3]},
         .outputs = {sum}});
    const auto limit = [&](const char* name) {
      return new_value(facts_of(full({}, node.attributes.number(name))));
    };
    const ValueId low = limit("low");
    const ValueId high = limit("high");
    std::optional<Node> function = function_of(node);
    const std::vector<ValueId> last = function ? std::vector{new_value({})} : node.outputs;
    add({.op = Op::clip, .name = node.name, .inputs = {sum, low, high}, .outputs = last});
    if (!function) return;
    function->inputs = last;
    function->outputs = node.outputs;
    add(*function);
  }

  // Who reads each value: places in drafts_, kNoDraft for the caller.
  std::vector<std::vector<std::size_t>> readers_of(const Graph& graph) const {
    std::vector<std::vector<std::size_t>> readers(facts_.size());
    for (std::size_t n = 0; n < drafts_.size(); ++n)
      for (const ValueId id : drafts_[n].node.inputs)
        if (id != kNoValue) readers[index_of(id)].push_back(n);
    for (const ValueId id : graph.outputs) readers[index_of(id)].push_back(kNoDraft);
    return readers;
  }

  // Maxima over what one convolution alone writes become the end of that convolution, which then
  // stands where the pool stood.
  void join_pools(const Graph& graph) {
    const std::vector<std::vector<std::size_t>> readers = readers_of(graph);
    std::vector<Draft> kept;
    for (Draft& draft : drafts_) {
      if (draft.native && draft.native->conv && !draft.native->conv->adds) {
        const std::vector<std::size_t>& all = readers[index_of(draft.node.outputs[0])];
        Draft* const pool = all.size() == 1 && all[0] != kNoDraft ? &drafts_[all[0]] : nullptr;
        if (pool != nullptr && pool->native && pool->native->max_pool > 0 &&
            draft.native->step->fuse_max_pool(pool->native->max_pool)) {
          Node node = draft.node;
          node.op = Op::fused_conv;
          node.outputs = pool->node.outputs;
          std::vector<std::string> fused;
          if (const auto* own = node.attributes.find("fused"))
            fused = std::get<std::vector<std::string>>(*own);
          fused.emplace_back(graph::name_of(pool->node.op));
          node.attributes.set("fused", fused);
          draft.native->output = pool->native->output;
          draft.native->conv.reset();
          *pool = {std::move(node), std::move(draft.native)};
          continue;
        }
      }
      kept.push_back(std::move(draft));
    }
    drafts_ = std::move(kept);
  }

  // Convolutions that each alone read what the one before writes become one step where that is
  // faster. A chain stands where its last layer stood, for there all that it reads is known.
  void join_chains(const Graph& graph) {
    const std::vector<std::vector<std::size_t>> readers = readers_of(graph);
    std::vector<char> joined(drafts_.size(), 0);
    const auto next = [&](std::size_t n) {
      const std::vector<std::size_t>& all = readers[index_of(drafts_[n].node.outputs[0])];
      if (all.size() != 1 || all[0] == kNoDraft) return kNoDraft;
      const Draft& reader = drafts_[all[0]];
      const bool follows = reader.native && reader.native->conv && joined[all[0]] == 0 &&
                           reader.node.inputs[0] == drafts_[n].node.outputs[0];
      return follows ? all[0] : kNoDraft;
    };
    for (std::size_t n = 0; n < drafts_.size(); ++n) {
      std::vector<std::size_t> chain;
      for (std::size_t at = n; at != kNoDraft && chain.size() < kMostChained; at = next(at)) {
        if (!drafts_[at].native || !drafts_[at].native->conv || joined[at] != 0) break;
        chain.push_back(at);
        if (drafts_[at].native->conv->adds) break;
      }
      for (; chain.size() > 1; chain.pop_back())
        if (join(chain)) {
          for (const std::size_t each : chain) joined[each] = 1;
          joined[chain.back()] = 2;
          break;
        }
    }
    std::vector<Draft> kept;
    for (std::size_t n = 0; n < drafts_.size(); ++n)
      if (joined[n] != 1) kept.push_back(std::move(drafts_[n]));
    drafts_ = std::move(kept);
  }

  // Makes the last of these drafts the work of all, unless they are faster one by one.
  bool join(const std::vector<std::size_t>& chain) {
    std::vector<const ConvLayer*> layers;
    layers.reserve(chain.size());
    for (const std::size_t n : chain) layers.push_back(&*drafts_[n].native->conv);
    Draft& last = drafts_[chain.back()];
    std::optional<Native> made = make_conv_chain(layers, last.native->output);
    if (!made) return false;
    const Node& first = drafts_[chain.front()].node;
    std::vector<std::string> fused;
    for (const std::size_t n : chain) {
      if (n != chain.front()) fused.emplace_back(graph::name_of(Op::conv));
      if (const auto* own = drafts_[n].node.attributes.find("fused"))
        for (const std::string& op : std::get<std::vector<std::string>>(*own)) fused.push_back(op);
    }
    Node node = last.node;
    node.op = Op::fused_conv;
    node.name = message(first.name, " to ", last.node.name);
    node.inputs = {first.inputs[0], kNoValue, kNoValue, last.node.input(3)};
    node.attributes.set("fused", fused);
    last = {std::move(node), std::move(made)};
    return true;
  }

  static constexpr std::size_t kNoDraft = static_cast<std::size_t>(-1);
  static constexpr std::size_t kMostChained = 3;

  Exactness exactness_;
  Purpose purpose_;
  std::vector<Facts> facts_;
  std::vector<Draft> drafts_;
  int64_t constant_bytes_ = 0;
};

constexpr std::size_t kNoTensor = static_cast<std::size_t>(-1);
constexpr std::size_t kNoBlock = static_cast<std::size_t>(-1);

// Which values are tensors, which share memory in the arena, and from when to when.
class Placement {
 public:
  Placement(const Graph& graph, std::vector<Draft>& drafts, const std::vector<Facts>& facts)
      : drafts_(drafts),
        facts_(facts),
        root_(facts.size()),
        is_tensor_(facts.size(), 0),
        last_(facts.size(), -1),
        block_(facts.size(), kNoBlock) {
    for (std::size_t i = 0; i < root_.size(); ++i) root_[i] = static_cast<ValueId>(i);
    for (const ValueId id : graph.inputs) is_tensor_[index_of(id)] = 1;
    for (const ValueId id : graph.outputs) is_tensor_[index_of(id)] = 1;
    find_tensors();
    find_roots();
    place_slices();
    find_ends(graph);
    find_blocks();
  }

  ValueId root(ValueId id) const { return root_[index_of(id)]; }
  bool is_tensor(ValueId id) const {
    return is_tensor_[index_of(root(id))] != 0 || facts_[index_of(id)].constant.defined();
  }
  /// The last step that reads the value, or any view of it.
  int64_t last(ValueId id) const { return last_[index_of(root(id))]; }
  std::size_t block(ValueId id) const { return block_[index_of(root(id))]; }
  /// Floats from the start of its block.
  int64_t offset(ValueId id) const { return slices_[index_of(id)].offset; }
  std::vector<Lifetime>& blocks() { return blocks_; }

 private:
  void find_tensors() {
    for (std::size_t n = drafts_.size(); n-- > 0;) {
      Draft& draft = drafts_[n];
      // A view that others want as a tensor is made by the interpreter, which shares its memory.
      if (draft.is_view() && is_tensor_[index_of(draft.node.outputs[0])] != 0) draft.native.reset();
      if (draft.native) continue;
      for (const ValueId id : draft.node.inputs)
        if (id != kNoValue) is_tensor_[index_of(id)] = 1;
      for (const ValueId id : draft.node.outputs)
        if (id != kNoValue) is_tensor_[index_of(id)] = 1;
    }
  }
  void find_roots() {
    for (const Draft& draft : drafts_)
      if (draft.is_view()) root_[index_of(draft.node.outputs[0])] = root(draft.node.inputs[0]);
  }
  void place_slices() {
    std::vector<char> is_free(root_.size(), 0);
    for (const Draft& draft : drafts_)
      if (draft.native && !draft.is_view() && !is_tensor(draft.node.outputs[0]))
        is_free[index_of(draft.node.outputs[0])] = 1;
    for (const Draft& draft : drafts_)
      if (draft.is_view()) is_free[index_of(root(draft.node.inputs[0]))] = 0;
    slices_ = find_slices(drafts_, is_free);
    for (std::size_t i = 0; i < slices_.size(); ++i)
      if (slices_[i].is_one()) root_[i] = slices_[i].whole;
  }
  bool is_slice(ValueId id) const { return slices_[index_of(id)].is_one(); }
  void find_ends(const Graph& graph) {
    for (std::size_t n = 0; n < drafts_.size(); ++n)
      for (const ValueId id : drafts_[n].node.inputs)
        if (id != kNoValue) last_[index_of(root(id))] = static_cast<int64_t>(n);
    for (const ValueId id : graph.outputs)
      last_[index_of(root(id))] = std::numeric_limits<int64_t>::max();
  }
  void find_blocks() {
    for (std::size_t n = 0; n < drafts_.size(); ++n) {
      const Draft& draft = drafts_[n];
      if (!draft.native || draft.is_view()) continue;
      const ValueId out = draft.node.outputs[0];
      if (is_tensor(out)) continue;
      const auto step = static_cast<int64_t>(n);
      const int64_t end = std::max(last(out), step);
      std::size_t& block = block_[index_of(root(out))];
      if (block == kNoBlock) block = reused_block(draft, step);
      if (block != kNoBlock) {
        blocks_[block].last = end;
        continue;
      }
      block = blocks_.size();
      blocks_.push_back(
          {.floats = facts_[index_of(root(out))].shape.numel(), .first = step, .last = end});
    }
  }
  // That of an input which the step may overwrite, and which nobody reads any more.
  std::size_t reused_block(const Draft& draft, int64_t step) const {
    if (draft.native->overwrites < 0 || is_slice(draft.node.outputs[0])) return kNoBlock;
    const ValueId id = draft.node.inputs[static_cast<std::size_t>(draft.native->overwrites)];
    if (is_tensor(id) || is_slice(id) || last(id) != step) return kNoBlock;
    const auto readers =
        std::count_if(draft.node.inputs.begin(), draft.node.inputs.end(),
                      [&](ValueId other) { return other != kNoValue && root(other) == root(id); });
    return readers == 1 ? block(id) : kNoBlock;
  }

  std::vector<Draft>& drafts_;
  const std::vector<Facts>& facts_;
  std::vector<ValueId> root_;
  std::vector<Slice> slices_;
  std::vector<char> is_tensor_;
  std::vector<int64_t> last_;
  std::vector<std::size_t> block_;
  std::vector<Lifetime> blocks_;
};

int64_t bytes_of(const Facts& facts) {
  return facts.shaped ? facts.shape.numel() * static_cast<int64_t>(item_size(facts.dtype)) : 0;
}

std::vector<Facts> facts_of(std::span<const Tensor> inputs) {
  std::vector<Facts> all;
  for (const Tensor& input : inputs)
    all.push_back({.shaped = true, .dtype = input.dtype(), .shape = input.shape()});
  return all;
}

}  // namespace

std::vector<Facts> facts_of_values(const Graph& graph, std::span<const Facts> inputs) {
  const NoGradGuard no_grad;
  std::vector<Facts> facts =
      Drafts(graph, inputs, Exactness::exact, Drafts::Purpose::shapes).facts();
  facts.resize(graph.values.size());
  return facts;
}

Plan::Plan(const Graph& graph, std::span<const Tensor> inputs, Exactness exactness) {
  const NoGradGuard no_grad;
  const FlushSubnormals flush;
  Drafts made(graph, facts_of(inputs), exactness);
  std::vector<Draft>& drafts = made.drafts();
  const std::vector<Facts>& facts = made.facts();
  Placement placement(graph, drafts, facts);
  arena_floats_ = place(placement.blocks());

  std::vector<std::size_t> slots(facts.size(), kNoTensor);
  const auto slot_of = [&](ValueId id) {
    const Tensor& constant = facts[index_of(id)].constant;
    std::size_t& slot = slots[index_of(constant.defined() ? id : placement.root(id))];
    if (slot == kNoTensor) {
      slot = tensors_.size();
      tensors_.push_back(constant);
    }
    return slot;
  };
  const auto place_of = [&](ValueId id) -> Place {
    if (id == kNoValue) return {};
    if (placement.is_tensor(id)) return {.kind = Place::Kind::tensor, .index = slot_of(id)};
    return {.kind = Place::Kind::in_arena,
            .offset = placement.blocks()[placement.block(id)].offset + placement.offset(id)};
  };
  for (const ValueId id : graph.inputs) input_slots_.push_back(slot_of(id));
  for (std::size_t n = 0; n < drafts.size(); ++n) {
    Draft& draft = drafts[n];
    const bool is_view = draft.is_view();
    PlannedStep step;
    if (draft.native) {
      step.output = draft.native->output;
      step.step = std::move(draft.native->step);
      if (step.step) step.step->prepare();
    }
    for (std::size_t i = 0; i < draft.node.inputs.size(); ++i) {
      const ValueId id = draft.node.inputs[i];
      step.inputs.push_back(step.step && step.step->holds(i) ? Place() : place_of(id));
      if (id == kNoValue || facts[index_of(id)].constant.defined()) continue;
      step.bytes += bytes_of(facts[index_of(id)]);
      if (placement.last(id) == static_cast<int64_t>(n) && placement.is_tensor(id))
        step.release.push_back(slot_of(id));
    }
    for (const ValueId id : draft.node.outputs) {
      step.outputs.push_back(place_of(id));
      if (id == kNoValue) {
        step.facts.emplace_back();
        continue;
      }
      step.bytes += bytes_of(facts[index_of(id)]);
      step.facts.push_back(facts[index_of(id)]);
      if (placement.last(id) < 0 && placement.is_tensor(id)) step.release.push_back(slot_of(id));
    }
    step.node = std::move(draft.node);
    if (is_view) {
      // Nothing to do, but what ends here ends with the step before.
      if (!steps_.empty() && !step.release.empty())
        steps_.back().release.insert(steps_.back().release.end(), step.release.begin(),
                                     step.release.end());
      continue;
    }
    steps_.push_back(std::move(step));
  }
  for (const ValueId id : graph.outputs) output_slots_.push_back(slot_of(id));
}

Tensors Plan::run(std::span<const Tensor> inputs, float* arena, std::span<double> seconds) const {
  using Clock = std::chrono::steady_clock;
  const NoGradGuard no_grad;
  const FlushSubnormals flush;
  Tensors tensors = tensors_;
  for (std::size_t i = 0; i < inputs.size(); ++i) tensors[input_slots_[i]] = inputs[i];
  std::vector<const float*> read;
  for (std::size_t n = 0; n < steps_.size(); ++n) {
    const PlannedStep& step = steps_[n];
    const auto begin = seconds.empty() ? Clock::time_point() : Clock::now();
    if (step.step) {
      read.clear();
      for (const Place& place : step.inputs) {
        const float* data = nullptr;
        if (place.kind == Place::Kind::in_arena) data = arena + place.offset;
        if (place.kind == Place::Kind::tensor)
          data = static_cast<const float*>(tensors[place.index].raw_data());
        read.push_back(data);
      }
      const Place& out = step.outputs[0];
      float* written = arena + out.offset;
      if (out.kind == Place::Kind::tensor) {
        tensors[out.index] = make(step.output, DType::float32);
        written = tensors[out.index].mutable_data<float>();
      }
      step.step->run(read, written);
    } else {
      Tensors given;
      for (const Place& place : step.inputs)
        given.push_back(place.kind == Place::Kind::nowhere ? Tensor() : tensors[place.index]);
      Tensors results;
      if (step.node.op == Op::conditional) {
        const std::string path = title(step.node);
        const Scope scope(path);
        CONVKIT_CHECK(given[0].numel() == 1, ShapeError, "the condition has the shape ",
                      given[0].shape(), ", but should be one value");
        results = interpret(step.node.branches[given[0].item() != 0 ? 0 : 1],
                            std::span<const Tensor>(given).subspan(1));
      } else {
        results = interpret_node(step.node, given);
      }
      for (std::size_t i = 0; i < step.outputs.size(); ++i) {
        if (step.outputs[i].kind == Place::Kind::nowhere) continue;
        CONVKIT_CHECK(i < results.size() && results[i].defined(), ValueError, title(step.node),
                      ": output ", i, " is not computed");
        // Steps with code of their own trust the plan.
        const Facts& facts = step.facts[i];
        CONVKIT_CHECK(!facts.shaped ||
                          (facts.shape == results[i].shape() && facts.dtype == results[i].dtype()),
                      ShapeError, title(step.node), ": output ", i, " is ", results[i].dtype(), " ",
                      results[i].shape(), ", but was planned as ", facts.dtype, " ", facts.shape);
        tensors[step.outputs[i].index] = std::move(results[i]);
      }
    }
    for (const std::size_t index : step.release) tensors[index] = Tensor();
    if (!seconds.empty()) seconds[n] = std::chrono::duration<double>(Clock::now() - begin).count();
  }
  Tensors outputs;
  // A constant stays the plan's own, whatever becomes of the output.
  for (const std::size_t slot : output_slots_) {
    if (tensors_[slot].defined() && tensors[slot].raw_data() == tensors_[slot].raw_data())
      tensors[slot] = tensors[slot].clone();
    outputs.push_back(tensors[slot]);
  }
  return outputs;
}

}  // namespace convkit::infer
