#include <algorithm>
#include <cmath>

#include "convkit/graph/edit.h"
#include "convkit/infer/interpreter.h"
#include "convkit/infer/passes/passes.h"

namespace convkit::infer {
namespace {

using graph::Node;
using graph::Op;

// Of the widest element type.
constexpr double kBytesPerElement = 8;

double elements_of(const std::vector<Tensor>& inputs, std::size_t i) {
  return i < inputs.size() && inputs[i].defined() ? static_cast<double>(inputs[i].numel()) : 0;
}

// Π |x| over the elements.
double product_of(const Tensor& tensor) {
  double product = 1;
  for (const double number : tensor.to(DType::float64).to_vector<double>())
    product *= std::max(std::abs(number), 1.0);
  return product;
}

// At most how many elements the node would make: files can ask for any number.
double most_elements(const Node& node, const std::vector<Tensor>& inputs) {
  if (node.op >= Op::add && node.op <= Op::where) {
    Shape shape;
    for (const Tensor& input : inputs)
      if (input.defined()) shape = broadcast_shapes(shape, input.shape(), "constants");
    return static_cast<double>(shape.numel());
  }
  switch (node.op) {
    case Op::range:
      return std::abs((inputs[1].item() - inputs[0].item()) / inputs[2].item()) + 1;
    case Op::constant_of_shape:
      return product_of(inputs[0]);
    case Op::expand:
    case Op::tile:
    case Op::one_hot:
      return elements_of(inputs, 0) * product_of(inputs[1]);
    case Op::gather:
    case Op::gather_elements:
    case Op::gather_nd:
    case Op::matmul:
    case Op::gemm:
      return std::max(elements_of(inputs, 0), 1.0) * std::max(elements_of(inputs, 1), 1.0) +
             elements_of(inputs, 2);
    case Op::eye_like:
    case Op::conv:
    case Op::conv_transpose:
    case Op::einsum:
    case Op::max_pool:
    case Op::average_pool:
    case Op::lp_pool:
    case Op::pad:
    case Op::resize:
    case Op::grid_sample:
      return INFINITY;  // not worth a bound: nets do not compute these from constants
    default:
      break;
  }
  double all = 1;
  for (std::size_t i = 0; i < inputs.size(); ++i) all += elements_of(inputs, i);
  return all * static_cast<double>(node.outputs.size());
}

}  // namespace

int64_t fold_constants(graph::Graph& graph, int64_t most_bytes) {
  int64_t folded = 0;
  for (const Node& node : graph.nodes) {
    if (node.op == Op::conditional) continue;
    std::vector<Tensor> inputs;
    bool known = true;
    int64_t bytes = 0;
    for (const graph::ValueId id : node.inputs) {
      known = known && (id == graph::kNoValue || graph.value(id).is_constant());
      inputs.push_back(id == graph::kNoValue || !known ? Tensor() : graph.value(id).constant);
      if (inputs.back().defined())
        bytes += inputs.back().numel() * static_cast<int64_t>(item_size(inputs.back().dtype()));
    }
    if (!known || bytes > most_bytes) continue;
    try {
      if (!(most_elements(node, inputs) * kBytesPerElement <= static_cast<double>(most_bytes)))
        continue;
      const std::vector<Tensor> outputs = interpret_node(node, inputs);
      bool complete = true;
      for (std::size_t i = 0; i < node.outputs.size(); ++i)
        complete = complete && (node.outputs[i] == graph::kNoValue ||
                                (i < outputs.size() && outputs[i].defined()));
      if (!complete) continue;
      for (std::size_t i = 0; i < node.outputs.size(); ++i) {
        if (node.outputs[i] == graph::kNoValue) continue;
        graph::Value& value = graph.value(node.outputs[i]);
        value.constant = outputs[i];
        value.type = graph::type_of(outputs[i]);
      }
      ++folded;
    } catch (const Error&) {
      // Whoever runs the node is told what is wrong with it.
    }
  }
  if (folded == 0) return 0;
  std::erase_if(graph.nodes, [&](const Node& node) {
    return std::any_of(node.outputs.begin(), node.outputs.end(), [&](graph::ValueId id) {
      return id != graph::kNoValue && graph.value(id).is_constant();
    });
  });
  graph::remove_dead(graph);
  return folded;
}

}  // namespace convkit::infer
