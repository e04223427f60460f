#pragma once

#include <functional>
#include <string>
#include <vector>

#include "bench/train_nets.h"
#include "convkit/kernels/conv_geometry.h"

/// Other libraries, as far as this build has them, doing what convkit does on tensors of their own.
namespace convkit::bench {

/// One call does the work once.
using Work = std::function<void()>;

struct Peer {
  const char* name;
  std::string (*version)();
  /// The ways to run this convolution (memory formats), whose fastest counts; none where the peer
  /// refuses it.
  std::vector<Work> (*convolution)(const kernels::ConvGeometry& geometry,
                                   kernels::Direction direction, int threads);
  /// Likewise a training step: forward, cross-entropy, backward, SGD with momentum. Null where the
  /// peer does not train.
  std::vector<Work> (*training_step)(const TrainNet& net, int threads);
};

/// In the order of the tables' columns.
const std::vector<Peer>& peers();

/// Ends the peers' idle threads, which would otherwise spin on while convkit is timed (its own
/// sleep by then).
void rest_peers();

/// What stands in peers(), each defined in a file that is built where the library is installed.
std::string onednn_version();
std::vector<Work> onednn_convolution(const kernels::ConvGeometry& geometry,
                                     kernels::Direction direction, int threads);
std::string torch_version();
std::vector<Work> torch_convolution(const kernels::ConvGeometry& geometry,
                                    kernels::Direction direction, int threads);
std::vector<Work> torch_training_step(const TrainNet& net, int threads);

}  // namespace convkit::bench
