#include "convkit/train/config.h"

#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <type_traits>

#include "convkit/base/error.h"
#include "convkit/data/sources.h"
#include "convkit/models/registry.h"
#include "convkit/train/shallow_json.h"

namespace convkit::train {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kMaxThreads = 1024;
constexpr int64_t kMaxWorkers = 256;
constexpr int64_t kMaxPicture = 1 << 14;

// One of the words of a field that has a fixed choice.
void check_choice(const char* field, const std::string& value,
                  const std::vector<std::string>& known) {
  std::string words;
  for (const std::string& word : known) {
    if (word == value) return;
    words += (words.empty() ? "" : ", ") + word;
  }
  throw ValueError(message("there is no ", field, " '", value, "'; known are ", words));
}

void check_whole(const char* field, int64_t value, int64_t least, int64_t most) {
  CONVKIT_CHECK(value >= least && value <= most, ValueError, field, " is ", value,
                "; it must be between ", least, " and ", most);
}

// least ≤ value < most.
void check_share(const char* field, double value, double least, double most) {
  CONVKIT_CHECK(value >= least && value < most, ValueError, field, " is ", value,
                "; it must be at least ", least, " and below ", most);
}

void check_rates(const TrainConfig& c) {
  CONVKIT_CHECK(!c.lr || (std::isfinite(*c.lr) && *c.lr > 0), ValueError, "lr is ", *c.lr,
                "; a learning rate must be a positive number, such as ",
                c.optimizer == "sgd" ? 0.1 : 0.001);
  CONVKIT_CHECK(!c.weight_decay || (std::isfinite(*c.weight_decay) && *c.weight_decay >= 0),
                ValueError, "weight_decay is ", *c.weight_decay, "; it cannot be negative");
  check_share("momentum", c.momentum, 0, 1);
  check_share("label_smoothing", c.label_smoothing, 0, 1);
  CONVKIT_CHECK(c.val_fraction > 0 && c.val_fraction < 1, ValueError, "val_fraction is ",
                c.val_fraction, "; it must lie between 0 and 1, such as 0.1");
  CONVKIT_CHECK(std::isfinite(c.clip) && c.clip >= 0, ValueError, "clip is ", c.clip,
                "; it must be a positive norm, or 0 for no bound");
  CONVKIT_CHECK(!c.nesterov || (c.optimizer == "sgd" && c.momentum > 0), ValueError,
                "nesterov needs the sgd optimizer with a momentum above 0 (optimizer is ",
                c.optimizer, ", momentum ", c.momentum, ")");
  CONVKIT_CHECK(c.warmup >= 0 && c.warmup < static_cast<double>(c.epochs), ValueError, "warmup is ",
                c.warmup, " epochs; it must be at least 0 and below the ", c.epochs,
                " epochs of the run");
  CONVKIT_CHECK(c.warmup == 0 || c.schedule != "onecycle", ValueError, "warmup is ", c.warmup,
                " epochs, but the onecycle schedule rises by itself; leave warmup out, or take"
                " another schedule");
}

template <class T>
constexpr const char* kKindName = "true or false";
template <>
constexpr const char* kKindName<std::string> = "a text";
template <>
constexpr const char* kKindName<int64_t> = "a whole number";
template <>
constexpr const char* kKindName<double> = "a number";
template <>
constexpr const char* kKindName<std::optional<double>> = "a number or null";

template <class T>
bool fits(const Json& value) {
  if constexpr (std::is_same_v<T, std::string>) return value.is_string();
  if constexpr (std::is_same_v<T, bool>) return value.is_boolean();
  if constexpr (std::is_same_v<T, double>) return value.is_number();
  if constexpr (std::is_same_v<T, std::optional<double>>)
    return value.is_number() || value.is_null();
  if constexpr (std::is_same_v<T, int64_t>)
    return value.is_number_integer() &&
           (!value.is_number_unsigned() || value.get<uint64_t>() <= INT64_MAX);
  return false;
}

}  // namespace

void validate(const TrainConfig& c) {
  CONVKIT_CHECK(!c.data.empty(), ValueError,
                "data is empty; name a data set, such as fashion-mnist or folder:DIR");
  data::check_spec(c.data);
  static_cast<void>(models::find_model(c.model));
  check_whole("epochs", c.epochs, 1, 1'000'000);
  check_whole("batch", c.batch, 1, 1 << 20);
  check_choice("optimizer", c.optimizer, {"sgd", "adam", "adamw"});
  check_choice("schedule", c.schedule, {"constant", "step", "cosine", "onecycle"});
  check_rates(c);
  static_cast<void>(augmentations(c));
  static_cast<void>(picture_size(c));
  check_whole("seed", c.seed, 0, INT64_MAX);
  check_whole("threads", c.threads, 0, kMaxThreads);
  check_whole("workers", c.workers, 0, kMaxWorkers);
}

double learning_rate(const TrainConfig& c) {
  return c.lr.value_or(c.optimizer == "sgd" ? 0.1 : 0.001);
}

double weight_decay(const TrainConfig& c) {
  if (c.weight_decay) return *c.weight_decay;
  if (c.optimizer == "sgd") return 0.0005;
  return c.optimizer == "adamw" ? 0.01 : 0.0;
}

std::vector<std::string> augmentations(const TrainConfig& c) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  while (begin <= c.augment.size()) {
    const std::size_t comma = std::min(c.augment.find(',', begin), c.augment.size());
    const std::string part = c.augment.substr(begin, comma - begin);
    check_choice("augment", part, {"none", "flip", "crop", "erase"});
    if (part != "none") parts.push_back(part);
    begin = comma + 1;
  }
  return parts;
}

std::optional<PictureSize> picture_size(const TrainConfig& c) {
  if (c.resize.empty()) return std::nullopt;
  PictureSize size;
  const char* const begin = c.resize.data();
  const char* const end = begin + c.resize.size();
  const auto [after_height, height_error] = std::from_chars(begin, end, size.height);
  const bool has_times = height_error == std::errc() && after_height != end &&
                         (*after_height == 'x' || *after_height == 'X');
  const char* const width = has_times ? after_height + 1 : end;
  const auto [after_width, width_error] = std::from_chars(width, end, size.width);
  CONVKIT_CHECK(has_times && width_error == std::errc() && after_width == end, ValueError,
                "resize is '", c.resize, "'; write height and width, such as 32x32");
  CONVKIT_CHECK(
      std::min(size.height, size.width) >= 1 && std::max(size.height, size.width) <= kMaxPicture,
      ValueError, "resize is ", c.resize, "; each side must be between 1 and ", kMaxPicture);
  return size;
}

std::string to_json(const TrainConfig& config) {
  Json json;
  for_each_field([&]<class T>(const char* name, T TrainConfig::*member, const char*) {
    const T& value = config.*member;
    if constexpr (std::is_same_v<T, std::optional<double>>) {
      json[name] = value ? Json(*value) : Json(nullptr);
    } else {
      json[name] = value;
    }
  });
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

TrainConfig config_from_json(const std::string& text, const std::string& source,
                             const TrainConfig& base) {
  const Json json = parse_shallow<Json>(text);
  CONVKIT_CHECK(json.is_object(), FormatError, source,
                ": not a JSON object such as {\"model\": \"resnet18\", \"epochs\": 5}");
  TrainConfig config = base;
  std::string known;
  std::size_t used = 0;
  for_each_field([&]<class T>(const char* name, T TrainConfig::*member, const char*) {
    T& field = config.*member;
    known += (known.empty() ? "" : ", ") + std::string(name);
    const auto found = json.find(name);
    if (found == json.end()) return;
    ++used;
    CONVKIT_CHECK(fits<T>(*found), FormatError, source, ": ", name, " is ",
                  found->dump(-1, ' ', false, Json::error_handler_t::replace), "; it must be ",
                  kKindName<T>);
    if constexpr (std::is_same_v<T, std::optional<double>>) {
      field = found->is_null() ? T() : T(found->template get<double>());
    } else {
      field = found->template get<T>();
    }
  });
  if (used == json.size()) return config;
  for (const auto& item : json.items()) {
    const std::string& key = item.key();
    bool is_known = false;
    for_each_field(
        [&](const char* name, auto, const char*) { is_known = is_known || key == name; });
    CONVKIT_CHECK(is_known, FormatError, source, ": unknown key '", key, "'; known are ", known);
  }
  return config;
}

}  // namespace convkit::train
