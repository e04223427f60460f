#include <algorithm>
#include <limits>

#include "convkit/infer/kernel_function.h"
#include "convkit/infer/passes/passes.h"
#include "convkit/infer/passes/rewrite.h"

namespace convkit::infer {
namespace {

using graph::Node;
using graph::Op;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// y = min(max(x, low), high).
struct Limits {
  double low = -kInfinity;
  double high = kInfinity;
};

bool limits_of(const Rewriter& rewriter, const Node& node, Limits& limits) {
  if (node.op == Op::relu) {
    limits.low = 0;
    return true;
  }
  if (node.op != Op::clip) return false;
  const auto given = [&](std::size_t i, double& limit) {
    return node.input(i) == graph::kNoValue || rewriter.is_scalar(node.input(i), limit);
  };
  return given(1, limits.low) && given(2, limits.high);
}

}  // namespace

int64_t fuse_activations(graph::Graph& graph) {
  Rewriter rewriter(graph);
  for (std::size_t n = 0; n < rewriter.size(); ++n) {
    Node& node = rewriter.node(n);
    Limits limits;
    const bool limits_only = limits_of(rewriter, node, limits);
    if (!limits_only && (node.inputs.size() != 1 || !kernel_function(node))) continue;
    const Node* conv = rewriter.sole_producer(node.inputs[0]);
    if (conv == nullptr || !is_conv(*conv) || function_of(*conv)) continue;
    Node fused = *conv;
    make_fused(fused);
    note_fused(fused, node.op);
    if (!limits_only) {
      set_function(fused, node);
      rewriter.take_over(node, std::move(fused));
      continue;
    }
    const auto limited = [&](const char* name) {
      return std::min(std::max(fused.attributes.number(name), limits.low), limits.high);
    };
    const double low = limited("low");
    const double high = limited("high");
    fused.attributes.set("low", low);
    fused.attributes.set("high", high);
    rewriter.take_over(node, std::move(fused));
  }
  return rewriter.finish();
}

}  // namespace convkit::infer
