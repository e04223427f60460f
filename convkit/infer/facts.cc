#include "convkit/infer/facts.h"

#include <algorithm>

#include "convkit/infer/interpreter.h"

namespace convkit::infer {
namespace {

using graph::Node;
using graph::Op;

constexpr int64_t kMostConstantElements = 1 << 20;

// The inputs on whose numbers the shape of the output depends, as bits.
unsigned shaping_inputs(Op op) {
  constexpr unsigned kAll = ~0U;
  switch (op) {
    case Op::non_zero:
    case Op::compress:
    case Op::non_max_suppression:
    case Op::conditional:
    case Op::constant_of_shape:
    case Op::range:
      return kAll;
    case Op::reshape:
    case Op::expand:
    case Op::tile:
    case Op::squeeze:
    case Op::unsqueeze:
    case Op::split:
    case Op::one_hot:
    case Op::top_k:
    case Op::cumulative_sum:
      return 1U << 1U;
    case Op::slice:
    case Op::pad:
    case Op::resize:
      return kAll - 1U;
    default:
      return op >= Op::reduce_sum && op <= Op::reduce_sum_square ? 1U << 1U : 0U;
  }
}

// Outputs of the type and shape of input 0.
bool keeps_shape(Op op) {
  return (op >= Op::relu && op <= Op::log_softmax && op != Op::prelu) ||
         (op >= Op::instance_normalization && op <= Op::lrn && op != Op::layer_normalization) ||
         op == Op::identity;
}

bool is_small(const Tensors& tensors) {
  return std::all_of(tensors.begin(), tensors.end(), [](const Tensor& tensor) {
    return !tensor.defined() || tensor.numel() <= kMostConstantElements;
  });
}

}  // namespace

Facts facts_of(const Tensor& constant) {
  return {
      .shaped = true, .dtype = constant.dtype(), .shape = constant.shape(), .constant = constant};
}

std::vector<Facts> facts_of_outputs(const Node& node, std::span<const Facts> inputs) {
  std::vector<Facts> outputs(node.outputs.size());
  if (node.op == Op::conditional) return outputs;
  bool constant = true;
  bool shaped = true;
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    if (node.inputs[i] == graph::kNoValue) continue;
    constant = constant && inputs[i].constant.defined();
    shaped = shaped && inputs[i].shaped;
    const bool shapes = i < 32 && ((shaping_inputs(node.op) >> i) & 1U) != 0;
    if (shapes && !inputs[i].constant.defined()) return outputs;
  }
  if (!shaped) return outputs;
  const bool reads_shape = node.op == Op::shape || node.op == Op::size;
  if (!constant && keeps_shape(node.op) && node.output(1) == graph::kNoValue) {
    outputs[0] = {.shaped = true, .dtype = inputs[0].dtype, .shape = inputs[0].shape};
    return outputs;
  }
  try {
    // What the node makes of zeros has the shape of what it makes of anything.
    Tensors given;
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      if (node.inputs[i] == graph::kNoValue) {
        given.emplace_back();
      } else if (inputs[i].constant.defined()) {
        given.push_back(inputs[i].constant);
      } else {
        // The value may not have been made yet, and nobody may have room for it.
        given.push_back(make(inputs[i].shape, reads_shape ? DType::boolean : inputs[i].dtype));
        given.back().fill(0);
      }
    }
    const Tensors results = interpret_node(node, given);
    const bool keeps = (constant || reads_shape) && is_small(results);
    for (std::size_t i = 0; i < outputs.size() && i < results.size(); ++i) {
      if (!results[i].defined()) continue;
      outputs[i] = {.shaped = true, .dtype = results[i].dtype(), .shape = results[i].shape()};
      if (keeps) outputs[i].constant = results[i];
    }
  } catch (const Error&) {
    // Zeros may be out of a range; then nothing is known.
  }
  return outputs;
}

}  // namespace convkit::infer
