#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "convkit/train/config.h"
#include "convkit/train/model_card.h"
#include "convkit/train/run_directory.h"

/// The training loop: forward, cross-entropy, backward, clipping, optimiser step, schedule step;
/// after each epoch a validation, and everything saved in the run's folder.
///
/// A run's weights depend on its TrainConfig alone: not on the number of threads, nor on whether it
/// was stopped and resumed, be it between epochs or in the middle of one.
namespace convkit::train {

/// What is known before the first step.
struct TrainStart {
  std::string directory;
  const ModelCard& card;
  std::string data;  ///< in words: what the training and validation pictures are
  int64_t train_samples = 0;
  int64_t val_samples = 0;
  int64_t parameters = 0;
  int64_t first_epoch = 0;  ///< from 1; later when the run is resumed
  int64_t threads = 0;
};

/// The state of the epoch under way; figures are over the epoch so far.
struct StepReport {
  int64_t epoch = 0;  ///< from 1
  int64_t epochs = 0;
  int64_t batch = 0;  ///< steps done in this epoch
  int64_t batches = 0;
  bool validating = false;  ///< then `batch` counts validation batches
  double lr = 0;
  double loss = 0;
  double accuracy = 0;
  double images_per_second = 0;
  double seconds_left = 0;  ///< of this epoch's training, or of its validation
};

struct EpochReport {
  EpochResult result;
  int64_t epochs = 0;
  bool is_best = false;
};

/// How a run can be watched and stopped. Callbacks run on the training thread; on_step is called at
/// most ten times a second, and on the first and last step of each epoch.
struct TrainHooks {
  std::function<void(const TrainStart&)> on_start = nullptr;
  std::function<void(const StepReport&)> on_step = nullptr;
  std::function<void(const EpochReport&)> on_epoch = nullptr;
  /// Polled between steps: once true, the run saves itself and returns. May be null.
  const std::atomic<bool>* stop = nullptr;
};

struct TrainOutcome {
  std::string directory;
  bool finished = false;  ///< false when stopped: resume() goes on
  int64_t epochs_done = 0;
  int64_t batches_done = 0;  ///< of the epoch that was under way
  int64_t steps = 0;
  int64_t best_epoch = 0;  ///< 0 before the first validation
  double best_accuracy = 0;
  std::optional<EpochResult> last = std::nullopt;  ///< of the last epoch that ended in this call
};

/// Trains from the start into `directory`, which is made. An existing one must be empty, unless
/// `overwrite`. This thread's default generator is as before afterwards.
///
/// Throws ValueError for a config that makes no sense, IoError when data are missing or files
/// cannot be written, and NotFiniteError when the loss becomes NaN or infinite: its text names the
/// first layer whose output is not finite. Whatever is thrown, the folder keeps its last good
/// weights.
CONVKIT_API TrainOutcome train(const TrainConfig& config, const std::string& directory,
                               bool overwrite = false, const TrainHooks& hooks = {});

/// What may differ in a resumed run, since no bit depends on it.
struct ResumeOptions {
  std::optional<int64_t> threads = std::nullopt;
  std::optional<int64_t> workers = std::nullopt;
};
/// Goes on with a run that was stopped, killed or failed, from its last checkpoint. A finished run
/// is left alone.
CONVKIT_API TrainOutcome resume(const std::string& directory, const ResumeOptions& options = {},
                                const TrainHooks& hooks = {});

}  // namespace convkit::train
