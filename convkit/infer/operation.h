#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "convkit/graph/graph.h"
#include "convkit/tensor/tensor.h"

/// For the sources of infer only: what a node's function is given and gives back.
namespace convkit::infer {

using Integers = std::vector<int64_t>;
using Tensors = std::vector<Tensor>;

/// One execution of a node. Inputs that are not given are undefined tensors, or not there.
struct Call {
  const graph::Node& node;
  std::span<const Tensor> inputs;

  graph::Op op() const { return node.op; }
  bool has(std::size_t i) const { return i < inputs.size() && inputs[i].defined(); }
  /// The input of that place; throws ValueError when it is not given.
  const Tensor& input(std::size_t i) const;
  bool wants(std::size_t output) const { return node.output(output) != graph::kNoValue; }

  /// The node's attributes.
  int64_t integer(std::string_view name) const { return node.attributes.integer(name); }
  bool flag(std::string_view name) const { return node.attributes.flag(name); }
  double number(std::string_view name) const { return node.attributes.number(name); }
  const std::string& text(std::string_view name) const { return node.attributes.text(name); }
  const Integers& integers(std::string_view name) const { return node.attributes.integers(name); }
  /// A list with one number for each of `count` axes; `otherwise` for all where it is empty. Throws
  /// ShapeError for another length.
  Integers integers(std::string_view name, int64_t count, int64_t otherwise) const;
};

/// Computes the outputs of a node: as many as it names, wanted or not.
using Function = Tensors (*)(const Call& call);

/// Throws ValueError where such a tensor would pass memory_limit().
void need_room(const Shape& shape, DType dtype);
/// Uninitialised elements. Throws ValueError where that would pass memory_limit(): sizes come from
/// files.
Tensor make(const Shape& shape, DType dtype);

/// The elements of an integer tensor, in logical order. Throws DTypeError for other types and
/// ShapeError for more than one axis.
Integers integers_of(const Tensor& tensor, const char* what);
/// The element of a tensor with one; integers beyond int64 saturate.
int64_t integer_of(const Tensor& tensor, const char* what);

/// `axis`, which may count from the end, as 0 … rank − 1. Throws ShapeError naming it otherwise.
std::size_t normal_axis(int64_t axis, int64_t rank);

/// x as float32 where it is of another floating type than float64: what the kernels take.
Tensor for_kernels(const Tensor& x);
/// Calls `body.operator()<T>()` with the type of a tensor that for_kernels() gave.
template <class Body>
void in_type(const Tensor& x, const Body& body) {
  if (x.dtype() == DType::float64) return body.template operator()<double>();
  body.template operator()<float>();
}
/// Throws DTypeError unless the element type of that input is floating.
void need_floating(const Call& call, std::size_t input);
/// Throws ShapeError unless that input has at least `rank` axes.
void need_rank(const Call& call, std::size_t input, int64_t rank);

}  // namespace convkit::infer
