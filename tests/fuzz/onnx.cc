#include "convkit/onnx/export.h"
#include "convkit/onnx/import.h"
#include "tests/fuzz/readers.h"
#include "tests/fuzz/small_run.h"

namespace convkit::fuzz {

void onnx(ByteView bytes) {
  const onnx::Model model = onnx::parse_onnx(bytes);
  run_small(model.graph);
  onnx::serialize_onnx(model.graph);
}

}  // namespace convkit::fuzz
