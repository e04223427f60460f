#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/console.h"
#include "cli/picture_input.h"
#include "convkit/train/predict.h"

/// convkit predict with a net in an ONNX file.
namespace convkit::cli {

struct OnnxPredictions {
  std::string preparation;  ///< of the pictures, in words
  /// Whether the net gave logits, so that a softmax was due; otherwise probabilities.
  bool softmax = false;
  std::vector<train::Prediction> predictions;
};

/// Classifies pictures. The first output must be a number per class. `labels` is a file with the
/// names of the classes, one a line; without it they are those that convkit export wrote into the
/// model, or numbers.
///
/// Throws UsageError for options that do not go with the net, ValueError for a net that does not
/// classify pictures, NotFiniteError for scores that are NaN or infinite, and what reading the
/// files throws.
OnnxPredictions predict_onnx(const std::string& model, const std::vector<std::string>& images,
                             const std::string& labels, const PictureOptions& options, int64_t top);

}  // namespace convkit::cli
