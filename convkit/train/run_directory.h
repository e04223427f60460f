#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "convkit/base/export.h"
#include "convkit/train/config.h"

/// A run's folder, and what stands in it:
///
///   config.json                    the TrainConfig
///   results.csv                    a line per epoch
///   events.out.tfevents.convkit    the same for TensorBoard
///   weights/best.safetensors       of the epoch with the highest validation accuracy
///   weights/last.safetensors       of the last epoch, or of the step where the run was stopped
///   checkpoint.safetensors         all a resumed run needs (see checkpoint.h)
///
/// Every file is replaced whole; a failure leaves the one before.
namespace convkit::train {

/// A line of results.csv.
struct EpochResult {
  int64_t epoch = 0;  ///< from 1
  int64_t step = 0;   ///< optimiser steps since the run began
  double lr = 0;      ///< of the epoch's last step
  double train_loss = 0;
  double train_accuracy = 0;
  double val_loss = 0;
  double val_accuracy = 0;
  double images_per_second = 0;  ///< in training
  double seconds = 0;            ///< of the epoch, validation included
};

class CONVKIT_API RunDirectory {
 public:
  /// Throws what create() would throw because of what stands at `path`.
  static void check_free(const std::string& path, bool overwrite);
  /// Makes the folder and writes config.json. Throws IoError when it exists and is not empty,
  /// unless `overwrite`, which removes an earlier run's files and nothing else.
  static RunDirectory create(const std::string& path, const TrainConfig& config, bool overwrite);
  /// Opens a run to go on with it or to use it. Throws IoError when there is none.
  static RunDirectory open(const std::string& path);

  /// Removes the files of a run from the folder at `path`, and the folder itself if it is then
  /// empty and `with_folder` says so.
  static void remove(const std::string& path, bool with_folder);

  const std::string& path() const { return path_; }
  std::string config_path() const;
  std::string results_path() const;
  std::string events_path() const;
  std::string best_weights_path() const;
  std::string last_weights_path() const;
  std::string checkpoint_path() const;

  /// Throws IoError or FormatError.
  TrainConfig config() const;
  /// Whether an epoch's results or weights are there; without them a run begins anew at no loss.
  bool has_results() const;
  /// Throws IoError when its files cannot be replaced. Writes nothing.
  void check_writable() const;
  /// Removes what a process that was killed while it wrote has left.
  void remove_temporary_files() const;

  /// Keeps the first `epochs` lines of what results.csv holds, for a resumed run.
  void keep_results(int64_t epochs);
  /// Adds a line and replaces results.csv.
  void add_result(const EpochResult& result);

 private:
  explicit RunDirectory(std::string path) : path_(std::move(path)) {}

  std::string path_;
  std::vector<std::string> lines_;
};

/// The weights file of a run folder (best, or else last), or `path` itself when it is a file.
/// Throws IoError when it is neither.
CONVKIT_API std::string find_weights(const std::string& path);

}  // namespace convkit::train
