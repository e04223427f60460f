#include "convkit/onnx/operators.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>

#include "convkit/base/error.h"
#include "convkit/onnx/adapt.h"

namespace convkit::onnx {
namespace {

constexpr std::string_view kReduction = "keepdims:i=1 noop_with_empty_axes:i=0 axes:is>1";
constexpr std::string_view kArgument = "axis:i=0 keepdims:i=1 select_last_index:i=0";
constexpr std::string_view kLegacy = "axis:i? broadcast:i=0 consumed_inputs:is-";
constexpr std::string_view kInPlace = "consumed_inputs:is-";
constexpr std::string_view kConv =
    "auto_pad:s=NOTSET dilations:is=() group:i=1 kernel_shape:is=() pads:is=() strides:is=()";
constexpr std::string_view kResize =
    "antialias:i=0 axes:is=() coordinate_transformation_mode:s=half_pixel cubic_coeff_a:f=-0.75 "
    "exclude_outside:i=0 extrapolation_value:f=0 keep_aspect_ratio_policy:s=stretch "
    "mode:s=nearest nearest_mode:s=round_prefer_floor";

// In ascending order of names.
constexpr OperatorRow kRows[] = {
    {"Abs", kInPlace},
    {"Acos"},
    {"Acosh"},
    {"Add", kLegacy, legacy_broadcast},
    {"And", kLegacy, legacy_broadcast},
    {"ArgMax", kArgument},
    {"ArgMin", kArgument},
    {"Asin"},
    {"Asinh"},
    {"Atan"},
    {"Atanh"},
    {"AveragePool",
     "auto_pad:s=NOTSET ceil_mode:i=0 count_include_pad:i=0 dilations:is=() kernel_shape:is! "
     "pads:is=() strides:is=()",
     valid_pads},
    {"BatchNormalization",
     "epsilon:f=1e-5 momentum:f=0.9 training_mode:i=0 spatial:i? is_test:i- consumed_inputs:is-",
     batch_normalization},
    {"BitShift", "direction:s!"},
    {"BitwiseAnd"},
    {"BitwiseNot"},
    {"BitwiseOr"},
    {"BitwiseXor"},
    {"Cast", "to:i! saturate:i=1 round_mode:s-", cast},
    {"CastLike", "saturate:i=1 round_mode:s-", cast_like},
    {"Ceil", kInPlace},
    {"Celu", "alpha:f=1"},
    {"Clip", "min:f>1 max:f>2 consumed_inputs:is-"},
    {"Compress", "axis:i?"},
    {"Concat", "axis:i=1"},
    {"Constant",
     "value:t? value_float:f? value_floats:fs? value_int:i? value_ints:is? value_string:s? "
     "value_strings:ss? sparse_value:t?",
     constant},
    {"ConstantOfShape", "value:t?", constant_of_shape},
    {"Conv", kConv, valid_pads},
    {"ConvTranspose",
     "auto_pad:s=NOTSET dilations:is=() group:i=1 kernel_shape:is=() output_padding:is=() "
     "output_shape:is=() pads:is=() strides:is=()",
     valid_pads},
    {"Cos"},
    {"Cosh"},
    {"CumSum", "exclusive:i=0 reverse:i=0"},
    {"DepthToSpace", "blocksize:i! mode:s=DCR"},
    {"DequantizeLinear", "axis:i=1 block_size:i=0 output_dtype:i=0", quantization},
    {"Div", kLegacy, legacy_broadcast},
    {"Dropout", "seed:i=0 ratio:f>1 is_test:i- consumed_inputs:is-", dropout},
    {"Einsum", "equation:s!"},
    {"Elu", "alpha:f=1 consumed_inputs:is-"},
    {"Equal", kLegacy, legacy_broadcast},
    {"Erf"},
    {"Exp", kInPlace},
    {"Expand"},
    {"EyeLike", "dtype:i=0 k:i=0", eye_like},
    {"Flatten", "axis:i=1"},
    {"Floor", kInPlace},
    {"Gather", "axis:i=0"},
    {"GatherElements", "axis:i=0"},
    {"GatherND", "batch_dims:i=0"},
    {"Gelu", "approximate:s=none"},
    {"Gemm", "alpha:f=1 beta:f=1 transA:i=0 transB:i=0 broadcast:i-"},
    {"GlobalAveragePool"},
    {"GlobalLpPool", "p:i=2"},
    {"GlobalMaxPool"},
    {"Greater", kLegacy, legacy_broadcast},
    {"GreaterOrEqual"},
    {"GridSample", "align_corners:i=0 mode:s=linear padding_mode:s=zeros", grid_sample},
    {"GroupNormalization", "epsilon:f=1e-5 num_groups:i! stash_type:i=1", group_normalization},
    {"HardSigmoid", "alpha:f=0.2 beta:f=0.5 consumed_inputs:is-"},
    {"HardSwish"},
    {"Hardmax", "axis:i?", softmax},
    {"Identity"},
    {"If"},  // its branches are the importer's work
    {"InstanceNormalization", "epsilon:f=1e-5 consumed_inputs:is-"},
    {"IsInf", "detect_negative:i=1 detect_positive:i=1"},
    {"IsNaN"},
    {"LRN", "alpha:f=1e-4 beta:f=0.75 bias:f=1 size:i!"},
    {"LayerNormalization", "axis:i=-1 epsilon:f=1e-5 stash_type:i=1"},
    {"LeakyRelu", "alpha:f=0.01 consumed_inputs:is-"},
    {"Less", kLegacy, legacy_broadcast},
    {"LessOrEqual"},
    {"Log", kInPlace},
    {"LogSoftmax", "axis:i?", softmax},
    {"LpNormalization", "axis:i=-1 p:i=2"},
    {"LpPool",
     "auto_pad:s=NOTSET ceil_mode:i=0 dilations:is=() kernel_shape:is! p:i=2 pads:is=() "
     "strides:is=()",
     valid_pads},
    {"MatMul"},
    {"Max", kInPlace},
    {"MaxPool",
     "auto_pad:s=NOTSET ceil_mode:i=0 dilations:is=() kernel_shape:is! pads:is=() "
     "storage_order:i=0 strides:is=()",
     valid_pads},
    {"Mean", kInPlace},
    {"MeanVarianceNormalization", "axes:is=(0,2,3)"},
    {"Min", kInPlace},
    {"Mish"},
    {"Mod", "fmod:i=0"},
    {"Mul", kLegacy, legacy_broadcast},
    {"Neg", kInPlace},
    {"NonMaxSuppression", "center_point_box:i=0"},
    {"NonZero"},
    {"Not"},
    {"OneHot", "axis:i=-1"},
    {"Or", kLegacy, legacy_broadcast},
    {"PRelu", kInPlace, legacy_slope},
    {"Pad", "mode:s=constant pads:is>1 paddings:is>1 value:f>2"},
    {"Pow", kLegacy, legacy_broadcast},
    {"QuantizeLinear", "axis:i=1 saturate:i=1 block_size:i=0 output_dtype:i=0 precision:i=0",
     quantization},
    {"Range"},
    {"Reciprocal", kInPlace},
    {"ReduceL1", kReduction},
    {"ReduceL2", kReduction},
    {"ReduceLogSum", kReduction},
    {"ReduceLogSumExp", kReduction},
    {"ReduceMax", kReduction},
    {"ReduceMean", kReduction},
    {"ReduceMin", kReduction},
    {"ReduceProd", kReduction},
    {"ReduceSum", kReduction},
    {"ReduceSumSquare", kReduction},
    {"Relu", kInPlace},
    {"Reshape", "allowzero:i=0 shape:is>1 consumed_inputs:is-"},
    {"Resize", kResize, resize},
    {"ReverseSequence", "batch_axis:i=1 time_axis:i=0"},
    {"Round"},
    {"Scatter", "axis:i=0", scatter},
    {"ScatterElements", "axis:i=0 reduction:s=none"},
    {"ScatterND", "reduction:s=none"},
    {"Selu",
     "alpha:f=1.67326319217681884765625 gamma:f=1.05070102214813232421875 consumed_inputs:is-"},
    {"Shape", "start:i=0 end:i?"},
    {"Shrink", "bias:f=0 lambd:f=0.5"},
    {"Sigmoid", kInPlace},
    {"Sign"},
    {"Sin"},
    {"Sinh"},
    {"Size"},
    {"Slice", "starts:is>1 ends:is>2 axes:is>3"},
    {"Softmax", "axis:i?", softmax},
    {"Softplus"},
    {"Softsign"},
    {"SpaceToDepth", "blocksize:i!"},
    {"Split", "axis:i=0 num_outputs:i? split:is>1", split},
    {"Sqrt", kInPlace},
    {"Squeeze", "axes:is>1"},
    {"Sub", kLegacy, legacy_broadcast},
    {"Sum", kInPlace},
    {"Swish", "alpha:f=1"},
    {"Tan"},
    {"Tanh", kInPlace},
    {"ThresholdedRelu", "alpha:f=1"},
    {"Tile"},
    {"TopK", "axis:i=-1 largest:i=1 sorted:i=1 k:i>1"},
    {"Transpose", "perm:is=()"},
    {"Trilu", "upper:i=1"},
    {"Unsqueeze", "axes:is>1"},
    {"Upsample", "mode:s=nearest scales:fs>1 height_scale:f? width_scale:f?", upsample},
    {"Where"},
    {"Xor", kLegacy, legacy_broadcast},
};

// One word of a row's text.
struct Rule {
  std::string_view name;
  std::string_view kind;
  char action;            // '=', '?', '!', '>' or '-'
  std::string_view rest;  // behind '=' or '>'
};

Rule parse_rule(std::string_view word) {
  const std::size_t colon = word.find(':');
  const std::size_t action = word.find_first_of("=?!>-", colon);
  return {word.substr(0, colon), word.substr(colon + 1, action - colon - 1), word[action],
          word.substr(action + 1)};
}

template <class F>
void for_each_word(std::string_view text, F f) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    f(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

graph::AttributeValue default_value(const Rule& rule) {
  const std::string text(rule.rest);
  if (rule.kind == "i") return int64_t{std::strtoll(text.c_str(), nullptr, 10)};
  if (rule.kind == "f") return double{std::strtof(text.c_str(), nullptr)};
  if (rule.kind == "s") return text;
  std::vector<int64_t> list;
  const char* at = text.c_str() + 1;
  while (*at != ')') {
    char* end = nullptr;
    list.push_back(std::strtoll(at, &end, 10));
    at = *end == ',' ? end + 1 : end;
  }
  return list;
}

int32_t type_of_kind(std::string_view kind) {
  if (kind == "i") return kInt;
  if (kind == "f") return kFloat;
  if (kind == "s") return kString;
  if (kind == "is") return kInts;
  if (kind == "fs") return kFloats;
  if (kind == "ss") return kStrings;
  return kTensor;
}

// Old files do not say the type: it is what the operator wants.
graph::AttributeValue value_of(const AttributeProto& attribute, const Rule& rule,
                               ExternalFiles& files) {
  const int32_t wanted = type_of_kind(rule.kind);
  CONVKIT_CHECK(attribute.type == wanted || attribute.type == 0, FormatError, "attribute '",
                attribute.name, "' is of type ", attribute.type, " (AttributeProto), not ", wanted);
  if (attribute.has_other) throw Refusal{message("attribute '", attribute.name, "' is sparse")};
  switch (wanted) {
    case kInt:
      return attribute.i;
    case kFloat:
      return double{attribute.f};
    case kString:
      return std::string(attribute.s);
    case kInts:
      return attribute.ints;
    case kFloats:
      return std::vector<double>(attribute.floats.begin(), attribute.floats.end());
    case kStrings:
      return std::vector<std::string>(attribute.strings.begin(), attribute.strings.end());
    default:
      break;
  }
  CONVKIT_CHECK(attribute.tensor != nullptr, FormatError, "attribute '", attribute.name,
                "' has no tensor");
  if (!dtype_of(attribute.tensor->data_type))
    throw Refusal{message("attribute '", attribute.name, "' is a tensor of ",
                          name_of(attribute.tensor->data_type))};
  return to_tensor(*attribute.tensor, files);
}

// What an attribute of an older operator set is as an input of the newest.
Tensor as_tensor(const graph::AttributeValue& value) {
  if (const auto* integer = std::get_if<int64_t>(&value)) return from_values({*integer}, {1});
  if (const auto* number = std::get_if<double>(&value))
    return from_values({static_cast<float>(*number)}, {});
  if (const auto* integers = std::get_if<std::vector<int64_t>>(&value))
    return from_values(*integers, {std::ssize(*integers)});
  const auto& numbers = std::get<std::vector<double>>(value);
  std::vector<float> floats(numbers.begin(), numbers.end());
  return from_values(floats, {std::ssize(floats)});
}

void apply(const Rule& rule, NodeImport& import) {
  const AttributeProto* given = import.proto.find(rule.name);
  if (rule.action == '-') return;
  if (given == nullptr) {
    CONVKIT_CHECK(rule.action != '!', FormatError, "attribute '", rule.name, "' is missing");
    if (rule.action == '=') import.node.attributes.set(rule.name, default_value(rule));
    return;
  }
  graph::AttributeValue value = value_of(*given, rule, import.files);
  if (rule.action != '>') {
    import.node.attributes.set(rule.name, std::move(value));
    return;
  }
  const auto input = static_cast<std::size_t>(rule.rest[0] - '0');
  CONVKIT_CHECK(import.node.input(input) == graph::kNoValue, FormatError, "'", rule.name,
                "' is given twice, as an attribute and as input ", static_cast<int>(input));
  import.set_input(input, import.add_constant(rule.name, as_tensor(value)));
}

}  // namespace

const Tensor* NodeImport::constant(std::size_t input) const {
  const graph::ValueId id = node.input(input);
  if (id == graph::kNoValue || !graph.value(id).is_constant()) return nullptr;
  return &graph.value(id).constant;
}

int64_t NodeImport::rank(std::size_t input) const {
  const graph::ValueId id = node.input(input);
  return id == graph::kNoValue ? graph::kUnknown : graph.value(id).type.rank();
}

void NodeImport::set_input(std::size_t input, graph::ValueId value) {
  if (node.inputs.size() <= input) node.inputs.resize(input + 1, graph::kNoValue);
  node.inputs[input] = value;
}

graph::ValueId NodeImport::add_constant(std::string_view what, Tensor tensor) {
  return graph.add_constant(message(node.name, ".", what), std::move(tensor));
}

graph::ValueId NodeImport::add_before(graph::Op op, std::string_view what,
                                      std::vector<graph::ValueId> inputs,
                                      graph::Attributes attributes) {
  return graph.add_node(op, message(node.name, ".", what), std::move(inputs),
                        std::move(attributes));
}

const OperatorRow* find_row(std::string_view name) {
  const auto* const found =
      std::lower_bound(std::begin(kRows), std::end(kRows), name,
                       [](const OperatorRow& row, std::string_view key) { return row.name < key; });
  return found != std::end(kRows) && found->name == name ? found : nullptr;
}

std::vector<std::string> row_names() {
  std::vector<std::string> names;
  for (const OperatorRow& row : kRows) names.emplace_back(row.name);
  return names;
}

void convert(const OperatorRow& row, NodeImport& import) {
  for (const AttributeProto& attribute : import.proto.attributes) {
    bool known = false;
    for_each_word(row.attributes, [&](std::string_view word) {
      known = known || parse_rule(word).name == attribute.name;
    });
    if (!known)
      throw Refusal{message("it has the attribute '", attribute.name,
                            "', which is not in the operator's definition")};
  }
  for_each_word(row.attributes, [&](std::string_view word) { apply(parse_rule(word), import); });
  if (row.adapt != nullptr) row.adapt(import);
}

}  // namespace convkit::onnx
