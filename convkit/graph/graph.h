#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "convkit/base/export.h"
#include "convkit/graph/attribute.h"
#include "convkit/graph/operator.h"
#include "convkit/tensor/tensor.h"

/// A whole net as data: values, and nodes that compute values from values.
///
/// The graph is the hub between where nets come from (ONNX files, modules walked on the tape) and
/// where they go (ONNX files, executors, pictures). It is plain data for passes to rewrite;
/// verify() says whether its invariants hold:
///
///  - a value is named by its index in `values`; each has exactly one origin: it is an input of the
///    graph, a constant, or an output of one node;
///  - nodes stand in an order in which every input is computed before it is read;
///  - a node has the inputs and outputs its operator's row says (operator.h).
///
/// Passes replace uses, edit nodes in place, and then call remove_dead() (edit.h), which drops what
/// nobody reads.
namespace convkit::graph {

/// A value's place in Graph::values.
using ValueId = int32_t;
/// An optional input that is not given, or an optional output nobody wants.
inline constexpr ValueId kNoValue = -1;
/// That place, for vectors with an element per value. Not for kNoValue.
inline std::size_t index_of(ValueId id) { return static_cast<std::size_t>(id); }

/// An extent that is not known before the net runs.
inline constexpr int64_t kUnknown = -1;

/// One extent: known, or unknown. Unknown extents of one name are equal in a run.
struct Dim {
  int64_t extent = kUnknown;
  std::string name = {};  ///< of an unknown extent; may be empty

  bool known() const { return extent != kUnknown; }
  friend bool operator==(const Dim&, const Dim&) = default;
};

/// What is known of a value before the net runs: any part may be missing.
struct ValueType {
  std::optional<DType> dtype = std::nullopt;
  std::optional<std::vector<Dim>> dims = std::nullopt;  ///< without value: unknown rank

  /// The rank, or kUnknown.
  int64_t rank() const { return dims ? static_cast<int64_t>(dims->size()) : kUnknown; }
  /// The shape where every extent is known.
  CONVKIT_API std::optional<Shape> shape() const;
  friend bool operator==(const ValueType&, const ValueType&) = default;
};

/// The type of that tensor, all known.
CONVKIT_API ValueType type_of(const Tensor& tensor);
/// True when a tensor of that type and shape may stand for a value of this type.
CONVKIT_API bool accepts(const ValueType& type, const Tensor& tensor);
/// `float32 N×3×224×224`: `?` for what has no name, `float32 ...` for an unknown rank.
CONVKIT_API std::string to_text(const ValueType& type);

struct Value {
  std::string name;
  ValueType type = {};
  Tensor constant = {};  ///< defined for constants only

  bool is_constant() const { return constant.defined(); }
};

struct Node;

struct CONVKIT_API Graph {
  std::string name;
  std::vector<Value> values;
  std::vector<Node> nodes;
  std::vector<ValueId> inputs;
  std::vector<ValueId> outputs;  ///< may name a value twice, an input, or a constant

  const Value& value(ValueId id) const { return values[static_cast<std::size_t>(id)]; }
  Value& value(ValueId id) { return values[static_cast<std::size_t>(id)]; }

  /// New values and nodes, and their ids.
  ValueId add_input(std::string_view value_name, ValueType type = {});
  ValueId add_constant(std::string_view value_name, Tensor constant);
  ValueId add_value(std::string_view value_name, ValueType type = {});
  /// Appends a node with one new output, named like the node, and returns that.
  ValueId add_node(Op op, std::string_view node_name, std::vector<ValueId> node_inputs,
                   Attributes attributes = {});

  /// The input or output of that name; throws ValueError saying which there are.
  ValueId find_input(std::string_view value_name) const;
  ValueId find_output(std::string_view value_name) const;
};

struct Node {
  Op op = Op::identity;
  std::string name = {};
  std::vector<ValueId> inputs = {};
  std::vector<ValueId> outputs = {};
  Attributes attributes = {};
  /// Op::conditional alone has these two: then, else. Inputs 1… of the node are the inputs of both,
  /// in order: a branch sees nothing else of the graph around it. The branches' outputs are the
  /// node's.
  std::vector<Graph> branches = {};

  /// The input of that place, or kNoValue when it is not given.
  ValueId input(std::size_t i) const { return i < inputs.size() ? inputs[i] : kNoValue; }
  ValueId output(std::size_t i) const { return i < outputs.size() ? outputs[i] : kNoValue; }
};

/// What to call a node in messages: its name, if it has one, and its operator.
CONVKIT_API std::string title(const Node& node);

/// Where each value comes from and who reads it. Made by uses_of, and out of date after any change.
struct Uses {
  static constexpr int32_t kNoNode = -1;

  std::vector<int32_t> producer;                ///< per value: the node, or kNoNode
  std::vector<std::vector<int32_t>> consumers;  ///< per value: the nodes, ascending, each once
  std::vector<int32_t> output_count;            ///< per value: how often the graph puts it out
};
CONVKIT_API Uses uses_of(const Graph& graph);

}  // namespace convkit::graph
