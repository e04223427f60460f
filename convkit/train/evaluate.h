#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "convkit/train/metrics.h"
#include "convkit/train/model_card.h"

namespace convkit::train {

struct EvaluateOptions {
  /// Data set other than the one the weights were trained on; they must share the classes by
  /// name; channels and sizes are converted. Default: the one in the weights file.
  std::optional<std::string> data = std::nullopt;
  /// For weights that do not say which net they belong to.
  std::optional<std::string> model = std::nullopt;
  int64_t batch = 256;
  int64_t threads = 0;  ///< 0: all processors
  int64_t workers = 1;
  /// Called at most ten times a second: samples done, samples in all.
  std::function<void(int64_t, int64_t)> on_progress = nullptr;
  /// Polled between batches: once true, evaluate throws Error. May be null.
  const std::atomic<bool>* stop = nullptr;
};

struct Evaluation {
  std::string weights;     ///< the file
  std::string data;        ///< in words
  std::string conversion;  ///< what was done to each sample, in words; empty if nothing was
  ModelCard card;
  Metrics metrics;
  double seconds = 0;
};

/// Runs the net of a run folder (its best weights) or weights file over the validation pictures of
/// its data set: what the run itself validated on. Throws IoError, FormatError or ValueError.
CONVKIT_API Evaluation evaluate(const std::string& run_or_weights,
                                const EvaluateOptions& options = {});

}  // namespace convkit::train
