#include "tests/fuzz/nets.h"

#include "tests/onnx/writer.h"

namespace convkit::fuzz {
namespace {

using namespace onnx::wire;  // NOLINT(google-build-using-namespace): the words of an ONNX file

using List = std::vector<int64_t>;

Message numbers(const std::string& name, const List& extents) {
  int64_t count = 1;
  for (const int64_t extent : extents) count *= extent;
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) values.push_back(0.25F * static_cast<float>(i % 7) - 0.5F);
  return floats(name, extents, values);
}

// A net from `x` to `y`.
Message net(const List& input, const std::vector<Message>& nodes,
            const std::vector<Message>& constants, int64_t version = 17) {
  return model(graph({.nodes = nodes,
                      .initializers = constants,
                      .inputs = {value("x", input)},
                      .outputs = {value("y", {})}}),
               version);
}

Message classifier() {
  return net(
      {-1, 2, 6, 6},
      {node("Conv", {"x", "w", "b"}, {"c"},
            {attribute("pads", List{1, 1, 1, 1}), attribute("strides", List{2, 2}),
             attribute("kernel_shape", List{3, 3}), attribute("dilations", List{1, 1}),
             attribute("group", int64_t{1})}),
       node("BatchNormalization", {"c", "s", "s", "s", "v"}, {"n"}, {attribute("epsilon", 1e-3F)}),
       node("Relu", {"n"}, {"r"}),
       node("MaxPool", {"r"}, {"p"},
            {attribute("kernel_shape", List{2, 2}), attribute("ceil_mode", int64_t{1})}),
       node("Flatten", {"p"}, {"f"}), node("Gemm", {"f", "g"}, {"m"}),
       node("Softmax", {"m"}, {"y"}, {attribute("axis", int64_t{-1})})},
      {numbers("w", {3, 2, 3, 3}), numbers("b", {3}), numbers("s", {3}),
       floats("v", {3}, {1, 2, 3}), numbers("g", {12, 2})});
}

Message residual() {
  return net({1, 4, 5},
             {node("Conv", {"x", "w"}, {"a"},
                   {attribute("auto_pad", "SAME_UPPER"), attribute("group", int64_t{2})}),
              node("Add", {"a", "x"}, {"s"}), node("Clip", {"s", "low", "high"}, {"c"}),
              node("ConvTranspose", {"c", "t"}, {"y"}, {attribute("strides", List{2})})},
             {numbers("w", {4, 2, 3}), floats("low", {}, {0}), floats("high", {}, {6}),
              numbers("t", {4, 2, 3})});
}

Message reshaping() {
  return net({2, 3, 4},
             {node("Shape", {"x"}, {"h"}), node("Gather", {"h", "zero"}, {"n"}),
              node("Concat", {"n", "rest"}, {"to"}, {attribute("axis", int64_t{0})}),
              node("Reshape", {"x", "to"}, {"r"}),
              node("Transpose", {"r"}, {"t"}, {attribute("perm", List{1, 0})}),
              node("Slice", {"t", "zero", "two", "zero", "one"}, {"l"}),
              node("Expand", {"l", "big"}, {"e"}), node("Tile", {"e", "twice"}, {"i"}),
              node("Pad", {"i", "pads"}, {"d"}, {attribute("mode", "reflect")}),
              node("ReduceMean", {"d"}, {"m"}, {attribute("axes", List{0})}),
              node("Unsqueeze", {"m", "zero"}, {"u"}), node("Squeeze", {"u", "zero"}, {"y"})},
             {integers("zero", {0}), integers("one", {1}), integers("two", {2}),
              integers("rest", {-1}), integers("big", {3, 2, 2}), integers("twice", {1, 2, 1}),
              integers("pads", {0, 1, 0, 0, 1, 0})});
}

Message sampling() {
  return net({1, 2, 3, 3},
             {node("Resize", {"x", "", "scales"}, {"r"},
                   {attribute("mode", "linear"),
                    attribute("coordinate_transformation_mode", "half_pixel")}),
              node("DepthToSpace", {"r"}, {"d"}, {attribute("blocksize", int64_t{1})}),
              node("AveragePool", {"d"}, {"a"},
                   {attribute("kernel_shape", List{2, 2}), attribute("pads", List{1, 1, 0, 0})}),
              node("LRN", {"a"}, {"l"}, {attribute("size", int64_t{3})}),
              node("GlobalAveragePool", {"l"}, {"y"})},
             {floats("scales", {4}, {1, 1, 2, 1.5F})});
}

Message choosing() {
  return net(
      {2, 5},
      {node("TopK", {"x", "two"}, {"v", "i"}, {attribute("axis", int64_t{-1})}),
       node("Gather", {"x", "i"}, {"g"}, {attribute("axis", int64_t{1})}),
       node("OneHot", {"i", "depth", "pair"}, {"o"}),
       node("ArgMax", {"g"}, {"m"}, {attribute("axis", int64_t{0})}),
       node("Cast", {"m"}, {"c"}, {attribute("to", int64_t{1})}),
       node("Range", {"from", "upto", "step"}, {"s"}), node("ConstantOfShape", {"two"}, {"z"}),
       node("Split", {"v"}, {"p", "q"}, {attribute("axis", int64_t{1})}, ""),
       node("Greater", {"p", "q"}, {"k"}), node("Where", {"k", "p", "q"}, {"w"}),
       node("CumSum", {"w", "zero"}, {"j"}), node("ReduceSum", {"o"}, {"t"}),
       node("Sum", {"c", "s", "t"}, {"a"}), node("MatMul", {"j", "a"}, {"y"})},
      {integers("two", {2}), integers("depth", {3}), floats("pair", {2}, {0, 1}),
       floats("from", {}, {0}), floats("upto", {}, {3}), floats("step", {}, {1}),
       tensor("zero", {}, 7, raw<int64_t>({0}))},
      13);
}

Message detecting() {
  return net({1, 4, 4},
             {node("NonMaxSuppression", {"x", "scores", "most", "iou", "least"}, {"y"},
                   {attribute("center_point_box", int64_t{1})})},
             {numbers("scores", {1, 2, 4}), integers("most", {3}), floats("iou", {1}, {0.5F}),
              floats("least", {1}, {0})});
}

Message attending() {
  return net({2, 3, 4},
             {node("LayerNormalization", {"x", "s"}, {"n"}),
              node("Einsum", {"n", "w"}, {"e"}, {attribute("equation", "bij,jk->bik")}),
              node("MatMul", {"e", "w"}, {"m"}), node("Erf", {"m"}, {"r"}),
              node("GatherElements", {"r", "at"}, {"g"}, {attribute("axis", int64_t{2})}),
              node("ScatterND", {"g", "where", "what"}, {"c"}), node("Trilu", {"c"}, {"y"})},
             {numbers("s", {4}), numbers("w", {4, 4}),
              tensor("at", {2, 3, 1}, 7, raw<int64_t>({0, 1, 2, 3, -1, 0})),
              tensor("where", {1, 1}, 7, raw<int64_t>({1})), numbers("what", {1, 3, 1})});
}

Message branching() {
  const Message then_branch =
      graph({.nodes = {node("Relu", {"x"}, {"t"})}, .outputs = {value("t", {2})}});
  const Message else_branch =
      graph({.nodes = {node("Constant", {}, {"c"}, {tensor_attribute("value", numbers("", {2}))}),
                       node("Mul", {"x", "c"}, {"e"})},
             .outputs = {value("e", {2})}});
  return net({2},
             {node("ReduceMax", {"x"}, {"m"}, {attribute("keepdims", int64_t{0})}),
              node("Greater", {"m", "zero"}, {"k"}),
              node("If", {"k"}, {"y"},
                   {graph_attribute("then_branch", then_branch),
                    graph_attribute("else_branch", else_branch)})},
             {floats("zero", {}, {0})});
}

Message calling() {
  const Message function = message_of([](protozero::pbf_writer& w) {
    w.add_string(1, "F");
    w.add_string(4, "a");
    w.add_string(5, "r");
    w.add_string(6, "alpha");
    w.add_message(7, node("LeakyRelu", {"a"}, {"t"}, {reference_attribute("alpha", "alpha", 1)}));
    w.add_message(7, node("Neg", {"t"}, {"r"}));
    w.add_message(9, opset(17));
    w.add_string(10, "local");
  });
  return model(graph({.nodes = {node("F", {"x"}, {"m"}, {attribute("alpha", 0.5F)}, "local"),
                                node("F", {"m"}, {"y"}, {}, "local")},
                      .inputs = {value("x", {2})},
                      .outputs = {value("y", {})}}),
               17, {function});
}

Message quantized() {
  return net({1, 4},
             {node("QuantizeLinear", {"x", "scale", "zero"}, {"q"}),
              node("DequantizeLinear", {"q", "scale", "zero"}, {"d"}),
              node("Mod", {"d", "scale"}, {"m"}, {attribute("fmod", int64_t{1})}),
              node("Hardmax", {"m"}, {"h"}), node("Compress", {"h", "mask"}, {"c"}),
              node("NonZero", {"c"}, {"y"})},
             {floats("scale", {}, {0.1F}), tensor("zero", {}, 2, raw<uint8_t>({128})),
              tensor("mask", {4}, 9, raw<uint8_t>({1, 0, 1, 1}))});
}

// An old operator set: attributes that are inputs now, operators that are gone.
Message old_net() {
  return net(
      {1, 2, 2, 2},
      {node("Upsample", {"x"}, {"u"},
            {attribute("mode", "nearest"), message_of([](protozero::pbf_writer& w) {
               w.add_string(1, "scales");
               for (const float scale : {1.0F, 1.0F, 2.0F, 2.0F}) w.add_float(7, scale);
               w.add_int32(20, 6);
             })}),
       node("Pad", {"u"}, {"p"}, {attribute("pads", List{0, 0, 1, 1, 0, 0, 1, 1})}),
       node("Slice", {"p"}, {"s"},
            {attribute("starts", List{1}), attribute("ends", List{3}), attribute("axes", List{2})}),
       node("Dropout", {"s"}, {"d"}, {attribute("ratio", 0.5F)}), node("Softmax", {"d"}, {"y"})},
      {}, 7);
}

Message outside(const std::string& name, const List& extents, const std::string& location,
                const std::string& offset, const std::string& length) {
  return message_of([&](protozero::pbf_writer& w) {
    w.add_packed_int64(1, extents.begin(), extents.end());
    w.add_int32(2, 1);
    w.add_string(8, name);
    const std::pair<std::string, std::string> entries[] = {
        {"location", location}, {"offset", offset}, {"length", length}};
    for (const auto& pair : entries)
      w.add_message(13, message_of([&](protozero::pbf_writer& entry) {
                      entry.add_string(1, pair.first);
                      entry.add_string(2, pair.second);
                    }));
    w.add_int32(14, 1);
  });
}

}  // namespace

std::vector<io::Bytes> small_nets() {
  std::vector<io::Bytes> files;
  for (const Message& each :
       {classifier(), residual(), reshaping(), sampling(), choosing(), detecting(), attending(),
        branching(), calling(), quantized(), old_net()})
    files.push_back(bytes_of(each));
  return files;
}

std::vector<io::Bytes> nets_with_data() {
  const Message bytes =
      net({2}, {node("Add", {"x", "a"}, {"t"}), node("Add", {"t", "b"}, {"y"})},
          {outside("a", {2}, "data.bin", "0", "8"), outside("b", {2}, "./data.bin", "8", "8")});
  io::Bytes file = {16, 0};
  file.resize(file.size() + 16, 1);
  file.insert(file.end(), bytes.begin(), bytes.end());
  return {file};
}

std::vector<io::Bytes> tensors_of_every_kind() {
  const auto fields = [](int32_t type, auto add) {
    return bytes_of(message_of([&](protozero::pbf_writer& w) {
      w.add_int64(1, 2);
      w.add_int32(2, type);
      add(w);
      add(w);
    }));
  };
  return {bytes_of(numbers("a", {2, 3})),
          fields(1, [](protozero::pbf_writer& w) { w.add_float(4, 1.5F); }),
          fields(10, [](protozero::pbf_writer& w) { w.add_int32(5, 0x3C00); }),
          fields(7, [](protozero::pbf_writer& w) { w.add_int64(7, -1); }),
          fields(11, [](protozero::pbf_writer& w) { w.add_double(10, 2.5); }),
          fields(13, [](protozero::pbf_writer& w) { w.add_uint64(11, 7); }),
          fields(9, [](protozero::pbf_writer& w) { w.add_int32(5, 3); })};
}

}  // namespace convkit::fuzz
