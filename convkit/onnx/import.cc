#include "convkit/onnx/import.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>

#include "convkit/graph/edit.h"
#include "convkit/graph/verify.h"
#include "convkit/io/file.h"
#include "convkit/onnx/operators.h"
#include "convkit/onnx/rank.h"

namespace convkit::onnx {
namespace {

using graph::kNoValue;
using graph::ValueId;

bool is_default_domain(std::string_view domain) { return domain.empty() || domain == "ai.onnx"; }

std::string name_of_node(const NodeProto& node) {
  if (!node.name.empty()) return std::string(node.name);
  for (const std::string_view output : node.outputs)
    if (!output.empty()) return std::string(output);
  return "";
}

// What the parts of one import share.
struct Import {
  ExternalFiles files;
  std::map<std::pair<std::string_view, std::string_view>, const FunctionProto*> functions = {};
  std::vector<Unsupported> unsupported = {};
  int64_t node_count = 0;
  int64_t function_bytes = 0;  ///< of functions and what is put into them, once for each call

  // Functions that call functions could otherwise grow without bound.
  static constexpr int64_t kMostNodes = 250'000;
  static constexpr int64_t kMostFunctionBytes = int64_t{64} << 20;
  static constexpr int kMostNestedCalls = 32;
};

int64_t byte_size(const TensorProto& tensor) {
  return std::ssize(tensor.raw_data) + 4 * std::ssize(tensor.float_data) +
         8 * (std::ssize(tensor.integer_data) + std::ssize(tensor.double_data) +
              std::ssize(tensor.uint64_data));
}

int64_t byte_size(const AttributeProto& attribute) {
  int64_t bytes =
      std::ssize(attribute.s) + 4 * std::ssize(attribute.floats) + 8 * std::ssize(attribute.ints);
  for (const std::string_view text : attribute.strings)
    bytes += std::ssize(text) + static_cast<int64_t>(sizeof(std::string_view));
  return bytes + (attribute.tensor ? byte_size(*attribute.tensor) : 0);
}

using OpsetMap = std::map<std::string_view, int64_t>;

// The default domain has two names.
OpsetMap map_of(const OpsetImports& imports) {
  OpsetMap opsets;
  for (const auto& [domain, version] : imports)
    opsets.emplace(is_default_domain(domain) ? "" : domain, version);
  return opsets;
}

// The names that are visible at one place: a graph's own, then those around it.
class Names {
 public:
  ValueId find(std::string_view name) const {
    const auto found = ids_.find(name);
    return found == ids_.end() ? kNoValue : found->second;
  }
  bool define(std::string_view name, ValueId id) { return ids_.emplace(name, id).second; }
  /// An input of a function that its call does not give.
  void omit(std::string_view name) { omitted_.insert(name); }
  bool is_omitted(std::string_view name) const { return omitted_.contains(name); }

 private:
  std::unordered_map<std::string_view, ValueId> ids_;
  std::set<std::string_view> omitted_;
};

// Nodes in an order in which names are defined before they are read; the present one wherever it
// serves. What no node of the list defines counts as defined.
class NodeOrder {
 public:
  explicit NodeOrder(const std::vector<NodeProto>& nodes) : nodes_(nodes) {
    for (std::size_t n = 0; n < nodes.size(); ++n)
      for (const std::string_view output : nodes[n].outputs)
        if (!output.empty()) producers_.emplace(output, n);
  }

  std::vector<std::size_t> run() {
    std::vector<std::set<std::size_t>> needs(nodes_.size());
    for (std::size_t n = 0; n < nodes_.size(); ++n) collect(nodes_[n], needs[n]);
    return graph::dependency_order(needs, [&](std::size_t n) {
      throw FormatError(message("node '", name_of_node(nodes_[n]), "' (", nodes_[n].op_type,
                                ") reads a value that is computed from its own output: the nodes "
                                "form a cycle"));
    });
  }

 private:
  // The producers of what a node reads, also within its subgraphs (whose own names may hide a
  // producer's: then one dependency too many is kept).
  void collect(const NodeProto& node, std::set<std::size_t>& needed) const {
    for (const std::string_view input : node.inputs)
      if (const auto found = producers_.find(input); found != producers_.end())
        needed.insert(found->second);
    for (const AttributeProto& attribute : node.attributes) {
      if (!attribute.graph) continue;
      for (const NodeProto& inner : attribute.graph->nodes) collect(inner, needed);
      for (const ValueInfo& output : attribute.graph->outputs)
        if (const auto found = producers_.find(output.name); found != producers_.end())
          needed.insert(found->second);
    }
  }

  const std::vector<NodeProto>& nodes_;
  std::unordered_map<std::string_view, std::size_t> producers_;
};

// Imports one graph, and whatever stands within it.
class GraphImport {
 public:
  GraphImport(Import& shared, graph::Graph& graph, const OpsetImports& opsets)
      : GraphImport(shared, graph, map_of(opsets), nullptr) {}

  // A branch of a conditional node: names it does not have become inputs, from those around it.
  GraphImport(Import& shared, graph::Graph& graph, OpsetMap opsets, GraphImport* around)
      : shared_(shared), graph_(graph), opsets_(std::move(opsets)), around_(around) {}

  void run(const GraphProto& proto) {
    graph_.name = proto.name;
    for (const ValueInfo& info : proto.value_infos) infos_.emplace(info.name, &info);
    if (proto.has_sparse_initializers)
      refuse({"initializer", "", 0, std::string(proto.name), "it is sparse"});
    add_initializers(proto);
    add_inputs(proto);
    add_nodes(proto.nodes);
    for (const ValueInfo& output : proto.outputs) {
      const ValueId id = resolve(output.name);
      CONVKIT_CHECK(id != kNoValue, FormatError, "nothing computes the output '", output.name, "'");
      graph_.outputs.push_back(id);
    }
    CONVKIT_CHECK(!graph_.outputs.empty(), FormatError, "the graph '", proto.name,
                  "' has no outputs");
  }

  // The names of the outer graph that this branch has made inputs of its own, in order.
  const std::vector<std::string_view>& captured() const { return captured_; }

  // Makes `name` an input, if it is none yet, so that two branches take the same.
  void capture(std::string_view name) { resolve(name); }

 private:
  void refuse(Unsupported node) { shared_.unsupported.push_back(std::move(node)); }

  void define(std::string_view name, ValueId id) {
    if (name.empty()) return;
    CONVKIT_CHECK(names_.back().define(name, id), FormatError, "the name '", name,
                  "' is given to two values");
  }

  bool is_visible(std::string_view name) const {
    return names_.back().find(name) != kNoValue ||
           (names_.size() == 1 && around_ != nullptr && around_->is_visible(name));
  }

  // The value of that name; kNoValue when there is none.
  ValueId resolve(std::string_view name) {
    const ValueId own = names_.back().find(name);
    // The names of a function end at it.
    if (own != kNoValue || names_.size() > 1 || around_ == nullptr) return own;
    if (!around_->is_visible(name)) return kNoValue;
    const ValueId outer = around_->resolve(name);
    const graph::Value& value = around_->graph_.value(outer);
    ValueId id = kNoValue;
    if (value.is_constant()) {
      id = graph_.add_constant(name, value.constant);
    } else {
      id = graph_.add_input(name, value.type);
      captured_.push_back(name);
    }
    define(name, id);
    return id;
  }

  void add_initializers(const GraphProto& proto) {
    for (const TensorProto& initializer : proto.initializers) {
      const bool known = dtype_of(initializer.data_type).has_value();
      if (!known) {
        refuse({"initializer", "", 0, std::string(initializer.name),
                "it is of " + name_of(initializer.data_type)});
      }
      define(initializer.name,
             known ? graph_.add_constant(initializer.name, to_tensor(initializer, shared_.files))
                   : graph_.add_value(initializer.name));
    }
  }

  graph::ValueType type_of(const ValueInfo& info) {
    graph::ValueType type;
    type.dtype = dtype_of(info.data_type);
    if (!info.has_shape) return type;
    type.dims.emplace();
    for (const DimProto& dim : info.dims) {
      CONVKIT_CHECK(dim.value >= 0 || dim.value == -1, FormatError, "'", info.name,
                    "' has the extent ", dim.value);
      type.dims->push_back({.extent = dim.value, .name = std::string(dim.param)});
    }
    return type;
  }

  void add_inputs(const GraphProto& proto) {
    for (const ValueInfo& input : proto.inputs) {
      if (names_.back().find(input.name) != kNoValue) continue;  // an initializer
      CONVKIT_CHECK(!input.name.empty(), FormatError, "an input has no name");
      std::string reason;
      if (input.kind == ValueInfo::Kind::other) reason = "it is a sequence, map or optional value";
      if (input.kind == ValueInfo::Kind::tensor && !dtype_of(input.data_type) &&
          input.data_type != 0)
        reason = "it is of " + name_of(input.data_type);
      if (std::ssize(input.dims) > kMaxDim)
        reason = message("it has ", input.dims.size(), " axes; convkit's tensors have at most ",
                         kMaxDim);
      if (!reason.empty()) refuse({"input", "", 0, std::string(input.name), reason});
      define(input.name, graph_.add_input(input.name, type_of(input)));
    }
  }

  void add_nodes(const std::vector<NodeProto>& nodes) {
    shared_.node_count += std::ssize(nodes);
    CONVKIT_CHECK(shared_.node_count <= Import::kMostNodes, FormatError, "there are more than ",
                  Import::kMostNodes, " nodes when functions are put in their places");
    for (const std::size_t n : NodeOrder(nodes).run()) add_node(nodes[n]);
  }

  int64_t opset_of(std::string_view domain) const {
    const bool is_default = is_default_domain(domain);
    const auto found = opsets_.find(is_default ? "" : domain);
    if (found != opsets_.end()) return found->second;
    return is_default ? kOldestOpset : 0;
  }

  void add_node(const NodeProto& proto) {
    const int64_t opset = opset_of(proto.domain);
    const std::string name = name_of_node(proto);
    try {
      if (const FunctionProto* function = find_function(proto)) {
        call(*function, proto);
        return;
      }
      const OperatorRow* row = is_default_domain(proto.domain) ? find_row(proto.op_type) : nullptr;
      if (row == nullptr) {
        refuse({std::string(proto.op_type), std::string(proto.domain), opset, name, ""});
      } else if (proto.op_type == "If") {
        add_conditional(proto);
        return;
      } else if (proto.outputs.empty()) {
        throw FormatError("it has no outputs");
      } else {
        add_ordinary(proto, *row, opset, name);
        return;
      }
    } catch (const Refusal& refusal) {
      refuse({std::string(proto.op_type), std::string(proto.domain), opset, name, refusal.reason});
    } catch (const FormatError& error) {
      throw FormatError(message("node '", name, "' (", proto.op_type, "): ", error.what()));
    }
    // Stands for what a refused node would have computed, so that the nodes behind it are seen too.
    for (const std::string_view output : proto.outputs) define(output, graph_.add_value(output));
  }

  std::vector<ValueId> inputs_of(const NodeProto& proto) {
    std::vector<ValueId> inputs;
    for (const std::string_view input : proto.inputs) {
      const ValueId id = input.empty() ? kNoValue : resolve(input);
      CONVKIT_CHECK(id != kNoValue || input.empty() || names_.back().is_omitted(input), FormatError,
                    "it reads '", input, "', which nothing computes");
      inputs.push_back(id);
    }
    while (!inputs.empty() && inputs.back() == kNoValue) inputs.pop_back();
    return inputs;
  }

  void add_ordinary(const NodeProto& proto, const OperatorRow& row, int64_t opset,
                    const std::string& name) {
    NodeImport import{.proto = proto,
                      .opset = opset,
                      .graph = graph_,
                      .node = {},
                      .wanted = proto.outputs.size(),
                      .files = shared_.files};
    import.node.op = graph::find_operator(row.name).value_or(graph::Op::identity);
    import.node.name = name;
    import.node.inputs = inputs_of(proto);
    // A row's function may look at the first input.
    const bool takes_inputs = graph::find_operator(row.name).has_value();
    CONVKIT_CHECK(!takes_inputs || graph::info(import.node.op).min_inputs == 0 ||
                      import.node.input(0) != kNoValue,
                  FormatError, "its first input is missing");
    convert(row, import);
    if (!import.results.empty()) {
      CONVKIT_CHECK(proto.outputs.size() <= import.results.size(), FormatError, "it has ",
                    proto.outputs.size(), " outputs, but gives ", import.results.size());
      for (std::size_t i = 0; i < proto.outputs.size(); ++i)
        define(proto.outputs[i], import.results[i]);
      return;
    }
    check_counts(import.node, proto);
    for (const std::string_view output : proto.outputs) {
      import.node.outputs.push_back(output.empty() ? kNoValue : graph_.add_value(output));
      define(output, import.node.outputs.back());
    }
    while (import.node.outputs.back() == kNoValue && import.node.outputs.size() > 1)
      import.node.outputs.pop_back();
    set_ranks(import.node);
    graph_.nodes.push_back(std::move(import.node));
  }

  // Before the whole graph is verified, so that the error names the operator as the file does.
  static void check_counts(const graph::Node& node, const NodeProto& proto) {
    const graph::OpInfo& row = graph::info(node.op);
    for (int i = 0; i < row.min_inputs; ++i)
      CONVKIT_CHECK(node.input(static_cast<std::size_t>(i)) != kNoValue, FormatError, "input ", i,
                    " is missing");
    CONVKIT_CHECK(row.max_inputs == graph::kAnyNumber || std::ssize(node.inputs) <= row.max_inputs,
                  FormatError, "it has ", node.inputs.size(),
                  " inputs; the operator takes at most ", static_cast<int>(row.max_inputs));
    CONVKIT_CHECK(
        row.max_outputs == graph::kAnyNumber || std::ssize(proto.outputs) <= row.max_outputs,
        FormatError, "it has ", proto.outputs.size(), " outputs; the operator gives at most ",
        static_cast<int>(row.max_outputs));
  }

  // Old operator sets place axes by the rank of an input. Ranks only: what a file says of extents
  // within the net may be wrong.
  void set_ranks(const graph::Node& node) {
    for (const ValueId id : node.outputs) {
      if (id == kNoValue) continue;
      graph::Value& value = graph_.value(id);
      int64_t rank = output_rank(graph_, node);
      const auto info = infos_.find(value.name);
      if (rank == graph::kUnknown && info != infos_.end() && info->second->has_shape)
        rank = std::ssize(info->second->dims);
      if (rank != graph::kUnknown && rank <= kMaxDim)
        value.type.dims.emplace(static_cast<std::size_t>(rank));
    }
  }

  void add_conditional(const NodeProto& proto) {
    const AttributeProto* branches[] = {proto.find("then_branch"), proto.find("else_branch")};
    for (const AttributeProto* branch : branches)
      CONVKIT_CHECK(branch != nullptr && branch->graph, FormatError, "a branch is missing");
    CONVKIT_CHECK(proto.inputs.size() == 1, FormatError, "it has ", proto.inputs.size(),
                  " inputs instead of a condition");
    const std::vector<ValueId> inputs = inputs_of(proto);
    CONVKIT_CHECK(inputs.size() == 1, FormatError, "the condition is missing");
    for (const AttributeProto* branch : branches) {
      CONVKIT_CHECK(branch->graph->inputs.empty(), FormatError, "a branch has inputs of its own");
      for (const ValueInfo& output : branch->graph->outputs)
        if (output.kind == ValueInfo::Kind::other)
          throw Refusal{"a branch gives a sequence, map or optional value"};
    }
    graph::Node node{.op = graph::Op::conditional, .name = name_of_node(proto), .inputs = inputs};
    node.branches.resize(2);
    GraphImport then_import(shared_, node.branches[0], opsets_, this);
    GraphImport else_import(shared_, node.branches[1], opsets_, this);
    const graph::Value& condition = graph_.value(inputs[0]);
    const bool is_constant = condition.is_constant() && condition.constant.numel() == 1;
    const bool taken = is_constant && condition.constant.item() != 0;
    if (!is_constant || taken) then_import.run(*branches[0]->graph);
    if (!is_constant || !taken) else_import.run(*branches[1]->graph);
    const std::vector<std::string_view> then_names = then_import.captured();
    if (!is_constant) {
      match_captures(then_import, else_import, node);
    } else {
      const auto& captured = taken ? then_names : else_import.captured();
      for (const std::string_view name : captured) node.inputs.push_back(resolve(name));
    }
    const graph::Graph& chosen = node.branches[is_constant && !taken ? 1 : 0];
    CONVKIT_CHECK(chosen.outputs.size() == proto.outputs.size() &&
                      (is_constant || node.branches[1].outputs.size() == proto.outputs.size()),
                  FormatError, "its branches do not have its ", proto.outputs.size(), " outputs");
    if (is_constant) {
      put_in_place(std::move(node), taken, proto);
      return;
    }
    for (const std::string_view output : proto.outputs) {
      node.outputs.push_back(output.empty() ? kNoValue : graph_.add_value(output));
      define(output, node.outputs.back());
    }
    graph_.nodes.push_back(std::move(node));
  }

  // Both branches take the same inputs: those of the first, then what the second has besides.
  void match_captures(GraphImport& then_import, GraphImport& else_import, graph::Node& node) {
    for (const std::string_view name : else_import.captured()) then_import.capture(name);
    for (const std::string_view name : then_import.captured()) else_import.capture(name);
    graph::Graph& second = node.branches[1];
    std::vector<ValueId> ordered;
    for (const std::string_view name : then_import.captured()) {
      node.inputs.push_back(resolve(name));
      ordered.push_back(else_import.resolve(name));
    }
    second.inputs = std::move(ordered);
  }

  void put_in_place(graph::Node node, bool taken, const NodeProto& proto) {
    graph::Graph branch = std::move(node.branches[taken ? 0 : 1]);
    std::vector<ValueId> ids(branch.values.size(), kNoValue);
    for (std::size_t i = 0; i < branch.inputs.size(); ++i)
      ids[static_cast<std::size_t>(branch.inputs[i])] = node.inputs[i + 1];
    for (std::size_t i = 0; i < branch.values.size(); ++i) {
      if (ids[i] != kNoValue) continue;
      ids[i] = static_cast<ValueId>(graph_.values.size());
      graph_.values.push_back(std::move(branch.values[i]));
    }
    const auto renumber = [&](std::vector<ValueId>& list) {
      for (ValueId& id : list)
        if (id != kNoValue) id = ids[static_cast<std::size_t>(id)];
    };
    for (graph::Node& inner : branch.nodes) {
      renumber(inner.inputs);
      renumber(inner.outputs);
      graph_.nodes.push_back(std::move(inner));
    }
    renumber(branch.outputs);
    for (std::size_t i = 0; i < proto.outputs.size(); ++i)
      define(proto.outputs[i], branch.outputs[i]);
  }

  const FunctionProto* find_function(const NodeProto& proto) const {
    const auto found = shared_.functions.find({proto.domain, proto.op_type});
    return found == shared_.functions.end() ? nullptr : found->second;
  }

  // Each call repeats what the function is made of, and what the call gives it as often as the
  // function refers to it: a short file could ask for any amount.
  void charge(int64_t bytes) {
    shared_.function_bytes += bytes;
    CONVKIT_CHECK(shared_.function_bytes <= Import::kMostFunctionBytes, FormatError,
                  "functions take more than ", Import::kMostFunctionBytes,
                  " bytes when they are put in their places");
  }

  // The function's nodes with the call's attributes in place of references to them.
  std::vector<NodeProto> with_attributes(const FunctionProto& function, const NodeProto& call) {
    charge(function.byte_size);
    std::map<std::string_view, const AttributeProto*> sources;
    for (const AttributeProto& given : call.attributes) sources.emplace(given.name, &given);
    for (const AttributeProto& given : function.attribute_defaults)
      sources.emplace(given.name, &given);
    std::vector<NodeProto> nodes;
    for (const NodeProto& node : function.nodes) {
      NodeProto copy{.inputs = node.inputs,
                     .outputs = node.outputs,
                     .name = node.name,
                     .op_type = node.op_type,
                     .domain = node.domain,
                     .attributes = {}};
      for (const AttributeProto& attribute : node.attributes) {
        if (attribute.graph) throw Refusal{"the function has a node with a graph of its own"};
        const AttributeProto* source = &attribute;
        if (!attribute.reference.empty()) {
          const auto found = sources.find(attribute.reference);
          if (found == sources.end()) continue;
          source = found->second;
          charge(byte_size(*source));
        }
        AttributeProto value{.name = attribute.name,
                             .type = source->type,
                             .reference = {},
                             .i = source->i,
                             .f = source->f,
                             .s = source->s,
                             .ints = source->ints,
                             .floats = source->floats,
                             .strings = source->strings,
                             .tensor = nullptr,
                             .graph = nullptr,
                             .has_other = source->has_other || source->graph != nullptr};
        if (source->tensor) value.tensor = std::make_unique<TensorProto>(*source->tensor);
        copy.attributes.push_back(std::move(value));
      }
      nodes.push_back(std::move(copy));
    }
    return nodes;
  }

  // Puts the function's nodes in place of a call of it.
  void call(const FunctionProto& function, const NodeProto& proto) {
    CONVKIT_CHECK(std::ssize(names_) <= Import::kMostNestedCalls, FormatError,
                  "functions call one another more than ", Import::kMostNestedCalls, " deep");
    const std::vector<ValueId> inputs = inputs_of(proto);
    CONVKIT_CHECK(
        inputs.size() <= function.inputs.size() && proto.outputs.size() <= function.outputs.size(),
        FormatError, "it has ", inputs.size(), " inputs and ", proto.outputs.size(),
        " outputs, more than the function '", function.name, "'");
    const std::vector<NodeProto> nodes = with_attributes(function, proto);
    names_.emplace_back();
    OpsetMap outer_opsets = std::exchange(opsets_, map_of(function.opsets));
    for (std::size_t i = 0; i < function.inputs.size(); ++i) {
      if (i < inputs.size() && inputs[i] != kNoValue) {
        define(function.inputs[i], inputs[i]);
      } else {
        names_.back().omit(function.inputs[i]);
      }
    }
    add_nodes(nodes);
    std::vector<ValueId> results;
    for (std::size_t i = 0; i < proto.outputs.size(); ++i)
      results.push_back(resolve(function.outputs[i]));
    opsets_ = std::move(outer_opsets);
    names_.pop_back();
    for (std::size_t i = 0; i < results.size(); ++i) {
      if (proto.outputs[i].empty()) continue;
      CONVKIT_CHECK(results[i] != kNoValue, FormatError, "the function '", function.name,
                    "' does not compute its output '", function.outputs[i], "'");
      define(proto.outputs[i], results[i]);
    }
  }

  Import& shared_;
  graph::Graph& graph_;
  OpsetMap opsets_;
  GraphImport* around_ = nullptr;
  std::vector<Names> names_ = std::vector<Names>(1);  // the graph's, and those of functions in it
  std::vector<std::string_view> captured_;
  std::unordered_map<std::string_view, const ValueInfo*> infos_;
};

int64_t default_opset(const ModelProto& proto) {
  constexpr std::size_t kMostDomains = 1000;
  CONVKIT_CHECK(proto.opsets.size() <= kMostDomains, FormatError, "the file names ",
                proto.opsets.size(), " operator sets");
  // The first files, and those of other domains only, do not say.
  int64_t opset = kOldestOpset;
  for (const auto& [domain, version] : proto.opsets)
    if (is_default_domain(domain)) opset = version;
  CONVKIT_CHECK(opset >= kOldestOpset && opset <= kNewestOpset, FormatError,
                "the net is written in operator set ", opset, "; convkit reads ", kOldestOpset,
                " to ", kNewestOpset,
                ". Convert it, or export it again with another opset_version");
  return opset;
}

// The names that people know the outputs by are the file's.
void name_outputs(graph::Graph& graph, const GraphProto& proto) {
  for (std::size_t i = 0; i < graph.outputs.size(); ++i) {
    const std::string name(proto.outputs[i].name);
    if (graph.value(graph.outputs[i]).name == name) continue;
    graph.outputs[i] =
        graph.add_node(graph::Op::identity, name, std::vector<ValueId>{graph.outputs[i]});
  }
}

Model import_model(const ModelProto& proto, ExternalFiles files, const std::string& file) {
  CONVKIT_CHECK(proto.has_graph, FormatError, "there is no graph in it; is this an ONNX model?");
  Model model;
  model.ir_version = proto.ir_version;
  model.opset = default_opset(proto);
  model.producer = proto.producer;
  for (const auto& [key, value] : proto.metadata) model.metadata.emplace(key, value);
  Import shared{.files = std::move(files)};
  for (const FunctionProto& function : proto.functions)
    shared.functions.emplace(std::pair(function.domain, function.name), &function);
  GraphImport(shared, model.graph, proto.opsets).run(proto.graph);
  if (!shared.unsupported.empty()) throw UnsupportedError(file, std::move(shared.unsupported));
  name_outputs(model.graph, proto.graph);
  graph::remove_dead(model.graph);
  graph::verify(model.graph);
  return model;
}

Model import_bytes(std::span<const uint8_t> bytes, ExternalFiles files, const std::string& file) {
  const ModelProto proto = read_model(bytes, file);
  try {
    return import_model(proto, std::move(files), file);
  } catch (const FormatError& error) {
    throw FormatError(message(file, ": ", error.what()));
  } catch (const ShapeError& error) {
    throw ShapeError(message(file, ": ", error.what()));
  }
}

std::string unsupported_text(const std::string& file, const std::vector<Unsupported>& nodes) {
  constexpr std::size_t kMostShown = 50;
  std::string text = message(file, ": convkit cannot run ", nodes.size(),
                             nodes.size() == 1 ? " part" : " parts", " of this net:");
  for (std::size_t i = 0; i < std::min(nodes.size(), kMostShown); ++i) {
    const Unsupported& node = nodes[i];
    text += message("\n  ", node.domain.empty() ? "" : node.domain + ".", node.op);
    if (node.opset > 0) text += message(" (opset ", node.opset, ")");
    text += message(" '", node.node, "'");
    text += node.reason.empty() ? ": the operator is not known" : ": " + node.reason;
  }
  if (nodes.size() > kMostShown) text += message("\n  and ", nodes.size() - kMostShown, " more");
  return text;
}

std::span<const uint8_t> view_of(const io::Bytes& bytes) { return {bytes.data(), bytes.size()}; }

}  // namespace

UnsupportedError::UnsupportedError(const std::string& file, std::vector<Unsupported> nodes)
    : Error(unsupported_text(file, nodes)), nodes_(std::move(nodes)) {}

Model load_onnx(const std::string& path, WeightsIn where) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  ExternalFiles files(folder.empty() ? "." : folder);
  if (where == WeightsIn::memory)
    return import_bytes(view_of(io::read_file(path)), std::move(files), path);
  const ModelFile model = read_model_file(path);
  files.defer(model);
  return import_bytes(view_of(model.bytes), std::move(files), path);
}

Model parse_onnx(std::span<const uint8_t> bytes, const std::string& name) {
  return import_bytes(bytes, ExternalFiles(std::nullopt), name);
}

Tensor load_tensor_proto(const std::string& path) {
  return parse_tensor_proto(view_of(io::read_file(path)), path);
}

Tensor parse_tensor_proto(std::span<const uint8_t> bytes, const std::string& name) {
  const TensorProto proto = read_tensor(bytes, name);
  ExternalFiles none(std::nullopt);
  try {
    return to_tensor(proto, none);
  } catch (const FormatError& error) {
    throw FormatError(message(name, ": ", error.what()));
  }
}

std::vector<std::string> supported_operators() { return row_names(); }

}  // namespace convkit::onnx
