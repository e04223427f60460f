#include "convkit/graph/capture.h"

#include <algorithm>
#include <set>

#include "convkit/graph/edit.h"
#include "convkit/graph/lower.h"
#include "convkit/graph/trace.h"
#include "convkit/graph/verify.h"
#include "convkit/nn/functions.h"

namespace convkit::graph {
namespace {

// Evaluation mode for its lifetime. Even a copy of a net can share layers with it.
class EvaluationMode {
 public:
  explicit EvaluationMode(nn::AnyModule& net) {
    nn::for_each_module(net, [&](const nn::ModuleView& module) {
      if (module.layer == nullptr) return;
      layers_.emplace_back(module.layer, module.layer->training);
      module.layer->training = false;
    });
  }
  ~EvaluationMode() {
    for (const auto& [layer, training] : layers_) layer->training = training;
  }
  EvaluationMode(const EvaluationMode&) = delete;
  EvaluationMode& operator=(const EvaluationMode&) = delete;

 private:
  std::vector<std::pair<nn::Layer*, bool>> layers_;
};

// What names the parts of a graph.
struct NetNames {
  nn::StateDict tensors;
  std::set<std::string> leaves;  ///< paths of building blocks

  // The key of a tensor, or of the elements that it shares, or null.
  const std::string* key_of(const Tensor& tensor) const {
    for (const auto& [key, own] : tensors)
      if (own.impl() == tensor.impl()) return &key;
    for (const auto& [key, own] : tensors)
      if (own.raw_data() == tensor.raw_data() && own.shape() == tensor.shape() && own.numel() > 0)
        return &key;
    return nullptr;
  }
};

NetNames names_of(nn::AnyModule& net) {
  NetNames names{.tensors = nn::state_dict(net), .leaves = {}};
  nn::for_each_module(net, [&](const nn::ModuleView& module) {
    if (module.is_leaf && !module.path.empty()) names.leaves.insert(module.path);
  });
  return names;
}

// "add_" and "conv2d" are "add" and "conv2d" in names.
std::string_view without_underscore(std::string_view op) {
  return op.ends_with('_') ? op.substr(0, op.size() - 1) : op;
}

// Makes a graph of two runs of one net.
class Builder {
 public:
  Builder(const Trace& trace, const Trace& other, const NetNames& names,
          const CaptureOptions& options)
      : trace_(trace), other_(other), names_(names), options_(options) {
    graph_.name = options.name;
    taken_ = {options.input, options.output};
    for (const auto& [key, tensor] : names.tensors) taken_.insert(key);
    ids_.assign(trace.values.size(), kNoValue);
  }

  Graph run() {
    ids_[Trace::kInput] = graph_.add_input(options_.input, type_of_value(Trace::kInput));
    for (std::size_t s = 0; s < trace_.steps.size(); ++s) add_step(s);
    if (!refused_.empty()) throw CaptureError(std::move(refused_));
    add_output();
    name_apart();
    remove_dead(graph_);
    verify(graph_);
    return std::move(graph_);
  }

 private:
  void add_step(std::size_t s) {
    const TracedStep& step = trace_.steps[s];
    const LowerRow* const row = find_lower_row(step.op);
    ValueId& result = ids_[static_cast<std::size_t>(step.output)];
    try {
      if (row == nullptr) throw Refusal{"it has no form in a graph yet"};
      if (row->lower == nullptr) throw Refusal{std::string(row->refusal)};
      result = lower(s, *row);
    } catch (const Refusal& refusal) {
      refused_.push_back({step.op, step.path, refusal.reason});
      // Stands for the result, so that the operations behind it are seen too.
      result = graph_.add_value(step.op);
    }
  }

  ValueId lower(std::size_t s, const LowerRow& row) {
    const TracedStep& step = trace_.steps[s];
    Lowering lowering{.graph = graph_,
                      .op = step.op,
                      .name = name_of_step(step, row),
                      .parameters = step.parameters,
                      .other_parameters = other_.steps[s].parameters,
                      .inputs = {},
                      .result = operand(step.output)};
    for (const int input : step.inputs) {
      if (input == Trace::kStale)
        throw Refusal{"it reads memory that was changed in place through another tensor"};
      lowering.inputs.push_back(operand(input));
      if (input != Trace::kUndefined) lowering.inputs.back().id = id_of(input, lowering.name);
    }
    const std::size_t known = graph_.values.size();
    const ValueId result = row.lower(lowering);
    if (static_cast<std::size_t>(result) >= known)
      graph_.value(result).type = type_of_value(step.output);
    return result;
  }

  Lowering::Operand operand(int value) const {
    if (value == Trace::kUndefined) return {};
    const auto v = static_cast<std::size_t>(value);
    return {.id = kNoValue,
            .shape = trace_.values[v].shape,
            .other_shape = other_.values[v].shape,
            .dtype = trace_.values[v].dtype};
  }

  // A value of the run, which becomes a constant where the run did not compute it.
  ValueId id_of(int value, const std::string& reader) {
    const auto v = static_cast<std::size_t>(value);
    const Tensor& constant = trace_.values[v].constant;
    if (ids_[v] == kNoValue && constant.defined()) {
      const std::string* const key = names_.key_of(constant);
      ids_[v] =
          graph_.add_constant(key != nullptr ? *key : reader + ".constant", constant.detach());
      if (key != nullptr) keyed_.insert(ids_[v]);
    }
    return ids_[v];
  }

  ValueType type_of_value(int value) const {
    const auto v = static_cast<std::size_t>(value);
    const Shape& shape = trace_.values[v].shape;
    const Shape& other = other_.values[v].shape;
    ValueType type{.dtype = trace_.values[v].dtype, .dims = std::vector<Dim>{}};
    for (int64_t axis = 0; axis < shape.dim(); ++axis) {
      Dim dim{.extent = shape[axis]};
      if (shape[axis] != other[axis]) {
        const bool is_batch = shape[axis] == trace_.values[Trace::kInput].shape[0] &&
                              other[axis] == other_.values[Trace::kInput].shape[0];
        dim = {.extent = kUnknown, .name = is_batch ? "N" : ""};
      }
      type.dims->push_back(std::move(dim));
    }
    return type;
  }

  std::string name_of_step(const TracedStep& step, const LowerRow& row) {
    std::string name = step.path;
    if (row.is_auxiliary || !names_.leaves.contains(step.path)) {
      if (!name.empty()) name += '.';
      name += without_underscore(step.op);
    }
    return unique(name);
  }

  std::string unique(const std::string& name) {
    std::string candidate = name;
    for (int number = 1; !taken_.insert(candidate).second; ++number)
      candidate = message(name, "_", number);
    return candidate;
  }

  void add_output() {
    if (trace_.result == Trace::kStale)
      throw CaptureError({{"output", "", "its memory was changed in place by way of another"}});
    const ValueId result = id_of(trace_.result, options_.output);
    graph::Value& value = graph_.value(result);
    const bool is_computed = !value.is_constant() && result != graph_.inputs[0];
    if (is_computed) {
      value.name = options_.output;
      graph_.outputs = {result};
      return;
    }
    const ValueId copy =
        graph_.add_node(Op::identity, options_.output, std::vector<ValueId>{result});
    graph_.value(copy).type = type_of_value(trace_.result);
    graph_.outputs = {copy};
  }

  // Auxiliary values may have the names of others; inputs, outputs and the net's tensors keep
  // theirs.
  void name_apart() {
    std::set<std::string> names;
    std::set<ValueId> fixed = keyed_;
    fixed.insert(graph_.inputs.begin(), graph_.inputs.end());
    fixed.insert(graph_.outputs.begin(), graph_.outputs.end());
    for (const ValueId id : fixed) names.insert(graph_.value(id).name);
    for (ValueId id = 0; id < std::ssize(graph_.values); ++id) {
      if (fixed.contains(id)) continue;
      Value& value = graph_.value(id);
      const std::string name = value.name;
      for (int number = 1; !names.insert(value.name).second; ++number)
        value.name = message(name, "_", number);
    }
  }

  const Trace& trace_;
  const Trace& other_;
  const NetNames& names_;
  const CaptureOptions& options_;
  Graph graph_;
  std::set<std::string> taken_;
  std::vector<ValueId> ids_;
  std::set<ValueId> keyed_;  ///< constants with state_dict keys
  std::vector<Uncaptured> refused_;
};

[[noreturn]] void refuse(std::string op, std::string path, std::string reason) {
  throw CaptureError(std::vector<Uncaptured>{{std::move(op), std::move(path), std::move(reason)}});
}

// Throws unless both runs did the same.
void compare(const Trace& trace, const Trace& other) {
  const std::size_t steps = std::min(trace.steps.size(), other.steps.size());
  for (std::size_t s = 0; s < steps; ++s) {
    const TracedStep& a = trace.steps[s];
    const TracedStep& b = other.steps[s];
    const auto o = static_cast<std::size_t>(a.output);
    const bool is_same = a.op == b.op && a.path == b.path && a.inputs == b.inputs &&
                         a.output == b.output &&
                         trace.values[o].shape.dim() == other.values[o].shape.dim();
    if (!is_same)
      refuse(a.op, a.path,
             message("with one more sample in the batch the net computes something else here (",
                     b.op, "); what it computes must not depend on the batch"));
  }
  if (trace.steps.size() != other.steps.size() || trace.values.size() != other.values.size() ||
      trace.result != other.result)
    refuse("net", "", "with one more sample in the batch it runs other operations");
}

// Throws unless the graphs of the two runs, which have the same nodes, have the same numbers.
void compare(const Graph& graph, const Graph& other) {
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    if (node.op != other.nodes[n].op || !equal(node.attributes, other.nodes[n].attributes))
      refuse(std::string(name_of(node.op)), node.name, "its parameters depend on the batch");
    for (const ValueId id : node.inputs) {
      if (id == kNoValue || !graph.value(id).is_constant()) continue;
      const Tensor& a = graph.value(id).constant;
      const Tensor& b = other.value(id).constant;
      if (a.raw_data() != b.raw_data() && !bit_equal(a, b))
        refuse(std::string(name_of(node.op)), node.name,
               message("it reads numbers ('", graph.value(id).name,
                       "') that depend on the net's input by a way that the tape does not record"));
    }
  }
}

// As the example, with other numbers and one more sample.
Tensor another(const Tensor& example) {
  const Shape shape = example.shape().with(0, example.size(0) + 1);
  const bool is_float = example.dtype() == DType::float32 || example.dtype() == DType::float64;
  if (!is_float) return ones(shape, example.dtype());
  Generator generator(20150101);
  return rand(shape, generator, example.dtype());
}

Trace second_trace(nn::AnyModule& net, const Tensor& example) {
  const Tensor x = another(example);
  try {
    return trace(net, x);
  } catch (const Error& error) {
    refuse("net", "",
           message("it runs on ", example.shape(), ", but not on ", x.shape(), ": ", error.what(),
                   ". Capture it for this batch only (any_batch = false)"));
  }
}

std::string text_of(const std::vector<Uncaptured>& operations) {
  std::string text = message("the net cannot become a graph:");
  for (const Uncaptured& each : operations)
    text += message("\n  ", each.op, each.path.empty() ? "" : " in '" + each.path + "'", ": ",
                    each.reason);
  return text;
}

}  // namespace

CaptureError::CaptureError(std::vector<Uncaptured> operations)
    : Error(text_of(operations)), operations_(std::move(operations)) {}

Graph capture(nn::AnyModule net, const Tensor& example, const CaptureOptions& options) {
  CONVKIT_CHECK(example.defined(), ValueError, "capture: the example is undefined");
  CONVKIT_CHECK(
      options.input != options.output && !options.input.empty() && !options.output.empty(),
      ValueError, "capture: input ('", options.input, "') and output ('", options.output,
      "') need names that differ");
  CONVKIT_CHECK(!options.any_batch || (example.dim() >= 1 && example.size(0) >= 1), ShapeError,
                "capture: the example ", example.shape(),
                " has no batch; its first axis must count at least one sample");
  const EvaluationMode mode(net);
  const NetNames names = names_of(net);
  const Trace first = trace(net, example);
  if (!options.any_batch) return Builder(first, first, names, options).run();
  const Trace second = second_trace(net, example);
  compare(first, second);
  Graph graph = Builder(first, second, names, options).run();
  compare(graph, Builder(second, first, names, options).run());
  return graph;
}

std::vector<std::string_view> captured_operations() { return lowered_operations(); }

}  // namespace convkit::graph
