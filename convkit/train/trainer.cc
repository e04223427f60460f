#include "convkit/train/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <optional>

#include "convkit/autograd/record.h"
#include "convkit/base/error.h"
#include "convkit/base/exactness.h"
#include "convkit/base/random.h"
#include "convkit/base/thread_pool.h"
#include "convkit/io/file.h"
#include "convkit/io/folder.h"
#include "convkit/nn/functions.h"
#include "convkit/ops/loss.h"
#include "convkit/optim/clip.h"
#include "convkit/train/checkpoint.h"
#include "convkit/train/data_source.h"
#include "convkit/train/event_file.h"
#include "convkit/train/finite_check.h"
#include "convkit/train/metrics.h"
#include "convkit/train/recipe.h"
#include "convkit/train/tuning_file.h"

namespace convkit::train {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kReportInterval{100};

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

double wall_time() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// Gives this thread's random numbers back as they were.
class KeepGenerator {
 public:
  KeepGenerator() : saved_(default_generator()) {}
  ~KeepGenerator() { default_generator() = saved_; }
  KeepGenerator(const KeepGenerator&) = delete;
  KeepGenerator& operator=(const KeepGenerator&) = delete;

 private:
  Generator saved_;
};

// The threads a config asks for, on this thread only.
class RunThreads {
 public:
  explicit RunThreads(int64_t threads) {
    if (threads == 0) return;
    pool_ = std::make_unique<ThreadPool>(static_cast<int>(threads));
    use_ = std::make_unique<UseThreadPool>(*pool_);
  }
  int64_t count() const { return pool_ ? pool_->size() : num_threads(); }

 private:
  std::unique_ptr<ThreadPool> pool_;
  std::unique_ptr<UseThreadPool> use_;
};

Exactness exactness_of(const TrainConfig& config) {
  return config.exact ? Exactness::exact : exactness();
}

// Not movable, so made in place.
std::optional<Autotune> autotune_of(const TrainConfig& config) {
  if (!config.autotune) return std::nullopt;
  return std::optional<Autotune>(std::in_place);
}

nn::AnyModule seeded_net(const ModelCard& card) {
  manual_seed(static_cast<uint64_t>(card.config.seed));
  return make_net(card);
}

// Two that write to one folder would spoil each other's files.
void check_lock(const io::FolderLock& lock, const std::string& directory) {
  CONVKIT_CHECK(lock.held(), IoError, "the run directory '", directory,
                "' is in use: another training writes to it; wait for its end, or choose another");
}

// One run, fresh or resumed.
class Run {
 public:
  Run(const TrainConfig& config, DataSource& data, RunDirectory directory, const TrainHooks& hooks)
      : config_(config),
        data_(data),
        directory_(std::move(directory)),
        hooks_(hooks),
        net_(seeded_net(data.card)),
        optimizer_(make_optimizer(config, nn::parameters(net_))),
        schedule_(make_schedule(config, data.train->batches())),
        scheduler_(*optimizer_, schedule_),
        events_(wall_time()) {}

  // Saves the untrained net: from here on the run can be resumed whatever happens.
  void save_start() { save(); }

  void load() {
    progress_ = load_checkpoint(directory_.checkpoint_path(), net_, *optimizer_);
    CONVKIT_CHECK(progress_.batch <= data_.train->batches() && progress_.epoch <= config_.epochs,
                  FormatError, directory_.checkpoint_path(), ": the checkpoint stands at epoch ",
                  progress_.epoch, ", batch ", progress_.batch, ", but the run has ",
                  config_.epochs, " epochs of ", data_.train->batches(),
                  " batches; its data or its config.json have changed since");
    scheduler_.set_step_count(progress_.step);
    if (progress_.epoch < config_.epochs) directory_.check_writable();  // not after an hour
    directory_.keep_results(progress_.epoch);
    if (io::file_exists(directory_.events_path()))
      events_ = EventFile(io::read_file(directory_.events_path()), progress_.epoch, wall_time());
  }

  TrainOutcome go(int64_t threads) {
    if (hooks_.on_start) {
      hooks_.on_start({.directory = directory_.path(),
                       .card = data_.card,
                       .data = data_.description,
                       .train_samples = data_.train->samples(),
                       .val_samples = data_.validation->samples(),
                       .parameters = nn::parameter_count(net_),
                       .first_epoch = progress_.epoch + 1,
                       .threads = threads});
    }
    TrainOutcome outcome;
    while (progress_.epoch < config_.epochs) {
      const bool ended = train_epoch() && validate_epoch();
      if (!ended) {
        save();
        break;
      }
      outcome.last = last_;
    }
    outcome.directory = directory_.path();
    outcome.finished = progress_.epoch == config_.epochs;
    outcome.epochs_done = progress_.epoch;
    outcome.batches_done = progress_.batch;
    outcome.steps = progress_.step;
    outcome.best_epoch = progress_.best_epoch;
    outcome.best_accuracy = std::max(progress_.best_accuracy, 0.0);
    return outcome;
  }

 private:
  bool stop_requested() const { return hooks_.stop != nullptr && hooks_.stop->load(); }

  // False when stopped. What is left of the epoch, which may be nothing.
  bool train_epoch() {
    nn::train(net_);
    const double seconds_before = progress_.train_seconds;
    const Clock::time_point begin = Clock::now();
    data_.train->start(progress_.epoch, progress_.batch);
    while (progress_.batch < data_.train->batches()) {
      if (stop_requested()) return false;
      const std::optional<data::Batch> batch = data_.train->next();
      CONVKIT_CHECK(batch, IoError, "the data ended after ", progress_.batch, " of ",
                    data_.train->batches(), " batches");
      step(*batch);
      progress_.train_seconds = seconds_before + seconds_since(begin);
      report_step();
    }
    return !stop_requested();
  }

  void step(const data::Batch& batch) {
    const uint64_t random_position = default_generator().position();
    const Tensor logits = net_(batch.images);
    const Tensor loss =
        ops::cross_entropy(logits, batch.labels, {.label_smoothing = config_.label_smoothing});
    const double value = loss.item();
    if (!std::isfinite(value)) refuse_loss(value, batch, random_position);
    loss.backward();
    if (config_.clip > 0) optim::clip_grad_norm_(optimizer_->params(), config_.clip);
    optimizer_->step();
    optimizer_->zero_grad();
    scheduler_.step();
    const int64_t count = batch.labels.numel();
    progress_.loss_sum += value * static_cast<double>(count);
    progress_.correct += count_correct(logits, batch.labels);
    progress_.samples += count;
    ++progress_.batch;
    ++progress_.step;
  }

  [[noreturn]] void refuse_loss(double value, const data::Batch& batch, uint64_t random_position) {
    default_generator().set_position(random_position);  // the same dropout again
    refuse(message("the loss became ", value, " in epoch ", progress_.epoch + 1, ", batch ",
                   progress_.batch + 1, " (step ", progress_.step + 1,
                   "): ", cause_in(batch.images)));
  }

  std::string cause_in(const Tensor& images) {
    const std::string cause = explain_not_finite(net_, images);
    return !cause.empty() ? cause
                          : "every layer's output is finite, so it is the loss that overflows";
  }

  [[noreturn]] void refuse(const std::string& what) const {
    throw NotFiniteError(message(
        what, ". Lower the learning rate (", learning_rate(config_), "), ",
        config_.clip > 0 ? "tighten the clip of gradients" : "clip the gradients (--clip 1)",
        " or warm up longer. The last good weights are in ", directory_.last_weights_path()));
  }

  void report_step() {
    if (!hooks_.on_step) return;
    const Clock::time_point now = Clock::now();
    const int64_t batches = data_.train->batches();
    const bool is_end = progress_.batch == 1 || progress_.batch == batches;
    if (!is_end && now - last_report_ < kReportInterval) return;
    last_report_ = now;
    const double per_batch = progress_.train_seconds / static_cast<double>(progress_.batch);
    hooks_.on_step({.epoch = progress_.epoch + 1,
                    .epochs = config_.epochs,
                    .batch = progress_.batch,
                    .batches = batches,
                    .lr = last_lr(),
                    .loss = train_loss(),
                    .accuracy = train_accuracy(),
                    .images_per_second = images_per_second(),
                    .seconds_left = per_batch * static_cast<double>(batches - progress_.batch)});
  }

  double last_lr() {
    return schedule_.at(std::max<int64_t>(progress_.step - 1, 0), optimizer_->initial_lr()).lr;
  }
  double train_loss() const { return progress_.loss_sum / static_cast<double>(progress_.samples); }
  double train_accuracy() const {
    return static_cast<double>(progress_.correct) / static_cast<double>(progress_.samples);
  }
  double images_per_second() const {
    return static_cast<double>(progress_.samples) / std::max(progress_.train_seconds, 1e-9);
  }

  // False when stopped; then the validation begins anew when the run is resumed.
  bool validate_epoch() {
    nn::eval(net_);
    const NoGradGuard no_grad;
    const Clock::time_point begin = Clock::now();
    Metrics metrics(static_cast<int64_t>(data_.card.classes.size()));
    data_.validation->start(0);
    int64_t batches = 0;
    while (const std::optional<data::Batch> batch = data_.validation->next()) {
      if (stop_requested()) return false;
      const Tensor logits = net_(batch->images);
      const double loss = ops::cross_entropy(logits, batch->labels).item();
      if (!std::isfinite(loss))
        refuse(message("the validation loss became ", loss, " after epoch ", progress_.epoch + 1,
                       ": ", cause_in(batch->images)));
      metrics.add(logits, batch->labels, loss);
      report_validation(metrics, ++batches, seconds_since(begin));
    }
    end_epoch(metrics, seconds_since(begin));
    return true;
  }

  void report_validation(const Metrics& metrics, int64_t batches, double seconds) {
    const Clock::time_point now = Clock::now();
    if (!hooks_.on_step || now - last_report_ < kReportInterval) return;
    last_report_ = now;
    const auto done = static_cast<double>(batches);
    hooks_.on_step({.epoch = progress_.epoch + 1,
                    .epochs = config_.epochs,
                    .batch = batches,
                    .batches = data_.validation->batches(),
                    .validating = true,
                    .lr = last_lr(),
                    .loss = metrics.loss(),
                    .accuracy = metrics.accuracy(),
                    .images_per_second = static_cast<double>(metrics.samples()) / seconds,
                    .seconds_left = seconds / done *
                                    static_cast<double>(data_.validation->batches() - batches)});
  }

  void end_epoch(const Metrics& metrics, double val_seconds) {
    last_ = {.epoch = progress_.epoch + 1,
             .step = progress_.step,
             .lr = last_lr(),
             .train_loss = train_loss(),
             .train_accuracy = train_accuracy(),
             .val_loss = metrics.loss(),
             .val_accuracy = metrics.accuracy(),
             .images_per_second = images_per_second(),
             .seconds = progress_.train_seconds + val_seconds};
    const bool is_best = metrics.accuracy() > progress_.best_accuracy;
    if (is_best) {
      progress_.best_accuracy = metrics.accuracy();
      progress_.best_epoch = last_.epoch;
    }
    ++progress_.epoch;
    progress_.batch = 0;
    progress_.loss_sum = 0;
    progress_.correct = 0;
    progress_.samples = 0;
    progress_.train_seconds = 0;
    check_finite();
    if (is_best) save_weights(directory_.best_weights_path(), net_, data_.card);
    directory_.add_result(last_);
    events_.add(last_.epoch, wall_time(),
                {{"loss/train", last_.train_loss},
                 {"loss/validation", last_.val_loss},
                 {"accuracy/train", last_.train_accuracy},
                 {"accuracy/validation", last_.val_accuracy},
                 {"learning_rate", last_.lr},
                 {"images_per_second", last_.images_per_second}});
    io::write_file(directory_.events_path(), events_.bytes());
    save();
    if (hooks_.on_epoch)
      hooks_.on_epoch({.result = last_, .epochs = config_.epochs, .is_best = is_best});
  }

  void check_finite() {
    const std::string name = first_not_finite_tensor(net_);
    if (!name.empty()) refuse(message(name, " is not finite after step ", progress_.step));
  }

  // The checkpoint comes last: what it says is done has been written.
  void save() {
    check_finite();
    save_weights(directory_.last_weights_path(), net_, data_.card);
    save_checkpoint(directory_.checkpoint_path(), net_, *optimizer_, progress_);
  }

  const TrainConfig& config_;
  DataSource& data_;
  RunDirectory directory_;
  const TrainHooks& hooks_;
  nn::AnyModule net_;
  std::unique_ptr<optim::Optimizer> optimizer_;
  optim::Schedule schedule_;
  optim::LrScheduler scheduler_;
  EventFile events_;
  Progress progress_;
  EpochResult last_;
  Clock::time_point last_report_;
};

}  // namespace

TrainOutcome train(const TrainConfig& config, const std::string& directory, bool overwrite,
                   const TrainHooks& hooks) {
  validate(config);
  RunDirectory::check_free(directory, overwrite);
  const KeepGenerator keep;
  const RunThreads threads(config.threads);
  const UseExactness exactness(exactness_of(config));
  const std::optional<Autotune> autotune = autotune_of(config);
  DataSource data = open_data(config);
  // Everything that can be wrong with the request is known before the folder is made.
  static_cast<void>(seeded_net(data.card));
  const bool is_new = !io::folder_exists(directory);
  io::create_folders(directory);
  const io::FolderLock lock(directory);
  check_lock(lock, directory);
  RunDirectory::check_free(directory, overwrite);  // again: another may have been faster
  std::optional<Run> run;
  try {
    run.emplace(config, data, RunDirectory::create(directory, config, overwrite), hooks);
    run->save_start();
  } catch (...) {
    RunDirectory::remove(directory, is_new);  // what is there could not be resumed
    throw;
  }
  return run->go(threads.count());
}

TrainOutcome resume(const std::string& directory, const ResumeOptions& options,
                    const TrainHooks& hooks) {
  RunDirectory run_directory = RunDirectory::open(directory);
  const io::FolderLock lock(directory);
  check_lock(lock, directory);
  TrainConfig config = run_directory.config();
  config.threads = options.threads.value_or(config.threads);
  config.workers = options.workers.value_or(config.workers);
  validate(config);
  run_directory.remove_temporary_files();
  // Killed before its first save, a run has nothing to lose.
  const bool begins = !io::file_exists(run_directory.checkpoint_path());
  CONVKIT_CHECK(!begins || !run_directory.has_results(), IoError, "the run '", directory,
                "' has no checkpoint to go on from; start it anew with --force");
  const KeepGenerator keep;
  const RunThreads threads(config.threads);
  const UseExactness exactness(exactness_of(config));
  const std::optional<Autotune> autotune = autotune_of(config);
  DataSource data = open_data(config);
  Run run(config, data, std::move(run_directory), hooks);
  if (begins) {
    run.save_start();
  } else {
    run.load();
  }
  return run.go(threads.count());
}

}  // namespace convkit::train
