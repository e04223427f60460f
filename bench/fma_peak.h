#pragma once

namespace convkit::bench {

/// What this machine can do at most: GFLOP/s of fused multiply-adds on registers, on all threads of
/// convkit's pool at once, in the instruction set in use. The best of some tries of a millisecond,
/// of all calls so far.
double fma_peak();

}  // namespace convkit::bench
