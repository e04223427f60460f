#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>

#include "convkit/io/file.h"

/// Model files read without the elements of their large tensors; for onnx/ only.
namespace convkit::onnx {

/// Tensors of this many bytes and more may stay in the file until somebody needs them.
inline constexpr int64_t kFewestDeferredBytes = int64_t{1} << 16;

struct FilePart {
  int64_t offset = 0;
  int64_t length = 0;
};

/// The bytes of a model, a message as in the file; but of the graph's large initializers `raw_data`
/// is empty.
struct ModelFile {
  std::shared_ptr<const io::InputFile> file;
  io::Bytes bytes;
  /// Where in the file the raw data stand whose empty field ends at this position of `bytes`.
  std::unordered_map<std::size_t, FilePart> left_out;
};

/// Reads a file; what is no sequence of well-formed fields is read whole, for the parser to say
/// what is wrong with it. Throws IoError as io::read_file does.
ModelFile read_model_file(const std::string& path);

}  // namespace convkit::onnx
