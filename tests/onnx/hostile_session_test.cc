// Sound ONNX files whose nodes ask for more than there is, from loading to running: typed errors,
// or a result, in time and memory in proportion to the file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "convkit/base/memory.h"
#include "convkit/infer/interpreter.h"
#include "convkit/infer/session.h"
#include "convkit/onnx/import.h"
#include "convkit/onnx/load.h"
#include "tests/onnx/writer.h"
#include "tests/support/throws.h"

namespace convkit::onnx {
namespace {

using namespace wire;  // NOLINT(google-build-using-namespace): the words of an ONNX file

using List = std::vector<int64_t>;

infer::Session load(const Message& bytes) {
  const std::vector<uint8_t> file = bytes_of(bytes);
  return convkit::load(std::span<const uint8_t>(file));
}

void expect_loads(const Message& bytes) { EXPECT_NO_THROW(load(bytes)); }

// From `x` (1, 1, 2, 2) to `y`.
Message net(const std::vector<Message>& nodes, const std::vector<Message>& constants,
            const List& input = {1, 1, 2, 2}, int64_t version = 13) {
  return model(graph({.nodes = nodes,
                      .initializers = constants,
                      .inputs = {value("x", input)},
                      .outputs = {value("y", {})}}),
               version);
}

std::vector<Tensor> run(const Message& bytes) { return load(bytes).run({ones({1, 1, 2, 2})}); }

// A chain of `count` nodes from `from` to `to`.
std::vector<Message> chain(const std::string& op, int count, const std::string& from,
                           const std::string& to, const std::string& second = "",
                           const std::vector<Message>& attributes = {}) {
  std::vector<Message> nodes;
  for (int i = 0; i < count; ++i) {
    std::vector<std::string> inputs = {i == 0 ? from : to + std::to_string(i - 1)};
    if (!second.empty()) inputs.push_back(second);
    nodes.push_back(node(op, inputs, {i + 1 == count ? to : to + std::to_string(i)}, attributes));
  }
  return nodes;
}

// Seconds a test may take: far more than it does, far less than what it guards against.
constexpr double kMostSeconds = 60;

class Hostile : public testing::Test {
 protected:
  void SetUp() override {
    reset_peak_allocated_bytes();
    before_ = allocated_bytes();
  }
  void TearDown() override {
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin_;
    EXPECT_LT(taken.count(), kMostSeconds);
    EXPECT_LT(peak_allocated_bytes() - before_, std::size_t{1} << 30);
  }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  std::size_t before_ = 0;
};
using HostileSession = Hostile;

TEST_F(HostileSession, ResultsThatNoMachineHoldsAreRefusedWhenTheyAreMade) {
  constexpr int64_t kHuge = int64_t{1} << 50;
  EXPECT_ERROR(run(net({node("Expand", {"x", "s"}, {"y"})}, {integers("s", {kHuge, 1, 2, 2})})),
               ValueError, "y (Expand)", "would take");
  EXPECT_ERROR(run(net({node("Tile", {"x", "s"}, {"y"})}, {integers("s", {kHuge, 1, 1, 1})})),
               ValueError, "y (Tile)", "would take");
  EXPECT_ERROR(run(net({node("ConstantOfShape", {"s"}, {"y"})}, {integers("s", {kHuge})})),
               ValueError, "y (ConstantOfShape)", "would take");
  EXPECT_ERROR(
      run(net({node("Pad", {"x", "s"}, {"y"})}, {integers("s", {0, 0, 0, kHuge, 0, 0, 0, 0})})),
      ValueError, "y (Pad)", "would take");
  EXPECT_ERROR(
      run(net({node("Resize", {"x", "", "s"}, {"y"})}, {floats("s", {4}, {1, 1, 1e9F, 1e9F})})),
      ValueError, "y (Resize)");
  const auto pooled = [](const std::string& op, const std::vector<Message>& behind) {
    const List pads(4, INT32_MAX);
    std::vector<Message> nodes = {
        node(op, {"x"}, {behind.empty() ? "y" : "p"},
             {attribute("kernel_shape", List{1, 1}), attribute("pads", pads),
              attribute("count_include_pad", int64_t{1})})};
    if (op == "MaxPool")
      nodes = {node(op, {"x"}, {behind.empty() ? "y" : "p"},
                    {attribute("kernel_shape", List{1, 1}), attribute("pads", pads)})};
    nodes.insert(nodes.end(), behind.begin(), behind.end());
    return net(nodes, {});
  };
  EXPECT_ERROR(run(pooled("MaxPool", {})), ValueError, "y (MaxPool)", "does not fit into 64 bits");
  EXPECT_ERROR(run(pooled("AveragePool", {})), ValueError, "y (AveragePool)",
               "does not fit into 64 bits");
  // What follows has a step of its own, or none: neither is made for a value that cannot be.
  EXPECT_ERROR(run(pooled("MaxPool", {node("Relu", {"p"}, {"y"})})), ValueError, "p (MaxPool)");
  EXPECT_ERROR(run(pooled("MaxPool", {node("Trilu", {"p"}, {"y"})})), ValueError, "p (MaxPool)");
}

TEST_F(HostileSession, ConvolutionsOfHugePaddingStrideAndDilation) {
  const auto conv = [](const std::string& op, const std::vector<Message>& attributes) {
    return net({node(op, {"x", "w"}, {"y"}, attributes)}, {floats("w", {1, 1, 1, 3}, {1, 2, 3})});
  };
  EXPECT_ERROR(run(conv("Conv", {attribute("pads", List(4, INT32_MAX))})), ValueError, "y (",
               "does not fit into 64 bits");
  EXPECT_ERROR(run(conv("Conv", {attribute("pads", List(4, INT64_MAX))})), ValueError,
               "numbers outside");
  EXPECT_ERROR(run(conv("Conv", {attribute("pads", List(4, -1))})), ValueError, "numbers outside");
  EXPECT_ERROR(run(conv("Conv", {attribute("strides", List{0, 0})})), ValueError, "strides");
  EXPECT_ERROR(run(conv("Conv", {attribute("dilations", List{1, -1})})), ValueError, "dilations");
  EXPECT_ERROR(run(conv("Conv", {attribute("group", int64_t{0})})), ValueError, "group (0)");
  EXPECT_ERROR(run(conv("ConvTranspose", {attribute("group", int64_t{0})})), ValueError,
               "group (0)");
  EXPECT_ERROR(run(conv("ConvTranspose", {attribute("strides", List(2, INT32_MAX))})), ShapeError,
               "the output would have");
  EXPECT_ERROR(run(conv("ConvTranspose", {attribute("strides", List{1 << 20, 1 << 20})})),
               ValueError, "y (", "would take");
  EXPECT_ERROR(
      run(conv("ConvTranspose", {attribute("output_shape", List{INT32_MAX - 1, INT32_MAX - 1})})),
      ValueError, "does not fit into 64 bits");
  // Far apart taps and windows are no fault: most of them see padding only.
  const auto far = run(conv(
      "Conv", {attribute("auto_pad", "SAME_UPPER"), attribute("dilations", List{1, 1 << 30})}));
  EXPECT_EQ(far[0].shape(), Shape({1, 1, 2, 2}));
  EXPECT_EQ(far[0].to_vector<float>(), std::vector<float>(4, 2.0F));
  const auto wide = run(conv("Conv", {attribute("pads", List{0, 1 << 30, 0, 1 << 30}),
                                      attribute("strides", List{1, 1 << 30})}));
  EXPECT_EQ(wide[0].shape(), Shape({1, 1, 2, 2}));
  const auto spread = run(conv("ConvTranspose", {attribute("strides", List{1 << 30, 1 << 30}),
                                                 attribute("output_shape", List{2, 2})}));
  EXPECT_EQ(spread[0].shape(), Shape({1, 1, 2, 2}));
}

// What is listed for each position takes many times the room of the position itself.
TEST_F(HostileSession, ListsAreBoundedToo) {
  const int64_t before = infer::memory_limit();
  infer::set_memory_limit(int64_t{1} << 30);
  EXPECT_ERROR(
      run(net({node("Resize", {"x", "", "", "s"}, {"y"})}, {integers("s", {1, 1, 1, 1 << 26})})),
      ValueError, "y (Resize)", "would take");
  EXPECT_ERROR(run(net({node("MaxPool", {"x"}, {"y"},
                             {attribute("kernel_shape", List{2, 1}),
                              attribute("pads", List{0, 0, 0, 1 << 27})})},
                       {})),
               ValueError, "y (MaxPool)", "would take");
  infer::set_memory_limit(before);
}

TEST_F(HostileSession, NumbersAtTheEdgesOfTheirTypes) {
  const auto scalar = [](const std::string& name, int64_t number) {
    return tensor(name, {}, 7, raw<int64_t>({number}));
  };
  const Tensor range =
      run(net({node("Range", {"a", "b", "c"}, {"y"})},
              {scalar("a", INT64_MIN), scalar("b", INT64_MAX), scalar("c", int64_t{1} << 62)}))[0];
  EXPECT_EQ(range.at({3}), 0x1p62);
  EXPECT_ERROR(run(net({node("Range", {"a", "a", "c"}, {"y"})}, {scalar("a", 1), scalar("c", 0)})),
               ValueError, "the step is 0");
  const auto sliced = [](const List& starts, const List& ends, const List& axes,
                         const List& steps) {
    return net(
        {node("Slice", {"x", "s", "e", "a", "t"}, {"y"})},
        {integers("s", starts), integers("e", ends), integers("a", axes), integers("t", steps)});
  };
  EXPECT_EQ(run(sliced({0}, {INT64_MAX}, {3}, {INT64_MAX}))[0].shape(), Shape({1, 1, 2, 1}));
  EXPECT_EQ(run(sliced({INT64_MAX}, {INT64_MIN}, {2}, {INT64_MIN}))[0].shape(),
            Shape({1, 1, 1, 2}));
  EXPECT_ERROR(run(sliced({0}, {1}, {0}, {0})), ValueError, "the step along axis 0 is 0");
  EXPECT_ERROR(run(sliced({0}, {1}, {4}, {1})), ShapeError, "axis 4");
  const auto padded = [](const List& pads) {
    return net({node("Pad", {"x", "p"}, {"y"})}, {integers("p", pads)});
  };
  EXPECT_ERROR(run(padded({0, 0, 0, INT64_MIN, 0, 0, 0, INT64_MAX})), ValueError, "too large");
  EXPECT_ERROR(run(padded({0, 0, 0, -3, 0, 0, 0, 0})), ShapeError, "take away more");
  const auto resized = [](const std::vector<float>& scales) {
    return net({node("Resize", {"x", "", "s"}, {"y"}, {attribute("mode", "linear")})},
               {floats("s", {4}, scales)});
  };
  EXPECT_ERROR(run(resized({1, 1, NAN, 1})), ValueError, "must be above 0");
  EXPECT_ERROR(run(resized({1, 1, INFINITY, 1})), ValueError, "must be above 0");
  EXPECT_ERROR(run(resized({1, 1, 0, 1})), ValueError, "must be above 0");
  EXPECT_ERROR(run(resized({1, 1, -2, 1})), ValueError, "must be above 0");
  EXPECT_ERROR(run(resized({1, 1, 3e38F, 1})), ValueError, "gives");
  EXPECT_ERROR(run(net({node("TopK", {"x", "k"}, {"y", ""})}, {integers("k", {3})})), ValueError,
               "k (3)");
  EXPECT_ERROR(run(net({node("TopK", {"x", "k"}, {"y", ""})}, {integers("k", {-1})})), ValueError,
               "k (-1)");
  EXPECT_ERROR(run(net({node("Gather", {"x", "i"}, {"y"}, {attribute("axis", int64_t{3})})},
                       {integers("i", {2})})),
               ValueError, "index 2 is outside");
  EXPECT_ERROR(run(net({node("Gather", {"x", "i"}, {"y"}, {attribute("axis", int64_t{3})})},
                       {integers("i", {INT64_MIN})})),
               ValueError, "is outside");
  EXPECT_ERROR(run(net({node("Div", {"a", "b"}, {"y"})}, {integers("a", {1}), integers("b", {0})})),
               ValueError, "divided by 0");
}

TEST_F(HostileSession, ExtentsBesideAZero) {
  constexpr int64_t kHuge = int64_t{1} << 62;
  const Message empty = tensor("e", {0}, 1, "");
  EXPECT_ERROR(run(net({node("Reshape", {"e", "s"}, {"y"}, {attribute("allowzero", int64_t{1})})},
                       {empty, integers("s", {0, kHuge, kHuge})}, {1, 1, 2, 2}, 14)),
               ValueError, "does not fit into 64 bits");
  // Two empty matrices: a product of 2^50 zeros.
  const Message tall = tensor("a", {1 << 25, 0}, 1, "");
  const Message wide = tensor("b", {0, 1 << 25}, 1, "");
  for (const char* op : {"Gemm", "MatMul"})
    EXPECT_ERROR(run(net({node(op, {"a", "b"}, {"y"})}, {tall, wide})), ValueError, op,
                 "would take");
  // A sum over an empty axis, kept.
  expect_loads(net({node("ReduceSum", {"a", "s"}, {"y"})},
                   {tensor("a", {int64_t{1} << 30, 0}, 1, ""), integers("s", {1})}));
}

TEST_F(HostileSession, AxesThatAreNamedAgainAndAgain) {
  constexpr std::size_t kTimes = 50'000;
  const List axes(kTimes, 3);
  EXPECT_ERROR(run(net({node("Slice", {"x", "s", "e", "a"}, {"y"})},
                       {integers("s", List(kTimes, 0)), integers("e", List(kTimes, 2)),
                        integers("a", axes)})),
               ShapeError, "axis 3 is named twice");
  EXPECT_ERROR(
      run(net({node("Pad", {"x", "p", "", "a"}, {"y"})},
              {integers("p", List(2 * kTimes, 0)), integers("a", axes)}, {1, 1, 2, 2}, 18)),
      ShapeError, "axis 3 is named twice");
  EXPECT_ERROR(run(net({node("Resize", {"x", "", "", "s"}, {"y"}, {attribute("axes", axes)})},
                       {integers("s", List(kTimes, 2))}, {1, 1, 2, 2}, 18)),
               ShapeError, "axis 3 is named twice");
}

TEST_F(HostileSession, WorkWithoutEnd) {
  // Seven letters that every term has for itself: 2^140 products for one number.
  std::vector<std::string> inputs;
  std::vector<Message> nodes = {node("ConstantOfShape", {"n"}, {"v"})};
  std::string equation;
  for (char letter = 'a'; letter < 'h'; ++letter) {
    inputs.emplace_back("v");
    equation += std::string(equation.empty() ? "" : ",") + letter;
  }
  nodes.push_back(
      node("Einsum", inputs, {"y"}, {attribute("equation", (equation + "->").c_str())}));
  EXPECT_ERROR(run(net(nodes, {integers("n", {1 << 20})})), ValueError, "products");
  // Quadratic in the boxes, or in the channels: not while loading.
  expect_loads(
      net({node("ConstantOfShape", {"b"}, {"boxes"}), node("ConstantOfShape", {"s"}, {"scores"}),
           node("NonMaxSuppression", {"boxes", "scores", "most"}, {"y"})},
          {integers("b", {1, 1 << 20, 4}), integers("s", {1, 1, 1 << 20}),
           integers("most", {1 << 20})}));
  expect_loads(net({node("ConstantOfShape", {"s"}, {"c"}),
                    node("LRN", {"c"}, {"y"}, {attribute("size", int64_t{1} << 21)})},
                   {integers("s", {1, 1 << 20})}));
}

TEST_F(HostileSession, ConstantsAreFoldedWithinBoundsInAll) {
  // 400 times 32 MiB, each small enough by itself.
  std::vector<Message> nodes = {node("ConstantOfShape", {"s"}, {"c0"})};
  std::vector<std::string> all = {"x"};
  for (int i = 1; i <= 400; ++i) {
    nodes.push_back(node("Neg", {"c" + std::to_string(i - 1)}, {"c" + std::to_string(i)}));
    all.push_back("c" + std::to_string(i));
  }
  nodes.push_back(node("Sum", all, {"y"}));
  expect_loads(net(nodes, {integers("s", {1 << 23})}));
}

TEST_F(HostileSession, LongChainsTakeLinearTime) {
  constexpr int kMany = 20'000;
  const auto loaded = [](const std::vector<Message>& nodes, const std::vector<Message>& constants) {
    expect_loads(net(nodes, constants));
  };
  loaded(chain("Identity", kMany, "x", "y"), {});
  loaded(chain("Transpose", kMany, "x", "y", "", {attribute("perm", List{0, 1, 3, 2})}), {});
  const Message weight = floats("w", {1, 1, 1, 1}, {1});
  const auto behind_a_conv = [&](std::vector<Message> nodes) {
    nodes.insert(nodes.begin(), node("Conv", {"x", "w"}, {"c"}));
    return nodes;
  };
  loaded(behind_a_conv(chain("Relu", kMany, "c", "y")), {weight});
  loaded(behind_a_conv(chain("Mul", kMany, "c", "y", "two")), {weight, floats("two", {}, {2})});
  std::vector<Message> rows = {node("Flatten", {"x"}, {"f"})};
  for (const Message& each : chain("Relu", kMany, "f", "r")) rows.push_back(each);
  rows.push_back(node("MatMul", {"r", "m"}, {"y"}));
  loaded(rows, {floats("m", {4, 1}, {1, 2, 3, 4})});
}

TEST_F(HostileSession, AWeightThatManyNodesShareIsNotCopiedForEach) {
  const std::string megabyte(1 << 20, '\0');
  std::vector<Message> nodes = {node("Flatten", {"x"}, {"f"})};
  std::vector<std::string> all;
  for (int i = 0; i < 5000; ++i) {
    all.push_back("m" + std::to_string(i));
    nodes.push_back(node("Gemm", {"f", "w"}, {all.back()}));
  }
  nodes.push_back(node("Sum", all, {"y"}));
  expect_loads(net(nodes, {tensor("w", {512, 512}, 1, megabyte)}));
}

TEST_F(HostileSession, AConstantPutOutManyTimesIsCopiedOnce) {
  std::vector<Message> outputs(5000, value("w", {}));
  const Message bytes =
      model(graph({.nodes = {},
                   .initializers = {tensor("w", {1 << 18}, 1, std::string(1 << 20, '\1'))},
                   .inputs = {value("x", {1, 1, 2, 2})},
                   .outputs = outputs}),
            13);
  EXPECT_EQ(run(bytes).size(), 5000U);
}

TEST_F(HostileSession, TheLimitsOfSessionAndProcessHold) {
  const Message bytes = net({node("Tile", {"x", "s"}, {"e"}), node("Abs", {"e"}, {"n"}),
                             node("Conv", {"n", "w"}, {"c"}), node("Relu", {"c"}, {"r"}),
                             node("Conv", {"r", "w"}, {"d"}), node("ReduceSum", {"d"}, {"y"})},
                            {integers("s", {64, 1, 128, 128}), floats("w", {1, 1, 1, 1}, {1})});
  infer::Session session = load(bytes);
  session.set_memory_limit(1 << 20);
  EXPECT_ERROR(session.run({ones({1, 1, 2, 2})}), ValueError, "the session's limit is 1048576");
  session.set_memory_limit(0);
  EXPECT_EQ(session.run({ones({1, 1, 2, 2})})[0].item(), 64.0 * 256 * 256);
}

}  // namespace
}  // namespace convkit::onnx
