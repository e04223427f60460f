#include "convkit/train/data_source.h"

#include <algorithm>

#include "convkit/base/error.h"
#include "convkit/data/sources.h"
#include "convkit/data/transforms.h"

namespace convkit::train {
namespace {

constexpr int64_t kPictureRank = 3;  // (C, H, W)
constexpr int64_t kCropShare = 8;    // of the side is what a crop pads
constexpr int64_t kValidationBatch = 256;

data::OpenOptions open_options(const TrainConfig& config) {
  data::OpenOptions options;
  if (const auto size = picture_size(config))
    options.resize = data::OpenOptions::Size{size->height, size->width};
  options.test_fraction = config.val_fraction;
  options.seed = static_cast<uint64_t>(config.seed);
  return options;
}

data::Pipeline training_pipeline(const TrainConfig& config, const Shape& sample,
                                 const data::Normalize& normalize) {
  data::Pipeline pipeline{.pixels = {}, .normalize = normalize, .erasing = {}};
  for (const std::string& name : augmentations(config)) {
    CONVKIT_CHECK(sample.dim() == kPictureRank, ShapeError, "augment ", name,
                  " is for pictures, but the samples are ", sample, "; use augment none");
    if (name == "flip") pipeline.pixels.emplace_back(data::RandomHorizontalFlip{});
    if (name == "crop") {
      const int64_t padding = std::max<int64_t>(std::min(sample[1], sample[2]) / kCropShare, 1);
      pipeline.pixels.emplace_back(
          data::RandomCrop{.height = sample[1], .width = sample[2], .padding = padding});
    }
    if (name == "erase") pipeline.erasing = data::RandomErasing{};
  }
  return pipeline;
}

// By label; a class without a name may be any.
bool same_classes(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const std::string unnamed = data::unnamed_class(static_cast<int64_t>(i));
    if (a[i] != b[i] && a[i] != unnamed && b[i] != unnamed) return false;
  }
  return true;
}

// "airplane, automobile, bird, ... (10)"
std::string shortened(const std::vector<std::string>& names) {
  constexpr std::size_t kMost = 3;
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kMost); ++i)
    text += (i == 0 ? "" : ", ") + names[i];
  return names.size() <= kMost ? text : message(text, ", ... (", names.size(), ")");
}

std::string description_of(const DataSource& source) {
  return message(source.train->dataset().name(), ": ",
                 with_thousands(source.train->dataset().size()), " samples to train on, ",
                 with_thousands(source.validation->dataset().size()), " to validate on; ",
                 source.card.classes.size(), " classes, each sample ", source.card.input);
}

}  // namespace

DataSource open_data(const TrainConfig& config) {
  data::TrainTest parts = data::open_train_test(config.data, open_options(config));
  const data::Normalize normalize = data::channel_statistics(*parts.train);
  DataSource source;
  source.card = {.config = config,
                 .input = parts.train->sample_shape(),
                 .classes = parts.train->class_names(),
                 .mean = normalize.mean,
                 .std = normalize.std};
  const std::vector<int64_t> counts = data::class_counts(*parts.train);
  const auto present = std::count_if(counts.begin(), counts.end(), [](int64_t n) { return n > 0; });
  CONVKIT_CHECK(present >= 2, ValueError, parts.train->name(), ": all ", parts.train->size(),
                " samples are of one class; add samples of another, to tell it apart from");
  CONVKIT_CHECK(parts.train->size() >= 2, ValueError, parts.train->name(), ": ",
                parts.train->size(), " samples are too few to train on");

  data::LoaderOptions options{.batch_size = std::min(config.batch, parts.train->size()),
                              .shuffle = true,
                              .seed = static_cast<uint64_t>(config.seed),
                              .workers = static_cast<int>(config.workers)};
  options.drop_last = options.batch_size > 1 && parts.train->size() % options.batch_size == 1;
  data::Pipeline pipeline = training_pipeline(config, parts.train->sample_shape(), normalize);
  source.train = std::make_unique<data::DataLoader>(parts.train, options, std::move(pipeline));
  source.validation = std::make_unique<data::DataLoader>(
      parts.test,
      data::LoaderOptions{.batch_size = std::max(config.batch, kValidationBatch),
                          .workers = static_cast<int>(config.workers)},
      data::Pipeline{.pixels = {}, .normalize = normalize, .erasing = {}});
  source.description = description_of(source);
  return source;
}

std::unique_ptr<data::DataLoader> open_validation(const ModelCard& card, const std::string& data,
                                                  const data::LoaderOptions& options) {
  data::OpenOptions open = open_options(card.config);
  open.class_names = card.classes;
  if (card.input.dim() == kPictureRank) {
    open.channels = card.input[0];
    open.resize = data::OpenOptions::Size{card.input[1], card.input[2]};
  }
  const data::DatasetPtr dataset = data::open_dataset(data, data::Split::test, open);
  CONVKIT_CHECK(same_classes(dataset->class_names(), card.classes), ValueError, dataset->name(),
                ": the classes are ", shortened(dataset->class_names()), ", but the net knows ",
                shortened(card.classes),
                "; take data with the classes it was trained on, or put the pictures into folders"
                " of their names (folder:DIR)");
  CONVKIT_CHECK(dataset->sample_shape() == card.input, ShapeError, dataset->name(),
                ": the samples are ", dataset->sample_shape(), ", but the net takes ", card.input,
                "; take data like those it was trained on");
  return std::make_unique<data::DataLoader>(
      dataset, options,
      data::Pipeline{
          .pixels = {}, .normalize = {.mean = card.mean, .std = card.std}, .erasing = {}});
}

}  // namespace convkit::train
