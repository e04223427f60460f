#include "convkit/graph/graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "convkit/graph/edit.h"
#include "convkit/graph/print.h"
#include "convkit/graph/verify.h"
#include "tests/support/throws.h"

namespace convkit::graph {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

// y = relu(x + b) and, read by nobody, exp(x).
Graph small_graph() {
  Graph g;
  g.name = "small";
  const ValueId x = g.add_input("x", {.dtype = DType::float32, .dims = {{{.name = "N"}, {3}}}});
  const ValueId b = g.add_constant("b", from_values({1.0F, -2.5F, 3.0F}, {3}));
  g.add_node(Op::exp, "unused", {x});
  const ValueId sum = g.add_node(Op::add, "sum", {x, b});
  g.outputs.push_back(g.add_node(Op::relu, "y", {sum}));
  return g;
}

TEST(Graph, EveryOperatorHasOneRow) {
  for (int i = 0; i < operator_count(); ++i) {
    const Op op = static_cast<Op>(i);
    EXPECT_EQ(find_operator(name_of(op)), op) << name_of(op) << " stands twice";
    EXPECT_GE(info(op).min_outputs, 1) << name_of(op);
    const bool is_bounded = info(op).max_inputs != kAnyNumber;
    EXPECT_TRUE(!is_bounded || info(op).min_inputs <= info(op).max_inputs) << name_of(op);
  }
  EXPECT_EQ(name_of(Op::global_average_pool), "GlobalAveragePool");
  EXPECT_EQ(name_of(Op::conditional), "If");
  EXPECT_EQ(find_operator("Nonsense"), std::nullopt);
}

TEST(Graph, ReadsWell) {
  EXPECT_EQ(to_text(small_graph()),
            "graph 'small'\n"
            "  in   x: float32 N×3\n"
            "  c    b: float32 3 = 1 -2.5 3\n"
            "  unused: unused = Exp(x)\n"
            "  sum: sum = Add(x, b)\n"
            "  y: y = Relu(sum)\n"
            "  out  y: ? ...\n");
}

TEST(Graph, IsAGraphvizProgram) {
  const std::string dot = to_dot(small_graph());
  EXPECT_THAT(dot, HasSubstr("digraph \"small\" {"));
  EXPECT_THAT(dot, HasSubstr("n1 [label=\"Add\\nsum\\nb: float32 3 = 1 -2.5 3\"]"));
  EXPECT_THAT(dot, HasSubstr("v0 -> n1 [label=\"float32 N×3\"]"));
  EXPECT_THAT(dot, HasSubstr("n1 -> n2"));
  EXPECT_THAT(dot, HasSubstr("n2 -> o0"));
}

TEST(Graph, TypesSayWhatIsKnown) {
  EXPECT_EQ(to_text(ValueType{}), "? ...");
  EXPECT_EQ(to_text(ValueType{.dtype = DType::int64, .dims = std::vector<Dim>{}}), "int64 scalar");
  EXPECT_EQ(to_text(type_of(zeros({2, 3}))), "float32 2×3");
  const ValueType open{.dtype = DType::float32, .dims = {{{.name = "N"}, {}, {4}}}};
  EXPECT_EQ(to_text(open), "float32 N×?×4");
  EXPECT_EQ(open.shape(), std::nullopt);
  EXPECT_EQ(type_of(zeros({2, 3})).shape(), Shape({2, 3}));
  EXPECT_TRUE(accepts(open, zeros({7, 9, 4})));
  EXPECT_FALSE(accepts(open, zeros({7, 9, 5})));
  EXPECT_FALSE(accepts(open, zeros({7, 4})));
  EXPECT_FALSE(accepts(open, zeros({7, 9, 4}, DType::float64)));
  EXPECT_TRUE(accepts(ValueType{}, zeros({7})));
}

TEST(Graph, AttributesKeepTheirKind) {
  Attributes a{{"axis", int64_t{1}}, {"alpha", 0.1F}};
  a.set("axis", int64_t{2});
  a.set("pads", std::vector<int64_t>{1, 2});
  EXPECT_THAT(a.entries(), SizeIs(3));
  EXPECT_EQ(a.integer("axis"), 2);
  EXPECT_EQ(to_text(*a.find("alpha")), "0.1");
  EXPECT_EQ(to_text(*a.find("pads")), "(1, 2)");
  EXPECT_ERROR(a.integer("alpha"), ValueError,
               "attribute 'alpha' is 0.1, but should be an integer");
  EXPECT_ERROR(a.text("mode"), ValueError, "attribute 'mode' is missing");
  Attributes b{{"pads", std::vector<int64_t>{1, 2}}, {"alpha", 0.1F}, {"axis", int64_t{2}}};
  EXPECT_TRUE(equal(a, b)) << "the order does not matter";
  b.set("alpha", 0.2);
  EXPECT_FALSE(equal(a, b));
}

TEST(Graph, FindsInputsAndOutputsByName) {
  const Graph g = small_graph();
  EXPECT_EQ(g.find_input("x"), 0);
  EXPECT_EQ(g.value(g.find_output("y")).name, "y");
  EXPECT_ERROR(g.find_input("z"), ValueError, "the net has no input 'z'; there is x");
}

TEST(Graph, KnowsWhoReadsAValue) {
  const Uses uses = uses_of(small_graph());
  EXPECT_EQ(uses.producer.at(0), Uses::kNoNode);
  EXPECT_THAT(uses.consumers.at(0), ElementsAre(0, 1));
  EXPECT_THAT(uses.output_count, ElementsAre(0, 0, 0, 0, 1));
}

TEST(RemoveDead, DropsWhatNobodyReads) {
  Graph g = small_graph();
  EXPECT_EQ(remove_dead(g), 1);
  verify(g);
  EXPECT_THAT(g.nodes, SizeIs(2));
  EXPECT_THAT(g.values, SizeIs(4));
  EXPECT_EQ(g.value(g.outputs[0]).name, "y");
  EXPECT_EQ(remove_dead(g), 0);
}

TEST(RemoveDead, LetsOptionalOutputsGo) {
  Graph g;
  const ValueId x = g.add_input("x");
  const ValueId y = g.add_value("y");
  const ValueId places = g.add_value("places");
  g.nodes.push_back({.op = Op::max_pool, .name = "pool", .inputs = {x}, .outputs = {y, places}});
  g.outputs = {y};
  remove_dead(g);
  EXPECT_EQ(g.nodes[0].output(1), kNoValue);
  EXPECT_THAT(g.values, SizeIs(2));
}

TEST(ReplaceUses, AlsoInTheOutputs) {
  Graph g = small_graph();
  const ValueId y = g.outputs[0];
  const ValueId sum = g.nodes[2].inputs[0];
  replace_uses(g, y, sum);
  EXPECT_EQ(g.outputs[0], sum);
  EXPECT_EQ(remove_dead(g), 2);
  verify(g);
}

TEST(SortNodes, PutsProducersFirstAndKeepsTheOrderOtherwise) {
  Graph g = small_graph();
  std::swap(g.nodes[1], g.nodes[2]);
  EXPECT_ERROR(verify(g), FormatError, "node 'y' (Relu) reads 'sum'", "nothing before it computes");
  sort_nodes(g);
  verify(g);
  EXPECT_EQ(g.nodes[0].name, "unused");
  g.nodes[1].inputs[1] = g.outputs[0];
  EXPECT_ERROR(sort_nodes(g), FormatError, "form a cycle");
}

Graph branch(Op op) {
  Graph g;
  const ValueId x = g.add_input("x");
  g.outputs.push_back(g.add_node(op, "in_branch", {x}));
  return g;
}

Graph conditional() {
  Graph g;
  const ValueId c = g.add_input("c");
  const ValueId x = g.add_input("x");
  const ValueId y = g.add_node(Op::conditional, "y", {c, x});
  g.nodes[0].branches = {branch(Op::neg), branch(Op::exp)};
  g.outputs = {y};
  return g;
}

TEST(InlineBranch, PutsItsNodesInPlace) {
  Graph g = conditional();
  verify(g);
  inline_branch(g, 0, false);
  verify(g);
  ASSERT_THAT(g.nodes, SizeIs(1));
  EXPECT_EQ(g.nodes[0].op, Op::exp);
  EXPECT_EQ(g.nodes[0].inputs[0], g.inputs[1]);
  EXPECT_EQ(g.outputs[0], g.nodes[0].outputs[0]);
}

TEST(Verify, NamesWhatIsBroken) {
  Graph g = small_graph();
  g.nodes[1].inputs.pop_back();
  EXPECT_ERROR(verify(g), FormatError, "graph 'small': node 'sum' (Add): input 1 is missing",
               "takes 2");
  g = small_graph();
  g.nodes[1].inputs.push_back(0);
  EXPECT_ERROR(verify(g), FormatError, "node 'sum' (Add) has 3 inputs");
  g = small_graph();
  g.nodes[1].inputs[0] = 99;
  EXPECT_ERROR(verify(g), FormatError, "reads value 99, but there are 5");
  g = small_graph();
  g.nodes[2].outputs[0] = g.nodes[1].outputs[0];
  EXPECT_ERROR(verify(g), FormatError, "node 'y' (Relu): value 'sum' (3) has another origin");
  g = small_graph();
  g.outputs[0] = g.add_value("floating");
  EXPECT_ERROR(verify(g), FormatError, "nothing computes the output 'floating'");
  g = small_graph();
  g.add_input("x");
  EXPECT_ERROR(verify(g), FormatError, "two inputs are named 'x'");
  g = conditional();
  g.nodes[0].branches.pop_back();
  EXPECT_ERROR(verify(g), FormatError, "has 1 branches; the operator has 2");
  g = conditional();
  g.nodes[0].branches[1].add_input("more");
  EXPECT_ERROR(verify(g), FormatError, "a branch has 2 inputs, but the node hands it 1");
  g = conditional();
  g.nodes[0].branches[0].nodes[0].inputs[0] = 1;
  EXPECT_ERROR(verify(g), FormatError, "which nothing before it computes");
}

TEST(Verify, RefusesDeepNesting) {
  Graph g = conditional();
  for (int depth = 0; depth <= kMaxNesting; ++depth) {
    Graph outer = conditional();
    // A branch has one input; it is the condition of the next one, too.
    Graph inner;
    const ValueId x = inner.add_input("x");
    const ValueId y = inner.add_node(Op::conditional, "y", {x, x});
    inner.nodes[0].branches = {g.nodes[0].branches[0], branch(Op::exp)};
    inner.outputs = {y};
    outer.nodes[0].branches[0] = inner;
    g = outer;
  }
  EXPECT_ERROR(verify(g), FormatError, "branches nest more than 32 deep");
}

}  // namespace
}  // namespace convkit::graph
