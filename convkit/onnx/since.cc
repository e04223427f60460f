#include "convkit/onnx/since.h"

#include <algorithm>
#include <optional>

#include "convkit/onnx/export.h"
#include "convkit/onnx/tensor_data.h"

namespace convkit::onnx {
namespace {

using graph::Attributes;
using graph::AttributeValue;
using graph::Node;
using graph::Op;

// What came after kExportOpset.
struct NewOperator {
  Op op;
  int64_t since;
};
constexpr NewOperator kNewOperators[] = {
    {Op::bitwise_and, 18},         {Op::bitwise_or, 18}, {Op::bitwise_xor, 18},
    {Op::bitwise_not, 18},         {Op::mish, 18},       {Op::gelu, 20},
    {Op::group_normalization, 21}, {Op::swish, 24},
};

// An attribute that came after kExportOpset, and what the operator did before.
struct NewAttribute {
  Op op;
  const char* name;
  int64_t since;
  bool (*is_old)(const AttributeValue& value);
};

bool is_zero(const AttributeValue& value) {
  const auto* const number = std::get_if<int64_t>(&value);
  return number != nullptr && *number == 0;
}
bool is_stretch(const AttributeValue& value) {
  const auto* const text = std::get_if<std::string>(&value);
  return text != nullptr && *text == "stretch";
}
bool is_ones(const AttributeValue& value) {
  const auto* const list = std::get_if<std::vector<int64_t>>(&value);
  return list != nullptr &&
         std::all_of(list->begin(), list->end(), [](int64_t each) { return each == 1; });
}
bool is_empty(const AttributeValue& value) {
  const auto* const list = std::get_if<std::vector<int64_t>>(&value);
  return list != nullptr && list->empty();
}
bool is_not_wrap(const AttributeValue& value) {
  const auto* const text = std::get_if<std::string>(&value);
  return text != nullptr && *text != "wrap";
}
bool is_addition(const AttributeValue& value) {
  const auto* const text = std::get_if<std::string>(&value);
  return text != nullptr && *text != "max" && *text != "min";
}

constexpr NewAttribute kNewAttributes[] = {
    {Op::average_pool, "dilations", 19, is_ones},
    {Op::lp_pool, "dilations", 18, is_ones},
    {Op::lp_pool, "ceil_mode", 18, is_zero},
    {Op::resize, "antialias", 18, is_zero},
    {Op::resize, "axes", 18, is_empty},
    {Op::resize, "keep_aspect_ratio_policy", 18, is_stretch},
    {Op::reduce_mean, "noop_with_empty_axes", 18, is_zero},
    {Op::reduce_max, "noop_with_empty_axes", 18, is_zero},
    {Op::reduce_min, "noop_with_empty_axes", 18, is_zero},
    {Op::reduce_prod, "noop_with_empty_axes", 18, is_zero},
    {Op::reduce_l1, "noop_with_empty_axes", 18, is_zero},
    {Op::reduce_l2, "noop_with_empty_axes", 18, is_zero},
    {Op::reduce_log_sum, "noop_with_empty_axes", 18, is_zero},
    {Op::reduce_log_sum_exp, "noop_with_empty_axes", 18, is_zero},
    {Op::reduce_sum_square, "noop_with_empty_axes", 18, is_zero},
};

// Attributes whose newer values came after kExportOpset; they are written in any case.
constexpr NewAttribute kNewValues[] = {
    {Op::pad, "mode", 19, is_not_wrap},
    {Op::scatter_elements, "reduction", 18, is_addition},
    {Op::scatter_nd, "reduction", 18, is_addition},
};

constexpr int64_t kAxesAreAnInput = 18;
constexpr int64_t kSplitCounts = 18;
constexpr int64_t kGridsHaveVolumes = 20;
constexpr int64_t kTypesOfQuantities = 21;

// Reductions whose axes became an input after kExportOpset.
bool has_new_axes(Op op) {
  return op >= Op::reduce_sum && op <= Op::reduce_sum_square && op != Op::reduce_sum;
}

const Tensor* constant_of(const graph::Graph& graph, graph::ValueId id) {
  if (id == graph::kNoValue || !graph.value(id).is_constant()) return nullptr;
  return &graph.value(id).constant;
}

bool is_quantization(Op op) { return op == Op::quantize_linear || op == Op::dequantize_linear; }

}  // namespace

int64_t data_type_of(DType dtype) {
  int32_t number = 1;
  while (dtype_of(number) != dtype) ++number;
  return number;
}

int64_t opset_needed(const graph::Graph& graph, const Node& node) {
  int64_t opset = kExportOpset;
  const auto need = [&](int64_t since) { opset = std::max(opset, since); };
  for (const NewOperator& row : kNewOperators)
    if (row.op == node.op) need(row.since);
  const auto check = [&](const NewAttribute& row) {
    if (row.op != node.op) return;
    const AttributeValue* const value = node.attributes.find(row.name);
    if (value != nullptr && !row.is_old(*value)) need(row.since);
  };
  std::for_each(std::begin(kNewAttributes), std::end(kNewAttributes), check);
  std::for_each(std::begin(kNewValues), std::end(kNewValues), check);
  const bool has_axes = has_new_axes(node.op) && node.input(1) != graph::kNoValue;
  if (has_axes && constant_of(graph, node.input(1)) == nullptr) need(kAxesAreAnInput);
  if (node.op == Op::pad && node.input(3) != graph::kNoValue) need(kAxesAreAnInput);
  if (is_quantization(node.op) && node.attributes.has("dtype")) need(kTypesOfQuantities);
  if (node.op == Op::conditional)
    for (const graph::Graph& branch : node.branches)
      for (const Node& inner : branch.nodes) need(opset_needed(branch, inner));
  return opset;
}

WrittenNode written_in(const graph::Graph& graph, const Node& node, int64_t opset) {
  WrittenNode written{.inputs = node.inputs, .attributes = node.attributes};
  Attributes& attributes = written.attributes;
  for (const NewAttribute& row : kNewAttributes)
    if (row.op == node.op && row.since > opset) attributes.remove(row.name);
  // An empty list is an attribute that is not given.
  for (const auto& [name, value] : node.attributes.entries())
    if (is_empty(value)) attributes.remove(name);
  if (has_new_axes(node.op) && opset < kAxesAreAnInput) {
    if (const Tensor* axes = constant_of(graph, node.input(1)); axes != nullptr) {
      written.inputs.resize(1);
      if (axes->numel() > 0) attributes.set("axes", axes->to(DType::int64).to_vector<int64_t>());
    }
  }
  if (node.op == Op::split && node.input(1) == graph::kNoValue && opset >= kSplitCounts)
    attributes.set("num_outputs", std::ssize(node.outputs));
  if (node.op == Op::grid_sample && opset < kGridsHaveVolumes) {
    const std::string mode = attributes.text("mode");
    if (mode == "linear") attributes.set("mode", std::string("bilinear"));
    if (mode == "cubic") attributes.set("mode", std::string("bicubic"));
  }
  const char* const type = node.op == Op::cast ? "to" : "dtype";
  if (const AttributeValue* dtype = attributes.find(type); dtype != nullptr) {
    const int64_t number = data_type_of(static_cast<DType>(std::get<int64_t>(*dtype)));
    attributes.remove(type);
    attributes.set(is_quantization(node.op) ? "output_dtype" : type, number);
  }
  return written;
}

}  // namespace convkit::onnx
