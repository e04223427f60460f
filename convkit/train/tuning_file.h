#pragma once

#include <string>

#include "convkit/base/export.h"
#include "convkit/kernels/conv_plan_options.h"

/// What --autotune has measured, on disk: one file per processor model, so that a convolution is
/// measured once per machine and every later run makes the same choice.
namespace convkit::train {

/// The environment variable CONVKIT_AUTOTUNE_FILE; else `convkit/autotune-<CPU model>.json` in
/// $XDG_CACHE_HOME or $HOME/.cache. Throws IoError when none of these is set.
CONVKIT_API std::string default_tuning_path();

/// Reads a file's records into this process (kernels/conv_tuning.h); nothing if there is no such
/// file, or if it comes from another processor model or version of convkit. Throws FormatError,
/// naming the path, for a file that is not of this kind.
CONVKIT_API void load_tuning(const std::string& path);

/// Writes all records of this process to `path`, with those that another process has added there
/// meanwhile. Makes the folder.
CONVKIT_API void save_tuning(const std::string& path);

/// While it lives, the process chooses algorithms by measuring, with the records of a file. What a
/// save fails to write is measured again by the next process.
class CONVKIT_API Autotune {
 public:
  /// Loads the file and saves it at once: a folder that cannot be written is told before the work.
  explicit Autotune(std::string path = default_tuning_path());
  /// Saves; a failure now is passed over.
  ~Autotune();
  Autotune(const Autotune&) = delete;
  Autotune& operator=(const Autotune&) = delete;

  void save() const { save_tuning(path_); }

 private:
  std::string path_;
  kernels::Planning outer_;
};

}  // namespace convkit::train
