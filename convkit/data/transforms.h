#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "convkit/base/export.h"
#include "convkit/base/random.h"
#include "convkit/data/dataset.h"

/// What happens to a sample between the data set and the net. Each transform is a struct of its
/// parameters; what is random in it depends on the generator alone.
///
/// Transforms of pictures need samples (C, H, W) and throw ShapeError for others.
namespace convkit::data {

/// Bilinear with antialiasing, to exactly this size (see resample.h). Bytes only.
struct Resize {
  int64_t height = 0;
  int64_t width = 0;
};

/// The middle height × width pixels, at offset round((H − height) / 2), halves to even, as in
/// torchvision. The picture must be at least that large.
struct CenterCrop {
  int64_t height = 0;
  int64_t width = 0;
};

/// Pads every side with `padding` zeros, then takes height × width pixels at a random place.
struct RandomCrop {
  int64_t height = 0;
  int64_t width = 0;
  int64_t padding = 0;
};

/// Mirrors left and right with this probability.
struct RandomHorizontalFlip {
  double probability = 0.5;
};

using PixelTransform = std::variant<Resize, CenterCrop, RandomCrop, RandomHorizontalFlip>;

/// y = (x / 255 − mean[c]) / std[c] for bytes, (x − mean[c]) / std[c] for floats: one value per
/// channel, or one for all, or none (mean 0, std 1).
struct Normalize {
  std::vector<float> mean = {};
  std::vector<float> std = {};
};

/// With this probability replaces a random rectangle by `value`, after normalisation (Zhong et al.,
/// "Random Erasing Data Augmentation", AAAI 2020; torchvision's defaults): its area is scale_min …
/// scale_max of the picture's, its height / width ratio_min … ratio_max, drawn evenly in log scale.
struct RandomErasing {
  double probability = 0.5;
  double scale_min = 0.02;
  double scale_max = 0.33;
  double ratio_min = 0.3;
  double ratio_max = 3.3;
  float value = 0;
};

/// All transforms of a sample, in their order.
struct CONVKIT_API Pipeline {
  std::vector<PixelTransform> pixels = {};
  Normalize normalize = {};
  std::optional<RandomErasing> erasing = {};

  /// The shape that samples of shape `input` leave with. Throws ShapeError or ValueError when a
  /// transform cannot take them, so that a job fails before it begins.
  Shape output_shape(const Shape& input) const;
  /// Runs it on `sample`, which is used up, and writes the elements, in a tensor's memory order, to
  /// `target`, which has output_shape().numel() elements.
  void run(Sample& sample, Generator generator, std::span<float> target) const;
};

/// Applies one transform in place; for tests and for pipelines of one's own.
CONVKIT_API void apply(const PixelTransform& transform, Sample& sample, Generator& generator);

/// Mean and standard deviation (of the population) of each channel, bytes taken as x / 255: what
/// Normalize needs. A constant channel gets std 1. Sets in memory are read whole; of others, at
/// most `max_samples` samples at even distances. The result depends on the data alone.
CONVKIT_API Normalize channel_statistics(const Dataset& dataset, int64_t max_samples = 5000);

}  // namespace convkit::data
