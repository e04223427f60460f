#include <algorithm>

#include "convkit/infer/passes/passes.h"
#include "convkit/infer/passes/rewrite.h"

namespace convkit::infer {
namespace {

using graph::Node;
using graph::Op;

// The numbers of a Pad that adds zeros on spatial axes only: before each, then after each.
bool zeros_around(const Rewriter& rewriter, const Node& pad, std::vector<int64_t>& spatial) {
  if (pad.op != Op::pad || pad.attributes.text("mode") != "constant" ||
      pad.input(3) != graph::kNoValue)
    return false;
  double value = 0;
  if (pad.input(2) != graph::kNoValue && (!rewriter.is_scalar(pad.input(2), value) || value != 0))
    return false;
  const Tensor* given = rewriter.constant(pad.input(1));
  if (given == nullptr || given->dtype() != DType::int64 || given->dim() != 1) return false;
  const std::vector<int64_t> pads = given->to_vector<int64_t>();
  const std::size_t rank = pads.size() / 2;
  if (pads.size() % 2 != 0 || rank < 3) return false;
  for (std::size_t i = 0; i < pads.size(); ++i) {
    if (pads[i] < 0 || (i % rank < 2 && pads[i] != 0)) return false;
    if (i % rank >= 2) spatial.push_back(pads[i]);
  }
  return true;
}

}  // namespace

int64_t fold_pads(graph::Graph& graph) {
  Rewriter rewriter(graph);
  for (std::size_t n = 0; n < rewriter.size(); ++n) {
    Node& node = rewriter.node(n);
    if (!is_conv(node) || node.attributes.text("auto_pad") != "NOTSET") continue;
    const Node* pad = rewriter.producer(node.inputs[0]);
    std::vector<int64_t> pads;
    if (pad == nullptr || !zeros_around(rewriter, *pad, pads)) continue;
    const std::vector<int64_t>& own = node.attributes.integers("pads");
    if (!own.empty() && own.size() != pads.size()) continue;
    for (std::size_t i = 0; i < own.size(); ++i) pads[i] += own[i];
    Node padded = node;
    padded.inputs[0] = pad->inputs[0];
    padded.attributes.set("pads", pads);
    note_fused(padded, Op::pad);
    rewriter.take_over(node, std::move(padded));
  }
  return rewriter.finish();
}

}  // namespace convkit::infer
