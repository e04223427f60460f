#include "cli/picture_input.h"

#include <algorithm>
#include <cmath>

#include "cli/verbs.h"
#include "convkit/base/text.h"
#include "convkit/data/image_sample.h"
#include "convkit/ops/shape.h"

namespace convkit::cli {
namespace {

constexpr const char* kUseRun = "; convkit run takes any net";
constexpr int64_t kUsualSize = 224;  // of nets for ImageNet, whose pictures come from 256
constexpr int64_t kUsualResize = 256;
constexpr int64_t kMostPixels = int64_t{1} << 26;

bool is_channels(const graph::Dim& dim) { return dim.extent == 1 || dim.extent == 3; }

// Takes the shape from the declared one; what it leaves open, from the options.
void read_shape(const graph::Value& value, const PictureOptions& options, PictureInput& input) {
  const auto& declared = value.type.dims;
  const std::vector<graph::Dim> dims = declared.value_or(std::vector<graph::Dim>(4));
  CONVKIT_CHECK(dims.size() == 4, ValueError, "the input '", value.name, "' is ",
                to_text(value.type), ", no batch of pictures (N×C×H×W)", kUseRun);
  CONVKIT_CHECK(!dims[0].known() || dims[0].extent == 1, ValueError, "the input '", value.name,
                "' is ", to_text(value.type), "; predict gives it one picture at a time, not ",
                dims[0].extent, kUseRun);
  input.channels_last = is_channels(dims[3]) && !is_channels(dims[1]) && dims[1].extent != 0;
  const graph::Dim& channels = dims[input.channels_last ? 3 : 1];
  const graph::Dim& height = dims[input.channels_last ? 1 : 2];
  const graph::Dim& width = dims[input.channels_last ? 2 : 3];
  CONVKIT_CHECK(!channels.known() || is_channels(channels), ValueError, "the input '", value.name,
                "' is ", to_text(value.type), " with ", channels.extent,
                " channels; pictures have 1 or 3", kUseRun);
  if (options.grey && channels.known() && channels.extent != 1)
    throw UsageError("--grey is for nets that take one channel; this one takes 3");
  const bool is_open = !height.known() || !width.known();
  if (options.size > 0 && !is_open &&
      (options.size != height.extent || options.size != width.extent))
    throw UsageError(message("--size ", options.size, " does not go with this net, which takes ",
                             height.extent, "×", width.extent, " pictures only"));
  const int64_t size = options.size > 0 ? options.size : kUsualSize;
  input.sample = Shape{channels.known() ? channels.extent : (options.grey ? 1 : 3),
                       height.known() ? height.extent : size, width.known() ? width.extent : size};
  CONVKIT_CHECK(input.sample.numel() > 0, ValueError, "the input '", value.name, "' is ",
                to_text(value.type), ", which has no pixels");
}

std::vector<float> for_channels(const std::vector<double>& values, int64_t channels,
                                const char* option) {
  if (std::ssize(values) != 1 && std::ssize(values) != channels)
    throw UsageError(message(option, " has ", values.size(), " numbers, but the net takes ",
                             channels, channels == 1 ? " channel" : " channels",
                             "; give one number for all, or one each: ", option,
                             " 0.485,0.456,0.406"));
  std::vector<float> each(static_cast<std::size_t>(channels));
  for (std::size_t c = 0; c < each.size(); ++c) {
    each[c] = static_cast<float>(values[values.size() == 1 ? 0 : c]);
    if (!std::isfinite(each[c])) throw UsageError(message(option, ": ", each[c], " is no number"));
  }
  return each;
}

void read_normalization(const train::ModelCard* card, const PictureOptions& options,
                        PictureInput& input) {
  const int64_t channels = input.sample[0];
  const auto count = static_cast<std::size_t>(channels);
  input.raw = options.raw;
  input.mean.assign(count, 0.0F);
  input.std.assign(count, 1.0F);
  if (card != nullptr && !options.raw) {
    input.mean = card->mean;
    input.std = card->std;
  } else if (channels == 3 && !options.raw) {
    input.mean = {0.485F, 0.456F, 0.406F};
    input.std = {0.229F, 0.224F, 0.225F};
  }
  if (!options.mean.empty()) input.mean = for_channels(options.mean, channels, "--mean");
  if (!options.std.empty()) input.std = for_channels(options.std, channels, "--std");
  for (const float deviation : input.std)
    if (!(deviation > 0)) throw UsageError(message("--std: ", deviation, " is not above 0"));
}

std::string listed(const std::vector<float>& values) {
  const bool all_equal =
      std::all_of(values.begin(), values.end(), [&](float value) { return value == values[0]; });
  std::string text;
  for (std::size_t c = 0; c < (all_equal ? 1 : values.size()); ++c)
    text += (text.empty() ? "" : ", ") + to_text(values[c]);
  return text;
}

// As torchvision resizes: one side exactly, the other in proportion, rounded down.
data::Resize resize_by(const io::media::ImageInfo& picture, bool by_height, int64_t side) {
  if (by_height) return {side, side * picture.width / picture.height};
  return {side * picture.height / picture.width, side};
}

// The size that a picture is brought to before its middle is cut out.
data::Resize size_before_crop(const io::media::ImageInfo& picture, const PictureInput& input) {
  const int64_t height = input.sample[1];
  const int64_t width = input.sample[2];
  const bool has_size = picture.height == height && picture.width == width;
  if (input.stretches || (has_size && input.resize == 0)) return {height, width};
  if (input.resize > 0) return resize_by(picture, picture.height <= picture.width, input.resize);
  // Both sides have to cover the net's, so the one that is tighter decides.
  const bool by_height = picture.height * width <= picture.width * height;
  data::Resize resize =
      resize_by(picture, by_height, (by_height ? height : width) * kUsualResize / kUsualSize);
  return {std::max(resize.height, height), std::max(resize.width, width)};
}

}  // namespace

PictureInput picture_input(const graph::Value& value, const train::ModelCard* card,
                           const PictureOptions& options) {
  PictureInput input;
  input.dtype = value.type.dtype.value_or(DType::float32);
  CONVKIT_CHECK(is_floating(input.dtype), ValueError, "the input '", value.name, "' is ",
                to_text(value.type), "; predict gives floating-point numbers", kUseRun);
  read_shape(value, options, input);
  if (card != nullptr && card->input != input.sample) card = nullptr;
  read_normalization(card, options, input);
  input.stretches = card != nullptr && options.resize == 0;
  input.resize = options.resize;
  return input;
}

std::string description_of(const PictureInput& input) {
  std::string text = message(to_text(input.sample), ": ");
  if (input.stretches) {
    text += "resized";
  } else if (input.resize > 0) {
    text += message("the shorter side resized to ", input.resize, ", the middle cut out");
  } else {
    text += message("others resized to ", input.sample[1] * kUsualResize / kUsualSize, "×",
                    input.sample[2] * kUsualResize / kUsualSize, " or more, the middle cut out");
  }
  return text + message(", (x", input.raw ? "" : " / 255", " − mean) / std, mean ",
                        listed(input.mean), ", std ", listed(input.std));
}

Tensor prepared(const io::media::Image& image, const PictureInput& input) {
  const data::Resize resize = size_before_crop(image, input);
  CONVKIT_CHECK(resize.height <= kMostPixels / resize.width, ValueError, "a picture of ",
                image.height, "×", image.width, " would become ", resize.height, "×", resize.width,
                " before its middle is cut out; cut out what matters yourself first");
  CONVKIT_CHECK(resize.height >= input.sample[1] && resize.width >= input.sample[2], ValueError,
                "--resize ", input.resize, " makes a picture of ", image.height, "×", image.width,
                " one of ", resize.height, "×", resize.width, ", from which no ", input.sample[1],
                "×", input.sample[2], " can be cut; give a larger number");
  data::Normalize normalize{input.mean, input.std};
  constexpr float kWhite = 255;
  if (input.raw) {
    for (float& value : normalize.mean) value /= kWhite;
    for (float& value : normalize.std) value /= kWhite;
  }
  const data::Pipeline pipeline{.pixels = {data::CenterCrop{input.sample[1], input.sample[2]}},
                                .normalize = std::move(normalize),
                                .erasing = {}};
  const Tensor x =
      data::prepare_image(image, Shape{input.sample[0], resize.height, resize.width}, pipeline);
  return (input.channels_last ? ops::permute(x, {0, 2, 3, 1}) : x).to(input.dtype);
}

std::string conversion_of(const io::media::ImageInfo& picture, const PictureInput& input) {
  const data::Resize resize = size_before_crop(picture, input);
  const Shape resized{input.sample[0], resize.height, resize.width};
  std::string text = data::conversion_text({&picture, 1}, resized);
  if (resize.height != input.sample[1] || resize.width != input.sample[2])
    text += message(text.empty() ? "" : ", ", "the middle ", input.sample[1], "×", input.sample[2]);
  return text;
}

}  // namespace convkit::cli
