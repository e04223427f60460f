#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "convkit/base/export.h"

/// What a training run is made of: everything its weights depend on (with `autotune`, the file of
/// measurements too), and nothing else but the number of threads, which never changes a bit.
namespace convkit::train {

/// A training run. Fields that are empty or std::nullopt take the default their comment names.
struct TrainConfig {
  std::string data = "fashion-mnist";
  std::string model = "default";
  int64_t epochs = 5;
  int64_t batch = 128;
  std::optional<double> lr = std::nullopt;            ///< default: sgd 0.1, adam and adamw 0.001
  std::string optimizer = "sgd";                      ///< sgd, adam or adamw
  double momentum = 0.9;                              ///< of sgd
  std::optional<double> weight_decay = std::nullopt;  ///< default: sgd 0.0005, adam 0, adamw 0.01
  bool nesterov = false;                              ///< of sgd
  std::string schedule = "onecycle";                  ///< constant, step, cosine or onecycle
  double warmup = 0;                                  ///< epochs of linear rise; not with onecycle
  double label_smoothing = 0;
  double clip = 0;               ///< largest norm of all gradients together; 0: no bound
  std::string augment = "none";  ///< none, or a comma list of flip, crop, erase
  std::string resize = "";       ///< HxW; default: the size the pictures have
  double val_fraction = 0.1;     ///< held out when the data has no test part
  int64_t seed = 1;
  bool exact = false;     ///< only algorithms that add up the products of the definition
  bool autotune = false;  ///< algorithms chosen by measuring them (tuning_file.h)
  int64_t threads = 0;    ///< 0: all processors
  int64_t workers = 1;    ///< threads that decode and augment

  friend bool operator==(const TrainConfig&, const TrainConfig&) = default;
};

/// Calls f(name, &TrainConfig::field, help) for every field, in order. JSON, the command line and
/// its help derive from this list; a field that is missing here is in none of them.
template <class F>
void for_each_field(F&& f) {
  f("data", &TrainConfig::data, "data set: fashion-mnist, cifar10:DIR or folder:DIR");
  f("model", &TrainConfig::model, "net: see convkit summary --list");
  f("epochs", &TrainConfig::epochs, "passes over the training data");
  f("batch", &TrainConfig::batch, "pictures per step");
  f("lr", &TrainConfig::lr, "largest learning rate [sgd 0.1, adam and adamw 0.001]");
  f("optimizer", &TrainConfig::optimizer, "sgd, adam or adamw");
  f("momentum", &TrainConfig::momentum, "momentum of sgd");
  f("weight_decay", &TrainConfig::weight_decay, "weight decay [sgd 0.0005, adam 0, adamw 0.01]");
  f("nesterov", &TrainConfig::nesterov, "Nesterov momentum (sgd)");
  f("schedule", &TrainConfig::schedule,
    "learning rate over time: constant, step, cosine or onecycle");
  f("warmup", &TrainConfig::warmup, "epochs of linear rise before the schedule");
  f("label_smoothing", &TrainConfig::label_smoothing, "share of the label spread over all classes");
  f("clip", &TrainConfig::clip, "largest norm of all gradients together; 0: no bound");
  f("augment", &TrainConfig::augment, "none, or a comma list of flip, crop and erase");
  f("resize", &TrainConfig::resize, "HxW to bring pictures to");
  f("val_fraction", &TrainConfig::val_fraction, "share held out when the data has no test part");
  f("seed", &TrainConfig::seed, "seed of weights, order and augmentation");
  f("exact", &TrainConfig::exact, "no Winograd and no FFT: smaller rounding errors, slower");
  f("autotune", &TrainConfig::autotune,
    "choose algorithms by measuring them here; kept for later runs");
  f("threads", &TrainConfig::threads,
    "threads that compute; 0: all processors. Never changes a bit");
  f("workers", &TrainConfig::workers, "threads that decode and augment. Never changes a bit");
}

/// Throws ValueError, in words that name the field and the way out, for a value no run can have.
CONVKIT_API void validate(const TrainConfig& config);

/// The rates that hold when the field is empty.
CONVKIT_API double learning_rate(const TrainConfig& config);
CONVKIT_API double weight_decay(const TrainConfig& config);

/// `augment` in parts, none of them "none"; throws ValueError for an unknown one.
CONVKIT_API std::vector<std::string> augmentations(const TrainConfig& config);

/// Height and width.
struct PictureSize {
  int64_t height = 0;
  int64_t width = 0;
  friend bool operator==(const PictureSize&, const PictureSize&) = default;
};
/// `resize` in parts, std::nullopt when empty; throws ValueError unless it reads HxW.
CONVKIT_API std::optional<PictureSize> picture_size(const TrainConfig& config);

/// An indented JSON object with every field; null for an empty one.
CONVKIT_API std::string to_json(const TrainConfig& config);
/// Reads what to_json writes over `base`: fields that are not named keep its value. Throws
/// FormatError naming `source` for text that is no JSON object, an unknown key (listing the known)
/// or a value of the wrong kind. Does not validate.
CONVKIT_API TrainConfig config_from_json(const std::string& text, const std::string& source,
                                         const TrainConfig& base = {});

}  // namespace convkit::train
