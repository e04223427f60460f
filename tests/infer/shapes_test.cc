#include "convkit/infer/shapes.h"

#include <gtest/gtest.h>

#include "tests/infer/nodes.h"

namespace convkit::infer {
namespace {

using graph::Dim;
using graph::Graph;
using graph::Op;
using graph::ValueId;
using test::Builder;
using test::Ints;

ValueId open_input(Builder& b, std::vector<Dim> dims) {
  return b.graph.add_input(b.name("x"), {.dtype = DType::float32, .dims = std::move(dims)});
}
std::string type_of(const Graph& graph, ValueId id) {
  return to_text(infer_types(graph)[graph::index_of(id)]);
}

TEST(InferTypes, WriteWhatFollowsFromOpenExtents) {
  Builder b;
  const ValueId x = open_input(b, {{}, {3}, {}, {}});
  const ValueId same = b.conv(x, {8, 3, 3, 3}, {1, 1, 1, 1});
  const ValueId valid = b.conv(x, {8, 3, 3, 3}, {});
  const ValueId half = b.conv(same, {8, 8, 3, 3}, {1, 1, 1, 1}, {2, 2});
  const ValueId pooled =
      b.node(Op::max_pool, {half}, test::pool_attributes({2, 2}, {2, 2}, {0, 0, 0, 0}));
  const ValueId twice = b.node(Op::concat, {half, half}, {{"axis", int64_t{0}}});
  const ValueId wide = b.node(Op::concat, {pooled, pooled}, {{"axis", int64_t{3}}});
  const ValueId mean = b.node(Op::global_average_pool, {pooled});
  const ValueId flat = b.node(Op::flatten, {mean}, {{"axis", int64_t{1}}});
  const ValueId pixels = b.node(Op::flatten, {pooled}, {{"axis", int64_t{1}}});
  const Graph g = b.finish({valid, twice, wide, flat, pixels});
  EXPECT_EQ(type_of(g, x), "float32 N×3×H×W");
  EXPECT_EQ(type_of(g, same), "float32 N×8×H×W");
  EXPECT_EQ(type_of(g, valid), "float32 N×8×H − 2×W − 2");
  EXPECT_EQ(type_of(g, half), "float32 N×8×⌈H/2⌉×⌈W/2⌉");
  EXPECT_EQ(type_of(g, pooled), "float32 N×8×⌊(H + 1)/4⌋×⌊(W + 1)/4⌋");
  EXPECT_EQ(type_of(g, twice), "float32 2·N×8×⌈H/2⌉×⌈W/2⌉");
  EXPECT_EQ(type_of(g, wide), "float32 N×8×⌊(H + 1)/4⌋×2·⌊(W + 1)/4⌋");
  EXPECT_EQ(type_of(g, flat), "float32 N×8");
  // Of two symbols.
  EXPECT_EQ(type_of(g, pixels), "float32 N×?");
}

TEST(InferTypes, KeepNamesAndFollowShapesThatAreComputed) {
  Builder b;
  const ValueId x = open_input(b, {{.name = "batch"}, {4}, {.name = "samples"}});
  const ValueId y = b.node(Op::relu, {x});
  const ValueId shape = b.node(Op::shape, {y}, {{"start", int64_t{0}}, {"end", int64_t{1}}});
  const ValueId rest = b.constant(from_values(Ints{-1, 2}, {2}));
  const ValueId target = b.node(Op::concat, {shape, rest}, {{"axis", int64_t{0}}});
  const ValueId pairs = b.node(Op::reshape, {y, target}, {{"allowzero", int64_t{0}}});
  const Graph g = b.finish({pairs});
  EXPECT_EQ(type_of(g, y), "float32 batch×4×samples");
  EXPECT_EQ(type_of(g, pairs), "float32 batch×2·samples×2");
}

TEST(InferTypes, FindTheSizesANetAccepts) {
  Builder b;
  const ValueId x = open_input(b, {{1}, {1}, {}});
  // Nothing is left of fewer than 1000 samples.
  const ValueId long_kernel = b.conv(x, {2, 1, 1000}, {}, {4});
  // Both sides fit each other for multiples of four alone.
  const ValueId low = b.node(Op::average_pool, {x}, [] {
    graph::Attributes pool = test::pool_attributes({4}, {4}, {0, 0});
    return pool;
  }());
  const ValueId back = b.node(Op::concat, {low, low, low, low}, {{"axis", int64_t{2}}});
  const ValueId sum = b.node(Op::add, {b.node(Op::neg, {back}), x});
  const Graph g = b.finish({long_kernel, sum});
  EXPECT_EQ(type_of(g, long_kernel), "float32 1×2×⌊L/4⌋ − 249");
  EXPECT_EQ(type_of(g, low), "float32 1×1×⌊L/4⌋");
  EXPECT_EQ(type_of(g, sum), "float32 1×1×L");
}

TEST(InferTypes, LeaveOpenWhatNumbersDecide) {
  Builder b;
  const ValueId x = open_input(b, {{}, {5}});
  const ValueId found = b.node(Op::non_zero, {x});
  const Graph g = b.finish({found});
  EXPECT_FALSE(infer_types(g)[graph::index_of(found)].dims.has_value());
}

}  // namespace
}  // namespace convkit::infer
