#include "convkit/onnx/export.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "convkit/autograd/record.h"
#include "convkit/base/exactness.h"
#include "convkit/graph/capture.h"
#include "convkit/infer/interpreter.h"
#include "convkit/io/file.h"
#include "convkit/io/folder.h"
#include "convkit/models/registry.h"
#include "convkit/onnx/import.h"
#include "tests/onnx/same_graph.h"
#include "tests/support/formula_weights.h"
#include "tests/support/golden.h"
#include "tests/support/temp_dir.h"
#include "tests/support/throws.h"

namespace convkit::onnx {
namespace {

using graph::Graph;
using graph::Op;

std::span<const uint8_t> view_of(const std::string& bytes) {
  return {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()};
}

Model through_bytes(const Graph& graph, const ExportOptions& options = {}) {
  return parse_onnx(view_of(serialize_onnx(graph, options)));
}

// x → op(x), with constants for further inputs.
Graph one_node(Op op, graph::Attributes attributes, const std::vector<Tensor>& constants = {}) {
  Graph g{.name = "one", .values = {}, .nodes = {}, .inputs = {}, .outputs = {}};
  std::vector<graph::ValueId> inputs = {g.add_input(
      "x",
      {.dtype = DType::float32, .dims = std::vector<graph::Dim>{{.extent = 2}, {.extent = 6}}})};
  for (const Tensor& constant : constants)
    inputs.push_back(g.add_constant(message("y.", inputs.size()), constant));
  g.outputs = {g.add_node(op, "y", inputs, std::move(attributes))};
  return g;
}

struct ZooCase {
  const char* net;
  Shape sample;
};
void PrintTo(const ZooCase& c, std::ostream* out) { *out << c.net << " " << to_text(c.sample); }

class Zoo : public testing::TestWithParam<ZooCase> {};

// Both sum the same products in float32, in orders of their own; batch norms keep the numbers of
// one size, so that rounding errors stay near the 1e-7 of a single operation.
constexpr double kRelative = 1e-5;

TEST_P(Zoo, GivesItsOutputsThroughAFile) {
  const UseExactness exact(Exactness::exact);
  nn::AnyModule net = models::make_model(GetParam().net, GetParam().sample, 5);
  test::fill_by_formula(net);
  const auto batch = [&](int64_t count) {
    return test::formula_tensor("input", GetParam().sample.with_inserted(0, count));
  };
  const Graph graph = graph::capture(net, batch(2));
  const Model model = through_bytes(graph);
  EXPECT_EQ(model.opset, kExportOpset);
  EXPECT_EQ(difference(graph, model.graph), "");
  EXPECT_EQ(to_text(model.graph.value(model.graph.inputs[0]).type.dims->front().name), "N");
  nn::eval(net);
  for (const int64_t count : {2, 1, 3}) {
    const NoGradGuard no_grad;
    const Tensor x = batch(count);
    const Tensor expected = net(x);
    const Tensor actual = infer::interpret(model.graph, std::vector<Tensor>{x})[0];
    double largest = 0;
    for (const float v : expected.to_vector<float>())
      largest = std::max(largest, static_cast<double>(std::abs(v)));
    test::expect_close(actual.to(DType::float64), expected.to(DType::float64), kRelative * largest,
                       0, message("a batch of ", count));
  }
}

INSTANTIATE_TEST_SUITE_P(
    , Zoo,
    testing::Values(ZooCase{"default", {2, 20}}, ZooCase{"default", {1, 12, 9}},
                    ZooCase{"default", {1, 5, 6, 7}}, ZooCase{"lenet5", {1, 28, 28}},
                    ZooCase{"resnet18", {2, 40}}, ZooCase{"resnet18", {3, 40, 33}},
                    ZooCase{"resnet18", {1, 9, 17, 16}}, ZooCase{"resnet34", {3, 32, 32}},
                    ZooCase{"resnet50", {3, 33, 40}}, ZooCase{"mobilenet_v2", {3, 64, 40}},
                    ZooCase{"r3d_18", {3, 4, 20, 17}}, ZooCase{"m5", {1, 2000}}),
    [](const auto& test) {
      return message(test.param.net, "_", test.param.sample.dim() - 1, "d");
    });

// Its weights are half a gigabyte, so that they go through no file here.
TEST(Vgg16, GivesItsOutputsAsAGraph) {
  const UseExactness exact(Exactness::exact);
  nn::AnyModule net = models::make_model("vgg16", {1, 32, 50}, 5);
  Generator generator(3);
  const Tensor x = randn({2, 1, 32, 50}, generator);
  const Graph graph = graph::capture(net, x.to(DType::float32));
  nn::eval(net);
  const NoGradGuard no_grad;
  const Tensor one = randn({1, 1, 32, 50}, generator);
  const Tensor expected = net(one);
  double largest = 0;
  for (const float v : expected.to_vector<float>())
    largest = std::max(largest, static_cast<double>(std::abs(v)));
  test::expect_close(infer::interpret(graph, std::vector<Tensor>{one})[0].to(DType::float64),
                     expected.to(DType::float64), kRelative * largest, 0, "vgg16");
}

TEST(Export, KeepsTheNamesOfTheStateDict) {
  nn::AnyModule net = models::make_model("resnet18", {3, 32, 32}, 5);
  const Model model = through_bytes(graph::capture(net, zeros({1, 3, 32, 32})));
  expect_state_dict(model.graph, net);
}

TEST(Export, GivesBackEveryConformanceCase) {
  const std::string folder = "/usr/share/libonnx-testdata/data/node";
  if (!io::folder_exists(folder)) GTEST_SKIP() << "libonnx-testdata is not installed";
  int count = 0;
  for (const std::string& name : io::list_folder(folder).folders) {
    Model model;
    try {
      model = load_onnx(folder + "/" + name + "/model.onnx");
    } catch (const Error&) {
      continue;  // the conformance test says which
    }
    bool has_branches = false;
    for (const graph::Node& node : model.graph.nodes)
      has_branches = has_branches || !node.branches.empty();
    const Model again = through_bytes(model.graph);
    EXPECT_GE(again.opset, kExportOpset);
    // Branches may name what they read anew; an input or constant that is an output has a copy.
    if (!has_branches && model.graph.nodes.size() == again.graph.nodes.size()) {
      EXPECT_EQ(difference(model.graph, again.graph), "") << name;
    }
    ++count;
  }
  EXPECT_GT(count, 500);
}

TEST(Export, TakesTheOldestOperatorSetThatHasAll) {
  const Graph old_form =
      one_node(Op::reduce_mean, {{"keepdims", int64_t{1}}, {"noop_with_empty_axes", int64_t{0}}},
               {from_values({int64_t{1}}, {1})});
  EXPECT_EQ(through_bytes(old_form).opset, 17);
  EXPECT_EQ(difference(through_bytes(old_form, {.opset = 18}).graph, old_form), "");
  const Graph gelu = one_node(Op::gelu, graph::Attributes{{"approximate", std::string("none")}});
  EXPECT_EQ(through_bytes(gelu).opset, 20);
  EXPECT_ERROR(serialize_onnx(gelu, {.opset = 17}), ValueError, "17", "Gelu 'y' needs 20");
  EXPECT_ERROR(serialize_onnx(gelu, {.opset = 16}), ValueError, "16", "17 to 25");
}

TEST(Export, PutsLargeConstantsBesideTheModel) {
  const test::TempDir dir;
  const std::string path = dir / "big.onnx";
  Generator generator(5);
  const Graph g = one_node(Op::matmul, {}, {randn({6, 100}, generator)});
  const Exported whole = save_onnx(path, g);
  EXPECT_EQ(whole.data_file, "");
  EXPECT_GT(whole.bytes, 2400);
  const Exported parted = save_onnx(path, g, {.most_bytes_inside = 2399});
  EXPECT_EQ(parted.data_file, path + ".data");
  EXPECT_EQ(parted.data_bytes, 2400);
  EXPECT_LT(parted.bytes, 1000);
  EXPECT_EQ(difference(load_onnx(path).graph, g), "");
  EXPECT_ERROR(serialize_onnx(g, {.most_bytes_inside = 2399}), ValueError, "2400 bytes");
}

TEST(Export, KeepsMetadataAndSaysWhoWrote) {
  const Graph g = one_node(Op::relu, {});
  const Model model = through_bytes(g, {.metadata = {{"classes", "a, b"}}});
  EXPECT_EQ(model.metadata.at("classes"), "a, b");
  EXPECT_EQ(model.producer, "convkit");
  EXPECT_EQ(model.ir_version, 8);
}

TEST(Export, TellsValuesOfOneNameApart) {
  Graph g = one_node(Op::relu, {});
  const graph::ValueId twin = g.add_node(Op::neg, "y", {g.outputs[0]});
  g.outputs = {twin, g.inputs[0], twin, g.add_constant("y", ones({3}))};
  const Model model = through_bytes(g);
  ASSERT_EQ(model.graph.outputs.size(), 4U);
  const Tensor x = randn({2, 6});
  const auto before = infer::interpret(g, std::vector<Tensor>{x});
  const auto after = infer::interpret(model.graph, std::vector<Tensor>{x});
  for (std::size_t i = 0; i < 4; ++i) EXPECT_TRUE(bit_equal(before[i], after[i])) << i;
}

TEST(Export, WritesBranches) {
  Graph g{.name = "if", .values = {}, .nodes = {}, .inputs = {}, .outputs = {}};
  const graph::ValueType list{.dtype = DType::float32,
                              .dims = std::vector<graph::Dim>{{.extent = 2}}};
  const graph::ValueId condition =
      g.add_input("c", {.dtype = DType::boolean, .dims = std::vector<graph::Dim>{}});
  const graph::ValueId x = g.add_input("x", list);
  graph::Node node{.op = Op::conditional, .name = "choice", .inputs = {condition, x}};
  for (const Op op : {Op::neg, Op::exp}) {
    Graph branch{.name = "branch", .values = {}, .nodes = {}, .inputs = {}, .outputs = {}};
    const graph::ValueId inner = branch.add_input("inner", list);
    const graph::ValueId bias = branch.add_constant("bias", ones({2}));
    branch.outputs = {branch.add_node(Op::add, "sum", {branch.add_node(op, "f", {inner}), bias})};
    node.branches.push_back(std::move(branch));
  }
  node.outputs = {g.add_value("y", list)};
  g.outputs = node.outputs;
  g.nodes.push_back(std::move(node));
  const Model model = through_bytes(g);
  for (const bool taken : {true, false}) {
    const std::vector<Tensor> inputs = {full({}, taken ? 1 : 0, DType::boolean),
                                        from_values({1.0F, -2.0F}, {2})};
    EXPECT_TRUE(
        bit_equal(infer::interpret(g, inputs)[0], infer::interpret(model.graph, inputs)[0]));
  }
}

TEST(Export, RefusesGraphsThatAreNone) {
  Graph g = one_node(Op::relu, {});
  g.nodes[0].inputs = {graph::ValueId{77}};
  EXPECT_ERROR(serialize_onnx(g), FormatError, "77");
}

}  // namespace
}  // namespace convkit::onnx
