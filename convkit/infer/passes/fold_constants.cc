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
// How often the bytes of the net's constants, and those that one node may make, are read or made.
constexpr double kTimes = 4;

int64_t byte_count(const Tensor& tensor) {
  return tensor.numel() * static_cast<int64_t>(item_size(tensor.dtype()));
}

// Extents beside a 0 count too: a product of empty matrices, or a sum over an empty axis, is not
// empty.
double elements_of(const std::vector<Tensor>& inputs, std::size_t i) {
  if (i >= inputs.size() || !inputs[i].defined()) return 0;
  double elements = 1;
  for (const int64_t extent : inputs[i].shape())
    elements *= static_cast<double>(std::max<int64_t>(extent, 1));
  return elements;
}

// Π |x| over the elements.
double product_of(const Tensor& tensor) {
  double product = 1;
  for (const double number : tensor.to(DType::float64).to_vector<double>())
    product *= std::max(std::abs(number), 1.0);
  return product;
}

// At most how many elements the node would make, or how many steps it would take: files can ask for
// any number.
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
    case Op::lrn:
    case Op::non_max_suppression:
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
  // What may be read and made in all, so that many nodes cannot ask for more than few.
  double room = kTimes * static_cast<double>(most_bytes);
  for (const graph::Value& value : graph.values)
    if (value.is_constant()) room += kTimes * static_cast<double>(byte_count(value.constant));
  for (const Node& node : graph.nodes) {
    if (node.op == Op::conditional) continue;
    std::vector<Tensor> inputs;
    bool known = true;
    int64_t bytes = 0;
    for (const graph::ValueId id : node.inputs) {
      known = known && (id == graph::kNoValue || graph.value(id).is_constant());
      inputs.push_back(id == graph::kNoValue || !known ? Tensor() : graph.value(id).constant);
      if (inputs.back().defined()) bytes += byte_count(inputs.back());
    }
    if (!known || bytes > most_bytes || static_cast<double>(bytes) > room) continue;
    try {
      const double made = most_elements(node, inputs) * kBytesPerElement;
      if (!(made <= static_cast<double>(most_bytes) && made <= room)) continue;
      room -= static_cast<double>(bytes);
      const std::vector<Tensor> outputs = interpret_node(node, inputs);
      bool complete = true;
      for (std::size_t i = 0; i < node.outputs.size(); ++i)
        complete = complete && (node.outputs[i] == graph::kNoValue ||
                                (i < outputs.size() && outputs[i].defined()));
      if (!complete) continue;
      for (std::size_t i = 0; i < node.outputs.size(); ++i) {
        if (node.outputs[i] == graph::kNoValue) continue;
        graph::Value& value = graph.value(node.outputs[i]);
        room -= static_cast<double>(byte_count(outputs[i]));
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
