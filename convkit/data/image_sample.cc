#include "convkit/data/image_sample.h"

#include <algorithm>

#include "convkit/base/error.h"
#include "convkit/data/resample.h"

namespace convkit::data {
namespace {

using io::media::ImageInfo;

// By the number of channels.
constexpr const char* kKinds[] = {"", "grey", "grey with transparency", "colour",
                                  "colour with transparency"};

}  // namespace

void fit_image(const io::media::Image& image, const Shape& shape, Sample& sample) {
  CONVKIT_CHECK(shape.dim() == 3 && (shape[0] == 1 || shape[0] == 3), ShapeError,
                "a picture has the shape (1 or 3, H, W), not ", shape);
  const bool convert = image.channels != shape[0];
  const io::media::Image converted =
      convert ? io::media::with_channels(image, shape[0]) : io::media::Image{};
  const io::media::Image& source = convert ? converted : image;
  std::vector<uint8_t>& target = sample.make_bytes(shape);
  resample_bilinear(source.pixels.data(), {source.height, source.width, source.channels}, shape[1],
                    shape[2], target.data());
}

std::string conversion_text(std::span<const ImageInfo> pictures, const Shape& shape) {
  const auto any = [&](auto&& holds) {
    return std::any_of(pictures.begin(), pictures.end(), holds);
  };
  std::string text;
  if (any([&](const ImageInfo& p) { return p.channels != shape[0]; })) {
    for (int64_t channels = 1; channels <= 4; ++channels)
      if (any([&](const ImageInfo& p) { return p.channels == channels; }))
        text += message(text.empty() ? "" : " or ", kKinds[channels]);
    text += message(" to ", kKinds[shape[0]]);
  }
  if (any([&](const ImageInfo& p) { return p.height != shape[1] || p.width != shape[2]; })) {
    const ImageInfo& first = pictures[0];
    const bool differ =
        any([&](const ImageInfo& p) { return p.height != first.height || p.width != first.width; });
    text += text.empty() ? "" : ", ";
    text += differ ? "several sizes" : message(first.height, "×", first.width);
    text += message(" to ", shape[1], "×", shape[2]);
  }
  return text;
}

Tensor prepare_image(const io::media::Image& image, const Shape& sample_shape,
                     const Pipeline& pipeline) {
  Sample sample;
  fit_image(image, sample_shape, sample);
  Tensor batch(pipeline.output_shape(sample_shape).with_inserted(0, 1), DType::float32);
  pipeline.run(sample, Generator(0),
               {batch.mutable_data<float>(), static_cast<std::size_t>(batch.numel())});
  return batch;
}

io::media::Image to_image(const Sample& sample) {
  CONVKIT_CHECK(sample.shape.dim() == 3 && sample.shape[0] >= 1 && sample.shape[0] <= 4, ShapeError,
                "a sample of ", sample.shape, " is no picture (1 to 4 channels, H, W)");
  CONVKIT_CHECK(sample.is_bytes(), DTypeError, "a picture has bytes, this sample has floats");
  return {{sample.shape[1], sample.shape[2], sample.shape[0]}, sample.bytes()};
}

}  // namespace convkit::data
