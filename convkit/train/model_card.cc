#include "convkit/train/model_card.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "convkit/base/scope.h"
#include "convkit/models/registry.h"
#include "convkit/nn/functions.h"
#include "convkit/train/finite_check.h"
#include "convkit/train/shallow_json.h"

namespace convkit::train {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kKey = "convkit";
constexpr double kMostElements = 0x1p27;  // of one sample

// Reads one field; every fault is a FormatError.
template <class T>
T field(const Json& json, const char* name, const std::string& source) {
  try {
    return json.at(name).get<T>();
  } catch (const Json::exception&) {
    throw FormatError(message(source, ": the net's description lacks a sound '", name,
                              "'; the file was not written by convkit, or was changed since"));
  }
}

void check(const ModelCard& card, const std::string& source) {
  CONVKIT_CHECK(!card.classes.empty(), FormatError, source,
                ": the net's description names no classes");
  const auto channels = static_cast<std::size_t>(card.input.dim() > 0 ? card.input[0] : 0);
  CONVKIT_CHECK(card.mean.size() == channels && card.std.size() == channels, FormatError, source,
                ": the net's description has ", card.mean.size(), " means and ", card.std.size(),
                " deviations for an input of ", card.input);
  for (std::size_t c = 0; c < channels; ++c) {
    CONVKIT_CHECK(std::isfinite(card.mean[c]) && std::isfinite(card.std[c]) && card.std[c] > 0,
                  FormatError, source, ": the net's description has mean ", card.mean[c],
                  " and deviation ", card.std[c], " for channel ", c);
  }
}

}  // namespace

io::Metadata to_metadata(const ModelCard& card) {
  TrainConfig config = card.config;
  config.threads = TrainConfig{}.threads;
  config.workers = TrainConfig{}.workers;
  Json json;
  json["config"] = Json::parse(to_json(config));
  json["input"] = card.input.to_vector();
  json["classes"] = card.classes;
  json["mean"] = card.mean;
  json["std"] = card.std;
  // "format" is what Python's loaders look for.
  return {{"format", "pt"}, {kKey, json.dump(-1, ' ', false, Json::error_handler_t::replace)}};
}

bool has_card(const io::Metadata& metadata) { return metadata.contains(kKey); }

ModelCard card_from_metadata(const io::Metadata& metadata, const std::string& source) {
  CONVKIT_CHECK(has_card(metadata), FormatError, source,
                ": the file does not say which net its weights belong to");
  const Json json = parse_shallow<Json>(metadata.at(kKey));
  CONVKIT_CHECK(json.is_object(), FormatError, source, ": the net's description is damaged");
  ModelCard card;
  card.config = config_from_json(field<Json>(json, "config", source).dump(),
                                 source + ": the net's description");
  // A net grows with its input, and is made before its weights are compared with the file's. As
  // doubles, since a number in JSON may be larger than any integer.
  std::vector<int64_t> extents;
  double elements = 1;
  for (const double extent : field<std::vector<double>>(json, "input", source)) {
    elements *= extent;
    CONVKIT_CHECK(extent >= 1 && extent == std::floor(extent) && elements <= kMostElements &&
                      extents.size() + 1 < kMaxDim,
                  FormatError, source, ": the net's description has an input of ", extent,
                  " along axis ", extents.size());
    extents.push_back(static_cast<int64_t>(extent));
  }
  card.input = Shape(extents);
  card.classes = field<std::vector<std::string>>(json, "classes", source);
  card.mean = field<std::vector<float>>(json, "mean", source);
  card.std = field<std::vector<float>>(json, "std", source);
  check(card, source);
  return card;
}

nn::AnyModule make_net(const ModelCard& card) {
  return models::make_model(card.config.model, card.input,
                            static_cast<int64_t>(card.classes.size()));
}

void save_weights(const std::string& path, nn::AnyModule& net, const ModelCard& card) {
  io::save_safetensors(path, nn::state_dict(net), to_metadata(card));
}

LoadedNet load_net(const std::string& path, const ModelCard* fallback) {
  const io::SafeTensors file = io::load_safetensors(path);
  CONVKIT_CHECK(has_card(file.metadata) || fallback != nullptr, FormatError, path,
                ": the file does not say which net its weights belong to; take weights that convkit"
                " train wrote (convkit evaluate can be told the net, with --model and --data)");
  ModelCard card = has_card(file.metadata) ? card_from_metadata(file.metadata, path) : *fallback;
  nn::AnyModule net = make_net(card);
  const Scope scope(path);  // names the file in messages
  nn::load_state_dict(net, file.tensors);
  const std::string damaged = first_not_finite_tensor(net);
  CONVKIT_CHECK(damaged.empty(), FormatError, damaged,
                " holds values that are not finite (NaN or infinite), so the net cannot tell"
                " anything; take weights of an earlier save");
  nn::eval(net);
  return {std::move(net), std::move(card)};
}

}  // namespace convkit::train
