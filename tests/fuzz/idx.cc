#include "convkit/io/media/idx.h"

#include "tests/fuzz/as_file.h"
#include "tests/fuzz/readers.h"

namespace convkit::fuzz {

void idx(ByteView bytes) {
  const MemoryFile file(bytes);
  io::media::read_idx(file.path()).tensor();
}

}  // namespace convkit::fuzz
