#include "convkit/onnx/proto.h"

#include <algorithm>
#include <array>
#include <protozero/pbf_reader.hpp>

#include "convkit/base/error.h"

namespace convkit::onnx {
namespace {

using protozero::pbf_reader;
using protozero::pbf_wire_type;

// One field of a message at a time, with its wire type checked before it is read: protozero itself
// only asserts it.
class Fields {
 public:
  Fields(std::string_view bytes, const char* message_name)
      : reader_(bytes.data(), bytes.size()), message_(message_name) {}

  bool next() { return reader_.next(); }
  uint32_t tag() const { return reader_.tag(); }
  void skip() { reader_.skip(); }

  std::string_view bytes() {
    need(pbf_wire_type::length_delimited);
    const auto view = reader_.get_view();
    return {view.data(), view.size()};
  }
  int64_t integer() {
    need(pbf_wire_type::varint);
    return reader_.get_int64();
  }
  int32_t small_integer() { return static_cast<int32_t>(integer()); }
  float number() {
    need(pbf_wire_type::fixed32);
    return reader_.get_float();
  }

  // Repeated numbers may come one by one or packed.
  void append(std::vector<int64_t>& values) {
    if (!packed()) {
      values.push_back(integer());
    } else {
      const auto range = reader_.get_packed_int64();
      values.insert(values.end(), range.begin(), range.end());
    }
  }
  void append(std::vector<uint64_t>& values) {
    if (!packed()) {
      values.push_back(static_cast<uint64_t>(integer()));
    } else {
      const auto range = reader_.get_packed_uint64();
      values.insert(values.end(), range.begin(), range.end());
    }
  }
  void append(std::vector<float>& values) {
    if (!packed()) {
      values.push_back(number());
    } else {
      const auto range = reader_.get_packed_float();
      values.insert(values.end(), range.begin(), range.end());
    }
  }
  void append(std::vector<double>& values) {
    if (!packed()) {
      need(pbf_wire_type::fixed64);
      values.push_back(reader_.get_double());
    } else {
      const auto range = reader_.get_packed_double();
      values.insert(values.end(), range.begin(), range.end());
    }
  }

 private:
  bool packed() const { return reader_.wire_type() == pbf_wire_type::length_delimited; }
  void need(pbf_wire_type type) const {
    CONVKIT_CHECK(reader_.wire_type() == type, FormatError, "field ", tag(), " of ", message_,
                  " has wire type ", static_cast<int>(reader_.wire_type()), " instead of ",
                  static_cast<int>(type));
  }

  pbf_reader reader_;
  const char* message_;
};

// Reads the messages, and refuses a file with more of them than any net has: an empty message takes
// two bytes of the file, but a hundred times as much in memory.
class Reader {
 public:
  std::pair<std::string_view, std::string_view> read_entry(std::string_view bytes) {
    count();
    std::pair<std::string_view, std::string_view> entry;
    for (Fields fields(bytes, "StringStringEntryProto"); fields.next();) {
      if (fields.tag() == 1) {
        entry.first = fields.bytes();
      } else if (fields.tag() == 2) {
        entry.second = fields.bytes();
      } else {
        fields.skip();
      }
    }
    return entry;
  }

  TensorProto read_tensor_proto(std::string_view bytes) {
    count();
    TensorProto tensor;
    for (Fields fields(bytes, "TensorProto"); fields.next();) {
      switch (fields.tag()) {
        case 1:
          fields.append(tensor.dims);
          break;
        case 2:
          tensor.data_type = fields.small_integer();
          break;
        case 4:
          fields.append(tensor.float_data);
          break;
        case 5:
        case 7:
          fields.append(tensor.integer_data);
          break;
        case 6:
          tensor.has_strings = true;
          fields.skip();
          break;
        case 8:
          tensor.name = fields.bytes();
          break;
        case 9:
          tensor.has_raw_data = true;
          tensor.raw_data = fields.bytes();
          break;
        case 10:
          fields.append(tensor.double_data);
          break;
        case 11:
          fields.append(tensor.uint64_data);
          break;
        case 13:
          tensor.external_data.push_back(read_entry(fields.bytes()));
          break;
        case 14:
          tensor.is_external = fields.small_integer() == 1;
          break;
        default:
          fields.skip();
      }
    }
    return tensor;
  }

  DimProto read_dim(std::string_view bytes) {
    count();
    DimProto dim;
    for (Fields fields(bytes, "Dimension"); fields.next();) {
      if (fields.tag() == 1) {
        dim.value = fields.integer();
      } else if (fields.tag() == 2) {
        dim.param = fields.bytes();
      } else {
        fields.skip();
      }
    }
    return dim;
  }

  void read_tensor_type(std::string_view bytes, ValueInfo& info) {
    count();
    for (Fields fields(bytes, "TypeProto.Tensor"); fields.next();) {
      if (fields.tag() == 1) {
        info.data_type = fields.small_integer();
      } else if (fields.tag() == 2) {
        info.has_shape = true;
        for (Fields shape(fields.bytes(), "TensorShapeProto"); shape.next();) {
          if (shape.tag() == 1) {
            info.dims.push_back(read_dim(shape.bytes()));
          } else {
            shape.skip();
          }
        }
      } else {
        fields.skip();
      }
    }
  }

  ValueInfo read_value_info(std::string_view bytes) {
    count();
    ValueInfo info;
    for (Fields fields(bytes, "ValueInfoProto"); fields.next();) {
      if (fields.tag() == 1) {
        info.name = fields.bytes();
      } else if (fields.tag() == 2) {
        for (Fields type(fields.bytes(), "TypeProto"); type.next();) {
          constexpr uint32_t kTensorType = 1;
          constexpr uint32_t kDenotation = 6;
          if (type.tag() == kTensorType) {
            info.kind = ValueInfo::Kind::tensor;
            read_tensor_type(type.bytes(), info);
          } else {
            if (type.tag() != kDenotation) info.kind = ValueInfo::Kind::other;
            type.skip();
          }
        }
      } else {
        fields.skip();
      }
    }
    return info;
  }

  AttributeProto read_attribute(std::string_view bytes, int depth) {
    count();
    AttributeProto attribute;
    for (Fields fields(bytes, "AttributeProto"); fields.next();) {
      switch (fields.tag()) {
        case 1:
          attribute.name = fields.bytes();
          break;
        case 2:
          attribute.f = fields.number();
          break;
        case 3:
          attribute.i = fields.integer();
          break;
        case 4:
          attribute.s = fields.bytes();
          break;
        case 5:
          attribute.tensor = std::make_unique<TensorProto>(read_tensor_proto(fields.bytes()));
          break;
        case 6:
          attribute.graph = std::make_unique<GraphProto>(read_graph(fields.bytes(), depth + 1));
          break;
        case 7:
          fields.append(attribute.floats);
          break;
        case 8:
          fields.append(attribute.ints);
          break;
        case 9:
          attribute.strings.push_back(fields.bytes());
          break;
        case 20:
          attribute.type = fields.small_integer();
          break;
        case 21:
          attribute.reference = fields.bytes();
          break;
        case 10:  // tensors
        case 11:  // graphs
        case 14:  // a type
        case 15:  // types
        case 22:  // a sparse tensor
        case 23:  // sparse tensors
          attribute.has_other = true;
          fields.skip();
          break;
        default:
          fields.skip();
      }
    }
    return attribute;
  }

  NodeProto read_node(std::string_view bytes, int depth) {
    count();
    NodeProto node;
    for (Fields fields(bytes, "NodeProto"); fields.next();) {
      switch (fields.tag()) {
        case 1:
          node.inputs.push_back(fields.bytes());
          break;
        case 2:
          node.outputs.push_back(fields.bytes());
          break;
        case 3:
          node.name = fields.bytes();
          break;
        case 4:
          node.op_type = fields.bytes();
          break;
        case 5:
          node.attributes.push_back(read_attribute(fields.bytes(), depth));
          break;
        case 7:
          node.domain = fields.bytes();
          break;
        default:
          fields.skip();
      }
    }
    return node;
  }

  GraphProto read_graph(std::string_view bytes, int depth) {
    count();
    CONVKIT_CHECK(depth <= kMostNestedGraphs, FormatError, "graphs nest more than ",
                  kMostNestedGraphs, " deep");
    GraphProto graph;
    for (Fields fields(bytes, "GraphProto"); fields.next();) {
      switch (fields.tag()) {
        case 1:
          graph.nodes.push_back(read_node(fields.bytes(), depth));
          break;
        case 2:
          graph.name = fields.bytes();
          break;
        case 5:
          graph.initializers.push_back(read_tensor_proto(fields.bytes()));
          break;
        case 11:
          graph.inputs.push_back(read_value_info(fields.bytes()));
          break;
        case 12:
          graph.outputs.push_back(read_value_info(fields.bytes()));
          break;
        case 13:
          graph.value_infos.push_back(read_value_info(fields.bytes()));
          break;
        case 15:
          graph.has_sparse_initializers = true;
          fields.skip();
          break;
        default:
          fields.skip();
      }
    }
    return graph;
  }

  std::pair<std::string_view, int64_t> read_opset(std::string_view bytes) {
    count();
    std::pair<std::string_view, int64_t> opset{"", 0};
    for (Fields fields(bytes, "OperatorSetIdProto"); fields.next();) {
      if (fields.tag() == 1) {
        opset.first = fields.bytes();
      } else if (fields.tag() == 2) {
        opset.second = fields.integer();
      } else {
        fields.skip();
      }
    }
    return opset;
  }

  FunctionProto read_function(std::string_view bytes) {
    count();
    FunctionProto function;
    function.byte_size = std::ssize(bytes);
    for (Fields fields(bytes, "FunctionProto"); fields.next();) {
      switch (fields.tag()) {
        case 1:
          function.name = fields.bytes();
          break;
        case 4:
          function.inputs.push_back(fields.bytes());
          break;
        case 5:
          function.outputs.push_back(fields.bytes());
          break;
        case 6:
          function.attributes.push_back(fields.bytes());
          break;
        case 7:
          function.nodes.push_back(read_node(fields.bytes(), 1));
          break;
        case 9:
          function.opsets.push_back(read_opset(fields.bytes()));
          break;
        case 10:
          function.domain = fields.bytes();
          break;
        case 11:
          function.attribute_defaults.push_back(read_attribute(fields.bytes(), 1));
          break;
        default:
          fields.skip();
      }
    }
    return function;
  }

  ModelProto read_model_proto(std::string_view bytes) {
    count();
    ModelProto model;
    for (Fields fields(bytes, "ModelProto"); fields.next();) {
      switch (fields.tag()) {
        case 1:
          model.ir_version = fields.integer();
          break;
        case 2:
          model.producer = fields.bytes();
          break;
        case 7:
          model.graph = read_graph(fields.bytes(), 0);
          model.has_graph = true;
          break;
        case 8:
          model.opsets.push_back(read_opset(fields.bytes()));
          break;
        case 14:
          model.metadata.push_back(read_entry(fields.bytes()));
          break;
        case 25:
          model.functions.push_back(read_function(fields.bytes()));
          break;
        default:
          fields.skip();
      }
    }
    return model;
  }

 private:
  static constexpr int64_t kMostMessages = 4'000'000;

  void count() {
    CONVKIT_CHECK(++messages_ <= kMostMessages, FormatError, "there are more than ", kMostMessages,
                  " messages in the file; no net has as many nodes, attributes and tensors");
  }

  int64_t messages_ = 0;
};

// Runs `read` and gives the library's errors the file's name.
template <class Read>
auto named(const std::string& file, Read read) {
  try {
    return read();
  } catch (const protozero::exception&) {
    throw FormatError(message(file,
                              ": the bytes are no ONNX message, or it is cut short or damaged;"
                              " is this an .onnx file, and is it complete?"));
  } catch (const FormatError& error) {
    throw FormatError(message(file, ": ", error.what()));
  }
}

std::string_view view_of(std::span<const uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

std::string name_of(int32_t data_type) {
  static constexpr std::array<const char*, 25> kNames = {
      "undefined",      "float32",  "uint8",        "int8",           "uint16",
      "int16",          "int32",    "int64",        "string",         "bool",
      "float16",        "float64",  "uint32",       "uint64",         "complex64",
      "complex128",     "bfloat16", "float8e4m3fn", "float8e4m3fnuz", "float8e5m2",
      "float8e5m2fnuz", "uint4",    "int4",         "float4e2m1",     "float8e8m0"};
  if (data_type < 0 || data_type >= static_cast<int32_t>(kNames.size()))
    return message("element type ", data_type);
  return kNames[static_cast<std::size_t>(data_type)];
}

const AttributeProto* NodeProto::find(std::string_view attribute) const {
  const auto found = std::find_if(attributes.begin(), attributes.end(),
                                  [&](const AttributeProto& a) { return a.name == attribute; });
  return found == attributes.end() ? nullptr : &*found;
}

ModelProto read_model(std::span<const uint8_t> bytes, const std::string& file) {
  return named(file, [&] { return Reader().read_model_proto(view_of(bytes)); });
}

TensorProto read_tensor(std::span<const uint8_t> bytes, const std::string& file) {
  return named(file, [&] { return Reader().read_tensor_proto(view_of(bytes)); });
}

}  // namespace convkit::onnx
