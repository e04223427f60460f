#pragma once

#include <memory>
#include <string>
#include <vector>

#include "convkit/autograd/record.h"

/// The tape's links; for autograd/ only.
namespace convkit::autograd {

/// Where the gradient of one input goes: on to the operation that made it, into the leaf that
/// collects it, or nowhere.
struct Edge {
  std::shared_ptr<Node> node;
  std::shared_ptr<TensorImpl> leaf;
  Shape shape;
};

/// One recorded operation.
struct Node {
  Node() = default;
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  /// Releases chains of nodes iteratively: a recursive release of a long tape overflows the stack.
  ~Node();

  const char* op = "";
  std::string path;
  uint64_t sequence = 0;  ///< grows along every edge from input to output
  std::vector<Edge> edges;
  uint64_t needs = 0;
  Backward backward;
  bool released = false;  ///< backward has run and let go of what it kept
};

/// True when nobody else holds this handle or its elements: they may be changed in place.
bool is_exclusive(const Tensor& tensor);

/// Names the operation whose backward runs on this thread, for messages, and whether it will never
/// run again.
class RunningBackward {
 public:
  RunningBackward(const char* op, bool is_last);
  ~RunningBackward();
  static const char* op();
  static bool is_last();
};

}  // namespace convkit::autograd
