#include <optional>
#include <utility>

#include "convkit/infer/passes/passes.h"
#include "convkit/infer/passes/rewrite.h"

namespace convkit::infer {
namespace {

using graph::Node;
using graph::Op;
using graph::ValueId;

class Matcher {
 public:
  explicit Matcher(Rewriter& rewriter) : rewriter_(rewriter) {}

  // (x − mean) / √(variance + eps) · scale + bias, over the last axis.
  std::optional<Node> layer_norm(const Node& sum) {
    const Node* product = nullptr;
    const auto bias = constant_beside(sum, Op::add, Op::mul, product);
    if (!bias) return std::nullopt;
    const Node* quotient = nullptr;
    const auto scale = constant_beside(*product, Op::mul, Op::div, quotient);
    if (!scale || rewriter_.constant(*scale)->shape() != rewriter_.constant(*bias)->shape())
      return std::nullopt;
    double epsilon = 0;
    const auto x = normalized(*quotient, epsilon);
    if (!x) return std::nullopt;
    return Node{
        .op = Op::layer_normalization,
        .name = sum.name,
        .inputs = {*x, *scale, *bias},
        .attributes = {{"axis", int64_t{-1}}, {"epsilon", epsilon}, {"stash_type", int64_t{1}}}};
  }

 private:
  const Node* producer(ValueId id, Op op) {
    const Node* node = rewriter_.producer(id);
    return node != nullptr && node->op == op ? node : nullptr;
  }

  // The constant list that `node` has beside the result of an operator `inner`.
  std::optional<ValueId> constant_beside(const Node& node, Op outer, Op inner, const Node*& other) {
    if (node.op != outer || node.inputs.size() != 2) return std::nullopt;
    for (std::size_t i = 0; i < 2; ++i) {
      const Tensor* constant = rewriter_.constant(node.inputs[i]);
      other = producer(node.inputs[1 - i], inner);
      if (constant != nullptr && constant->dim() == 1 && constant->dtype() == DType::float32 &&
          other != nullptr)
        return node.inputs[i];
    }
    return std::nullopt;
  }

  // What is averaged over one axis, which stays.
  struct Average {
    ValueId of;
    double axis;
  };
  std::optional<Average> averaged(ValueId id) {
    const Node* mean = producer(id, Op::reduce_mean);
    if (mean == nullptr || !mean->attributes.flag("keepdims")) return std::nullopt;
    const Tensor* axes = rewriter_.constant(mean->input(1));
    if (axes == nullptr || axes->numel() != 1) return std::nullopt;
    return Average{mean->inputs[0], axes->item()};
  }

  bool is_last(const Average& mean) {
    const int64_t rank = rewriter_.graph().value(mean.of).type.rank();
    return mean.axis == -1 ||
           (rank != graph::kUnknown && mean.axis == static_cast<double>(rank - 1));
  }

  // The mean in x − mean.
  std::optional<Average> centered(ValueId id) {
    const Node* difference = producer(id, Op::sub);
    if (difference == nullptr) return std::nullopt;
    const auto mean = averaged(difference->inputs[1]);
    return mean && mean->of == difference->inputs[0] ? mean : std::nullopt;
  }

  std::optional<ValueId> normalized(const Node& quotient, double& epsilon) {
    const auto mean = centered(quotient.inputs[0]);
    const Node* root = producer(quotient.inputs[1], Op::sqrt);
    const Node* sum = root != nullptr ? producer(root->inputs[0], Op::add) : nullptr;
    if (!mean || !is_last(*mean) || sum == nullptr) return std::nullopt;
    for (std::size_t i = 0; i < 2; ++i) {
      const auto squares = averaged(sum->inputs[1 - i]);
      if (!squares || squares->axis != mean->axis || !rewriter_.is_scalar(sum->inputs[i], epsilon))
        continue;
      const Node* square = producer(squares->of, Op::mul);
      if (square == nullptr || square->inputs[0] != square->inputs[1]) continue;
      const auto centre = centered(square->inputs[0]);
      if (centre && centre->of == mean->of && centre->axis == mean->axis) return mean->of;
    }
    return std::nullopt;
  }

  Rewriter& rewriter_;
};

}  // namespace

int64_t fuse_layer_norm(graph::Graph& graph) {
  Rewriter rewriter(graph);
  for (std::size_t n = 0; n < rewriter.size(); ++n)
    if (auto fused = Matcher(rewriter).layer_norm(rewriter.node(n)))
      rewriter.take_over(rewriter.node(n), std::move(*fused));
  return rewriter.finish();
}

}  // namespace convkit::infer
