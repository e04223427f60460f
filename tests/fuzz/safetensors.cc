#include "convkit/io/safetensors.h"

#include "tests/fuzz/as_file.h"
#include "tests/fuzz/readers.h"

namespace convkit::fuzz {

void safetensors(ByteView bytes) {
  const MemoryFile file(bytes);
  const io::SafeTensors read = io::load_safetensors(file.path());
  io::serialize_safetensors(read.tensors, read.metadata);
}

}  // namespace convkit::fuzz
