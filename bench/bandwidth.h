#pragma once

#include <cstdint>

namespace convkit::bench {

/// GB/s (read plus written) at which all threads of convkit's pool together copy one half of a
/// block of `bytes` onto the other, again and again: the caches' speed for a small block, memory's
/// for a large one. Measured once for each power of two from 256 KiB to 256 MiB, the nearest of
/// which stands for `bytes`; the best of many tries.
double copy_bandwidth(int64_t bytes);

/// Seconds in which a flag goes from one core to another and back. On a virtual machine it depends
/// on which cores the host lends at the time, and with it all that one thread writes and another
/// reads.
double core_round_trip();

}  // namespace convkit::bench
