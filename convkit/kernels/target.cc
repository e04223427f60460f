#include "convkit/kernels/target.h"

#include <cstdint>
#include <cstdlib>

#include "convkit/base/error.h"
#include "hwy/highway.h"

namespace convkit::kernels {
namespace {

struct NamedTarget {
  const char* name;
  int64_t bits;
};

// Best first. Highway gives better targets lower bits within an architecture.
constexpr NamedTarget kTargets[] = {
#if HWY_ARCH_X86
    {"avx512", HWY_AVX3_DL | HWY_AVX3},
    {"avx2", HWY_AVX2},
    {"sse4", HWY_SSE4},
    {"ssse3", HWY_SSSE3},
#elif HWY_ARCH_ARM
    {"sve", HWY_SVE2_128 | HWY_SVE_256 | HWY_SVE2 | HWY_SVE},
    {"neon", HWY_NEON},
#elif HWY_ARCH_WASM
    {"wasm", HWY_WASM_EMU256 | HWY_WASM},
#endif
    {"portable", HWY_EMU128 | HWY_SCALAR},
};

int64_t processor_targets() {
  static const int64_t targets = hwy::SupportedTargets() | HWY_EMU128 | HWY_SCALAR;
  return targets;
}

void apply(int64_t mask) {
  hwy::SetSupportedTargetsForTest(mask);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

// Runs while the library is loaded, before any kernel can. A wrong name is reported by the first
// call of simd_target() rather than here, where nobody could catch it.
const bool kAppliedEnvironment = [] {
  processor_targets();
  const char* wanted = std::getenv("CONVKIT_SIMD");
  if (wanted == nullptr) return false;
  try {
    set_simd_target(wanted);
  } catch (const Error&) {
    return false;
  }
  return true;
}();

}  // namespace

std::string simd_target() {
  if (!kAppliedEnvironment)
    if (const char* wanted = std::getenv("CONVKIT_SIMD")) set_simd_target(wanted);
  const int64_t targets = hwy::SupportedTargets();
  for (const NamedTarget& target : kTargets)
    if ((targets & target.bits) != 0) return target.name;
  return "portable";
}

std::vector<std::string> simd_targets() {
  std::vector<std::string> names;
  for (const NamedTarget& target : kTargets)
    if ((processor_targets() & target.bits) != 0) names.emplace_back(target.name);
  return names;
}

void set_simd_target(std::string_view name) {
  if (name == "best") return apply(0);
  int64_t allowed = processor_targets();
  std::string known;
  for (const NamedTarget& target : kTargets) {
    if (name == target.name && (processor_targets() & target.bits) != 0) return apply(allowed);
    if ((processor_targets() & target.bits) != 0) known += std::string(target.name) + ", ";
    allowed &= ~target.bits;
  }
  throw ValueError(
      message("no SIMD target '", name, "' on this machine; there are: ", known, "best"));
}

}  // namespace convkit::kernels
