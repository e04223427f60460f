#pragma once

#include <any>
#include <string>
#include <string_view>
#include <vector>

#include "convkit/graph/graph.h"
#include "convkit/graph/trace.h"
#include "convkit/ops/pool.h"

/// How each operation of the tape becomes nodes; for graph/ only.
namespace convkit::graph {

/// Thrown by a row's function for what has no form in a graph.
struct Refusal {
  std::string reason;
};

/// One operation on its way into the graph. Shapes are known from two runs, which differ in the
/// batch; in a graph for one batch both are the same.
struct Lowering {
  struct Operand {
    ValueId id = kNoValue;
    Shape shape = {};
    Shape other_shape = {};
    DType dtype = DType::float32;
  };

  Graph& graph;
  std::string_view op;  ///< as the tape calls it
  std::string name;     ///< of the node that gives the result
  const std::any& parameters;
  const std::any& other_parameters;
  std::vector<Operand> inputs;
  Operand result;  ///< without id

  /// The operation's parameters. Throws Refusal when they are of another type.
  template <class T>
  const T& params() const {
    return params_of<T>(parameters);
  }
  template <class T>
  const T& other_params() const {
    return params_of<T>(other_parameters);
  }
  ValueId input(std::size_t i) const { return i < inputs.size() ? inputs[i].id : kNoValue; }
  const Shape& shape(std::size_t i) const { return inputs[i].shape; }
  /// The spatial axes of input 0, (N, C, spatial...).
  int64_t rank() const { return shape(0).dim() - 2; }

  /// A constant, an auxiliary node and the node of the result; the first two are named after it.
  ValueId constant(std::string_view what, const Tensor& tensor);
  ValueId number(std::string_view what, double value);
  ValueId list(std::string_view what, const std::vector<int64_t>& values);
  ValueId before(std::string_view what, Op node_op, std::vector<ValueId> node_inputs,
                 Attributes attributes = {});
  ValueId node(Op node_op, std::vector<ValueId> node_inputs, Attributes attributes = {});

 private:
  template <class T>
  static const T& params_of(const std::any& any) {
    const T* const typed = std::any_cast<T>(&any);
    if (typed == nullptr) throw Refusal{"its parameters are not of the type that its name says"};
    return *typed;
  }
};

/// A row of the table: exactly one of the two is given.
struct LowerRow {
  std::string_view op;
  ValueId (*lower)(Lowering& l) = nullptr;
  std::string_view refusal = "";  ///< why it has no form
  /// It prepares or finishes what the layer is about, so that its node is not named by the layer.
  bool is_auxiliary = false;
};

/// The row of an operation, or null.
const LowerRow* find_lower_row(std::string_view op);
std::vector<std::string_view> lowered_operations();

// lower_windows.cc: convolutions and pools.
template <int Rank>
ValueId lower_conv(Lowering& l);
template <int Rank>
ValueId lower_max_pool(Lowering& l);
/// A max pool of `x` that gives the result, for input 0 or whatever has its shape.
template <int Rank>
ValueId lower_max_pool_of(Lowering& l, ValueId x, const ops::MaxPoolParams<Rank>& params);
template <int Rank>
ValueId lower_avg_pool(Lowering& l);
template <int Rank>
ValueId lower_adaptive_max_pool(Lowering& l);
template <int Rank>
ValueId lower_adaptive_avg_pool(Lowering& l);
ValueId lower_pad(Lowering& l);

// lower_shapes.cc
ValueId lower_reshape(Lowering& l);
ValueId lower_permute(Lowering& l);
ValueId lower_concat(Lowering& l);
ValueId lower_slice(Lowering& l);

}  // namespace convkit::graph
