#include "convkit/onnx/import.h"
#include "tests/fuzz/readers.h"

namespace convkit::fuzz {

void tensor_proto(ByteView bytes) { onnx::parse_tensor_proto(bytes); }

}  // namespace convkit::fuzz
