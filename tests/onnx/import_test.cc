// What older operator sets, functions, branches and external data become.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "convkit/graph/print.h"
#include "convkit/infer/interpreter.h"
#include "convkit/io/file.h"
#include "convkit/onnx/import.h"
#include "tests/onnx/cases.h"
#include "tests/onnx/writer.h"
#include "tests/support/temp_dir.h"
#include "tests/support/throws.h"

namespace convkit::onnx {
namespace {

using namespace wire;  // NOLINT(google-build-using-namespace): the words of an ONNX file
using graph::Op;
using testing::ElementsAre;
using testing::HasSubstr;

Model parse(const Message& bytes) { return parse_onnx(bytes_of(bytes), "net"); }

// A net of one node with the input x and the output y.
Message one_node(const Message& node_message, int64_t version,
                 const std::vector<int64_t>& extents = {2, 3, 4},
                 const std::vector<Message>& initializers = {}) {
  return model(graph({.nodes = {node_message},
                      .initializers = initializers,
                      .inputs = {value("x", extents)},
                      .outputs = {value("y", {})}}),
               version);
}

Tensor ramp(const Shape& shape) { return arange(shape.numel()).reshaped(shape); }

Tensor run(const Model& model, const Tensor& x) {
  return infer::interpret(model.graph, std::vector<Tensor>{x}).at(0);
}

TEST(Import, KeepsNamesTypesAndOpenExtents) {
  const Model net = parse(one_node(node("Relu", {"x"}, {"y"}), 13, {-1, 3, -2}));
  EXPECT_EQ(net.opset, 13);
  EXPECT_EQ(net.producer, "test");
  EXPECT_THAT(to_text(net.graph), HasSubstr("in   x: float32 d1×3×d2"));
  EXPECT_EQ(net.graph.value(net.graph.outputs.at(0)).name, "y");
  EXPECT_EQ(net.graph.nodes.at(0).name, "y");
}

TEST(Import, AttributesThatBecameInputsAreInputs) {
  const Model net = parse(one_node(
      node("Squeeze", {"x"}, {"y"}, {attribute("axes", std::vector<int64_t>{1})}), 9, {2, 1}));
  ASSERT_EQ(net.graph.nodes.at(0).inputs.size(), 2U);
  EXPECT_EQ(run(net, ramp({2, 1})).shape(), Shape({2}));
}

TEST(Import, EveryOperatorSetMeansTheSameSlice) {
  const std::vector<int64_t> one = {1};
  const std::vector<int64_t> three = {3};
  const Model old = parse(
      one_node(node("Slice", {"x"}, {"y"},
                    {attribute("axes", one), attribute("starts", one), attribute("ends", three)}),
               9));
  const Model fresh =
      parse(one_node(node("Slice", {"x", "s", "e", "a"}, {"y"}), 13, {2, 3, 4},
                     {integers("s", one), integers("e", three), integers("a", one)}));
  EXPECT_TRUE(bit_equal(run(old, ramp({2, 3, 4})), run(fresh, ramp({2, 3, 4}))));
}

TEST(Import, SoftmaxUntilOpset12TakesAllAxesFromItsOwnOnAsOne) {
  const Message softmax = node("Softmax", {"x"}, {"y"}, {attribute("axis", int64_t{1})});
  const Tensor x = ramp({2, 3, 4});
  const Tensor flat = run(parse(one_node(softmax, 12)), x);
  const Tensor alone = run(parse(one_node(softmax, 13)), x);
  // The largest of 12 elements e^0 … e^11, and the largest of 3, four apart.
  EXPECT_NEAR(flat.at({0, 2, 3}), 1 / (1 + std::exp(-1) + std::exp(-2)), 0.04);
  EXPECT_NEAR(alone.at({0, 2, 3}), 1 / (1 + std::exp(-4) + std::exp(-8)), 1e-6);
  double sum = 0;
  for (const float value : flat.to_vector<float>()) sum += value;
  EXPECT_NEAR(sum, 2, 1e-5);
}

TEST(Import, BroadcastByAxisUntilOpset6) {
  const Message add = node("Add", {"x", "b"}, {"y"},
                           {attribute("broadcast", int64_t{1}), attribute("axis", int64_t{1})});
  const Model net = parse(one_node(add, 6, {2, 3, 4}, {floats("b", {3}, {10, 20, 30})}));
  const Tensor y = run(net, ramp({2, 3, 4}));
  EXPECT_EQ(y.at({1, 2, 3}), 23 + 30);
  EXPECT_EQ(y.at({0, 1, 0}), 4 + 20);
}

TEST(Import, UpsampleIsAResizeByAsymmetricFloor) {
  const Model net = parse(one_node(node("Upsample", {"x", "s"}, {"y"}), 9, {1, 1, 2, 2},
                                   {floats("s", {4}, {1, 1, 2, 1})}));
  EXPECT_EQ(net.graph.nodes.at(0).op, Op::resize);
  EXPECT_THAT(run(net, ramp({1, 1, 2, 2})).to_vector<float>(), ElementsAre(0, 1, 0, 1, 2, 3, 2, 3));
}

TEST(Import, GroupNormalizationOfOpset18HasAValuePerGroup) {
  const std::vector<Message> attributes = {attribute("num_groups", int64_t{2})};
  const Message group = node("GroupNormalization", {"x", "scale", "bias"}, {"y"}, attributes);
  const Tensor x = ramp({1, 4, 3});
  const Tensor old =
      run(parse(one_node(group, 18, {1, 4, 3},
                         {floats("scale", {2}, {1, 2}), floats("bias", {2}, {3, 4})})),
          x);
  const Tensor fresh =
      run(parse(one_node(group, 21, {1, 4, 3},
                         {floats("scale", {4}, {1, 1, 2, 2}), floats("bias", {4}, {3, 3, 4, 4})})),
          x);
  EXPECT_TRUE(bit_equal(old, fresh));
  // Six consecutive numbers have the variance 35 / 12.
  EXPECT_NEAR(old.at({0, 0, 0}), 3 - 2.5 / std::sqrt(35.0 / 12 + 1e-5), 1e-6);
}

TEST(Import, ResizeOfOpset10HasItsScalesSecond) {
  const Model net = parse(one_node(node("Resize", {"x", "s"}, {"y"}), 10, {1, 1, 2, 2},
                                   {floats("s", {4}, {1, 1, 1, 2})}));
  EXPECT_THAT(run(net, ramp({1, 1, 2, 2})).to_vector<float>(), ElementsAre(0, 0, 1, 1, 2, 2, 3, 3));
}

TEST(Import, FunctionsOfTheFileArePutInPlaceOfTheirCalls) {
  // f(a; alpha) = LeakyRelu(a; alpha) + a
  const Message function = message_of([](protozero::pbf_writer& w) {
    w.add_string(1, "F");
    w.add_string(4, "a");
    w.add_string(5, "r");
    w.add_string(6, "slope");
    w.add_message(7, node("LeakyRelu", {"a"}, {"t"}, {reference_attribute("alpha", "slope", 1)}));
    w.add_message(7, node("Add", {"t", "a"}, {"r"}));
    w.add_message(9, opset(16));
    w.add_string(10, "local");
  });
  const Message net =
      model(graph({.nodes = {node("F", {"x"}, {"t"}, {attribute("slope", 0.5F)}, "local"),
                             node("F", {"t"}, {"y"}, {attribute("slope", 0.25F)}, "local")},
                   .inputs = {value("x", {2})},
                   .outputs = {value("y", {2})}}),
            16, {function});
  const Tensor y = run(parse(net), from_values({-4.0F, 4.0F}, {2}));
  // −4 → −2 − 4 = −6 → −1.5 − 6; 4 → 8 → 16.
  EXPECT_THAT(y.to_vector<float>(), ElementsAre(-7.5F, 16.0F));
}

// y = condition ? x + x : x · k, where k stands outside of the branches.
Message conditional(bool condition_is_constant) {
  const Message then_graph =
      graph({.nodes = {node("Add", {"x", "x"}, {"sum"})}, .outputs = {value("sum", {2})}});
  const Message else_graph =
      graph({.nodes = {node("Mul", {"x", "k"}, {"product"})}, .outputs = {value("product", {2})}});
  std::vector<Message> inputs = {value("x", {2})};
  std::vector<Message> initializers = {floats("three", {1}, {3})};
  if (condition_is_constant) {
    initializers.push_back(tensor("c", {}, 9, std::string(1, '\0')));
  } else {
    inputs.push_back(value("c", {}, 9));
  }
  return model(graph({.nodes = {node("Identity", {"three"}, {"k"}),
                                node("If", {"c"}, {"y"},
                                     {graph_attribute("then_branch", then_graph),
                                      graph_attribute("else_branch", else_graph)})},
                      .initializers = initializers,
                      .inputs = inputs,
                      .outputs = {value("y", {2})}}),
               16);
}

TEST(Import, BranchesSeeTheGraphAroundThem) {
  const Model net = parse(conditional(false));
  const graph::Node& node = net.graph.nodes.at(1);
  ASSERT_EQ(node.op, Op::conditional);
  EXPECT_EQ(node.inputs.size(), 3U) << "the condition, x and k";
  const Tensor x = from_values({1.0F, 2.0F}, {2});
  for (const bool condition : {true, false}) {
    const std::vector<Tensor> y = infer::interpret(
        net.graph, std::vector<Tensor>{x, full({}, condition ? 1 : 0, DType::boolean)});
    EXPECT_THAT(y.at(0).to_vector<float>(), condition ? ElementsAre(2, 4) : ElementsAre(3, 6));
  }
}

TEST(Import, ABranchThatIsAlwaysTakenIsPutInItsPlace) {
  const Model net = parse(conditional(true));
  for (const graph::Node& node : net.graph.nodes) EXPECT_NE(node.op, Op::conditional);
  EXPECT_THAT(run(net, from_values({1.0F, 2.0F}, {2})).to_vector<float>(), ElementsAre(3, 6));
}

TEST(Import, NodesMayStandInAnyOrder) {
  const Message net = model(graph({.nodes = {node("Neg", {"t"}, {"y"}), node("Exp", {"x"}, {"t"})},
                                   .inputs = {value("x", {1})},
                                   .outputs = {value("y", {1})}}),
                            13);
  EXPECT_EQ(run(parse(net), zeros({1})).item(), -1);
}

TEST(Import, NamesEveryNodeItCannotRun) {
  const Message net =
      model(graph({.nodes = {node("Loop", {"x"}, {"a"}), node("Relu", {"a"}, {"b"}),
                             node("Conv", {"b"}, {"c"}, {}, "com.vendor"),
                             node("Relu", {"c"}, {"y"}, {attribute("gain", int64_t{2})})},
                   .inputs = {value("x", {1})},
                   .outputs = {value("y", {1})}}),
            13);
  try {
    parse(net);
    FAIL() << "nothing was refused";
  } catch (const UnsupportedError& error) {
    ASSERT_EQ(error.nodes().size(), 3U);
    EXPECT_EQ(error.nodes()[0].op, "Loop");
    EXPECT_EQ(error.nodes()[0].opset, 13);
    EXPECT_EQ(error.nodes()[1].domain, "com.vendor");
    EXPECT_EQ(error.nodes()[2].node, "y");
    EXPECT_THAT(error.what(), HasSubstr("net: convkit cannot run 3 parts of this net:"));
    EXPECT_THAT(error.what(), HasSubstr("Loop (opset 13) 'a': the operator is not known"));
    EXPECT_THAT(error.what(), HasSubstr("'gain', which is not in the operator's definition"));
  }
}

class ExternalData : public testing::Test {
 protected:
  // A net that adds the external tensor w, (2), to x.
  Message net(const std::string& location, const std::string& offset = "4",
              const std::string& length = "8") const {
    const Message w = message_of([&](protozero::pbf_writer& t) {
      const std::vector<int64_t> dims = {2};
      t.add_packed_int64(1, dims.begin(), dims.end());
      t.add_int32(2, 1);
      t.add_string(8, "w");
      const std::pair<std::string, std::string> entries[] = {
          {"location", location}, {"offset", offset}, {"length", length}};
      for (const auto& entry : entries)
        t.add_message(13, message_of([&](protozero::pbf_writer& e) {
                        e.add_string(1, entry.first);
                        e.add_string(2, entry.second);
                      }));
      t.add_int32(14, 1);
    });
    return model(graph({.nodes = {node("Add", {"x", "w"}, {"y"})},
                        .initializers = {w},
                        .inputs = {value("x", {2})},
                        .outputs = {value("y", {2})}}),
                 13);
  }
  Model load(const Message& message) {
    io::write_file(dir / "net.onnx", std::string_view(message));
    return load_onnx(dir / "net.onnx");
  }
  void SetUp() override {
    io::write_file(dir / "w.bin", std::string_view(raw(std::vector<float>{9, 5, 6})));
  }

  test::TempDir dir;
};

TEST_F(ExternalData, IsReadBesideTheModel) {
  EXPECT_THAT(run(load(net("w.bin")), zeros({2})).to_vector<float>(), ElementsAre(5, 6));
}

TEST_F(ExternalData, IsReadBelowTheModelsFolder) {
  std::filesystem::create_directory(dir / "deep");
  std::filesystem::rename(dir / "w.bin", dir / "deep/w.bin");
  EXPECT_THAT(run(load(net("deep/w.bin")), zeros({2})).to_vector<float>(), ElementsAre(5, 6));
}

TEST_F(ExternalData, IsRefusedAnywhereElse) {
  test::TempDir other;
  io::write_file(other / "w.bin", std::string_view(raw(std::vector<float>{9, 5, 6})));
  const std::string up = "../" + std::filesystem::path(other.path()).filename().string() + "/w.bin";
  EXPECT_ERROR(load(net(up)), FormatError, "has a '..'", "only files beside the model");
  EXPECT_ERROR(load(net("deep/../w.bin")), FormatError, "has a '..'");
  EXPECT_ERROR(load(net(other / "w.bin")), FormatError, "is an absolute path");
  EXPECT_ERROR(load(net("")), FormatError, "is no file name");
  EXPECT_ERROR(load(net(std::string("w.bin\0", 6))), FormatError, "external data");
  std::filesystem::create_symlink(other / "w.bin", dir / "link.bin");
  EXPECT_ERROR(load(net("link.bin")), FormatError, "runs over a symbolic link");
  std::filesystem::create_directory_symlink(other.path(), dir / "folder");
  EXPECT_ERROR(load(net("folder/w.bin")), FormatError, "runs over a symbolic link");
}

TEST_F(ExternalData, MustBeARegularFile) {
  ASSERT_EQ(mkfifo((dir / "pipe").c_str(), 0600), 0);
  EXPECT_ERROR(load(net("pipe")), IoError, "it is a device or a pipe");
  std::filesystem::create_directory(dir / "folder");
  EXPECT_ERROR(load(net("folder")), IoError, "folder");
  EXPECT_ERROR(load(net("/dev/zero")), FormatError, "is an absolute path");
  EXPECT_ERROR(load(net("w.bin/w.bin")), IoError, "w.bin/w.bin");
  std::filesystem::create_symlink("/dev/zero", dir / "zero");
  EXPECT_ERROR(load(net("zero")), FormatError, "runs over a symbolic link");
  std::filesystem::create_symlink("loop", dir / "loop");
  EXPECT_ERROR(load(net("loop")), FormatError, "runs over a symbolic link");
}
TEST_F(ExternalData, OfManyTensorsIsNoLongerThanItsFile) {
  // Two tensors of two floats in a file of three, under as many names of the file.
  const auto both = [&](const std::string& first, const std::string& second) {
    const auto external = [](const std::string& name, const std::string& location,
                             const std::string& offset) {
      return message_of([&](protozero::pbf_writer& t) {
        const std::vector<int64_t> dims = {2};
        t.add_packed_int64(1, dims.begin(), dims.end());
        t.add_int32(2, 1);
        t.add_string(8, name);
        const std::pair<std::string, std::string> entries[] = {{"location", location},
                                                               {"offset", offset}};
        for (const auto& entry : entries)
          t.add_message(13, message_of([&](protozero::pbf_writer& e) {
                          e.add_string(1, entry.first);
                          e.add_string(2, entry.second);
                        }));
        t.add_int32(14, 1);
      });
    };
    return model(graph({.nodes = {node("Sum", {"x", "a", "b"}, {"y"})},
                        .initializers = {external("a", first, "0"), external("b", second, "4")},
                        .inputs = {value("x", {2})},
                        .outputs = {value("y", {2})}}),
                 13);
  };
  EXPECT_ERROR(load(both("w.bin", "w.bin")), FormatError, "overlap");
  EXPECT_ERROR(load(both("w.bin", "./w.bin")), FormatError, "overlap");
  EXPECT_ERROR(load(both(".//.//w.bin", "././w.bin")), FormatError, "overlap");
}
TEST_F(ExternalData, MustLieWithinItsFile) {
  EXPECT_ERROR(load(net("w.bin", "8")), FormatError, "8 bytes from 8 on pass the end of 'w.bin'");
  EXPECT_ERROR(load(net("w.bin", "9223372036854775807")), FormatError, "pass the end");
  EXPECT_ERROR(load(net("w.bin", "-4")), FormatError, "offset '-4' is no number");
  EXPECT_ERROR(load(net("w.bin", "4", "12")), FormatError, "needs 8 bytes", "has 12");
  EXPECT_ERROR(load(net("absent.bin")), IoError, "absent.bin");
  EXPECT_ERROR(parse(net("w.bin")), FormatError, "load it by its path");
}

}  // namespace
}  // namespace convkit::onnx
