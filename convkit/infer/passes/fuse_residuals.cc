#include "convkit/infer/passes/passes.h"
#include "convkit/infer/passes/rewrite.h"

namespace convkit::infer {

using graph::Node;
using graph::Op;

int64_t fuse_residuals(graph::Graph& graph) {
  Rewriter rewriter(graph);
  for (std::size_t n = 0; n < rewriter.size(); ++n) {
    Node& node = rewriter.node(n);
    if (node.op != Op::add && (node.op != Op::sum || node.inputs.size() != 2)) continue;
    for (const std::size_t x : {std::size_t{0}, std::size_t{1}}) {
      const Node* conv = rewriter.sole_producer(node.inputs[x]);
      if (conv == nullptr || !is_plain_conv(*conv)) continue;
      // The residual is what the sum is added to, also where it is the larger of the two.
      Node fused = *conv;
      make_fused(fused);
      fused.inputs.resize(4, graph::kNoValue);
      fused.inputs[3] = node.inputs[1 - x];
      note_fused(fused, node.op);
      rewriter.take_over(node, std::move(fused));
      break;
    }
  }
  return rewriter.finish();
}

}  // namespace convkit::infer
