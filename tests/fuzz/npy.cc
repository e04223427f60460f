#include "convkit/io/npy.h"

#include "tests/fuzz/readers.h"

namespace convkit::fuzz {

void npy(ByteView bytes) { io::serialize_npy(io::parse_npy(bytes)); }

}  // namespace convkit::fuzz
