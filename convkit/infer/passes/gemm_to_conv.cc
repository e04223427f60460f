#include "convkit/infer/passes/passes.h"
#include "convkit/infer/passes/rewrite.h"

namespace convkit::infer {
namespace {

using graph::Node;
using graph::Op;
using graph::ValueId;

// factor · bᵀ, or factor · b where b is (columns, inner) already.
Tensor weight_of(const Tensor& b, bool transposed, float factor) {
  if (transposed && factor == 1) return b;
  const int64_t rows = b.size(0);
  const int64_t columns = b.size(1);
  Tensor w(transposed ? Shape({rows, columns}) : Shape({columns, rows}), DType::float32);
  const auto* from = b.data<float>();
  auto* to = w.mutable_data<float>();
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t column = 0; column < columns; ++column)
      to[transposed ? row * columns + column : column * rows + row] =
          factor * from[row * columns + column];
  return w;
}

// beta · c as one number per column; undefined where it differs from row to row.
Tensor bias_of(const Tensor& c, int64_t columns, float beta) {
  if (c.dtype() != DType::float32) return {};
  const bool is_row = c.dim() >= 1 && c.dim() <= 2 && c.size(-1) == columns && c.numel() == columns;
  if (!is_row && (c.numel() != 1 || c.dim() > 2)) return {};
  Tensor bias({columns}, DType::float32);
  for (int64_t i = 0; i < columns; ++i)
    bias.mutable_data<float>()[i] = beta * c.data<float>()[is_row ? i : 0];
  return bias;
}

// True if the value is known to be a matrix. Looks through a few Relu only.
bool is_matrix(Rewriter& rewriter, ValueId id) {
  constexpr int kMostRelu = 4;
  const Node* made_by = nullptr;
  for (int i = 0; i <= kMostRelu; ++i) {
    if (rewriter.graph().value(id).type.rank() == 2) return true;
    made_by = rewriter.producer(id);
    if (made_by == nullptr) return false;
    if (made_by->op != Op::relu) break;
    id = made_by->inputs[0];
  }
  if (made_by->op == Op::flatten || made_by->op == Op::gemm) return true;
  if (made_by->op == Op::reshape) {
    const Tensor* shape = rewriter.constant(made_by->inputs[1]);
    return shape != nullptr && shape->numel() == 2;
  }
  if (made_by->op == Op::fused_conv) {
    const Tensor* weight = rewriter.constant(made_by->inputs[1]);
    return weight != nullptr && weight->dim() == 2;
  }
  return false;
}

bool is_weight(const Tensor* tensor) {
  return tensor != nullptr && tensor->dim() == 2 && tensor->dtype() == DType::float32 &&
         tensor->numel() > 0;
}

}  // namespace

int64_t gemm_to_conv(graph::Graph& graph) {
  Rewriter rewriter(graph);
  for (std::size_t n = 0; n < rewriter.size(); ++n) {
    const Node& node = rewriter.node(n);
    if (node.op != Op::gemm && node.op != Op::matmul) continue;
    const Tensor* b = rewriter.constant(node.inputs[1]);
    if (!is_weight(b) || !rewriter.has_room_for(*b)) continue;
    const bool is_gemm = node.op == Op::gemm;
    if (is_gemm ? node.attributes.flag("transA") : !is_matrix(rewriter, node.inputs[0])) continue;
    const bool transposed = is_gemm && node.attributes.flag("transB");
    const float alpha = is_gemm ? static_cast<float>(node.attributes.number("alpha")) : 1.0F;
    Tensor bias;
    if (is_gemm && node.input(2) != graph::kNoValue) {
      const Tensor* c = rewriter.constant(node.input(2));
      if (c != nullptr)
        bias = bias_of(*c, b->size(transposed ? 0 : 1),
                       static_cast<float>(node.attributes.number("beta")));
      if (!bias.defined()) continue;
    }
    const std::string name = node.name;
    Node conv = convolution_node(name);
    conv.inputs = {node.inputs[0],
                   rewriter.add_constant(name + ".weight", weight_of(*b, transposed, alpha))};
    if (bias.defined()) conv.inputs.push_back(rewriter.add_constant(name + ".bias", bias));
    rewriter.take_over(rewriter.node(n), std::move(conv));
  }
  return rewriter.finish();
}

}  // namespace convkit::infer
