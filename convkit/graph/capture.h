#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "convkit/base/error.h"
#include "convkit/graph/graph.h"
#include "convkit/nn/module.h"

/// Any module as a graph.
namespace convkit::graph {

struct CaptureOptions {
  std::string name = "net";  ///< of the graph
  std::string input = "input";
  std::string output = "output";
  /// Axis 0 of the input is a batch of any size. Without it the graph takes the example's shape
  /// only.
  bool any_batch = true;
};

/// The net as it computes in evaluation mode, without gradients: what the tape records of one run
/// on `example` (its layers' own shapes and parameters; there is no second definition of either).
///
/// Names: constants that are parameters or buffers have their state_dict keys; a node has the path
/// of its layer (`layer1.0.conv1`), or that of the module around it and what it does
/// (`layer1.0.add`), with a number behind what runs twice (`layer1.0.relu_1`). Values are named
/// like the nodes that compute them.
///
/// With any_batch the net runs once more, on other numbers and one more sample: extents that grow
/// with the batch are unknown in the graph (those that are the batch itself have the name N), and
/// whatever else differs between the two runs is refused. Other extents are the example's, so that
/// the graph of a net that takes pictures of any size takes those of the example's.
///
/// Constants share their elements with the net's tensors; capture a clone() for a graph that is to
/// outlive further training. The net itself, a copy that shares its tensors, keeps its mode.
///
/// Throws CaptureError, and what the net throws for such an input.
CONVKIT_API Graph capture(nn::AnyModule net, const Tensor& example,
                          const CaptureOptions& options = {});

/// An operation that cannot stand in a graph, and why.
struct Uncaptured {
  std::string op;    ///< as the tape calls it, e.g. "cross_entropy"
  std::string path;  ///< of the layer it ran in; may be empty
  std::string reason;
};

/// Names every such operation, not only the first.
class CONVKIT_API CaptureError : public Error {
 public:
  explicit CaptureError(std::vector<Uncaptured> operations);
  const std::vector<Uncaptured>& operations() const { return operations_; }

 private:
  std::vector<Uncaptured> operations_;
};

/// The operations of the tape that have a form in the graph.
CONVKIT_API std::vector<std::string_view> captured_operations();

}  // namespace convkit::graph
