#pragma once

#include <cstddef>
#include <memory>

#include "convkit/base/memory.h"

/// For the sources of infer only.
namespace convkit::infer {

/// Numbers that steps read at each run, such as packed weights.
using SharedFloats = std::shared_ptr<const Buffer<float>>;

/// The same numbers, held once: the buffer given here before if one with the same bits is still in
/// use, be it by another plan or another session; else `floats` itself. Thread-safe.
SharedFloats share(Buffer<float> floats);

}  // namespace convkit::infer
