#include "convkit/infer/slices.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "convkit/graph/edit.h"
#include "convkit/infer/session.h"
#include "tests/infer/nodes.h"
#include "tests/support/on_threads.h"

// Concatenation without copies: what lies where is not to be seen from outside, but for the steps
// that are left and the numbers, which are the interpreter's.
namespace convkit::infer {
namespace {

using graph::Graph;
using graph::Op;
using graph::ValueId;
using test::Builder;
using test::Ints;
using test::random_inputs;

ValueId concat(Builder& b, std::vector<ValueId> values, int64_t axis = 1) {
  return b.node(Op::concat, std::move(values), {{"axis", axis}});
}
ValueId relu(Builder& b, ValueId x) { return b.node(Op::relu, {x}); }
ValueId conv(Builder& b, ValueId x, int64_t in, int64_t out, int64_t kernel, int64_t group = 1) {
  const int64_t pad = kernel / 2;
  return b.conv(x, {out, in / group, kernel, kernel}, {pad, pad, pad, pad}, {}, group);
}

// The same net, whose concatenations everybody may see: then none is made of slices.
Graph with_copies(Graph graph) {
  for (const graph::Node& node : graph.nodes)
    if (node.op == Op::concat) graph.outputs.push_back(node.outputs[0]);
  return graph;
}

// EXPECTs the bits that copies give, on any number of threads, and the interpreter's numbers. Its
// sums come in another order: errors are of the size of the largest numbers' last bits, and grow
// from layer to layer.
void expect_same_numbers(const Graph& graph) {
  const std::vector<Tensor> inputs = random_inputs(graph);
  const Session session(graph, {.exactness = Exactness::exact});
  const std::vector<Tensor> expected = interpret(graph, inputs);
  const std::vector<Tensor> copied =
      Session(with_copies(graph), {.exactness = Exactness::exact}).run(inputs);
  for (const int threads : {1, 3}) {
    const test::OnThreads together(threads);
    for (int run = 0; run < 2; ++run) {
      const std::vector<Tensor> actual = session.run(inputs);
      ASSERT_EQ(actual.size(), expected.size());
      for (std::size_t i = 0; i < actual.size(); ++i) {
        EXPECT_TRUE(bit_equal(actual[i], copied[i])) << "output " << i;
        double largest = 0;
        for (const float value : expected[i].to_vector<float>())
          largest = std::max(largest, std::abs(static_cast<double>(value)));
        test::expect_close(actual[i], expected[i], 1e-4, 1e-5 * largest + 1e-6,
                           "output " + std::to_string(i));
      }
    }
  }
}

// And as many Concat steps as told.
void expect_concats(const Graph& graph, int64_t copies) {
  const std::vector<Tensor> inputs = random_inputs(graph);
  int64_t found = 0;
  for (const StepDescription& step : Session(graph).steps(inputs)) {
    EXPECT_NE(step.algorithm, "interpreter") << step.op;
    if (step.op == "Concat") ++found;
  }
  EXPECT_EQ(found, copies);
  expect_same_numbers(graph);
}

TEST(Slices, TakeTheBranchesOfAnInceptionBlock) {
  for (const int64_t batch : {1, 3}) {
    Builder b;
    const ValueId x = conv(b, b.input({batch, 16, 14, 14}), 16, 48, 3);
    const ValueId pooled =
        b.node(Op::max_pool, {x}, test::pool_attributes({3, 3}, {1, 1}, {1, 1, 1, 1}));
    const ValueId averaged =
        b.node(Op::average_pool, {x}, test::pool_attributes({3, 3}, {1, 1}, {1, 1, 1, 1}));
    const ValueId y = concat(
        b, {relu(b, conv(b, x, 48, 20, 1)), relu(b, conv(b, conv(b, x, 48, 16, 1), 16, 37, 3)),
            conv(b, x, 48, 48, 5, 48), conv(b, x, 48, 24, 3, 4), conv(b, pooled, 48, 17, 1),
            averaged, b.node(Op::sigmoid, {conv(b, x, 48, 32, 1)})});
    expect_concats(b.finish({conv(b, y, 20 + 37 + 48 + 24 + 17 + 48 + 32, 8, 1)}), 0);
  }
}

// Each layer reads the concatenation of all before it.
ValueId dense_block(Builder& b, ValueId x, int64_t channels, int layers, int64_t growth) {
  std::vector<ValueId> features = {x};
  for (int layer = 0; layer < layers; ++layer) {
    const ValueId all = features.size() == 1 ? x : concat(b, features);
    const ValueId narrow = conv(b, relu(b, b.batch_norm(all, channels)), channels, 4 * growth, 1);
    features.push_back(conv(b, relu(b, b.batch_norm(narrow, 4 * growth)), 4 * growth, growth, 3));
    channels += growth;
  }
  return relu(b, b.batch_norm(concat(b, features), channels));
}

TEST(Slices, JoinADenseBlockWithoutACopy) {
  for (const int64_t batch : {1, 2}) {
    Builder b;
    ValueId x = conv(b, b.input({batch, 3, 20, 20}), 3, 24, 3);
    x = b.node(Op::max_pool, {x}, test::pool_attributes({2, 2}, {2, 2}, {0, 0, 0, 0}));
    const ValueId y = dense_block(b, x, 24, 6, 32);
    expect_concats(b.finish({conv(b, y, 24 + 6 * 32, 10, 1)}), 0);
  }
}

TEST(Slices, JoinWhatTheWayDownOfAUNetKeepsForTheWayUp) {
  for (const bool learned : {false, true}) {
    Builder b;
    const ValueId fine = relu(b, conv(b, b.input({2, 3, 16, 12}), 3, 24, 3));
    const ValueId low = relu(
        b,
        conv(b, b.node(Op::max_pool, {fine}, test::pool_attributes({2, 2}, {2, 2}, {0, 0, 0, 0})),
             24, 32, 3));
    const ValueId up =
        learned ? b.node(Op::conv_transpose,
                         {low, b.random_constant({32, 40, 2, 2}), b.random_constant({40})},
                         {{"auto_pad", std::string("NOTSET")},
                          {"dilations", Ints{}},
                          {"group", int64_t{1}},
                          {"kernel_shape", Ints{}},
                          {"output_padding", Ints{}},
                          {"output_shape", Ints{}},
                          {"pads", Ints{}},
                          {"strides", Ints{2, 2}}})
                : b.node(Op::resize,
                         {low, graph::kNoValue,
                          b.constant(from_values(std::vector<float>{1, 1, 2, 2}, {4}))},
                         {{"antialias", int64_t{0}},
                          {"axes", Ints{}},
                          {"coordinate_transformation_mode", std::string("half_pixel")},
                          {"cubic_coeff_a", -0.75},
                          {"exclude_outside", int64_t{0}},
                          {"extrapolation_value", 0.0},
                          {"keep_aspect_ratio_policy", std::string("stretch")},
                          {"mode", std::string("linear")},
                          {"nearest_mode", std::string("round_prefer_floor")}});
    const int64_t channels = 24 + (learned ? 40 : 32);
    expect_concats(b.finish({conv(b, concat(b, {fine, up}), channels, 8, 3)}), 0);
  }
}

TEST(Slices, NestInEachOther) {
  Builder b;
  const ValueId x = conv(b, b.input({2, 3, 9, 9}), 3, 16, 3);
  const ValueId pair = concat(b, {conv(b, x, 16, 20, 1), conv(b, x, 16, 24, 3)});
  const ValueId all = concat(b, {conv(b, x, 16, 18, 1), pair, conv(b, x, 16, 17, 3)});
  expect_concats(b.finish({conv(b, all, 79, 8, 1)}), 0);
}

TEST(Slices, AreStretchesOfMemoryAlongTheOutermostAxis) {
  // Any step writes and reads these; of more pictures than one, rows are not outermost.
  for (const int64_t batch : {1, 2}) {
    Builder b;
    const ValueId x = conv(b, b.input({batch, 3, 8, 8}), 3, 16, 3);
    const ValueId sum = b.node(Op::add, {conv(b, x, 16, 8, 1), conv(b, x, 16, 8, 3)});
    const ValueId rows = concat(b, {conv(b, x, 16, 8, 1), relu(b, sum)}, 2);
    const ValueId pictures = concat(b, {rows, conv(b, rows, 8, 8, 3)}, 0);
    expect_concats(b.finish({conv(b, pictures, 8, 8, 1)}), batch - 1);
  }
}

TEST(Slices, LeaveWhatCannotBeOneToACopy) {
  Builder b;
  const ValueId in = b.input({2, 8, 7, 7});
  const ValueId x = conv(b, in, 8, 16, 1);
  // An input, a constant, one value twice, an output, a residual, and what a convolution reads.
  const ValueId twice = conv(b, x, 16, 20, 1);
  const ValueId shown = conv(b, x, 16, 24, 1);
  const ValueId added = b.node(Op::add, {conv(b, x, 16, 16, 3), x});
  const ValueId read = conv(b, x, 16, 18, 1);
  const ValueId all =
      concat(b, {in, b.random_constant({2, 5, 7, 7}), twice, twice, shown, added, read});
  const ValueId y = conv(b, all, 8 + 5 + 20 + 20 + 24 + 16 + 18, 8, 1);
  expect_concats(b.finish({y, shown, conv(b, read, 18, 4, 3)}), 1);
}

TEST(Slices, AreNotOverwrittenWhileTheWholeIsRead) {
  Builder b;
  const ValueId x = conv(b, b.input({1, 3, 10, 10}), 3, 16, 3);
  const ValueId left = conv(b, x, 16, 24, 1);
  const ValueId right = conv(b, x, 16, 24, 3);
  const ValueId all = concat(b, {left, right});
  // These could take their input's memory, were it their own.
  const ValueId low = b.node(Op::sigmoid, {left});
  const ValueId high = b.node(Op::tanh, {all});
  const ValueId sum = b.node(Op::add, {b.node(Op::tanh, {left}), low});
  expect_concats(
      b.finish({conv(b, high, 48, 8, 1), conv(b, sum, 24, 8, 1), conv(b, all, 48, 8, 1)}), 0);
}

// Nets that nobody would draw.
TEST(Slices, KeepTheNumbersOfRandomNets) {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    Generator random(seed);
    const auto pick = [&](std::size_t below) {
      return static_cast<std::size_t>(random.below(below));
    };
    Builder b;
    struct Known {
      ValueId id;
      int64_t channels;
    };
    const int64_t batch = 1 + static_cast<int64_t>(pick(2));
    std::vector<Known> known = {{b.input({batch, 6, 5, 5}), 6}};
    for (int step = 0; step < 14; ++step) {
      const Known x = known[pick(known.size())];
      switch (pick(6)) {
        case 0:
        case 1: {
          const auto out = static_cast<int64_t>(16 + pick(20));
          known.push_back({conv(b, x.id, x.channels, out, pick(2) == 0 ? 1 : 3), out});
          break;
        }
        case 2:
          known.push_back({b.node(pick(2) == 0 ? Op::relu : Op::tanh, {x.id}), x.channels});
          break;
        case 3:
          known.push_back({b.batch_norm(x.id, x.channels), x.channels});
          break;
        default: {
          std::vector<ValueId> ids;
          int64_t channels = 0;
          for (std::size_t i = 0; i < 2 + pick(3); ++i) {
            const Known& each = known[pick(known.size())];
            if (channels + each.channels > 150) break;
            ids.push_back(each.id);
            channels += each.channels;
          }
          if (!ids.empty()) known.push_back({concat(b, ids), channels});
        }
      }
    }
    std::vector<ValueId> outputs = {conv(b, known.back().id, known.back().channels, 4, 1)};
    for (int i = 0; i < 2; ++i) {
      const Known x = known[pick(known.size())];
      outputs.push_back(conv(b, x.id, x.channels, 4, 1));
    }
    Graph g = b.finish(outputs);
    // Else more values are read in the net that shows its concatenations.
    graph::remove_dead(g);
    expect_same_numbers(g);
  }
}

}  // namespace
}  // namespace convkit::infer
