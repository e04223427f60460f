#include "convkit/train/evaluate.h"

#include <chrono>
#include <memory>

#include "convkit/autograd/record.h"
#include "convkit/base/error.h"
#include "convkit/base/thread_pool.h"
#include "convkit/ops/loss.h"
#include "convkit/train/data_source.h"
#include "convkit/train/run_directory.h"

namespace convkit::train {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kReportInterval{100};

// For weights that say nothing about themselves: the net and data the caller names.
std::optional<ModelCard> named_card(const std::string& weights, const EvaluateOptions& options) {
  if (has_card(io::load_safetensors(weights).metadata)) return std::nullopt;
  CONVKIT_CHECK(options.model && options.data, ValueError, weights,
                ": the file does not say which net its weights belong to; name it with --model and"
                " its data with --data");
  TrainConfig config;
  config.model = *options.model;
  config.data = *options.data;
  validate(config);
  return open_data(config).card;
}

}  // namespace

Evaluation evaluate(const std::string& run_or_weights, const EvaluateOptions& options) {
  CONVKIT_CHECK(options.batch >= 1, ValueError, "batch is ", options.batch,
                "; it must be at least 1");
  std::unique_ptr<ThreadPool> pool;
  std::optional<UseThreadPool> use;
  if (options.threads != 0) {
    pool = std::make_unique<ThreadPool>(static_cast<int>(options.threads));
    use.emplace(*pool);
  }
  const std::string weights = find_weights(run_or_weights);
  const std::optional<ModelCard> named = named_card(weights, options);
  LoadedNet loaded = load_net(weights, named ? &*named : nullptr);
  const ModelCard& card = loaded.card;
  CONVKIT_CHECK(!options.model || named || *options.model == card.config.model, ValueError, weights,
                ": these are weights of ", card.config.model, ", not of ", *options.model,
                "; leave --model out");
  const auto loader =
      open_validation(card, options.data.value_or(card.config.data),
                      {.batch_size = options.batch, .workers = static_cast<int>(options.workers)});

  Metrics metrics(static_cast<int64_t>(card.classes.size()));
  const NoGradGuard no_grad;
  const Clock::time_point begin = Clock::now();
  Clock::time_point last_report = begin;
  loader->start(0);
  while (const std::optional<data::Batch> batch = loader->next()) {
    CONVKIT_CHECK(options.stop == nullptr || !options.stop->load(), Error, "stopped after ",
                  metrics.samples(), " of ", loader->samples(), " samples");
    const Tensor logits = loaded.net(batch->images);
    metrics.add(logits, batch->labels, ops::cross_entropy(logits, batch->labels).item());
    const Clock::time_point now = Clock::now();
    if (!options.on_progress || now - last_report < kReportInterval) continue;
    last_report = now;
    options.on_progress(metrics.samples(), loader->samples());
  }
  return {.weights = weights,
          .data = loader->dataset().name(),
          .conversion = loader->dataset().conversion(),
          .card = card,
          .metrics = std::move(metrics),
          .seconds = std::chrono::duration<double>(Clock::now() - begin).count()};
}

}  // namespace convkit::train
