#include "convkit/infer/interpreter.h"

#include <algorithm>
#include <map>

#include "convkit/autograd/record.h"
#include "convkit/base/scope.h"
#include "convkit/base/thread_pool.h"
#include "convkit/infer/operators.h"

namespace convkit::infer {
namespace {

using graph::Graph;
using graph::index_of;
using graph::Node;
using graph::ValueId;

std::vector<Tensor> run(const Graph& graph, std::span<const Tensor> inputs, const Watcher& watch);

std::vector<Tensor> run_node(const Node& node, std::span<const Tensor> inputs,
                             const Watcher& watch) {
  if (node.op == graph::Op::conditional) {
    const Tensor& condition = inputs[0];
    CONVKIT_CHECK(condition.numel() == 1, ShapeError, "the condition has the shape ",
                  condition.shape(), ", but should be one value");
    return run(node.branches[condition.item() != 0 ? 0 : 1], inputs.subspan(1), watch);
  }
  return function_of(node.op)({node, inputs});
}

std::vector<Tensor> run(const Graph& graph, std::span<const Tensor> inputs, const Watcher& watch) {
  const graph::Uses uses = graph::uses_of(graph);
  std::vector<Tensor> values(graph.values.size());
  // How many nodes, and outputs, still need each value.
  std::vector<int64_t> needed(graph.values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = graph.values[i].constant;
    needed[i] = std::ssize(uses.consumers[i]) + uses.output_count[i];
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) values[index_of(graph.inputs[i])] = inputs[i];
  for (const Node& node : graph.nodes) {
    std::vector<Tensor> given;
    given.reserve(node.inputs.size());
    for (const ValueId id : node.inputs)
      given.push_back(id == graph::kNoValue ? Tensor() : values[index_of(id)]);
    const std::string path = title(node);
    const Scope scope(path);
    std::vector<Tensor> outputs = run_node(node, given, watch);
    if (watch) watch(node, outputs);
    for (std::size_t i = 0; i < node.outputs.size(); ++i) {
      const ValueId id = node.outputs[i];
      if (id == graph::kNoValue) continue;
      CONVKIT_CHECK(i < outputs.size() && outputs[i].defined(), ValueError, "output ", i,
                    " is not computed");
      if (needed[index_of(id)] > 0) values[index_of(id)] = outputs[i];
    }
    std::vector<ValueId> read = node.inputs;
    std::sort(read.begin(), read.end());
    read.erase(std::unique(read.begin(), read.end()), read.end());
    for (const ValueId id : read)
      if (id != graph::kNoValue && --needed[index_of(id)] == 0) values[index_of(id)] = Tensor();
  }
  std::vector<Tensor> results;
  for (const ValueId id : graph.outputs) results.push_back(values[index_of(id)]);
  return results;
}

}  // namespace

void check_inputs(const Graph& graph, std::span<const Tensor> inputs) {
  CONVKIT_CHECK(inputs.size() == graph.inputs.size(), ValueError, "the net has ",
                graph.inputs.size(), " inputs, but ", inputs.size(), " are given");
  std::map<std::string, std::pair<int64_t, std::string>> named;  // extents, and where they stand
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const graph::Value& value = graph.value(graph.inputs[i]);
    const Tensor& given = inputs[i];
    CONVKIT_CHECK(given.defined(), ValueError, "input '", value.name, "' is undefined");
    CONVKIT_CHECK(!value.type.dtype || *value.type.dtype == given.dtype(), DTypeError, "input '",
                  value.name, "' is ", given.dtype(), ", but the net takes ", to_text(value.type),
                  "; convert it with to()");
    CONVKIT_CHECK(accepts(value.type, given), ShapeError, "input '", value.name, "' has the shape ",
                  given.shape(), ", but the net takes ", to_text(value.type));
    if (!value.type.dims) continue;
    for (std::size_t axis = 0; axis < value.type.dims->size(); ++axis) {
      const graph::Dim& dim = (*value.type.dims)[axis];
      if (dim.known() || dim.name.empty()) continue;
      const int64_t extent = given.shape().begin()[axis];
      const auto [found, is_new] = named.try_emplace(dim.name, extent, value.name);
      CONVKIT_CHECK(found->second.first == extent, ShapeError, "'", dim.name, "' is ",
                    found->second.first, " in input '", found->second.second, "', but ", extent,
                    " in input '", value.name, "'");
    }
  }
}

std::vector<Tensor> interpret(const Graph& graph, std::span<const Tensor> inputs,
                              const Watcher& watch) {
  check_inputs(graph, inputs);
  const NoGradGuard no_grad;
  const FlushSubnormals flush;
  return run(graph, inputs, watch);
}

std::vector<Tensor> interpret_node(const Node& node, std::span<const Tensor> inputs) {
  CONVKIT_CHECK(node.op != graph::Op::conditional, ValueError,
                "a conditional node cannot run by itself");
  const NoGradGuard no_grad;
  const FlushSubnormals flush;
  const std::string path = title(node);
  const Scope scope(path);
  return function_of(node.op)({node, inputs});
}

}  // namespace convkit::infer
