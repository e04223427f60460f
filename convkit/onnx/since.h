#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "convkit/graph/graph.h"

namespace convkit::onnx {

/// The oldest operator set, kExportOpset or newer, in which a node can be written.
int64_t opset_needed(const graph::Graph& graph, const graph::Node& node);

/// A node as an operator set has it: attributes that the set has not are left out (they have their
/// defaults), inputs that were attributes are so again.
struct WrittenNode {
  std::vector<graph::ValueId> inputs;
  graph::Attributes attributes;
};
WrittenNode written_in(const graph::Graph& graph, const graph::Node& node, int64_t opset);

/// The number of an element type in files.
int64_t data_type_of(DType dtype);

}  // namespace convkit::onnx
