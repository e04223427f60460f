#include "convkit/train/checkpoint.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "convkit/base/random.h"
#include "convkit/base/scope.h"
#include "convkit/io/safetensors.h"
#include "convkit/nn/functions.h"

namespace convkit::train {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kKey = "convkit.progress";
constexpr std::string_view kNet = "net.";
constexpr std::string_view kOptimizer = "optimizer.";

template <class P, class F>
void for_each_number(P& progress, F&& f) {
  f("epoch", progress.epoch);
  f("batch", progress.batch);
  f("step", progress.step);
  f("loss_sum", progress.loss_sum);
  f("correct", progress.correct);
  f("samples", progress.samples);
  f("train_seconds", progress.train_seconds);
  f("best_accuracy", progress.best_accuracy);
  f("best_epoch", progress.best_epoch);
  f("generator_seed", progress.generator_seed);
  f("generator_stream", progress.generator_stream);
  f("generator_position", progress.generator_position);
}

io::NamedTensors with_prefix(const io::NamedTensors& tensors, std::string_view prefix) {
  io::NamedTensors result;
  for (const auto& [name, tensor] : tensors)
    if (name.starts_with(prefix)) result.emplace_back(name.substr(prefix.size()), tensor);
  return result;
}

Progress progress_of(const io::SafeTensors& file, const std::string& path) {
  const auto found = file.metadata.find(kKey);
  CONVKIT_CHECK(found != file.metadata.end(), FormatError, path, ": the file is no checkpoint");
  const Json json = Json::parse(found->second, nullptr, false);
  Progress progress;
  for_each_number(progress, [&]<class T>(const char* name, T& number) {
    // Numbers beyond their type's would become any.
    const auto fits = [](const Json& value) {
      if constexpr (!std::is_integral_v<T>) return value.is_number();
      return value.is_number_unsigned() &&
             value.get<uint64_t>() <= static_cast<uint64_t>(std::numeric_limits<T>::max());
    };
    CONVKIT_CHECK(json.is_object() && json.contains(name) && fits(json[name]), FormatError, path,
                  ": the checkpoint does not say its ", name);
    number = json[name].template get<T>();
  });
  CONVKIT_CHECK(progress.epoch >= 0 && progress.batch >= 0 && progress.step >= progress.batch,
                FormatError, path, ": the checkpoint says epoch ", progress.epoch, ", batch ",
                progress.batch, ", step ", progress.step);
  return progress;
}

}  // namespace

void save_checkpoint(const std::string& path, nn::AnyModule& net, optim::Optimizer& optimizer,
                     Progress progress) {
  const Generator& generator = default_generator();
  progress.generator_seed = generator.seed();
  progress.generator_stream = generator.stream();
  progress.generator_position = generator.position();
  Json json;
  for_each_number(progress, [&](const char* name, const auto& number) { json[name] = number; });

  io::NamedTensors tensors;
  for (auto& [name, tensor] : nn::state_dict(net))
    tensors.emplace_back(std::string(kNet) + name, tensor);
  for (auto& [name, tensor] : optimizer.state_dict())
    tensors.emplace_back(std::string(kOptimizer) + name, tensor);
  io::save_safetensors(path, tensors, {{kKey, json.dump()}});
}

Progress load_checkpoint(const std::string& path, nn::AnyModule& net, optim::Optimizer& optimizer) {
  const io::SafeTensors file = io::load_safetensors(path);
  const Progress progress = progress_of(file, path);
  const Scope scope(path);  // names the file in messages
  nn::load_state_dict(net, with_prefix(file.tensors, kNet));
  optimizer.load_state_dict(with_prefix(file.tensors, kOptimizer));
  Generator generator(progress.generator_seed, progress.generator_stream);
  generator.set_position(progress.generator_position);
  default_generator() = generator;
  return progress;
}

}  // namespace convkit::train
