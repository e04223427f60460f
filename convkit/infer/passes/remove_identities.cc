#include "convkit/infer/passes/passes.h"
#include "convkit/infer/passes/rewrite.h"

namespace convkit::infer {
namespace {

using graph::Node;
using graph::Op;

bool does_nothing(const Rewriter& rewriter, const Node& node) {
  if (node.op == Op::identity) return true;
  if (node.op != Op::dropout || node.output(1) != graph::kNoValue) return false;
  double training = 0;
  return node.input(2) == graph::kNoValue ||
         (rewriter.is_scalar(node.input(2), training) && training == 0);
}

}  // namespace

int64_t remove_identities(graph::Graph& graph) {
  Rewriter rewriter(graph);
  for (std::size_t n = 0; n < rewriter.size(); ++n) {
    Node& node = rewriter.node(n);
    if (does_nothing(rewriter, node)) rewriter.bypass(node, node.outputs[0], node.inputs[0]);
  }
  return rewriter.finish();
}

}  // namespace convkit::infer
