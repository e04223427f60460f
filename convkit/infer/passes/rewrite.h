#pragma once

#include <string>
#include <utility>
#include <vector>

#include "convkit/graph/graph.h"

/// For the passes only: what they look for, and how they change it.
namespace convkit::infer {

/// A graph, and where its values come from and go to. Nodes are only changed, never moved or taken
/// out, as long as it is used; finish() drops those of which nothing is read any more.
class Rewriter {
 public:
  explicit Rewriter(graph::Graph& graph);

  graph::Graph& graph() { return graph_; }
  std::size_t size() const { return graph_.nodes.size(); }
  graph::Node& node(std::size_t n) { return graph_.nodes[n]; }

  /// The constant of that id, or null.
  const Tensor* constant(graph::ValueId id) const;
  /// The constant's one element as a number, if it has one.
  bool is_scalar(graph::ValueId id, double& number) const;
  /// The node that makes that value, or null.
  graph::Node* producer(graph::ValueId id);
  /// The same, if the value has one reader and is no output of the graph: then the reader may take
  /// the node's work over.
  graph::Node* sole_producer(graph::ValueId id);

  /// `consumer` does the work of `producer` besides its own: it becomes `fused`, a copy of
  /// `producer` with the outputs of `consumer`, at `consumer`'s place, where all it reads is known.
  void take_over(graph::Node& consumer, graph::Node fused);

  /// Readers of `out`, an output of `node`, read `in` instead. False, and nothing has changed, if
  /// an output of the graph would lose its name.
  bool bypass(graph::Node& node, graph::ValueId out, graph::ValueId in);

  /// Drops dead nodes if anything has changed; returns how often take_over, bypass and note did.
  int64_t finish();
  void note() { ++changes_; }
  /// A constant that passes have made, with a name like that of the node it is for.
  graph::ValueId add_constant(const std::string& name, Tensor tensor);
  /// False once a pass has made so many bytes of constants that another `tensor` would be out of
  /// proportion to those the net has: many nodes may share one weight.
  bool has_room_for(const Tensor& tensor) const;

 private:
  std::size_t number_of(const graph::Node& node) const {
    return static_cast<std::size_t>(&node - graph_.nodes.data());
  }
  /// Tell uses_ what a node reads, and that it no longer does.
  void add_reader(std::size_t n);
  void drop_reader(std::size_t n);
  /// Readers of `old` read `replacement`.
  void replace_uses(graph::ValueId old, graph::ValueId replacement);

  graph::Graph& graph_;
  graph::Uses uses_;
  int64_t changes_ = 0;
  int64_t room_ = 0;  ///< bytes of constants that may still be made
};

/// How many operators a node takes in at most: chains of them in a file may be of any length.
inline constexpr std::size_t kMostFused = 16;

/// True for Conv and FusedConv that have not taken in kMostFused operators yet.
bool is_conv(const graph::Node& node);
/// True for a convolution that nothing but its bias follows yet.
bool is_plain_conv(const graph::Node& node);
/// A FusedConv without inputs, strides, pads and limits.
graph::Node convolution_node(const std::string& name);
/// Makes a Conv a FusedConv without limits, if it is not one yet.
void make_fused(graph::Node& node);
/// Makes a Transpose of a Transpose one, or none where nothing has moved.
void merge_transpose(Rewriter& rewriter, graph::Node& transpose);
/// Appends to the attribute `fused`.
void note_fused(graph::Node& node, graph::Op op);

}  // namespace convkit::infer
