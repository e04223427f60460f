#include "convkit/infer/kernel_function.h"

#include <cmath>
#include <string>

namespace convkit::infer {
namespace {

using graph::Node;
using graph::Op;
using kernels::UnaryFunction;
using kernels::UnaryOp;

// Of a FusedConv: the operator's name. Its attributes stand beside it under their own.
constexpr const char* kFunction = "function";
constexpr const char* kParameters[] = {"alpha", "beta", "gamma", "approximate"};

bool is_close(double a, double b) { return std::abs(a - b) <= 1e-7 * std::abs(b); }

}  // namespace

std::optional<UnaryFunction> kernel_function(const Node& node) {
  const graph::Attributes& attributes = node.attributes;
  switch (node.op) {
    case Op::relu:
      return UnaryFunction{UnaryOp::relu};
    case Op::leaky_relu:
      return UnaryFunction{UnaryOp::leaky_relu, {.a = attributes.number("alpha")}};
    case Op::sigmoid:
      return UnaryFunction{UnaryOp::sigmoid};
    case Op::tanh:
      return UnaryFunction{UnaryOp::tanh};
    case Op::gelu:
      return UnaryFunction{attributes.text("approximate") == "tanh" ? UnaryOp::gelu_tanh
                                                                    : UnaryOp::gelu};
    case Op::hard_swish:
      return UnaryFunction{UnaryOp::hardswish};
    case Op::hard_sigmoid:
      if (!is_close(attributes.number("alpha"), 1.0 / 6) || attributes.number("beta") != 0.5)
        return std::nullopt;
      return UnaryFunction{UnaryOp::hardsigmoid};
    case Op::swish:
      if (attributes.number("alpha") != 1) return std::nullopt;
      return UnaryFunction{UnaryOp::silu};
    case Op::elu:
      return UnaryFunction{UnaryOp::elu, {.a = attributes.number("alpha"), .b = 1}};
    case Op::selu: {
      const double gamma = attributes.number("gamma");
      return UnaryFunction{UnaryOp::elu, {.a = gamma * attributes.number("alpha"), .b = gamma}};
    }
    case Op::softplus:
      return UnaryFunction{UnaryOp::softplus};
    case Op::mish:
      return UnaryFunction{UnaryOp::mish};
    case Op::neg:
      return UnaryFunction{UnaryOp::neg};
    case Op::exp:
      return UnaryFunction{UnaryOp::exp};
    case Op::log:
      return UnaryFunction{UnaryOp::log};
    case Op::sqrt:
      return UnaryFunction{UnaryOp::sqrt};
    case Op::abs:
      return UnaryFunction{UnaryOp::abs};
    default:
      return std::nullopt;
  }
}

void set_function(Node& fused_conv, const Node& activation) {
  fused_conv.attributes.set(kFunction, std::string(graph::name_of(activation.op)));
  for (const char* name : kParameters)
    if (const auto* value = activation.attributes.find(name); value != nullptr)
      fused_conv.attributes.set(name, *value);
}

void remove_function(Node& fused_conv) { fused_conv.attributes.remove(kFunction); }

std::optional<Node> function_of(const Node& fused_conv) {
  if (!fused_conv.attributes.has(kFunction)) return std::nullopt;
  Node function{.op = *graph::find_operator(fused_conv.attributes.text(kFunction)),
                .name = fused_conv.name};
  for (const char* name : kParameters)
    if (const auto* value = fused_conv.attributes.find(name); value != nullptr)
      function.attributes.set(name, *value);
  return function;
}

}  // namespace convkit::infer
