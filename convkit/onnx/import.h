#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "convkit/base/error.h"
#include "convkit/graph/graph.h"

/// ONNX files (https://onnx.ai/onnx) as graphs: operator sets 6 to kNewestOpset, and of older ones
/// the operators that are as they were in 6.
///
/// Any bytes give a graph or a typed error, within time and memory in proportion to the file. No
/// file but the model, and those below its folder that it names for external data, is opened.
namespace convkit::onnx {

inline constexpr int64_t kOldestOpset = 1;
inline constexpr int64_t kNewestOpset = 25;

struct Model {
  graph::Graph graph;  ///< verified
  int64_t ir_version = 0;
  int64_t opset = 0;     ///< of the file; the graph is in the newest form
  std::string producer;  ///< the tool that wrote the file
  std::map<std::string, std::string> metadata;
};

/// Where large tensors of float32 are after loading.
enum class WeightsIn : uint8_t {
  memory,
  /// They stay in the file, which is kept open, until somebody reads them (tensor/deferred.h). If
  /// the file is written to meanwhile, that reading throws IoError; replacing it by renaming, as
  /// convkit and most tools do, does no harm. The file is read, not mapped: one cut short would
  /// otherwise end the process.
  file,
};

/// Reads a model. Initializers are constants, also those that are listed as inputs too; functions
/// of the file, and conditional nodes with a constant condition, are put in their places.
///
/// Throws IoError when a file cannot be read, FormatError for what breaks the format, and
/// UnsupportedError for what is sound but convkit cannot do.
CONVKIT_API Model load_onnx(const std::string& path, WeightsIn where = WeightsIn::memory);
/// The same for bytes at hand; `name` stands in messages for the path. External data is refused.
CONVKIT_API Model parse_onnx(std::span<const uint8_t> bytes, const std::string& name = "onnx");

/// A node that convkit cannot run, and why.
struct Unsupported {
  std::string op;  ///< as the file names it, e.g. "Loop"; "input" for an input of the net
  std::string domain;
  int64_t opset = 0;
  std::string node;    ///< its name, or that of its first output
  std::string reason;  ///< empty: the operator is not known
};

/// Names every node that convkit cannot run, not only the first.
class CONVKIT_API UnsupportedError : public Error {
 public:
  UnsupportedError(const std::string& file, std::vector<Unsupported> nodes);
  const std::vector<Unsupported>& nodes() const { return nodes_; }

 private:
  std::vector<Unsupported> nodes_;
};

/// A tensor in a file of its own (TensorProto), as conformance tests have them. Errors as above.
CONVKIT_API Tensor load_tensor_proto(const std::string& path);
CONVKIT_API Tensor parse_tensor_proto(std::span<const uint8_t> bytes,
                                      const std::string& name = "tensor");

/// The names of the operators that can be imported, in ascending order.
CONVKIT_API std::vector<std::string> supported_operators();

}  // namespace convkit::onnx
