#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "convkit/base/export.h"

/// Which SIMD instruction set convkit's kernels run on. By default the best the processor has; the
/// environment variable CONVKIT_SIMD (a name of simd_targets()) limits it from the start.
namespace convkit::kernels {

/// Name of the instruction set in use: `avx512`, `avx2`, `sse4`, `ssse3`, `neon`, `sve`, `wasm` or
/// `portable` (no SIMD; always there).
CONVKIT_API std::string simd_target();

/// What set_simd_target accepts on this machine, best first.
CONVKIT_API std::vector<std::string> simd_targets();

/// Limits the kernels of the whole process to `name` and what is below it; "best" lifts the limit.
/// Meant for tests and measurements: must not run beside other work, and since Highway keeps this
/// choice per process, other users of Highway's shared library see it too. Throws ValueError for a
/// name that is not in simd_targets().
CONVKIT_API void set_simd_target(std::string_view name);

}  // namespace convkit::kernels
