#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// The messages of an ONNX file (onnx.proto of github.com/onnx/onnx), as far as a net needs them;
/// for onnx/ only. Texts and raw data are views of the file's bytes, which must outlive them.
namespace convkit::onnx {

/// TensorProto.DataType.
enum class DataType : int32_t {
  undefined = 0,
  float32 = 1,
  uint8 = 2,
  int8 = 3,
  uint16 = 4,
  int16 = 5,
  int32 = 6,
  int64 = 7,
  string = 8,
  boolean = 9,
  float16 = 10,
  float64 = 11,
  uint32 = 12,
  uint64 = 13,
  complex64 = 14,
  complex128 = 15,
  bfloat16 = 16,
};
/// "float32", "string", "float8e4m3fn", ...; the number for what is unknown.
std::string name_of(int32_t data_type);

struct TensorProto {
  std::string_view name;
  std::vector<int64_t> dims;
  int32_t data_type = 0;
  /// The elements stand in exactly one of these.
  bool has_raw_data = false;
  std::string_view raw_data;
  std::vector<float> float_data;
  std::vector<int64_t> integer_data;  ///< int32_data or int64_data
  std::vector<double> double_data;
  std::vector<uint64_t> uint64_data;
  bool has_strings = false;
  bool is_external = false;
  std::vector<std::pair<std::string_view, std::string_view>> external_data;
};

struct DimProto {
  int64_t value = -1;      ///< −1: not known
  std::string_view param;  ///< its name then
};

/// ValueInfoProto with its TypeProto.
struct ValueInfo {
  enum class Kind : uint8_t { unknown, tensor, other };
  std::string_view name;
  Kind kind = Kind::unknown;
  int32_t data_type = 0;
  bool has_shape = false;
  std::vector<DimProto> dims;
};

struct GraphProto;

struct AttributeProto {
  std::string_view name;
  int32_t type = 0;  ///< AttributeProto.AttributeType
  std::string_view reference;
  int64_t i = 0;
  float f = 0;
  std::string_view s;
  std::vector<int64_t> ints;
  std::vector<float> floats;
  std::vector<std::string_view> strings;
  std::unique_ptr<TensorProto> tensor;
  std::unique_ptr<GraphProto> graph;
  bool has_other = false;  ///< sparse tensors, types, lists of tensors or graphs
};

/// AttributeProto.AttributeType.
inline constexpr int32_t kFloat = 1;
inline constexpr int32_t kInt = 2;
inline constexpr int32_t kString = 3;
inline constexpr int32_t kTensor = 4;
inline constexpr int32_t kGraph = 5;
inline constexpr int32_t kFloats = 6;
inline constexpr int32_t kInts = 7;
inline constexpr int32_t kStrings = 8;

struct NodeProto {
  std::vector<std::string_view> inputs;
  std::vector<std::string_view> outputs;
  std::string_view name;
  std::string_view op_type;
  std::string_view domain;
  std::vector<AttributeProto> attributes;

  const AttributeProto* find(std::string_view attribute) const;
};

struct GraphProto {
  std::string_view name;
  std::vector<NodeProto> nodes;
  std::vector<TensorProto> initializers;
  std::vector<ValueInfo> inputs;
  std::vector<ValueInfo> outputs;
  std::vector<ValueInfo> value_infos;
  bool has_sparse_initializers = false;
};

using OpsetImports = std::vector<std::pair<std::string_view, int64_t>>;

struct FunctionProto {
  std::string_view name;
  std::string_view domain;
  std::vector<std::string_view> inputs;
  std::vector<std::string_view> outputs;
  std::vector<std::string_view> attributes;        ///< without a default
  std::vector<AttributeProto> attribute_defaults;  ///< with one
  std::vector<NodeProto> nodes;
  OpsetImports opsets;
  int64_t byte_size = 0;  ///< of the message
};

struct ModelProto {
  int64_t ir_version = 0;
  std::string_view producer;
  OpsetImports opsets;
  GraphProto graph;
  bool has_graph = false;
  std::vector<FunctionProto> functions;
  std::vector<std::pair<std::string_view, std::string_view>> metadata;
};

/// How deep graphs may stand in attributes of nodes of graphs.
inline constexpr int kMostNestedGraphs = 32;

/// Reads a message. Throws FormatError starting with `file` for bytes that are not one: cut short,
/// of the wrong wire type, nested deeper than kMostNestedGraphs. Takes memory in proportion to the
/// bytes.
ModelProto read_model(std::span<const uint8_t> bytes, const std::string& file);
TensorProto read_tensor(std::span<const uint8_t> bytes, const std::string& file);

}  // namespace convkit::onnx
