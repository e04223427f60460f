#include <cmath>
#include <optional>
#include <utility>

#include "convkit/infer/passes/passes.h"
#include "convkit/infer/passes/rewrite.h"

namespace convkit::infer {
namespace {

using graph::Attributes;
using graph::Node;
using graph::Op;
using graph::ValueId;

// Constants in files are rounded to float32, or written with four digits.
constexpr double kRounded = 1e-4;
constexpr int kMostFactors = 3;

bool is_near(double a, double b) { return std::abs(a - b) <= kRounded * std::abs(b); }

// scale · value.
struct Scaled {
  ValueId value;
  double scale;
};

// A constant without axes: it does not change the other operand's shape.
bool is_number(Rewriter& rewriter, ValueId id, double& number) {
  const Tensor* tensor = rewriter.constant(id);
  return tensor != nullptr && tensor->dim() == 0 && rewriter.is_scalar(id, number);
}

// The quotients of integers are others.
bool is_integer(Rewriter& rewriter, ValueId id) {
  const Tensor* tensor = rewriter.constant(id);
  return tensor != nullptr && !is_floating(tensor->dtype());
}

// What `id` is: itself, and, where it is a product with numbers, that and what they multiply.
std::vector<Scaled> readings(Rewriter& rewriter, ValueId id) {
  std::vector<Scaled> all = {{id, 1.0}};
  for (int i = 0; i < kMostFactors; ++i) {
    const Node* node = rewriter.producer(all.back().value);
    double number = 0;
    if (node == nullptr || (node->op != Op::mul && node->op != Op::div) ||
        is_integer(rewriter, node->inputs[0]) || is_integer(rewriter, node->inputs[1]))
      break;
    const double scale = all.back().scale;
    if (is_number(rewriter, node->inputs[1], number)) {
      all.push_back({node->inputs[0], node->op == Op::mul ? scale * number : scale / number});
    } else if (node->op == Op::mul && is_number(rewriter, node->inputs[0], number)) {
      all.push_back({node->inputs[1], scale * number});
    } else {
      break;
    }
  }
  return all;
}

// The scale by which `id` is a multiple of `x`; 0 if it is none.
double multiple_of(Rewriter& rewriter, ValueId id, ValueId x) {
  for (const Scaled& reading : readings(rewriter, id))
    if (reading.value == x) return reading.scale;
  return 0;
}

// The other operand of node(other, number), whichever comes first.
std::optional<ValueId> beside(Rewriter& rewriter, const Node& node, double number) {
  double found = 0;
  for (std::size_t i = 0; i < 2; ++i)
    if (is_number(rewriter, node.inputs[i], found) && is_near(found, number))
      return node.inputs[1 - i];
  return std::nullopt;
}

struct Function {
  Op op;
  Attributes attributes = {};
};

// The function that is scale · x · gate(x).
std::optional<Function> gated(Rewriter& rewriter, ValueId x, const Node& gate, double scale) {
  const auto producer = [&](ValueId id, Op op) {
    const Node* node = rewriter.producer(id);
    return node != nullptr && node->op == op ? node : nullptr;
  };
  switch (gate.op) {
    case Op::sigmoid:
      if (scale == 1 && gate.inputs[0] == x) return Function{Op::swish, {{"alpha", 1.0}}};
      break;
    case Op::hard_sigmoid:
      if (scale == 1 && gate.inputs[0] == x && is_near(gate.attributes.number("alpha"), 1.0 / 6) &&
          gate.attributes.number("beta") == 0.5)
        return Function{Op::hard_swish};
      break;
    case Op::clip: {
      double low = 1;
      double high = 0;
      const Node* sum = producer(gate.inputs[0], Op::add);
      if (is_near(scale, 1.0 / 6) && sum != nullptr && beside(rewriter, *sum, 3) == x &&
          rewriter.is_scalar(gate.input(1), low) && low == 0 &&
          rewriter.is_scalar(gate.input(2), high) && high == 6)
        return Function{Op::hard_swish};
      break;
    }
    case Op::tanh: {
      const Node* softplus = producer(gate.inputs[0], Op::softplus);
      if (scale == 1 && softplus != nullptr && softplus->inputs[0] == x) return Function{Op::mish};
      break;
    }
    case Op::add: {
      const auto inner = beside(rewriter, gate, 1);
      const Node* erf = inner ? producer(*inner, Op::erf) : nullptr;
      if (erf != nullptr && is_near(scale, 0.5) &&
          is_near(multiple_of(rewriter, erf->inputs[0], x), std::sqrt(0.5)))
        return Function{Op::gelu, {{"approximate", std::string("none")}}};
      break;
    }
    default:
      break;
  }
  return std::nullopt;
}

// What this product computes of one value, and of which.
std::optional<std::pair<Function, ValueId>> function_of(Rewriter& rewriter, const Node& node) {
  for (const Scaled& product : readings(rewriter, node.outputs[0])) {
    const Node* root = rewriter.producer(product.value);
    if (root == nullptr || root->op != Op::mul) continue;
    for (std::size_t side = 0; side < 2; ++side)
      for (const Scaled& x : readings(rewriter, root->inputs[side]))
        for (const Scaled& by : readings(rewriter, root->inputs[1 - side])) {
          const Node* gate = rewriter.producer(by.value);
          if (gate == nullptr || rewriter.constant(x.value) != nullptr) continue;
          auto function = gated(rewriter, x.value, *gate, product.scale * x.scale * by.scale);
          if (function) return std::pair(std::move(*function), x.value);
        }
  }
  return std::nullopt;
}

}  // namespace

int64_t fuse_functions(graph::Graph& graph) {
  Rewriter rewriter(graph);
  for (std::size_t n = 0; n < rewriter.size(); ++n) {
    const Node& node = rewriter.node(n);
    double exponent = 0;
    if (node.op == Op::pow && is_number(rewriter, node.inputs[1], exponent) && exponent == 2) {
      Node square{.op = Op::mul, .name = node.name, .inputs = {node.inputs[0], node.inputs[0]}};
      rewriter.take_over(rewriter.node(n), std::move(square));
      continue;
    }
    if (node.op != Op::mul && node.op != Op::div) continue;
    auto found = function_of(rewriter, node);
    if (!found) continue;
    Node fused{.op = found->first.op,
               .name = node.name,
               .inputs = {found->second},
               .attributes = std::move(found->first.attributes)};
    rewriter.take_over(rewriter.node(n), std::move(fused));
  }
  return rewriter.finish();
}

}  // namespace convkit::infer
