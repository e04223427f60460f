#include "convkit/train/predict.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "convkit/autograd/record.h"
#include "convkit/base/error.h"
#include "convkit/data/image_sample.h"
#include "convkit/data/transforms.h"
#include "convkit/io/media/image.h"
#include "convkit/ops/softmax.h"

namespace convkit::train {
namespace {

using io::media::Image;

const char* kind_of(int64_t channels) {
  switch (channels) {
    case 1:
      return "grey";
    case 2:
      return "grey with transparency";
    case 3:
      return "colour";
    default:
      return "colour with transparency";
  }
}

std::string conversion_of(const Image& image, const Shape& wanted) {
  std::string text;
  if (image.channels != wanted[0])
    text = message(kind_of(image.channels), " to ", kind_of(wanted[0]));
  if (image.height != wanted[1] || image.width != wanted[2])
    text += message(text.empty() ? "" : ", ", image.height, "×", image.width, " to ", wanted[1],
                    "×", wanted[2]);
  return text;
}

std::vector<Guess> guesses_of(const Tensor& probabilities, const ModelCard& card, int64_t top) {
  const auto* const computed = probabilities.data<float>();
  std::vector<float> values(computed, computed + probabilities.numel());
  for (float& value : values)
    if (std::isnan(value)) value = 0;  // of weights that hold NaN; it has no place in an order
  std::vector<int64_t> labels(card.classes.size());
  std::iota(labels.begin(), labels.end(), int64_t{0});
  std::stable_sort(labels.begin(), labels.end(), [&](int64_t a, int64_t b) {
    return values[static_cast<std::size_t>(a)] > values[static_cast<std::size_t>(b)];
  });
  labels.resize(std::min(labels.size(), static_cast<std::size_t>(top)));
  std::vector<Guess> guesses;
  guesses.reserve(labels.size());
  for (const int64_t label : labels)
    guesses.push_back({label, card.classes[static_cast<std::size_t>(label)],
                       static_cast<double>(values[static_cast<std::size_t>(label)])});
  return guesses;
}

}  // namespace

std::vector<Prediction> predict(LoadedNet& loaded, const std::vector<std::string>& images,
                                int64_t top) {
  const ModelCard& card = loaded.card;
  CONVKIT_CHECK(top >= 1, ValueError, "top is ", top, "; at least one class must be asked for");
  CONVKIT_CHECK(card.input.dim() == 3 && (card.input[0] == 1 || card.input[0] == 3), ValueError,
                "the net takes samples of ", card.input, ", not pictures (1 or 3 channels)");
  const data::Pipeline pipeline{
      .pixels = {}, .normalize = {.mean = card.mean, .std = card.std}, .erasing = {}};
  const NoGradGuard no_grad;
  std::vector<Prediction> predictions;
  for (const std::string& path : images) {
    const Image image = io::media::read_image(path);
    const Tensor x = data::prepare_image(image, card.input, pipeline);
    const Tensor probabilities = ops::softmax(loaded.net(x), 1);
    predictions.push_back({.path = path,
                           .conversion = conversion_of(image, card.input),
                           .guesses = guesses_of(probabilities, card, top)});
  }
  return predictions;
}

}  // namespace convkit::train
