#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <type_traits>
#include <vector>

#include "cli/option_checks.h"
#include "cli/progress_bar.h"
#include "cli/verbs.h"
#include "convkit/base/error.h"
#include "convkit/io/file.h"
#include "convkit/io/folder.h"
#include "convkit/train/trainer.h"

namespace convkit::cli {
namespace {

using train::EpochReport;
using train::StepReport;
using train::TrainConfig;
using train::TrainOutcome;
using train::TrainStart;

struct TrainArguments {
  TrainConfig typed;      ///< what the command line says
  std::string config;     ///< --config
  std::string directory;  ///< --out
  std::string resume;     ///< --resume
  bool force = false;
  /// The options of the fields, each with what copies its field.
  struct FieldOption {
    CLI::Option* option;
    std::function<void(TrainConfig& to, const TrainConfig& from)> copy;
  };
  std::vector<FieldOption> options;
};

std::string option_name(std::string field) {
  for (char& c : field)
    if (c == '_') c = '-';
  return "--" + field;
}

// One option for every field of a TrainConfig.
void add_config_options(CLI::App& verb, TrainArguments& arguments) {
  train::for_each_field([&]<class T>(const char* name, T TrainConfig::*member, const char* help) {
    T& field = arguments.typed.*member;
    CLI::Option* option = nullptr;
    if constexpr (std::is_same_v<T, bool>) {
      option = verb.add_flag(option_name(name), field, help);
    } else {
      option = verb.add_option(option_name(name), field, help);
      if constexpr (!std::is_same_v<T, std::optional<double>>) option->capture_default_str();
      if constexpr (std::is_same_v<T, int64_t>) {
        option->check(whole_number());
      } else if constexpr (!std::is_same_v<T, std::string>) {
        option->check(any_number());
      }
    }
    arguments.options.push_back({option, [member](TrainConfig& to, const TrainConfig& from) {
                                   to.*member = from.*member;
                                 }});
  });
}

TrainConfig config_of(const TrainArguments& arguments) {
  TrainConfig config;
  if (!arguments.config.empty()) {
    const io::Bytes bytes = io::read_file(arguments.config, int64_t{1} << 24);
    config = train::config_from_json({bytes.begin(), bytes.end()}, arguments.config);
  }
  for (const auto& [option, copy] : arguments.options)
    if (option->count() > 0) copy(config, arguments.typed);
  train::validate(config);
  return config;
}

// runs/<model>-1, or the first number that is free.
std::string free_directory(const TrainConfig& config) {
  for (int number = 1;; ++number) {
    std::string path = message("runs/", config.model, "-", number);
    if (!io::folder_exists(path) && !io::file_exists(path)) return path;
  }
}

std::string part(int64_t number, int64_t of) { return message(number, "/", of); }

// "1 epoch", "2 epochs".
std::string counted(int64_t number, const char* what, const char* plural = "s") {
  return message(number, " ", what, number == 1 ? "" : plural);
}

// Tells a run as it goes.
class Reporter {
 public:
  explicit Reporter(Console& console) : console_(console), bar_(console) {}

  /// The folder of a run that has begun, so that it can be resumed.
  const std::string& directory() const { return directory_; }

  void start(const TrainStart& start) {
    directory_ = start.directory;
    std::ostream& out = console_.progress();
    out << "run    " << start.directory << "\n"
        << "data   " << start.data << "\n"
        << "model  " << start.card.config.model << ", " << with_thousands(start.parameters)
        << " parameters; seed " << start.card.config.seed << ", " << start.threads
        << (start.threads == 1 ? " thread" : " threads") << std::endl;
    if (start.first_epoch > 1 && start.first_epoch <= start.card.config.epochs)
      out << "going on with epoch " << start.first_epoch << std::endl;
  }

  void step(const StepReport& step) {
    std::string details = fixed(step.images_per_second, 0) + " img/s  loss " + fixed(step.loss, 4) +
                          "  acc " + percent(step.accuracy) + "  " + duration(step.seconds_left) +
                          " left";
    bar_.draw((step.validating ? "validation " : "epoch ") + part(step.epoch, step.epochs),
              static_cast<double>(step.batch) / static_cast<double>(step.batches), details);
  }

  void epoch(const EpochReport& report) {
    const train::EpochResult& r = report.result;
    bar_.clear();
    console_.progress() << console_.styled("1", "epoch " + part(r.epoch, report.epochs))
                        << "  train loss " << fixed(r.train_loss, 4) << " acc "
                        << percent(r.train_accuracy) << "  validation loss " << fixed(r.val_loss, 4)
                        << " acc "
                        << console_.styled(report.is_best ? "1;32" : "0", percent(r.val_accuracy))
                        << (report.is_best ? " (best)" : "") << "  "
                        << fixed(r.images_per_second, 0) << " img/s  " << duration(r.seconds)
                        << std::endl;
  }

  int end(const TrainOutcome& outcome) {
    bar_.clear();
    std::ostream& out = console_.progress();
    if (!outcome.finished) {
      out << "stopped after " << counted(outcome.epochs_done, "epoch");
      if (outcome.batches_done > 0) out << " and " << counted(outcome.batches_done, "batch", "es");
      out << "; everything is saved. To go on:\n  convkit train --resume " << outcome.directory
          << std::endl;
    } else if (!outcome.last) {
      out << "this run is finished already, after " << counted(outcome.epochs_done, "epoch")
          << std::endl;
    } else {
      out << "best accuracy " << percent(outcome.best_accuracy) << " after epoch "
          << outcome.best_epoch << "; weights in " << outcome.directory << "/weights\n"
          << "next:\n  convkit evaluate " << outcome.directory << "\n  convkit predict "
          << outcome.directory << " PICTURE..." << std::endl;
    }
    if (console_.json()) tell_json(outcome);
    return outcome.finished ? kSuccess : kInterrupted;
  }

 private:
  void tell_json(const TrainOutcome& outcome) {
    nlohmann::ordered_json json;
    json["run"] = outcome.directory;
    json["finished"] = outcome.finished;
    json["epochs"] = outcome.epochs_done;
    json["steps"] = outcome.steps;
    json["best_epoch"] = outcome.best_epoch;
    json["best_accuracy"] = outcome.best_accuracy;
    if (outcome.last) {
      json["train_loss"] = outcome.last->train_loss;
      json["train_accuracy"] = outcome.last->train_accuracy;
      json["val_loss"] = outcome.last->val_loss;
      json["val_accuracy"] = outcome.last->val_accuracy;
    }
    console_.out() << json.dump(2) << std::endl;
  }

  Console& console_;
  ProgressBar bar_;
  std::string directory_;
};

// Runs a training whose files or data may fail in the middle; then says how to go on.
template <class F>
TrainOutcome resumable(const Reporter& reporter, F&& training) {
  const auto how_to_go_on = [&] {
    return reporter.directory().empty()
               ? std::string()
               : "\nWhen that is mended, go on with: convkit train --resume " +
                     reporter.directory();
  };
  try {
    return training();
  } catch (const IoError& error) {
    throw IoError(error.what() + how_to_go_on());
  } catch (const FormatError& error) {
    throw FormatError(error.what() + how_to_go_on());
  }
}

// What --resume goes with: only what changes no bit.
train::ResumeOptions resume_options(const TrainArguments& arguments) {
  train::ResumeOptions options;
  if (!arguments.config.empty() || !arguments.directory.empty() || arguments.force)
    throw UsageError(
        "--resume goes on with a run as its config.json says; --config, --out and"
        " --force do not go with it");
  for (const auto& field : arguments.options) {
    const CLI::Option* const option = field.option;
    if (option->count() == 0) continue;
    const std::string name = option->get_name();
    if (name == "--threads") {
      options.threads = arguments.typed.threads;
    } else if (name == "--workers") {
      options.workers = arguments.typed.workers;
    } else {
      throw UsageError(
          message("--resume goes on with a run as its config.json says, so that it ends"
                  " as if never stopped; ",
                  name, " cannot be changed (--threads and --workers can)"));
    }
  }
  TrainConfig probe;
  probe.threads = options.threads.value_or(probe.threads);
  probe.workers = options.workers.value_or(probe.workers);
  as_usage([&] { train::validate(probe); });
  return options;
}

int run_train(const TrainArguments& arguments, Session& session) {
  Reporter reporter(session.console);
  train::TrainHooks hooks;
  hooks.on_start = [&](const TrainStart& start) { reporter.start(start); };
  hooks.on_step = [&](const StepReport& step) { reporter.step(step); };
  hooks.on_epoch = [&](const EpochReport& epoch) { reporter.epoch(epoch); };
  hooks.stop = session.interrupts.stop;
  const auto catch_interrupts = [&] {
    if (session.interrupts.catch_them) session.interrupts.catch_them();
  };
  if (!arguments.resume.empty()) {
    const train::ResumeOptions options = resume_options(arguments);
    catch_interrupts();
    return reporter.end(
        resumable(reporter, [&] { return train::resume(arguments.resume, options, hooks); }));
  }
  const TrainConfig config = as_usage([&] { return config_of(arguments); });
  const std::string directory =
      arguments.directory.empty() ? free_directory(config) : arguments.directory;
  catch_interrupts();
  return reporter.end(
      resumable(reporter, [&] { return train::train(config, directory, arguments.force, hooks); }));
}

}  // namespace

void add_train(CLI::App& app, Session& session) {
  const auto arguments = std::make_shared<TrainArguments>();
  CLI::App* const verb = app.add_subcommand("train", "Train a net on a data set");
  verb->footer(
      "Examples:\n"
      "  convkit train --data fashion-mnist --epochs 3 --out runs/first\n"
      "  convkit train --data folder:my_pictures --model resnet18 --resize 64x64 --augment "
      "flip,crop\n"
      "  convkit train --config runs/first/config.json --seed 2 --out runs/second\n"
      "  convkit train --resume runs/first");
  add_config_options(*verb, *arguments);
  verb->add_option("--config", arguments->config,
                   "A config.json to start from; options given here win over it")
      ->check(not_empty());
  verb->add_option("--out", arguments->directory, "Folder of the run [runs/MODEL-1, -2, ...]")
      ->check(not_empty());
  verb->add_option("--resume", arguments->resume, "Go on with the run in this folder")
      ->check(not_empty());
  verb->add_flag("--force", arguments->force, "Overwrite a run that stands in --out");
  verb->add_flag_callback(
      "--json", [&session] { session.console.reserve_out_for_json(); },
      "One JSON object at the end; progress goes to standard error");
  verb->callback([&session, arguments] {
    session.job = [&session, arguments] { return run_train(*arguments, session); };
  });
}

}  // namespace convkit::cli
