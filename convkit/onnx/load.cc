#include "convkit/onnx/load.h"

#include "convkit/onnx/import.h"

namespace convkit {

infer::Session load(const std::string& path, const infer::SessionOptions& options) {
  return infer::Session(onnx::load_onnx(path, onnx::WeightsIn::file).graph, options);
}

infer::Session load(std::span<const uint8_t> bytes, const infer::SessionOptions& options) {
  return infer::Session(onnx::parse_onnx(bytes).graph, options);
}

}  // namespace convkit
