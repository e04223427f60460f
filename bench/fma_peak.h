#pragma once

namespace convkit::bench {

/// What this machine can do at most: GFLOP/s of fused multiply-adds on registers, on all threads of
/// convkit's pool at once, in the instruction set in use. The best of many tries in 30 ms, and of
/// all calls before on as many threads.
double fma_peak();

}  // namespace convkit::bench
