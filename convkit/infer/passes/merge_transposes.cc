#include "convkit/infer/passes/passes.h"
#include "convkit/infer/passes/rewrite.h"

namespace convkit::infer {
namespace {

using graph::Node;
using graph::Op;

// Each axis of `inner` that `outer` names, or nothing where they do not fit together.
std::vector<int64_t> composed(const std::vector<int64_t>& outer,
                              const std::vector<int64_t>& inner) {
  std::vector<int64_t> axes;
  if (outer.size() != inner.size()) return axes;
  for (const int64_t axis : outer) {
    if (axis < 0 || axis >= std::ssize(inner)) return {};
    axes.push_back(inner[static_cast<std::size_t>(axis)]);
  }
  return axes;
}

bool keeps_order(const std::vector<int64_t>& permutation) {
  for (std::size_t i = 0; i < permutation.size(); ++i)
    if (permutation[i] != static_cast<int64_t>(i)) return false;
  return !permutation.empty();
}

}  // namespace

void merge_transpose(Rewriter& rewriter, Node& node) {
  // An empty permutation reverses axes whose number is not known here.
  std::vector<int64_t> permutation = node.attributes.integers("perm");
  const Node* before = rewriter.producer(node.inputs[0]);
  if (before != nullptr && before != &node && before->op == Op::transpose) {
    const std::vector<int64_t> both = composed(permutation, before->attributes.integers("perm"));
    if (!both.empty()) {
      permutation = both;
      Node merged = node;
      merged.attributes.set("perm", both);
      merged.inputs[0] = before->inputs[0];
      rewriter.take_over(node, std::move(merged));
    }
  }
  if (keeps_order(permutation)) rewriter.bypass(node, node.outputs[0], node.inputs[0]);
}

int64_t merge_transposes(graph::Graph& graph) {
  Rewriter rewriter(graph);
  for (std::size_t n = 0; n < rewriter.size(); ++n)
    if (rewriter.node(n).op == Op::transpose) merge_transpose(rewriter, rewriter.node(n));
  return rewriter.finish();
}

}  // namespace convkit::infer
