#include "convkit/onnx/adapt.h"

#include <algorithm>

#include "convkit/base/error.h"

namespace convkit::onnx {
namespace {

using graph::kNoValue;
using graph::kUnknown;
using graph::Op;
using graph::ValueId;

Tensor int64_list(const std::vector<int64_t>& values) {
  return from_values(values, {std::ssize(values)});
}

// Appends axes of extent 1 to input 1 until its axes start at `axis` of input 0.
void align_at(NodeImport& import, int64_t axis) {
  const int64_t rank = import.rank(0);
  const int64_t other = import.rank(1);
  if (rank == kUnknown || other == kUnknown)
    throw Refusal{"it broadcasts by axis, as until opset 6, between inputs of unknown rank"};
  if (axis < 0) axis += rank;
  const int64_t missing = rank - axis - other;
  CONVKIT_CHECK(axis >= 0 && missing >= 0, FormatError, "axis ", axis, " does not fit inputs of ",
                rank, " and ", other, " axes");
  if (missing == 0) return;
  std::vector<int64_t> axes;
  for (int64_t i = 0; i < missing; ++i) axes.push_back(other + i);
  import.set_input(
      1, import.add_before(Op::unsqueeze, "aligned",
                           {import.node.inputs[1], import.add_constant("axes", int64_list(axes))}));
}

// The DType that an ONNX element type becomes, as an attribute.
int64_t dtype_number(int64_t data_type) {
  const auto type = dtype_of(static_cast<int32_t>(data_type));
  if (!type) throw Refusal{"it makes a tensor of " + name_of(static_cast<int32_t>(data_type))};
  return static_cast<int64_t>(*type);
}

// The scales that input `place` gives, if they are known.
std::vector<double> known_scales(const NodeImport& import, std::size_t place) {
  const Tensor* scales = import.constant(place);
  std::vector<double> values;
  if (scales != nullptr && scales->dim() == 1)
    for (int64_t i = 0; i < scales->numel(); ++i) values.push_back(scales->at({i}));
  return values;
}

// The rule that Upsample and Resize had before there was a choice.
void legacy_coordinates(NodeImport& import) {
  const std::vector<double> scales = known_scales(import, 2);
  const bool shrinks =
      std::any_of(scales.begin(), scales.end(), [](double scale) { return scale < 1; });
  import.node.attributes.set("coordinate_transformation_mode", std::string("asymmetric"));
  import.node.attributes.set("nearest_mode", std::string(shrinks ? "ceil" : "floor"));
  const std::string& mode = import.node.attributes.text("mode");
  if (mode == "bilinear") import.node.attributes.set("mode", std::string("linear"));
}

}  // namespace

void valid_pads(NodeImport& import) {
  const std::string mode = import.node.attributes.text("auto_pad");
  CONVKIT_CHECK(mode == "NOTSET" || mode == "VALID" || mode == "SAME_UPPER" || mode == "SAME_LOWER",
                FormatError, "auto_pad is '", mode,
                "'; it can be NOTSET, VALID, SAME_UPPER or SAME_LOWER");
  if (mode == "VALID") import.node.attributes.set("auto_pad", std::string("NOTSET"));
  if (mode != "NOTSET") import.node.attributes.set("pads", std::vector<int64_t>{});
}

void legacy_broadcast(NodeImport& import) {
  graph::Attributes& attributes = import.node.attributes;
  if (attributes.flag("broadcast") && attributes.has("axis"))
    align_at(import, attributes.integer("axis"));
  attributes.remove("broadcast");
  attributes.remove("axis");
}

void legacy_slope(NodeImport& import) {
  if (import.opset >= 7) return;
  const Tensor* slope = import.constant(1);
  if (slope != nullptr && slope->numel() == 1) return;
  if (import.rank(0) == 1 || import.rank(1) != 1) return;
  align_at(import, 1);
}

void softmax(NodeImport& import) {
  constexpr int64_t kNewForm = 13;
  graph::Attributes& attributes = import.node.attributes;
  const bool is_new = import.opset >= kNewForm;
  if (!attributes.has("axis")) attributes.set("axis", int64_t{is_new ? -1 : 1});
  const int64_t axis = attributes.integer("axis");
  const int64_t rank = import.rank(0);
  if (is_new || axis == -1 || axis == rank - 1) return;
  // The axes from `axis` on as one, and back.
  const ValueId x = import.node.inputs[0];
  const ValueId shape = import.add_before(Op::shape, "shape", {x}, {{"start", int64_t{0}}});
  const ValueId flat = import.add_before(Op::flatten, "flat", {x}, {{"axis", axis}});
  const ValueId y = import.add_before(import.node.op, "rows", {flat}, {{"axis", int64_t{1}}});
  import.results = {import.add_before(Op::reshape, "unflat", {y, shape},
                                      {{ "allowzero",
                                         int64_t {
                                           1
                                         } }})};
}

void batch_normalization(NodeImport& import) {
  graph::Attributes& attributes = import.node.attributes;
  if (attributes.has("spatial") && !attributes.flag("spatial"))
    throw Refusal{"it normalises each position by itself (spatial = 0)"};
  attributes.remove("spatial");
  constexpr int64_t kTrainingIsAnAttribute = 14;
  if (import.opset < kTrainingIsAnAttribute) {
    for (std::size_t i = 1; i < import.wanted; ++i)
      if (!import.proto.outputs[i].empty())
        throw Refusal{"it is in the training form of before opset 14 (more than one output)"};
  }
}

void group_normalization(NodeImport& import) {
  constexpr int64_t kPerChannel = 21;
  if (import.opset >= kPerChannel) return;
  // Each group's value for all of its channels: (G) → (G, C/G) → (C), C known from the input.
  const ValueId x = import.node.inputs[0];
  const int64_t groups = import.node.attributes.integer("num_groups");
  const ValueId channels =
      import.add_before(Op::shape, "channels", {x}, {{"start", int64_t{1}}, {"end", int64_t{2}}});
  const ValueId count = import.add_constant("groups", int64_list({groups}));
  const ValueId each = import.add_before(Op::div, "channels_per_group", {channels, count});
  const ValueId spread =
      import.add_before(Op::concat, "by_group", {count, each}, {{"axis", int64_t{0}}});
  const ValueId last = import.add_constant("last", int64_list({1}));
  const ValueId all = import.add_constant("all", int64_list({-1}));
  for (const std::size_t place : {std::size_t{1}, std::size_t{2}}) {
    const std::string what = place == 1 ? "scale" : "bias";
    const ValueId column =
        import.add_before(Op::unsqueeze, what + "_column", {import.node.inputs[place], last});
    const ValueId matrix = import.add_before(Op::expand, what + "_matrix", {column, spread});
    import.set_input(place, import.add_before(Op::reshape, what, {matrix, all},
                                              {{ "allowzero",
                                                 int64_t {
                                                   0
                                                 } }}));
  }
}

void dropout(NodeImport& import) {
  constexpr int64_t kTrainingIsAnInput = 12;
  if (import.opset >= kTrainingIsAnInput) return;
  // The ratio has no meaning outside of training.
  import.node.inputs.resize(1);
}

void cast(NodeImport& import) {
  import.node.attributes.set("to", dtype_number(import.node.attributes.integer("to")));
  import.node.attributes.remove("saturate");
}

void cast_like(NodeImport& import) { import.node.attributes.remove("saturate"); }

void eye_like(NodeImport& import) {
  const int64_t type = import.node.attributes.integer("dtype");
  import.node.attributes.remove("dtype");
  if (type != 0) import.node.attributes.set("dtype", dtype_number(type));
}

void quantization(NodeImport& import) {
  graph::Attributes& attributes = import.node.attributes;
  if (attributes.integer("block_size") != 0) throw Refusal{"it quantises in blocks"};
  const int64_t type = attributes.integer("output_dtype");
  for (const char* name : {"block_size", "output_dtype", "saturate", "precision"})
    attributes.remove(name);
  if (type != 0) attributes.set("dtype", dtype_number(type));
}

void constant(NodeImport& import) {
  const graph::Attributes& attributes = import.node.attributes;
  CONVKIT_CHECK(attributes.entries().size() == 1, FormatError, "a Constant has one value, not ",
                attributes.entries().size());
  const auto& [name, value] = attributes.entries().front();
  Tensor tensor;
  if (const auto* given = std::get_if<Tensor>(&value)) {
    tensor = *given;
  } else if (name == "value_float") {
    tensor = from_values({static_cast<float>(attributes.number(name))}, {});
  } else if (name == "value_floats") {
    const std::vector<double>& numbers = attributes.numbers(name);
    tensor = from_values(std::vector<float>(numbers.begin(), numbers.end()), {std::ssize(numbers)});
  } else if (name == "value_int") {
    tensor = from_values({attributes.integer(name)}, {});
  } else if (name == "value_ints") {
    tensor = int64_list(attributes.integers(name));
  } else {
    throw Refusal{"its value is text"};
  }
  // A Constant is named by what it puts out.
  import.results = {import.graph.add_constant(
      import.proto.outputs.empty() ? "" : import.proto.outputs[0], std::move(tensor))};
}

void constant_of_shape(NodeImport& import) {
  graph::Attributes& attributes = import.node.attributes;
  if (!attributes.has("value")) attributes.set("value", zeros({1}));
  CONVKIT_CHECK(attributes.tensor("value").numel() == 1, FormatError,
                "'value' must have one element, not ", attributes.tensor("value").numel());
}

void resize(NodeImport& import) {
  constexpr int64_t kNewForm = 11;
  if (import.opset >= kNewForm) return;
  const ValueId scales = import.node.input(1);
  import.node.inputs = {import.node.inputs[0], kNoValue, scales};
  legacy_coordinates(import);
}

void upsample(NodeImport& import) {
  graph::Attributes& attributes = import.node.attributes;
  if (attributes.has("height_scale") && attributes.has("width_scale")) {
    const auto h = static_cast<float>(attributes.number("height_scale"));
    const auto w = static_cast<float>(attributes.number("width_scale"));
    import.set_input(1, import.add_constant("scales", from_values({1.0F, 1.0F, h, w}, {4})));
  }
  attributes.remove("height_scale");
  attributes.remove("width_scale");
  const ValueId scales = import.node.input(1);
  CONVKIT_CHECK(scales != kNoValue, FormatError, "the scales are missing");
  import.node.inputs = {import.node.inputs[0], kNoValue, scales};
  import.node.op = Op::resize;
  for (const char* name : {"antialias", "exclude_outside"}) attributes.set(name, int64_t{0});
  attributes.set("axes", std::vector<int64_t>{});
  attributes.set("cubic_coeff_a", -0.75);
  attributes.set("extrapolation_value", 0.0);
  attributes.set("keep_aspect_ratio_policy", std::string("stretch"));
  legacy_coordinates(import);
}

void grid_sample(NodeImport& import) {
  const std::string mode = import.node.attributes.text("mode");
  if (mode == "bilinear") import.node.attributes.set("mode", std::string("linear"));
  if (mode == "bicubic") import.node.attributes.set("mode", std::string("cubic"));
}

void split(NodeImport& import) {
  graph::Attributes& attributes = import.node.attributes;
  const auto outputs = static_cast<int64_t>(import.wanted);
  CONVKIT_CHECK(!attributes.has("num_outputs") || attributes.integer("num_outputs") == outputs,
                FormatError, "num_outputs is not the number of outputs, ", outputs);
  attributes.remove("num_outputs");
}

void scatter(NodeImport& import) {
  import.node.op = Op::scatter_elements;
  import.node.attributes.set("reduction", std::string("none"));
}

}  // namespace convkit::onnx
