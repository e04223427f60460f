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

std::vector<Guess> top_guesses(const Tensor& probabilities, const std::vector<std::string>& names,
                               int64_t top) {
  const auto* const computed = probabilities.data<float>();
  std::vector<float> values(computed, computed + probabilities.numel());
  for (float& value : values)
    if (std::isnan(value)) value = 0;  // of weights that hold NaN; it has no place in an order
  std::vector<int64_t> labels(names.size());
  std::iota(labels.begin(), labels.end(), int64_t{0});
  std::stable_sort(labels.begin(), labels.end(), [&](int64_t a, int64_t b) {
    return values[static_cast<std::size_t>(a)] > values[static_cast<std::size_t>(b)];
  });
  labels.resize(std::min(labels.size(), static_cast<std::size_t>(top)));
  std::vector<Guess> guesses;
  guesses.reserve(labels.size());
  for (const int64_t label : labels)
    guesses.push_back({label, names[static_cast<std::size_t>(label)],
                       static_cast<double>(values[static_cast<std::size_t>(label)])});
  return guesses;
}
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
    const io::media::Image image = io::media::read_image(path);
    const io::media::ImageInfo& head = image;
    const Tensor x = data::prepare_image(image, card.input, pipeline);
    const Tensor probabilities = ops::softmax(loaded.net(x), 1);
    predictions.push_back({.path = path,
                           .conversion = data::conversion_text({&head, 1}, card.input),
                           .guesses = top_guesses(probabilities, card.classes, top)});
  }
  return predictions;
}

}  // namespace convkit::train
