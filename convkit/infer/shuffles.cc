#include "convkit/infer/shuffles.h"

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
    for (Draft& last : drafts_) {
      const std::size_t transpose = before(last, Op::reshape, Op::transpose);
      if (transpose == kNoDraft) continue;
      const std::size_t first = before(drafts_[transpose], Op::transpose, Op::reshape);
      if (first == kNoDraft) continue;
      const ValueId x = drafts_[first].node.inputs[0];
      const Shape& shape = facts_[index_of(x)].shape;
      const int64_t groups =
          groups_of(shape, facts_[index_of(drafts_[first].node.outputs[0])].shape,
                    drafts_[transpose].node.attributes.integers("perm"));
      if (groups == 0 || !(last.native->output == shape)) continue;
      last.native->step = make_shuffle(shape.numel() / shape[1], shape[1], groups);
      last.node.inputs = {x};
      last.node.attributes.set("fused", std::vector<std::string>{"Transpose", "Reshape"});
      joined[first] = joined[transpose] = 1;
    }
    std::vector<Draft> kept;
    for (std::size_t n = 0; n < drafts_.size(); ++n)
      if (joined[n] == 0) kept.push_back(std::move(drafts_[n]));
    return kept;
  }

 private:
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

std::vector<Draft> join_shuffles(std::vector<Draft> drafts, const std::vector<Facts>& facts,
                                 const graph::Graph& graph) {
  return Joiner(std::move(drafts), facts, graph).join();
}

}  // namespace convkit::infer
