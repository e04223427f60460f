#include "convkit/data/transforms.h"

#include <algorithm>
#include <cmath>

#include "convkit/base/error.h"
#include "convkit/data/resample.h"

namespace convkit::data {
namespace {

PixelSize picture_size(const Shape& shape, const char* what) {
  CONVKIT_CHECK(shape.dim() == 3, ShapeError, what, " takes pictures (C, H, W), not samples of ",
                shape);
  return {shape[1], shape[2], shape[0]};
}

// target(y, x) = source(y + top, x + left), zero outside the source.
template <class T>
void crop(std::vector<T>& elements, PixelSize size, int64_t top, int64_t left, int64_t height,
          int64_t width) {
  const int64_t channels = size.channels;
  std::vector<T> result(static_cast<std::size_t>(height * width * channels));
  const int64_t x_begin = std::clamp<int64_t>(-left, 0, width);
  const int64_t x_end = std::clamp<int64_t>(size.width - left, x_begin, width);
  for (int64_t y = 0; y < height; ++y) {
    const int64_t from = y + top;
    if (from < 0 || from >= size.height) continue;
    std::copy_n(elements.begin() + (from * size.width + x_begin + left) * channels,
                (x_end - x_begin) * channels, result.begin() + (y * width + x_begin) * channels);
  }
  elements = std::move(result);
}

void crop_sample(Sample& sample, PixelSize size, int64_t top, int64_t left, int64_t height,
                 int64_t width) {
  std::visit([&](auto& elements) { crop(elements, size, top, left, height, width); },
             sample.elements);
  sample.shape = Shape{size.channels, height, width};
}

struct OutputShape {
  const Shape& input;

  Shape operator()(const Resize& resize) const {
    const PixelSize size = picture_size(input, "resize");
    CONVKIT_CHECK(resize.height >= 1 && resize.width >= 1, ValueError, "resize: the new size ",
                  resize.height, "×", resize.width, " must be at least 1×1");
    return {size.channels, resize.height, resize.width};
  }
  Shape operator()(const CenterCrop& crop) const {
    const PixelSize size = picture_size(input, "center crop");
    check_crop("center crop", crop.height, crop.width, size);
    return {size.channels, crop.height, crop.width};
  }
  Shape operator()(const RandomCrop& crop) const {
    PixelSize size = picture_size(input, "random crop");
    CONVKIT_CHECK(crop.padding >= 0, ValueError, "random crop: padding (", crop.padding,
                  ") cannot be negative");
    size.height += 2 * crop.padding;
    size.width += 2 * crop.padding;
    check_crop("random crop", crop.height, crop.width, size);
    return {size.channels, crop.height, crop.width};
  }
  Shape operator()(const RandomHorizontalFlip& flip) const {
    picture_size(input, "horizontal flip");
    CONVKIT_CHECK(flip.probability >= 0 && flip.probability <= 1, ValueError,
                  "horizontal flip: the probability (", flip.probability, ") must be 0 to 1");
    return input;
  }

 private:
  static void check_crop(const char* what, int64_t height, int64_t width, PixelSize size) {
    CONVKIT_CHECK(height >= 1 && width >= 1, ValueError, what, ": the size ", height, "×", width,
                  " must be at least 1×1");
    CONVKIT_CHECK(height <= size.height && width <= size.width, ShapeError, what, ": ", height, "×",
                  width, " pixels cannot be cut from ", size.height, "×", size.width,
                  "; resize the pictures first or cut less");
  }
};

struct Apply {
  Sample& sample;
  Generator& generator;

  void operator()(const Resize& resize) const {
    const PixelSize size = picture_size(sample.shape, "resize");
    if (size.height == resize.height && size.width == resize.width) return;
    CONVKIT_CHECK(sample.is_bytes(), DTypeError,
                  "resize takes pictures of bytes, not of floats; resize before converting");
    const std::vector<uint8_t> source = std::move(sample.bytes());
    std::vector<uint8_t>& target = sample.make_bytes({size.channels, resize.height, resize.width});
    resample_bilinear(source.data(), size, resize.height, resize.width, target.data());
  }
  void operator()(const CenterCrop& crop) const {
    const PixelSize size = picture_size(sample.shape, "center crop");
    // torchvision rounds half to even, as Python does.
    const auto offset = [](int64_t rest) {
      return static_cast<int64_t>(std::nearbyint(static_cast<double>(rest) / 2));
    };
    crop_sample(sample, size, offset(size.height - crop.height), offset(size.width - crop.width),
                crop.height, crop.width);
  }
  void operator()(const RandomCrop& crop) const {
    const PixelSize size = picture_size(sample.shape, "random crop");
    const auto draw = [&](int64_t extent, int64_t wanted) {
      const auto places = static_cast<uint64_t>(extent + 2 * crop.padding - wanted + 1);
      return static_cast<int64_t>(generator.below(places)) - crop.padding;
    };
    const int64_t top = draw(size.height, crop.height);
    const int64_t left = draw(size.width, crop.width);
    crop_sample(sample, size, top, left, crop.height, crop.width);
  }
  void operator()(const RandomHorizontalFlip& flip) const {
    const PixelSize size = picture_size(sample.shape, "horizontal flip");
    if (generator.uniform_double() >= flip.probability) return;
    std::visit(
        [&](auto& elements) {
          for (int64_t y = 0; y < size.height; ++y) {
            auto row = elements.begin() + y * size.width * size.channels;
            for (int64_t x = 0; x < size.width / 2; ++x)
              std::swap_ranges(row + x * size.channels, row + (x + 1) * size.channels,
                               row + (size.width - 1 - x) * size.channels);
          }
        },
        sample.elements);
  }
};

// The value of a channel out of none, one for all, or one each.
float per_channel(const std::vector<float>& values, int64_t channel, float otherwise) {
  if (values.empty()) return otherwise;
  return values[values.size() == 1 ? 0 : static_cast<std::size_t>(channel)];
}

void check(const Normalize& normalize, int64_t channels) {
  for (const auto* values : {&normalize.mean, &normalize.std})
    CONVKIT_CHECK(values->size() <= 1 || std::ssize(*values) == channels, ValueError,
                  "normalize: ", values == &normalize.mean ? "mean" : "std", " has ",
                  values->size(), " values for samples of ", channels,
                  " channels; give one, or one per channel");
  for (const float std : normalize.std)
    CONVKIT_CHECK(std::isfinite(std) && std > 0, ValueError, "normalize: std (", std,
                  ") must be greater than 0");
  for (const float mean : normalize.mean)
    CONVKIT_CHECK(std::isfinite(mean), ValueError, "normalize: mean (", mean, ") must be finite");
}

void run(const Normalize& normalize, const Sample& sample, std::span<float> target) {
  const int64_t channels = sample.shape[0];
  const auto count = static_cast<std::size_t>(channels);
  std::vector<float> mean(count);
  std::vector<float> std(count);
  for (std::size_t c = 0; c < count; ++c) {
    mean[c] = per_channel(normalize.mean, static_cast<int64_t>(c), 0.0F);
    std[c] = per_channel(normalize.std, static_cast<int64_t>(c), 1.0F);
  }
  if (!sample.is_bytes()) {
    const std::vector<float>& values = sample.floats();
    for (std::size_t i = 0; i < values.size(); i += count)
      for (std::size_t c = 0; c < count; ++c) target[i + c] = (values[i + c] - mean[c]) / std[c];
    return;
  }
  // A byte has 256 values: a table takes the divisions out of the loop and loses no bit.
  std::vector<float> table(256 * count);
  for (std::size_t c = 0; c < count; ++c)
    for (std::size_t value = 0; value < 256; ++value)
      table[256 * c + value] = (static_cast<float>(value) / 255.0F - mean[c]) / std[c];
  const std::vector<uint8_t>& values = sample.bytes();
  for (std::size_t i = 0; i < values.size(); i += count)
    for (std::size_t c = 0; c < count; ++c) target[i + c] = table[256 * c + values[i + c]];
}

void check(const RandomErasing& erasing, const Shape& shape) {
  picture_size(shape, "random erasing");
  CONVKIT_CHECK(erasing.probability >= 0 && erasing.probability <= 1, ValueError,
                "random erasing: the probability (", erasing.probability, ") must be 0 to 1");
  CONVKIT_CHECK(
      erasing.scale_min > 0 && erasing.scale_min <= erasing.scale_max && erasing.scale_max <= 1,
      ValueError, "random erasing: the scale ", erasing.scale_min, " to ", erasing.scale_max,
      " must lie in 0 to 1 and rise");
  CONVKIT_CHECK(erasing.ratio_min > 0 && erasing.ratio_min <= erasing.ratio_max, ValueError,
                "random erasing: the ratio ", erasing.ratio_min, " to ", erasing.ratio_max,
                " must be positive and rise");
}

void run(const RandomErasing& erasing, const Shape& shape, Generator& generator,
         std::span<float> target) {
  if (generator.uniform_double() >= erasing.probability) return;
  const PixelSize size = picture_size(shape, "random erasing");
  const auto draw = [&](double low, double high) {
    return low + (high - low) * generator.uniform_double();
  };
  constexpr int kAttempts = 10;  // as torchvision; after that the picture stays whole
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const double area =
        static_cast<double>(size.height * size.width) * draw(erasing.scale_min, erasing.scale_max);
    const double ratio = std::exp(draw(std::log(erasing.ratio_min), std::log(erasing.ratio_max)));
    const auto height = static_cast<int64_t>(std::nearbyint(std::sqrt(area * ratio)));
    const auto width = static_cast<int64_t>(std::nearbyint(std::sqrt(area / ratio)));
    if (height >= size.height || width >= size.width) continue;
    const auto top =
        static_cast<int64_t>(generator.below(static_cast<uint64_t>(size.height - height + 1)));
    const auto left =
        static_cast<int64_t>(generator.below(static_cast<uint64_t>(size.width - width + 1)));
    for (int64_t y = top; y < top + height; ++y) {
      const auto row = target.begin() + (y * size.width + left) * size.channels;
      std::fill(row, row + width * size.channels, erasing.value);
    }
    return;
  }
}

}  // namespace

void apply(const PixelTransform& transform, Sample& sample, Generator& generator) {
  static_cast<void>(std::visit(OutputShape{sample.shape}, transform));  // checks
  std::visit(Apply{sample, generator}, transform);
}

Shape Pipeline::output_shape(const Shape& input) const {
  CONVKIT_CHECK(input.dim() >= 1 && input.numel() > 0, ShapeError,
                "samples have channels first and no empty axis, (C, ...), not ", input);
  Shape shape = input;
  for (const PixelTransform& transform : pixels) shape = std::visit(OutputShape{shape}, transform);
  check(normalize, shape[0]);
  if (erasing) check(*erasing, shape);
  return shape;
}

void Pipeline::run(Sample& sample, Generator generator, std::span<float> target) const {
  for (const PixelTransform& transform : pixels) std::visit(Apply{sample, generator}, transform);
  CONVKIT_CHECK(std::ssize(target) == sample.shape.numel(), ShapeError, "a sample of ",
                sample.shape, " does not fit the ", target.size(),
                " elements that the batch has for it");
  data::run(normalize, sample, target);
  if (erasing) data::run(*erasing, sample.shape, generator, target);
}

Normalize channel_statistics(const Dataset& dataset, int64_t max_samples) {
  CONVKIT_CHECK(dataset.size() > 0 && dataset.sample_shape().numel() > 0 && max_samples > 0,
                ValueError, dataset.name(), ": there is no sample to take means from");
  const auto channels = static_cast<std::size_t>(dataset.sample_shape()[0]);
  const int64_t count =
      dataset.in_memory() ? dataset.size() : std::min(dataset.size(), max_samples);
  // Bytes are counted, so that the sums are exact; floats are summed in double.
  std::vector<int64_t> histogram(256 * channels);
  std::vector<double> sum(channels);
  std::vector<double> squares(channels);
  double elements = 0;  // per channel
  Sample sample;
  for (int64_t i = 0; i < count; ++i) {
    dataset.read(i * dataset.size() / count, sample);
    elements += static_cast<double>(sample.shape.numel()) / static_cast<double>(channels);
    if (sample.is_bytes()) {
      const std::vector<uint8_t>& values = sample.bytes();
      for (std::size_t k = 0; k < values.size(); k += channels)
        for (std::size_t c = 0; c < channels; ++c) ++histogram[256 * c + values[k + c]];
    } else {
      const std::vector<float>& values = sample.floats();
      for (std::size_t k = 0; k < values.size(); ++k) {
        const double value = values[k];
        sum[k % channels] += value;
        squares[k % channels] += value * value;
      }
    }
  }
  Normalize normalize;
  for (std::size_t c = 0; c < channels; ++c) {
    for (std::size_t value = 0; value < 256; ++value) {
      const double scaled = static_cast<double>(value) / 255;
      const auto times = static_cast<double>(histogram[256 * c + value]);
      sum[c] += times * scaled;
      squares[c] += times * scaled * scaled;
    }
    const double mean = sum[c] / elements;
    const double variance = squares[c] / elements - mean * mean;
    normalize.mean.push_back(static_cast<float>(mean));
    // Of a constant channel rounding leaves a little.
    const bool varies = variance > 1e-12 * (squares[c] / elements);
    normalize.std.push_back(varies ? static_cast<float>(std::sqrt(variance)) : 1.0F);
  }
  return normalize;
}

}  // namespace convkit::data
