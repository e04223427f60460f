#include "convkit/infer/passes/rewrite.h"

#include <algorithm>
#include <limits>

#include "convkit/graph/edit.h"
#include "convkit/infer/kernel_function.h"

namespace convkit::infer {

using graph::index_of;
using graph::kNoValue;
using graph::Node;
using graph::Op;
using graph::ValueId;

namespace {

// Bytes of the net's constants, and this, may be made anew by a pass.
constexpr int64_t kLeastRoom = int64_t{64} << 20;

int64_t byte_count(const Tensor& tensor) {
  return tensor.numel() * static_cast<int64_t>(item_size(tensor.dtype()));
}

bool is_full(const Node& node) {
  const auto* fused = node.attributes.find("fused");
  return fused != nullptr && std::get<std::vector<std::string>>(*fused).size() >= kMostFused;
}

}  // namespace

Rewriter::Rewriter(graph::Graph& graph)
    : graph_(graph), uses_(graph::uses_of(graph)), room_(kLeastRoom) {
  for (const graph::Value& value : graph.values)
    if (value.is_constant()) room_ += byte_count(value.constant);
}

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
  const std::size_t n = number_of(consumer);
  drop_reader(n);
  consumer = std::move(fused);
  add_reader(n);
  ++changes_;
}

bool Rewriter::bypass(Node& node, ValueId out, ValueId in) {
  if (uses_.output_count[index_of(out)] == 0) {
    replace_uses(out, in);
  } else {
    // The output keeps its name: whoever makes `in` writes `out` instead.
    Node* made_by = producer(in);
    if (made_by == nullptr || uses_.output_count[index_of(in)] != 0) return false;
    std::replace(made_by->outputs.begin(), made_by->outputs.end(), in, out);
    replace_uses(in, out);
    std::replace(node.outputs.begin(), node.outputs.end(), out, in);
    std::swap(uses_.producer[index_of(in)], uses_.producer[index_of(out)]);
    graph_.value(out).type = graph_.value(in).type;
  }
  ++changes_;
  return true;
}

int64_t Rewriter::finish() {
  if (changes_ > 0) graph::remove_dead(graph_);
  return changes_;
}

ValueId Rewriter::add_constant(const std::string& name, Tensor tensor) {
  room_ -= byte_count(tensor);
  const ValueId id = graph_.add_constant(name, std::move(tensor));
  uses_.producer.push_back(graph::Uses::kNoNode);
  uses_.consumers.emplace_back();
  uses_.output_count.push_back(0);
  return id;
}

bool Rewriter::has_room_for(const Tensor& tensor) const { return byte_count(tensor) <= room_; }

void Rewriter::add_reader(std::size_t n) {
  for (const ValueId id : graph_.nodes[n].inputs) {
    if (id == kNoValue) continue;
    std::vector<int32_t>& readers = uses_.consumers[index_of(id)];
    const auto at = std::lower_bound(readers.begin(), readers.end(), static_cast<int32_t>(n));
    if (at == readers.end() || *at != static_cast<int32_t>(n))
      readers.insert(at, static_cast<int32_t>(n));
  }
}

void Rewriter::drop_reader(std::size_t n) {
  for (const ValueId id : graph_.nodes[n].inputs) {
    if (id == kNoValue) continue;
    std::vector<int32_t>& readers = uses_.consumers[index_of(id)];
    const auto at = std::lower_bound(readers.begin(), readers.end(), static_cast<int32_t>(n));
    if (at != readers.end() && *at == static_cast<int32_t>(n)) readers.erase(at);
  }
}

void Rewriter::replace_uses(ValueId old, ValueId replacement) {
  const std::vector<int32_t> readers = std::exchange(uses_.consumers[index_of(old)], {});
  for (const int32_t reader : readers) {
    const auto n = static_cast<std::size_t>(reader);
    drop_reader(n);
    Node& node = graph_.nodes[n];
    std::replace(node.inputs.begin(), node.inputs.end(), old, replacement);
    add_reader(n);
  }
  int32_t& outputs = uses_.output_count[index_of(old)];
  if (outputs == 0) return;
  std::replace(graph_.outputs.begin(), graph_.outputs.end(), old, replacement);
  uses_.output_count[index_of(replacement)] += std::exchange(outputs, 0);
}

bool is_conv(const Node& node) {
  return (node.op == Op::conv || node.op == Op::fused_conv) && !is_full(node);
}

bool is_plain_conv(const Node& node) {
  if (is_full(node)) return false;
  if (node.op == Op::conv) return true;
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  return node.op == Op::fused_conv && node.input(3) == kNoValue && !function_of(node) &&
         node.attributes.number("low") == -kInfinity && node.attributes.number("high") == kInfinity;
}

Node convolution_node(const std::string& name) {
  Node conv{.op = Op::conv,
            .name = name,
            .attributes = {{"auto_pad", std::string("NOTSET")},
                           {"dilations", std::vector<int64_t>{}},
                           {"group", int64_t{1}},
                           {"kernel_shape", std::vector<int64_t>{}},
                           {"pads", std::vector<int64_t>{}},
                           {"strides", std::vector<int64_t>{}}}};
  make_fused(conv);
  return conv;
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
