// A libFuzzer program for one reader, which CONVKIT_FUZZ_READER names.
#include <cstddef>

#include "convkit/base/error.h"
#include "tests/fuzz/readers.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  try {
    convkit::fuzz::CONVKIT_FUZZ_READER({data, size});
  } catch (const convkit::Error&) {  // NOLINT(bugprone-empty-catch): what it says is free
  }
  return 0;
}
