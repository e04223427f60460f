#include <optional>
#include <utility>

#include "convkit/infer/interpreter.h"
#include "convkit/infer/passes/passes.h"
#include "convkit/infer/passes/rewrite.h"

namespace convkit::infer {
namespace {

using graph::Node;
using graph::Op;
using graph::ValueId;
using Permutation = std::vector<int64_t>;

bool is_permutation(const Permutation& perm) {
  std::vector<char> seen(perm.size(), 0);
  for (const int64_t axis : perm)
    if (axis < 0 || axis >= std::ssize(perm) || seen[static_cast<std::size_t>(axis)]++ != 0)
      return false;
  return !perm.empty();
}

// Of one operand, element by element.
bool is_function(Op op) {
  switch (op) {
    case Op::relu:
    case Op::leaky_relu:
    case Op::sigmoid:
    case Op::hard_sigmoid:
    case Op::hard_swish:
    case Op::swish:
    case Op::tanh:
    case Op::gelu:
    case Op::mish:
    case Op::softplus:
    case Op::elu:
    case Op::selu:
    case Op::erf:
    case Op::exp:
    case Op::log:
    case Op::sqrt:
    case Op::abs:
    case Op::neg:
      return true;
    default:
      return false;
  }
}

class Sinker {
 public:
  explicit Sinker(Rewriter& rewriter) : rewriter_(rewriter) {}

  // Lets `node` read what its transposed input reads, and transposes what it computes.
  bool sink(Node& node) {
    for (std::size_t i = 0; i < node.inputs.size() && i < 2; ++i) {
      Node* transpose = rewriter_.sole_producer(node.inputs[i]);
      if (transpose == nullptr || transpose->op != Op::transpose || node.outputs.size() != 1)
        continue;
      const Permutation perm = transpose->attributes.integers("perm");
      if (!is_permutation(perm)) continue;
      auto before = untransposed(node, i, perm);
      if (!before) continue;
      before->inputs[i] = transpose->inputs[0];
      Node after = *transpose;
      const ValueId middle = transpose->outputs[0];
      after.inputs = {middle};
      rewriter_.graph().value(middle).type = {};
      rewriter_.take_over(*transpose, std::move(*before));
      rewriter_.take_over(node, std::move(after));
      return true;
    }
    return false;
  }

 private:
  // The node that computes the same of its input `side` as it is before `perm`.
  std::optional<Node> untransposed(const Node& node, std::size_t side, const Permutation& perm) {
    switch (node.op) {
      case Op::add:
      case Op::sub:
      case Op::mul:
      case Op::div:
        return with_constant(node, side, perm);
      case Op::layer_normalization:
        return side == 0 ? normalization(node, perm) : std::nullopt;
      case Op::matmul:
        return side == 0 ? convolution(node, perm) : std::nullopt;
      default:
        return is_function(node.op) ? std::optional(node) : std::nullopt;
    }
  }

  std::optional<Node> with_constant(const Node& node, std::size_t side, const Permutation& perm) {
    const Tensor* constant = rewriter_.constant(node.inputs[1 - side]);
    if (constant == nullptr || constant->dim() > std::ssize(perm) ||
        !rewriter_.has_room_for(*constant))
      return std::nullopt;
    Node moved = node;
    if (constant->numel() == 1) return moved;
    Shape shape = constant->shape();
    while (shape.dim() < std::ssize(perm)) shape = shape.with_inserted(0, 1);
    Permutation back(perm.size());
    for (std::size_t i = 0; i < perm.size(); ++i)
      back[static_cast<std::size_t>(perm[i])] = static_cast<int64_t>(i);
    Node transpose{.op = Op::transpose, .outputs = {0}, .attributes = {{"perm", back}}};
    const Tensor given = constant->reshaped(shape);
    moved.inputs[1 - side] = rewriter_.add_constant(
        node.name + ".operand", interpret_node(transpose, std::vector<Tensor>{given})[0]);
    return moved;
  }

  // Over the last axis alone: over one in another place.
  std::optional<Node> normalization(const Node& node, const Permutation& perm) {
    const auto rank = std::ssize(perm);
    const int64_t axis = node.attributes.integer("axis");
    if ((axis != -1 && axis != rank - 1) || node.attributes.find("single_axis") != nullptr)
      return std::nullopt;
    Node moved = node;
    moved.attributes.set("axis", perm.back());
    moved.attributes.set("single_axis", int64_t{1});
    for (std::size_t i = 1; i < node.inputs.size(); ++i) {
      if (node.inputs[i] == graph::kNoValue) continue;
      const Tensor* list = rewriter_.constant(node.inputs[i]);
      if (list == nullptr || list->dim() != 1) return std::nullopt;
      std::vector<int64_t> extents(static_cast<std::size_t>(rank - perm.back()), 1);
      extents[0] = list->numel();
      moved.inputs[i] = rewriter_.add_constant(node.name + ".list", list->reshaped(Shape(extents)));
    }
    return moved;
  }

  // A product over the channels, at each position.
  std::optional<Node> convolution(const Node& node, const Permutation& perm) {
    const Tensor* b = rewriter_.constant(node.inputs[1]);
    if (perm.size() < 3 || perm.size() > 5 || perm.back() != 1 || b == nullptr || b->dim() != 2 ||
        b->dtype() != DType::float32 || b->numel() == 0 || !rewriter_.has_room_for(*b))
      return std::nullopt;
    Node transpose{
        .op = Op::transpose, .outputs = {0}, .attributes = {{"perm", Permutation{1, 0}}}};
    const Tensor turned = interpret_node(transpose, std::vector<Tensor>{*b})[0];
    std::vector<int64_t> extents(perm.size(), 1);
    extents[0] = b->size(1);
    extents[1] = b->size(0);
    Node conv = convolution_node(node.name);
    conv.inputs = {node.inputs[0],
                   rewriter_.add_constant(node.name + ".weight", turned.reshaped(Shape(extents)))};
    return conv;
  }

  Rewriter& rewriter_;
};

}  // namespace

int64_t sink_transposes(graph::Graph& graph) {
  Rewriter rewriter(graph);
  Sinker sinker(rewriter);
  for (std::size_t n = 0; n < rewriter.size(); ++n) {
    Node& node = rewriter.node(n);
    // One that undoes what has sunk as far as here ends it.
    if (node.op == Op::transpose)
      merge_transpose(rewriter, node);
    else
      sinker.sink(node);
  }
  return rewriter.finish();
}

}  // namespace convkit::infer
