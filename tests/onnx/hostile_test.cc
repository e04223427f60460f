// Files that are cut short, damaged or lie: every one gives a typed error, or a net that runs or
// fails with a typed error, within bounded time and memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "convkit/base/random.h"
#include "convkit/graph/verify.h"
#include "convkit/infer/interpreter.h"
#include "convkit/io/file.h"
#include "convkit/io/folder.h"
#include "convkit/onnx/import.h"
#include "tests/onnx/writer.h"
#include "tests/support/throws.h"

namespace convkit::onnx {
namespace {

using namespace wire;  // NOLINT(google-build-using-namespace): the words of an ONNX file

Model parse(const Message& bytes) { return parse_onnx(bytes_of(bytes), "net"); }

GraphParts sound() {
  return {.nodes = {node("Relu", {"x"}, {"y"})},
          .initializers = {},
          .inputs = {value("x", {2})},
          .outputs = {value("y", {2})}};
}

Message net_with(const Message& initializer) {
  GraphParts parts = sound();
  parts.nodes = {node("Add", {"x", "w"}, {"y"})};
  parts.initializers = {initializer};
  return model(graph(parts), 13);
}

TEST(HostileOnnx, NoModelAtAll) {
  EXPECT_ERROR(parse(""), FormatError, "net: there is no graph in it");
  EXPECT_ERROR(parse("no protobuf"), FormatError, "is this an .onnx file");
  EXPECT_ERROR(parse(Message(1000, '\xff')), FormatError, "net: ");
}

TEST(HostileOnnx, EveryPrefixOfASoundFile) {
  const Message whole = net_with(floats("w", {2}, {1, 2}));
  ASSERT_NO_THROW(parse(whole));
  for (std::size_t length = 0; length < whole.size(); ++length) {
    try {
      graph::verify(parse(whole.substr(0, length)).graph);
    } catch (const Error&) {  // NOLINT(bugprone-empty-catch): what it says is free
    }
  }
}

TEST(HostileOnnx, WrongWireTypes) {
  const Message text_for_number = message_of([](protozero::pbf_writer& w) {
    w.add_string(1, "eight");
    w.add_message(7, graph(sound()));
  });
  EXPECT_ERROR(parse(text_for_number), FormatError, "field 1 of ModelProto has wire type 2");
}

TEST(HostileOnnx, OperatorSetsThatDoNotExist) {
  EXPECT_ERROR(parse(model(graph(sound()), 0)), FormatError, "operator set 0");
  EXPECT_ERROR(parse(model(graph(sound()), 1000)), FormatError, "operator set 1000",
               "opset_version");
}

TEST(HostileOnnx, ShapesThatLie) {
  const std::string eight(8, '\0');
  EXPECT_ERROR(parse(net_with(tensor("w", {3}, 1, eight))), FormatError,
               "tensor 'w' of shape (3,) needs 12 bytes, but has 8");
  EXPECT_ERROR(parse(net_with(tensor("w", {-2}, 1, eight))), FormatError,
               "no extent can be negative");
  EXPECT_ERROR(parse(net_with(tensor("w", {INT64_MAX, INT64_MAX}, 1, eight))), FormatError,
               "do not fit into 64 bits");
  EXPECT_ERROR(parse(net_with(tensor("w", {0, INT64_MAX, INT64_MAX}, 1, ""))), FormatError,
               "do not fit into 64 bits");
  EXPECT_ERROR(parse(net_with(tensor("w", {int64_t{1} << 40}, 1, eight))), FormatError,
               "needs 4398046511104 bytes");
  EXPECT_ERROR(parse(net_with(tensor("w", std::vector<int64_t>(9, 1), 1, "1234"))), ShapeError,
               "9 axes");
  EXPECT_ERROR(parse(net_with(tensor("w", {1}, 8, ""))), UnsupportedError, "it is of string");
  EXPECT_ERROR(parse(net_with(tensor("w", {1}, 999, ""))), UnsupportedError, "element type 999");
}

TEST(HostileOnnx, ElementsThatAreNotThere) {
  const Message few = message_of([](protozero::pbf_writer& w) {
    w.add_int64(1, 1000000000);
    w.add_int32(2, 1);
    w.add_string(8, "w");
    w.add_float(4, 1.0F);
  });
  EXPECT_ERROR(parse(net_with(few)), FormatError, "needs 1000000000 elements, but has 1");
}

TEST(HostileOnnx, GraphsThatAreNone) {
  GraphParts cyclic = sound();
  cyclic.nodes = {node("Add", {"x", "b"}, {"a"}), node("Relu", {"a"}, {"b"}),
                  node("Relu", {"a"}, {"y"})};
  EXPECT_ERROR(parse(model(graph(cyclic), 13)), FormatError, "node 'a' (Add)", "form a cycle");
  GraphParts itself = sound();
  itself.nodes = {node("Relu", {"y"}, {"y"})};
  EXPECT_ERROR(parse(model(graph(itself), 13)), FormatError, "form a cycle");
  GraphParts absent = sound();
  absent.nodes = {node("Relu", {"nowhere"}, {"y"})};
  EXPECT_ERROR(parse(model(graph(absent), 13)), FormatError, "node 'y' (Relu)",
               "reads 'nowhere', which nothing computes");
  GraphParts twice = sound();
  twice.nodes.push_back(node("Neg", {"x"}, {"y"}));
  EXPECT_ERROR(parse(model(graph(twice), 13)), FormatError, "'y' is given to two values");
  GraphParts open = sound();
  open.outputs = {value("z", {2})};
  EXPECT_ERROR(parse(model(graph(open), 13)), FormatError, "nothing computes the output 'z'");
  GraphParts mute = sound();
  mute.outputs = {};
  EXPECT_ERROR(parse(model(graph(mute), 13)), FormatError, "has no outputs");
}

TEST(HostileOnnx, NodesThatBreakTheirDefinition) {
  const auto with = [](const Message& node_message) {
    GraphParts parts = sound();
    parts.nodes = {node_message};
    return model(graph(parts), 13);
  };
  EXPECT_ERROR(parse(with(node("Relu", {}, {"y"}))), FormatError, "its first input is missing");
  EXPECT_ERROR(parse(with(node("Add", {"x"}, {"y"}))), FormatError, "input 1 is missing");
  EXPECT_ERROR(parse(with(node("Relu", {"x", "x"}, {"y"}))), FormatError, "at most 1");
  EXPECT_ERROR(parse(with(node("Relu", {"x"}, {"y", "z"}))), FormatError, "has 2 outputs");
  EXPECT_ERROR(parse(with(node("Relu", {"x"}, {}))), FormatError, "it has no outputs");
  EXPECT_ERROR(parse(with(node("LRN", {"x"}, {"y"}))), FormatError, "attribute 'size' is missing");
  EXPECT_ERROR(parse(with(node("LRN", {"x"}, {"y"}, {attribute("size", "five")}))), FormatError,
               "attribute 'size' is of type 3");
  EXPECT_ERROR(parse(with(node("If", {"x"}, {"y"}))), FormatError, "a branch is missing");
}

TEST(HostileOnnx, GraphsNestedWithoutEnd) {
  Message inner = graph({.nodes = {}, .outputs = {value("x", {})}});
  for (int depth = 0; depth < 2000; ++depth)
    inner = graph({.nodes = {node("If", {"x"}, {"y"},
                                  {graph_attribute("then_branch", inner),
                                   graph_attribute("else_branch", Message())})},
                   .outputs = {value("y", {})}});
  EXPECT_ERROR(parse(model(inner, 13)), FormatError, "graphs nest more than 32 deep");
}

TEST(HostileOnnx, FunctionsThatCallThemselves) {
  const auto function = [](const std::string& name, const std::vector<Message>& nodes) {
    return message_of([&](protozero::pbf_writer& w) {
      w.add_string(1, name);
      w.add_string(4, "a");
      w.add_string(5, "r");
      for (const Message& each : nodes) w.add_message(7, each);
      w.add_message(9, opset(13));
      w.add_string(10, "local");
    });
  };
  const auto calls = [&](const std::string& name, const std::vector<Message>& functions) {
    GraphParts parts = sound();
    parts.nodes = {node(name, {"x"}, {"y"}, {}, "local")};
    return model(graph(parts), 13, functions);
  };
  EXPECT_ERROR(parse(calls("F", {function("F", {node("F", {"a"}, {"r"}, {}, "local")})})),
               FormatError, "functions call one another more than 32 deep");
  // Each calls the one before it twice: 2^30 nodes.
  std::vector<Message> doubling = {function("F0", {node("Neg", {"a"}, {"r"})})};
  for (int i = 1; i <= 30; ++i) {
    const std::string before = "F" + std::to_string(i - 1);
    doubling.push_back(function(
        "F" + std::to_string(i),
        {node(before, {"a"}, {"t"}, {}, "local"), node(before, {"t"}, {"r"}, {}, "local")}));
  }
  EXPECT_ERROR(parse(calls("F30", doubling)), FormatError, "more than 250000 nodes");
  // The same with a constant of a megabyte at the bottom: seven doublings are too many.
  const Message megabyte =
      tensor_attribute("value", tensor("c", {1 << 18}, 1, std::string(1 << 20, '\0')));
  doubling[0] =
      function("F0", {node("Constant", {}, {"c"}, {megabyte}), node("Add", {"a", "c"}, {"r"})});
  EXPECT_NO_THROW(parse(calls("F5", doubling)));
  EXPECT_ERROR(parse(calls("F7", doubling)), FormatError, "more than 67108864 bytes");
}

// Whatever a function holds, or is given, is there once for each call.
TEST(HostileOnnx, FunctionsThatRepeatWhatIsLong) {
  const std::string megabyte(1 << 20, 'n');
  const auto function = [](const std::string& name, const std::vector<Message>& nodes) {
    return message_of([&](protozero::pbf_writer& w) {
      w.add_string(1, name);
      w.add_string(4, "a");
      w.add_string(5, "r");
      w.add_string(6, "scales");
      for (const Message& each : nodes) w.add_message(7, each);
      w.add_message(9, opset(13));
      w.add_string(10, "local");
    });
  };
  const auto called = [&](const Message& bottom, const std::vector<Message>& attributes = {}) {
    GraphParts parts = sound();
    parts.nodes.clear();
    for (int i = 0; i < 100; ++i)
      parts.nodes.push_back(node("F", {i == 0 ? "x" : "t" + std::to_string(i - 1)},
                                 {i == 99 ? "y" : "t" + std::to_string(i)}, attributes, "local"));
    return model(graph(parts), 13, {bottom});
  };
  const char* refused = "functions take more than 67108864 bytes";
  EXPECT_ERROR(parse(called(function(
                   "F", {node("Neg", {"a"}, {megabyte}), node("Neg", {megabyte}, {"r"})}))),
               FormatError, refused);
  EXPECT_ERROR(parse(called(function(
                   "F", {node("MaxPool", {"a"}, {"r"},
                              {attribute("kernel_shape", std::vector<int64_t>(1 << 20, 1))})}))),
               FormatError, refused);
  // What one call gives, which a function of many nodes refers to.
  std::vector<Message> nodes;
  for (int i = 0; i < 100; ++i)
    nodes.push_back(node("MaxPool", {i == 0 ? "a" : "t" + std::to_string(i - 1)},
                         {i == 99 ? "r" : "t" + std::to_string(i)},
                         {reference_attribute("kernel_shape", "scales", 7)}));
  GraphParts once = sound();
  once.nodes = {
      node("F", {"x"}, {"y"}, {attribute("scales", std::vector<int64_t>(1 << 18, 1))}, "local")};
  EXPECT_ERROR(parse(model(graph(once), 13, {function("F", nodes)})), FormatError, refused);
}

// Lists that are searched for each entry of another would take minutes.
TEST(HostileOnnx, LongListsAreNotSearchedAgainAndAgain) {
  constexpr int kMany = 20'000;
  GraphParts parts = sound();
  parts.nodes.clear();
  std::vector<Message> thens;
  std::vector<Message> elses;
  for (int i = 0; i < kMany; ++i) {
    const std::string name = "v" + std::to_string(i);
    parts.nodes.push_back(node("Neg", {"x"}, {name}));
    (i % 2 == 0 ? thens : elses).push_back(node("Neg", {name}, {"n" + name}));
  }
  const auto branch = [](const std::vector<Message>& nodes, const std::string& output) {
    return graph_attribute(output == "nv0" ? "then_branch" : "else_branch",
                           graph({.nodes = nodes, .outputs = {value(output, {2})}}));
  };
  parts.nodes.push_back(node("If", {"c"}, {"y"}, {branch(thens, "nv0"), branch(elses, "nv1")}));
  parts.inputs.push_back(value("c", {}, 9));
  EXPECT_EQ(parse(model(graph(parts), 13)).graph.inputs.size(), 2U);
}

TEST(HostileOnnx, MoreMessagesThanAnyNet) {
  // Nodes without a byte: two of the file, a hundred of memory each.
  Message empty_nodes;
  for (int i = 0; i < 5'000'000; ++i) empty_nodes += std::string("\x0a\x00", 2);
  EXPECT_ERROR(parse(model(empty_nodes, 13)), FormatError, "more than 4000000 messages");
}

// A sound file whose nodes ask for more memory or work than there is.
TEST(HostileOnnx, ResultsThatNoMachineHolds) {
  const auto refused = [](const Message& bytes) {
    const Model net = parse(bytes);
    try {
      infer::interpret(net.graph, std::vector<Tensor>{zeros({1, 1, 2, 2})});
      ADD_FAILURE() << "nothing was refused";
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr("y ("));
    }
  };
  const auto with = [](const Message& node_message, const std::vector<Message>& initializers) {
    return model(graph({.nodes = {node_message},
                        .initializers = initializers,
                        .inputs = {value("x", {1, 1, 2, 2})},
                        .outputs = {value("y", {})}}),
                 13);
  };
  constexpr int64_t kHuge = int64_t{1} << 50;
  refused(with(node("Expand", {"x", "s"}, {"y"}), {integers("s", {kHuge, 1, 2, 2})}));
  refused(with(node("Tile", {"x", "s"}, {"y"}), {integers("s", {kHuge, kHuge, 2, 2})}));
  refused(with(node("ConstantOfShape", {"s"}, {"y"}), {integers("s", {kHuge})}));
  refused(with(node("ConstantOfShape", {"s"}, {"y"}), {integers("s", {0, kHuge, kHuge})}));
  refused(with(node("Reshape", {"x", "s"}, {"y"}), {integers("s", {kHuge, kHuge, -1})}));
  refused(with(node("Pad", {"x", "s"}, {"y"}),
               {integers("s", {0, 0, 0, INT64_MAX, 0, 0, 0, INT64_MAX})}));
  refused(with(node("Range", {"a", "b", "c"}, {"y"}),
               {tensor("a", {}, 7, raw<int64_t>({0})), tensor("b", {}, 7, raw<int64_t>({kHuge})),
                tensor("c", {}, 7, raw<int64_t>({1}))}));
  refused(with(node("Resize", {"x", "", "s"}, {"y"}), {floats("s", {4}, {1, 1, 1e9F, 1e9F})}));
  refused(with(node("Gather", {"x", "s"}, {"y"}), {integers("s", {5})}));
  refused(with(
      node("MaxPool", {"x"}, {"y"},
           {attribute("kernel_shape", std::vector<int64_t>{1, 1}),
            attribute("pads", std::vector<int64_t>{INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX})}),
      {}));
  refused(with(
      node("MaxPool", {"x"}, {"y"}, {attribute("kernel_shape", std::vector<int64_t>{0, -1})}), {}));
  refused(with(node("Conv", {"x", "w"}, {"y"}, {attribute("group", INT64_MAX)}),
               {floats("w", {1, 1, 1, 1}, {1})}));
  refused(with(node("DepthToSpace", {"x"}, {"y"}, {attribute("blocksize", INT64_MAX)}), {}));
  refused(with(node("Unsqueeze", {"x", "s"}, {"y"}), {integers("s", {0, 1, 2, 3, 4, 5, 6})}));
}

struct MemoryLimit {
  explicit MemoryLimit(int64_t bytes) : before(infer::memory_limit()) {
    infer::set_memory_limit(bytes);
  }
  ~MemoryLimit() { infer::set_memory_limit(before); }
  MemoryLimit(const MemoryLimit&) = delete;
  MemoryLimit& operator=(const MemoryLimit&) = delete;
  int64_t before;
};

// Damages a file: one byte, or a few places.
Message damaged(Message bytes, Generator& generator) {
  if (bytes.empty()) return bytes;
  if (generator.below(2) == 0) {
    // Small numbers are dimensions, axes and lengths more often than not.
    bytes[generator.below(bytes.size())] =
        static_cast<char>(generator.below(8) == 0 ? -1 : generator.below(16));
    return bytes;
  }
  const int places = 1 + static_cast<int>(generator.below(4));
  for (int i = 0; i < places && !bytes.empty(); ++i) {
    const auto at = static_cast<std::size_t>(generator.below(bytes.size()));
    switch (generator.below(4)) {
      case 0:
        bytes[at] = static_cast<char>(generator.below(256));
        break;
      case 1:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << generator.below(8)));
        break;
      case 2:
        bytes.erase(at, generator.below(8));
        break;
      default:
        bytes.insert(at, bytes.substr(at, generator.below(16)));
    }
  }
  return bytes;
}

// Inputs small enough that a damaged net cannot ask for much work by itself.
std::vector<Tensor> inputs_for(const graph::Graph& net) {
  std::vector<Tensor> inputs;
  for (const graph::ValueId id : net.inputs) {
    const graph::ValueType& type = net.value(id).type;
    std::vector<int64_t> extents;
    if (type.dims)
      for (const graph::Dim& dim : *type.dims)
        extents.push_back(dim.known() ? std::min<int64_t>(dim.extent, 64) : 2);
    inputs.push_back(ones(Shape(extents), type.dtype.value_or(DType::float32)));
  }
  return inputs;
}

TEST(HostileOnnx, DamagedConformanceCasesNeverCrash) {
  const std::string folder = "/usr/share/libonnx-testdata/data/node";
  if (!io::folder_exists(folder)) GTEST_SKIP() << "tools/setup --tests installs ONNX's cases";
  // CONVKIT_FUZZ_ROUNDS=10000 for a longer look.
  const char* asked = std::getenv("CONVKIT_FUZZ_ROUNDS");
  const int rounds = asked != nullptr ? std::atoi(asked) : 20;
  const MemoryLimit limit(int64_t{256} << 20);
  Generator generator(4);
  int sound_nets = 0;
  int ran = 0;
  for (const std::string& name : io::list_folder(folder).folders) {
    SCOPED_TRACE(name);
    const io::Bytes bytes = io::read_file(io::join_path(folder, name + "/model.onnx"));
    const Message text(bytes.begin(), bytes.end());
    for (int round = 0; round < rounds; ++round) {
      try {
        const Model net = parse(damaged(text, generator));
        ++sound_nets;
        graph::verify(net.graph);
        infer::interpret(net.graph, inputs_for(net.graph));
        ++ran;
      } catch (const Error&) {  // NOLINT(bugprone-empty-catch): what it says is free
      }
    }
  }
  // Most damage is to names and numbers: the readers and operators behind the parser are reached.
  EXPECT_GT(sound_nets, 500);
  EXPECT_GT(ran, 100);
}

}  // namespace
}  // namespace convkit::onnx
