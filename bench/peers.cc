#include "bench/peers.h"

#if defined(CONVKIT_BENCH_ONEDNN) || defined(CONVKIT_BENCH_TORCH)
#include <omp.h>
#endif

namespace convkit::bench {

const std::vector<Peer>& peers() {
  static const std::vector<Peer> all = {
#ifdef CONVKIT_BENCH_ONEDNN
      {"oneDNN", onednn_version, onednn_convolution, nullptr},
#endif
#ifdef CONVKIT_BENCH_TORCH
      {"libtorch", torch_version, torch_convolution, torch_training_step},
#endif
  };
  return all;
}

void rest_peers() {
#if defined(CONVKIT_BENCH_ONEDNN) || defined(CONVKIT_BENCH_TORCH)
  omp_pause_resource_all(omp_pause_soft);
#endif
}

}  // namespace convkit::bench
