#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "convkit/data/transforms.h"
#include "convkit/graph/graph.h"
#include "convkit/io/media/image.h"
#include "convkit/train/model_card.h"

/// How pictures become the input of a net that is known from its file alone.
namespace convkit::cli {

/// What was typed; the file says the rest.
struct PictureOptions {
  int64_t size = 0;          ///< height and width, for a net that takes any
  int64_t resize = 0;        ///< the shorter side before the middle is cut out
  std::vector<double> mean;  ///< one for all channels, or one each
  std::vector<double> std;
  bool raw = false;   ///< pixels of 0 to 255 rather than 0 to 1
  bool grey = false;  ///< one channel, for a net that takes any number
};

struct PictureInput {
  Shape sample;                ///< (C, H, W), C being 1 or 3
  bool channels_last = false;  ///< the net takes N×H×W×C
  DType dtype = DType::float32;
  /// To the net's size, whatever the shape of the picture; else to the size at which the middle is
  /// cut out.
  bool stretches = false;
  int64_t resize = 0;       ///< the shorter side before that; 0: 256/224 of the net's size
  bool raw = false;         ///< mean and std are of pixels of 0 to 255
  std::vector<float> mean;  ///< of each channel
  std::vector<float> std;
};

/// The input N×C×H×W (or N×H×W×C) of a net. A net that convkit trained has a card, which says how
/// its pictures were prepared: stretched to its size, with the mean and std of its data. For others
/// these are ImageNet's (colour), or 0 and 1 (grey, or raw pixels). Throws UsageError for options
/// that do not go with the net, and ValueError for an input that is no picture.
PictureInput picture_input(const graph::Value& input, const train::ModelCard* card,
                           const PictureOptions& options);

/// In words, e.g. "3×224×224: others resized to 256×256 or more, the middle cut out, (x / 255 − …".
std::string description_of(const PictureInput& input);

/// The picture as a batch of one. One that has the net's size is not resized, unless `resize` is
/// given.
Tensor prepared(const io::media::Image& image, const PictureInput& input);

/// What prepared() does to the channels and the size of a picture, in words; empty if nothing.
std::string conversion_of(const io::media::ImageInfo& picture, const PictureInput& input);

}  // namespace convkit::cli
