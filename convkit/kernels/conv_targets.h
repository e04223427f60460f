#pragma once

/// The instruction sets that convolution kernels are built for; to be included before Highway. They
/// want fused multiply-add: below AVX2 only the portable fallback is built. Arrays of vectors need
/// a size known at compile time, which rules out SVE. Internal to kernels/.
#define HWY_DISABLED_TARGETS \
  (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
