#include "convkit/onnx/export.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <protozero/pbf_writer.hpp>
#include <set>
#include <utility>

#include "convkit/base/memory.h"
#include "convkit/base/version.h"
#include "convkit/graph/verify.h"
#include "convkit/io/file.h"
#include "convkit/onnx/import.h"
#include "convkit/onnx/proto.h"
#include "convkit/onnx/since.h"
#include "convkit/tensor/layout.h"

namespace convkit::onnx {
namespace {

using graph::Graph;
using graph::kNoValue;
using graph::Node;
using graph::ValueId;
using protozero::pbf_writer;

int64_t bytes_of(const Tensor& tensor) {
  return tensor.numel() * static_cast<int64_t>(item_size(tensor.dtype()));
}

// The constants of a graph and its branches.
int64_t constant_bytes(const Graph& graph) {
  int64_t bytes = 0;
  for (const graph::Value& value : graph.values)
    if (value.is_constant()) bytes += bytes_of(value.constant);
  for (const Node& node : graph.nodes)
    for (const Graph& branch : node.branches) bytes += constant_bytes(branch);
  return bytes;
}

// Row-major, little-endian, as files have it.
Buffer<uint8_t> raw_bytes(const Tensor& tensor) {
  Buffer<uint8_t> bytes(static_cast<std::size_t>(bytes_of(tensor)));
  if (bytes.size() > 0)
    memory_to_row_major(tensor.shape(), item_size(tensor.dtype()), tensor.raw_data(), bytes.data());
  return bytes;
}

// Constants in a file beside the model.
class DataFile {
 public:
  explicit DataFile(const std::string& model_path)
      : name_(std::filesystem::path(model_path).filename().string() + ".data"),
        file_(model_path + ".data") {}

  /// Appends bytes, and returns where they begin.
  int64_t append(const Buffer<uint8_t>& bytes) {
    constexpr int64_t kAlignment = 64;
    const std::vector<uint8_t> gap(static_cast<std::size_t>(-size_ & (kAlignment - 1)));
    file_.write(gap);
    const int64_t offset = size_ + std::ssize(gap);
    file_.write({bytes.data(), bytes.size()});
    size_ = offset + static_cast<int64_t>(bytes.size());
    return offset;
  }
  void commit() { file_.commit(); }
  const std::string& name() const { return name_; }
  int64_t size() const { return size_; }

 private:
  std::string name_;
  io::AtomicFile file_;
  int64_t size_ = 0;
};

void write_entry(pbf_writer& parent, uint32_t field, const std::string& key,
                 const std::string& value) {
  pbf_writer entry(parent, field);
  entry.add_string(1, key);
  entry.add_string(2, value);
}

void write_tensor(pbf_writer& tensor, const std::string& name, const Tensor& value,
                  DataFile* outside) {
  constexpr int64_t kSmall = 1024;  // shapes and scalars stay with the nodes
  for (const int64_t extent : value.shape()) tensor.add_int64(1, extent);
  tensor.add_int32(2, static_cast<int32_t>(data_type_of(value.dtype())));
  tensor.add_string(8, name);
  const Buffer<uint8_t> bytes = raw_bytes(value);
  if (outside == nullptr || bytes_of(value) < kSmall) {
    tensor.add_bytes(9, reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return;
  }
  const int64_t offset = outside->append(bytes);
  write_entry(tensor, 13, "location", outside->name());
  write_entry(tensor, 13, "offset", std::to_string(offset));
  write_entry(tensor, 13, "length", std::to_string(bytes.size()));
  constexpr int32_t kExternal = 1;
  tensor.add_int32(14, kExternal);
}

void write_value_info(pbf_writer& parent, uint32_t field, const std::string& name,
                      const graph::ValueType& type) {
  pbf_writer info(parent, field);
  info.add_string(1, name);
  if (!type.dtype) return;
  pbf_writer any(info, 2);
  pbf_writer tensor(any, 1);
  tensor.add_int32(1, static_cast<int32_t>(data_type_of(*type.dtype)));
  if (!type.dims) return;
  // Messages with nothing in them would be left out by their writers: a scalar's shape, and an
  // extent of which nothing is known.
  if (type.dims->empty()) {
    tensor.add_message(2, "", 0);
    return;
  }
  pbf_writer shape(tensor, 2);
  for (const graph::Dim& dim : *type.dims) {
    if (!dim.known() && dim.name.empty()) {
      shape.add_message(1, "", 0);
      continue;
    }
    pbf_writer written(shape, 1);
    if (dim.known())
      written.add_int64(1, dim.extent);
    else
      written.add_string(2, dim.name);
  }
}

void write_attribute(pbf_writer& node, const std::string& name,
                     const graph::AttributeValue& value) {
  pbf_writer attribute(node, 5);
  attribute.add_string(1, name);
  const auto finish = [&](int32_t type) { attribute.add_int32(20, type); };
  if (const auto* integer = std::get_if<int64_t>(&value)) {
    attribute.add_int64(3, *integer);
    finish(kInt);
  } else if (const auto* number = std::get_if<double>(&value)) {
    attribute.add_float(2, static_cast<float>(*number));
    finish(kFloat);
  } else if (const auto* text = std::get_if<std::string>(&value)) {
    attribute.add_bytes(4, *text);
    finish(kString);
  } else if (const auto* integers = std::get_if<std::vector<int64_t>>(&value)) {
    for (const int64_t each : *integers) attribute.add_int64(8, each);
    finish(kInts);
  } else if (const auto* numbers = std::get_if<std::vector<double>>(&value)) {
    for (const double each : *numbers) attribute.add_float(7, static_cast<float>(each));
    finish(kFloats);
  } else if (const auto* texts = std::get_if<std::vector<std::string>>(&value)) {
    for (const std::string& each : *texts) attribute.add_bytes(9, each);
    finish(kStrings);
  } else {
    {
      pbf_writer tensor(attribute, 5);
      write_tensor(tensor, "", std::get<Tensor>(value), nullptr);
    }
    finish(kTensor);
  }
}

// Writes a graph and the branches in it, all of whose names differ.
class GraphWriter {
 public:
  GraphWriter(int64_t opset, DataFile* outside) : opset_(opset), outside_(outside) {}

  void write(pbf_writer& writer, const Graph& graph) {
    std::vector<std::string> names(graph.values.size());
    const auto give = [&](ValueId id) { name_value(graph, id, names); };
    std::for_each(graph.inputs.begin(), graph.inputs.end(), give);
    std::for_each(graph.outputs.begin(), graph.outputs.end(), give);
    write_rest(writer, graph, std::move(names));
  }

 private:
  // Names in `names` are given already: a branch's inputs are the values around it.
  void write_rest(pbf_writer& writer, const Graph& graph, std::vector<std::string> names) {
    for (ValueId id = 0; id < std::ssize(graph.values); ++id) name_value(graph, id, names);
    std::vector<char> read(graph.values.size(), 0);
    for (const Node& node : graph.nodes) write_node(writer, graph, node, names, read);
    writer.add_string(2, graph.name.empty() ? "graph" : graph.name);
    const std::vector<std::string> outputs = write_copies(writer, graph, names, read);
    for (std::size_t i = 0; i < graph.values.size(); ++i) {
      if (read[i] == 0 || !graph.values[i].is_constant()) continue;
      pbf_writer tensor(writer, 5);
      write_tensor(tensor, names[i], graph.values[i].constant, outside_);
    }
    if (!is_branch_)
      for (const ValueId id : graph.inputs)
        write_value_info(writer, 11, names[index(id)], graph.value(id).type);
    for (std::size_t i = 0; i < outputs.size(); ++i)
      write_value_info(writer, 12, outputs[i], graph.value(graph.outputs[i]).type);
    write_types(writer, graph, names);
  }

  static std::size_t index(ValueId id) { return static_cast<std::size_t>(id); }

  std::string unique(const std::string& name) {
    const std::string base = name.empty() ? "value" : name;
    std::string candidate = base;
    for (int number = 1; !taken_.insert(candidate).second; ++number)
      candidate = message(base, "_", number);
    return candidate;
  }

  void name_value(const Graph& graph, ValueId id, std::vector<std::string>& names) {
    if (names[index(id)].empty()) names[index(id)] = unique(graph.value(id).name);
  }

  void write_node(pbf_writer& writer, const Graph& graph, const Node& node,
                  const std::vector<std::string>& names, std::vector<char>& read) {
    const WrittenNode written = written_in(graph, node, opset_);
    pbf_writer proto(writer, 1);
    // Branches read the other inputs by name.
    const std::size_t count = node.op == graph::Op::conditional ? 1 : written.inputs.size();
    for (std::size_t i = 0; i < written.inputs.size(); ++i) {
      const ValueId id = written.inputs[i];
      if (id != kNoValue) read[index(id)] = 1;
      if (i < count) proto.add_string(1, id == kNoValue ? std::string() : names[index(id)]);
    }
    for (const ValueId id : node.outputs)
      proto.add_string(2, id == kNoValue ? std::string() : names[index(id)]);
    proto.add_string(3, node.name);
    proto.add_string(4, std::string(graph::name_of(node.op)));
    for (const auto& [name, value] : written.attributes.entries())
      write_attribute(proto, name, value);
    for (std::size_t b = 0; b < node.branches.size(); ++b) write_branch(proto, node, b, names);
  }

  void write_branch(pbf_writer& proto, const Node& node, std::size_t b,
                    const std::vector<std::string>& names) {
    const Graph& branch = node.branches[b];
    std::vector<std::string> inner(branch.values.size());
    for (std::size_t i = 0; i < branch.inputs.size(); ++i)
      inner[index(branch.inputs[i])] = names[index(node.inputs[i + 1])];
    pbf_writer attribute(proto, 5);
    attribute.add_string(1, b == 0 ? "then_branch" : "else_branch");
    attribute.add_int32(20, kGraph);
    pbf_writer graph(attribute, 6);
    const bool outer = std::exchange(is_branch_, true);
    write_rest(graph, branch, std::move(inner));
    is_branch_ = outer;
  }

  // A file's output is what one node computes, and nothing else's: others become copies.
  std::vector<std::string> write_copies(pbf_writer& writer, const Graph& graph,
                                        const std::vector<std::string>& names,
                                        std::vector<char>& read) {
    std::vector<std::string> outputs;
    std::set<ValueId> seen(graph.inputs.begin(), graph.inputs.end());
    for (const ValueId id : graph.outputs) {
      const bool is_own = !graph.value(id).is_constant() && seen.insert(id).second;
      outputs.push_back(is_own ? names[index(id)] : unique(names[index(id)]));
      if (is_own) continue;
      read[index(id)] = 1;
      pbf_writer proto(writer, 1);
      proto.add_string(1, names[index(id)]);
      proto.add_string(2, outputs.back());
      proto.add_string(3, outputs.back());
      proto.add_string(4, "Identity");
    }
    return outputs;
  }

  // The types of what stands between inputs and outputs, for people and viewers.
  static void write_types(pbf_writer& writer, const Graph& graph,
                          const std::vector<std::string>& names) {
    std::set<ValueId> ends(graph.inputs.begin(), graph.inputs.end());
    ends.insert(graph.outputs.begin(), graph.outputs.end());
    for (const Node& node : graph.nodes)
      for (const ValueId id : node.outputs) {
        if (id == kNoValue || ends.contains(id)) continue;
        const graph::ValueType& type = graph.value(id).type;
        if (type.dtype && type.dims) write_value_info(writer, 13, names[index(id)], type);
      }
  }

  int64_t opset_;
  DataFile* outside_;
  bool is_branch_ = false;
  std::set<std::string> taken_;
};

int64_t opset_for(const Graph& graph, const ExportOptions& options) {
  CONVKIT_CHECK(
      options.opset == 0 || (options.opset >= kExportOpset && options.opset <= kNewestOpset),
      ValueError, "operator set ", options.opset, " is out of range: convkit writes ", kExportOpset,
      " to ", kNewestOpset);
  int64_t opset = std::max(options.opset, kExportOpset);
  std::string newer;
  for (const Node& node : graph.nodes) {
    const int64_t needed = opset_needed(graph, node);
    if (options.opset == 0) opset = std::max(opset, needed);
    if (needed > opset) newer += message("\n  ", node.op, " '", node.name, "' needs ", needed);
  }
  CONVKIT_CHECK(newer.empty(), ValueError, "operator set ", options.opset,
                " lacks what the net needs; use a newer one, or 0 for whichever it takes:", newer);
  return opset;
}

// That of the ONNX release which brought the operator set.
int64_t ir_version_of(int64_t opset) {
  if (opset <= 18) return 8;
  if (opset <= 20) return 9;
  return opset <= 22 ? 10 : 11;
}

std::string model_bytes(const Graph& graph, const ExportOptions& options, int64_t opset,
                        DataFile* outside) {
  std::string bytes;
  if (outside == nullptr)
    bytes.reserve(static_cast<std::size_t>(constant_bytes(graph)) + (1 << 16));
  pbf_writer model(bytes);
  model.add_int64(1, ir_version_of(opset));
  model.add_string(2, "convkit");
  model.add_string(3, kVersionString);
  {
    pbf_writer written(model, 7);
    GraphWriter(opset, outside).write(written, graph);
  }
  {
    pbf_writer set(model, 8);
    set.add_string(1, "");
    set.add_int64(2, opset);
  }
  for (const auto& [key, value] : options.metadata) write_entry(model, 14, key, value);
  return bytes;
}

}  // namespace

Exported save_onnx(const std::string& path, const Graph& graph, const ExportOptions& options) {
  graph::verify(graph);
  Exported exported{.opset = opset_for(graph, options)};
  exported.ir_version = ir_version_of(exported.opset);
  std::optional<DataFile> outside;
  if (constant_bytes(graph) > options.most_bytes_inside) outside.emplace(path);
  const std::string bytes =
      model_bytes(graph, options, exported.opset, outside ? &*outside : nullptr);
  exported.bytes = std::ssize(bytes);
  if (outside) {
    outside->commit();
    exported.data_file = path + ".data";
    exported.data_bytes = outside->size();
  }
  io::write_file(path, bytes);
  return exported;
}

std::string serialize_onnx(const Graph& graph, const ExportOptions& options) {
  graph::verify(graph);
  CONVKIT_CHECK(constant_bytes(graph) <= options.most_bytes_inside, ValueError,
                "the constants have ", constant_bytes(graph), " bytes, more than the ",
                options.most_bytes_inside,
                " that fit into one file; save_onnx puts them beside it");
  return model_bytes(graph, options, opset_for(graph, options), nullptr);
}

}  // namespace convkit::onnx
