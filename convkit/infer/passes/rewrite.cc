#include "convkit/infer/passes/rewrite.h"

#include <algorithm>
#include <limits>

#include "convkit/graph/edit.h"

namespace convkit::infer {

using graph::index_of;
using graph::kNoValue;
using graph::Node;
using graph::Op;
using graph::ValueId;

namespace {}  // namespace

const Tensor* Rewriter::constant(ValueId id) const {
  if (id == kNoValue || !graph_.value(id).is_constant()) return nullptr;
  return &graph_.value(id).constant;
}

bool Rewriter::is_scalar(ValueId id, double& number) const {
  const Tensor* tensor = constant(id);
  if (tensor == nullptr || tensor->numel() != 1) return false;
  number = tensor->item();
  return true;
}

Node* Rewriter::producer(ValueId id) {
  if (id == kNoValue) return nullptr;
  const int32_t n = uses_.producer[index_of(id)];
  return n == graph::Uses::kNoNode ? nullptr : &graph_.nodes[static_cast<std::size_t>(n)];
}

Node* Rewriter::sole_producer(ValueId id) {
  Node* made_by = producer(id);
  if (made_by == nullptr) return nullptr;
  const auto& readers = uses_.consumers[index_of(id)];
  if (readers.size() != 1 || uses_.output_count[index_of(id)] != 0) return nullptr;
  const Node& reader = graph_.nodes[static_cast<std::size_t>(readers[0])];
  if (std::count(reader.inputs.begin(), reader.inputs.end(), id) != 1) return nullptr;
  return made_by;
}

void Rewriter::take_over(Node& consumer, Node fused) {
  fused.outputs = consumer.outputs;
  consumer = std::move(fused);
  refresh();
  ++changes_;
}

bool Rewriter::bypass(Node& node, ValueId out, ValueId in) {
  if (uses_.output_count[index_of(out)] == 0) {
    graph::replace_uses(graph_, out, in);
  } else {
    // The output keeps its name: whoever makes `in` writes `out` instead.
    Node* made_by = producer(in);
    if (made_by == nullptr || uses_.output_count[index_of(in)] != 0) return false;
    std::replace(made_by->outputs.begin(), made_by->outputs.end(), in, out);
    graph::replace_uses(graph_, in, out);
    std::replace(node.outputs.begin(), node.outputs.end(), out, in);
    graph_.value(out).type = graph_.value(in).type;
  }
  refresh();
  ++changes_;
  return true;
}

int64_t Rewriter::finish() {
  if (changes_ > 0) graph::remove_dead(graph_);
  return changes_;
}

ValueId Rewriter::add_constant(const std::string& name, Tensor tensor) {
  const ValueId id = graph_.add_constant(name, std::move(tensor));
  refresh();
  return id;
}

bool is_conv(const Node& node) { return node.op == Op::conv || node.op == Op::fused_conv; }

bool is_plain_conv(const Node& node) {
  if (node.op == Op::conv) return true;
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  return node.op == Op::fused_conv && node.input(3) == kNoValue &&
         node.attributes.number("low") == -kInfinity && node.attributes.number("high") == kInfinity;
}

void make_fused(Node& node) {
  if (node.op == Op::fused_conv) return;
  node.op = Op::fused_conv;
  node.attributes.set("low", -std::numeric_limits<double>::infinity());
  node.attributes.set("high", std::numeric_limits<double>::infinity());
}

void note_fused(Node& node, Op op) {
  std::vector<std::string> all;
  if (const auto* known = node.attributes.find("fused"))
    all = std::get<std::vector<std::string>>(*known);
  all.emplace_back(graph::name_of(op));
  node.attributes.set("fused", all);
}

}  // namespace convkit::infer
