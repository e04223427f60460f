#pragma once

#include <cstdint>
#include <string>

#include "convkit/nn/module.h"
#include "convkit/optim/optimizer.h"

/// The one file a resumed run needs: the net, the optimiser, the random numbers, and how far the
/// run has come. One file, so that whatever happens the parts belong together.
namespace convkit::train {

/// How far a run has come.
struct Progress {
  int64_t epoch = 0;    ///< epochs completed, validation included
  int64_t batch = 0;    ///< steps completed of the epoch now under way
  int64_t step = 0;     ///< steps completed in all
  double loss_sum = 0;  ///< of the epoch now under way: Σ loss · pictures
  int64_t correct = 0;
  int64_t samples = 0;
  double train_seconds = 0;   ///< spent on the epoch now under way
  double best_accuracy = -1;  ///< −1 before the first validation
  int64_t best_epoch = 0;
  uint64_t generator_seed = 0;  ///< of default_generator(), which drives dropout
  uint64_t generator_stream = 0;
  uint64_t generator_position = 0;

  friend bool operator==(const Progress&, const Progress&) = default;
};

/// Replaces a checkpoint: tensors `net.<key>` and `optimizer.<key>`, and the progress as metadata.
/// Takes the random numbers' state from default_generator().
CONVKIT_API void save_checkpoint(const std::string& path, nn::AnyModule& net,
                                 optim::Optimizer& optimizer, Progress progress);

/// Puts everything back, default_generator() included. Throws IoError, FormatError, or what the
/// net's and the optimiser's load_state_dict throw.
CONVKIT_API Progress load_checkpoint(const std::string& path, nn::AnyModule& net,
                                     optim::Optimizer& optimizer);

}  // namespace convkit::train
