#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "convkit/graph/graph.h"

/// Graphs as ONNX files, which every tool that reads ONNX accepts, and import.h reads back as the
/// same graph.
namespace convkit::onnx {

/// The operator set files are written in unless a node needs a newer one (Gelu 20, Mish 18, ...):
/// that of ONNX 1.12, of 2022, which readers in use have long known.
inline constexpr int64_t kExportOpset = 17;

struct ExportOptions {
  /// The operator set, kExportOpset to kNewestOpset; 0: the oldest of these that has every
  /// operator.
  int64_t opset = 0;
  /// Texts for the file's readers (metadata_props).
  std::map<std::string, std::string> metadata = {};
  /// With more bytes of constants than these, save_onnx puts them into a file of their own beside
  /// the model: protobuf messages end at 2 GB, of which the nodes get the rest.
  int64_t most_bytes_inside = (int64_t{1} << 31) - (int64_t{1} << 26);
};

/// What was written.
struct Exported {
  int64_t opset = 0;
  int64_t ir_version = 0;
  int64_t bytes = 0;           ///< of the model's file
  std::string data_file = "";  ///< with the constants, beside the model; or empty
  int64_t data_bytes = 0;
};

/// Writes a model, replacing the file whole. Values keep their names; where two have one name, or
/// one has none, a number tells them apart.
///
/// Throws what graph::verify throws, IoError, and ValueError for an operator set that is out of
/// range or lacks an operator, naming every node of that kind.
CONVKIT_API Exported save_onnx(const std::string& path, const graph::Graph& graph,
                               const ExportOptions& options = {});
/// The bytes that save_onnx writes. Throws ValueError when the constants are too large for one
/// file.
CONVKIT_API std::string serialize_onnx(const graph::Graph& graph,
                                       const ExportOptions& options = {});

}  // namespace convkit::onnx
