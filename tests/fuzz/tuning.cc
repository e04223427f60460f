#include "convkit/kernels/conv_tuning.h"
#include "convkit/train/tuning_file.h"
#include "tests/fuzz/as_file.h"
#include "tests/fuzz/readers.h"

namespace convkit::fuzz {

void tuning(ByteView bytes) {
  kernels::clear_tuning_records();
  const MemoryFile file(bytes);
  train::load_tuning(file.path());
}

}  // namespace convkit::fuzz
