#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "convkit/graph/graph.h"
#include "convkit/onnx/proto.h"
#include "convkit/onnx/tensor_data.h"

/// How each operator of a file becomes a node in the newest form; for onnx/ only.
namespace convkit::onnx {

/// Thrown by a row's function for a node that is sound, but that convkit cannot run.
struct Refusal {
  std::string reason;
};

/// One node on its way into the graph. A row's function changes what the newest form has elsewhere.
struct NodeImport {
  const NodeProto& proto;
  int64_t opset;  ///< of the node's domain
  graph::Graph& graph;
  graph::Node node;      ///< inputs and attributes as the row's text has made them; no outputs yet
  std::size_t wanted;    ///< how many outputs the file names, also empty ones
  ExternalFiles& files;  ///< for tensors in attributes
  /// Where the outputs come from when `node` itself is not to be added; or empty.
  std::vector<graph::ValueId> results = {};

  /// The constant in that input; null when it is none or not given.
  const Tensor* constant(std::size_t input) const;
  /// The rank of that input, or kUnknown.
  int64_t rank(std::size_t input) const;
  /// Puts a value into an input's place.
  void set_input(std::size_t input, graph::ValueId value);
  /// A new constant; names are taken from the node's.
  graph::ValueId add_constant(std::string_view what, Tensor tensor);
  /// A new node before this one; returns its output.
  graph::ValueId add_before(graph::Op op, std::string_view what, std::vector<graph::ValueId> inputs,
                            graph::Attributes attributes = {});
};

/// A row of the table.
struct OperatorRow {
  std::string_view name;
  /// What the file's attributes become, a word each, `name:kind` with a kind of i, f, s, is, fs, ss
  /// or t, and then
  ///   `=value`  an attribute with that default (`()` is the empty list),
  ///   `?`       an attribute that may be missing,
  ///   `!`       an attribute that must be there,
  ///   `>n`      input n, where older operator sets have the attribute (a constant; integers as
  ///             int64, floats as float32),
  ///   `-`       nothing: it has no meaning when a net runs.
  std::string_view attributes = "";
  /// Does what the text cannot say; may be null.
  void (*adapt)(NodeImport& import) = nullptr;
};

/// The row of that name, or null. Its graph::Op has the same name.
const OperatorRow* find_row(std::string_view name);
std::vector<std::string> row_names();

/// Fills attributes and inputs of `import` by its row. Throws Refusal, and FormatError for what
/// breaks the operator's definition.
void convert(const OperatorRow& row, NodeImport& import);

}  // namespace convkit::onnx
