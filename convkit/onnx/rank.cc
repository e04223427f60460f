#include "convkit/onnx/rank.h"

#include <algorithm>

namespace convkit::onnx {

int64_t output_rank(const graph::Graph& graph, const graph::Node& node) {
  using graph::Op;
  const auto rank_of = [&](std::size_t place) {
    const graph::ValueId id = node.input(place);
    return id == graph::kNoValue ? graph::kUnknown : graph.value(id).type.rank();
  };
  if (node.op == Op::flatten || node.op == Op::gemm) return 2;
  if (node.op >= Op::add && node.op <= Op::where) {
    int64_t most = 0;
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      if (rank_of(i) == graph::kUnknown) return graph::kUnknown;
      most = std::max(most, rank_of(i));
    }
    return most;
  }
  if (node.op == Op::reshape) {
    const graph::Value& shape = graph.value(node.inputs[1]);
    return shape.is_constant() ? shape.constant.numel() : graph::kUnknown;
  }
  const bool keeps_rank =
      (node.op <= Op::identity && node.op != Op::matmul && node.op != Op::einsum) ||
      node.op == Op::transpose || node.op == Op::tile || node.op == Op::concat ||
      node.op == Op::split || node.op == Op::slice || node.op == Op::pad ||
      node.op == Op::depth_to_space || node.op == Op::space_to_depth || node.op == Op::resize ||
      node.op == Op::cast;
  return keeps_rank ? rank_of(0) : graph::kUnknown;
}

}  // namespace convkit::onnx
