#include <cstdint>

#include "convkit/graph/lower.h"
#include "convkit/ops/shape.h"

namespace convkit::graph {
namespace {

// The axes whose extent is 1 and which `longer` has beyond `shorter`, in both runs; empty when the
// two do not differ by such axes alone.
std::vector<int64_t> extra_axes(const Lowering::Operand& longer, const Lowering::Operand& shorter) {
  std::vector<int64_t> axes;
  int64_t next = 0;
  for (int64_t axis = 0; axis < longer.shape.dim(); ++axis) {
    const bool matches = next < shorter.shape.dim() && longer.shape[axis] == shorter.shape[next] &&
                         longer.other_shape[axis] == shorter.other_shape[next];
    if (matches) {
      ++next;
    } else if (longer.shape[axis] == 1 && longer.other_shape[axis] == 1) {
      axes.push_back(axis);
    } else {
      return {};
    }
  }
  return next == shorter.shape.dim() ? axes : std::vector<int64_t>();
}

bool keeps_axis(const Lowering::Operand& from, const Lowering::Operand& to, int64_t axis) {
  return axis < from.shape.dim() && axis < to.shape.dim() && from.shape[axis] == to.shape[axis] &&
         from.other_shape[axis] == to.other_shape[axis];
}

// An extent as the graph writes it: as it is, 0 for "the input's", −1 for "what is left".
std::vector<int64_t> target_of(const Lowering::Operand& from, const Lowering::Operand& to) {
  std::vector<int64_t> target;
  bool has_rest = false;
  for (int64_t axis = 0; axis < to.shape.dim(); ++axis) {
    if (to.shape[axis] == to.other_shape[axis] && to.shape[axis] != 0) {
      target.push_back(to.shape[axis]);
    } else if (keeps_axis(from, to, axis)) {
      target.push_back(0);
    } else if (!has_rest && to.shape[axis] != 0) {
      target.push_back(-1);
      has_rest = true;
    } else {
      throw Refusal{message("it makes ", from.shape, " into ", to.shape,
                            ", of which more than one extent depends on the batch")};
    }
  }
  return target;
}

// A position as the graph writes it: counted from whichever end it keeps its distance to.
int64_t position_of(int64_t position, int64_t other, int64_t extent, int64_t other_extent) {
  if (position == other) return position;
  if (position == extent && other == other_extent) return INT64_MAX;
  if (position - extent == other - other_extent) return position - extent;
  throw Refusal{message("it cuts at ", position, ", which depends on the batch")};
}

}  // namespace

ValueId lower_reshape(Lowering& l) {
  const Lowering::Operand& from = l.inputs[0];
  const Lowering::Operand& to = l.result;
  if (from.shape == to.shape && from.other_shape == to.other_shape) return from.id;
  const bool flattens = to.shape.dim() == 2 && from.shape.dim() > 2 && keeps_axis(from, to, 0);
  if (flattens && l.op == "flatten") return l.node(Op::flatten, {from.id}, {{"axis", int64_t{1}}});
  if (const auto axes = extra_axes(from, to); !axes.empty())
    return l.node(Op::squeeze, {from.id, l.list("axes", axes)});
  if (const auto axes = extra_axes(to, from); !axes.empty())
    return l.node(Op::unsqueeze, {from.id, l.list("axes", axes)});
  return l.node(Op::reshape, {from.id, l.list("shape", target_of(from, to))},
                Attributes{{"allowzero", AttributeValue(int64_t{0})}});
}

ValueId lower_permute(Lowering& l) {
  return l.node(Op::transpose, {l.input(0)},
                Attributes{{"perm", l.params<ops::PermuteParams>().dims}});
}

ValueId lower_concat(Lowering& l) {
  std::vector<ValueId> inputs;
  for (const Lowering::Operand& input : l.inputs) inputs.push_back(input.id);
  return l.node(Op::concat, std::move(inputs),
                Attributes{{"axis", l.params<ops::ConcatParams>().dim}});
}

ValueId lower_slice(Lowering& l) {
  const auto& p = l.params<ops::SliceParams>();
  const auto& other = l.other_params<ops::SliceParams>();
  const int64_t extent = l.inputs[0].shape[p.dim];
  const int64_t other_extent = l.inputs[0].other_shape[p.dim];
  const int64_t start = position_of(p.start, other.start, extent, other_extent);
  const int64_t stop = position_of(p.stop, other.stop, extent, other_extent);
  return l.node(Op::slice, {l.input(0), l.list("starts", {start}), l.list("ends", {stop}),
                            l.list("axes", {p.dim}), l.list("steps", {p.step})});
}

}  // namespace convkit::graph
