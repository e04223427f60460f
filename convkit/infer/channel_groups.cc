#include "convkit/infer/channel_groups.h"

#include <utility>

namespace convkit::infer {
namespace {

using graph::index_of;
using graph::kNoValue;
using graph::Op;
using graph::ValueId;

constexpr std::size_t kNoDraft = static_cast<std::size_t>(-1);

// Into how many groups x is cut, if `split` is x with its channels as (groups, channels of each),
// and `permutation` swaps these two; else 0.
int64_t groups_of(const Shape& x, const Shape& split, const Integers& permutation) {
  if (x.dim() < 3 || split.dim() != x.dim() + 1 || split[0] != x[0] ||
      split[1] * split[2] != x[1] || std::ssize(permutation) != split.dim())
    return 0;
  for (int64_t axis = 2; axis < x.dim(); ++axis)
    if (split[axis + 1] != x[axis]) return 0;
  for (int64_t axis = 0; axis < split.dim(); ++axis) {
    const int64_t from = axis == 1 ? 2 : axis == 2 ? 1 : axis;
    if (permutation[static_cast<std::size_t>(axis)] != from) return 0;
  }
  return split[1];
}

// Into how many groups of neighbouring channels x is cut, if `split` is (pictures, groups, all
// else); else 0.
int64_t groups_of(const Shape& x, const Shape& split) {
  const bool cuts = x.dim() >= 2 && split.dim() == 3 && split[0] == x[0] && x[1] % split[1] == 0;
  return cuts ? split[1] : 0;
}

// A number of each group as one of each of its channels.
Tensor for_channels(const Tensor& of_groups, int64_t channels) {
  Tensor all({channels}, DType::float32);
  const int64_t width = channels / of_groups.numel();
  for (int64_t c = 0; c < channels; ++c)
    all.mutable_data<float>()[c] = of_groups.data<float>()[c / width];
  return all;
}

class Joiner {
 public:
  Joiner(std::vector<Draft> drafts, const std::vector<Facts>& facts, const graph::Graph& graph)
      : drafts_(std::move(drafts)),
        facts_(facts),
        writer_(facts.size(), kNoDraft),
        readers_(facts.size(), 0) {
    for (std::size_t n = 0; n < drafts_.size(); ++n) {
      for (const ValueId id : drafts_[n].node.inputs)
        if (id != kNoValue) ++readers_[index_of(id)];
      for (const ValueId id : drafts_[n].node.outputs)
        if (id != kNoValue) writer_[index_of(id)] = n;
    }
    for (const ValueId id : graph.outputs) ++readers_[index_of(id)];
  }

  std::vector<Draft> join() {
    std::vector<char> joined(drafts_.size(), 0);
    for (Draft& last : drafts_)
      for (const Op op : {Op::transpose, Op::instance_normalization}) {
        const std::size_t middle = before(last, Op::reshape, op);
        if (middle == kNoDraft) continue;
        const std::size_t first = before(drafts_[middle], op, Op::reshape);
        if (first == kNoDraft) continue;
        const ValueId x = drafts_[first].node.inputs[0];
        std::unique_ptr<Step> step = step_of(drafts_[first].node, drafts_[middle].node);
        if (step == nullptr || !(last.native->output == facts_[index_of(x)].shape)) continue;
        last.native->step = std::move(step);
        last.native->overwrites = -1;
        last.node.inputs = {x};
        last.node.attributes.set(
            "fused", std::vector<std::string>{std::string(graph::name_of(op)), "Reshape"});
        joined[first] = joined[middle] = 1;
        break;
      }
    std::vector<Draft> kept;
    for (std::size_t n = 0; n < drafts_.size(); ++n)
      if (joined[n] == 0) kept.push_back(std::move(drafts_[n]));
    return kept;
  }

 private:
  // What `split`, a Reshape, and the node behind it do to the channels of x; null where that is
  // something else.
  std::unique_ptr<Step> step_of(const graph::Node& split, const graph::Node& node) const {
    const Shape& x = facts_[index_of(split.inputs[0])].shape;
    const Shape& parts = facts_[index_of(split.outputs[0])].shape;
    if (node.op == Op::transpose) {
      const int64_t groups = groups_of(x, parts, node.attributes.integers("perm"));
      return groups == 0 ? nullptr : make_shuffle(x.numel() / x[1], x[1], groups);
    }
    const int64_t groups = groups_of(x, parts);
    if (groups == 0) return nullptr;
    const auto numbers = [&](std::size_t i) {
      return for_channels(facts_[index_of(node.inputs[i])].constant, x[1]);
    };
    return make_group_norm(x, groups, node.attributes.number("epsilon"), numbers(1), numbers(2));
  }

  // The draft that writes for `draft`, an `op`, alone, if that is a `wanted`.
  std::size_t before(const Draft& draft, Op op, Op wanted) const {
    if (draft.node.op != op || !draft.native || draft.node.inputs[0] == kNoValue) return kNoDraft;
    const std::size_t input = index_of(draft.node.inputs[0]);
    const std::size_t n = writer_[input];
    if (n == kNoDraft || readers_[input] != 1) return kNoDraft;
    return drafts_[n].native && drafts_[n].node.op == wanted ? n : kNoDraft;
  }

  std::vector<Draft> drafts_;
  const std::vector<Facts>& facts_;
  std::vector<std::size_t> writer_;
  std::vector<int64_t> readers_;
};

}  // namespace

std::vector<Draft> join_channel_groups(std::vector<Draft> drafts, const std::vector<Facts>& facts,
                                       const graph::Graph& graph) {
  return Joiner(std::move(drafts), facts, graph).join();
}

}  // namespace convkit::infer
