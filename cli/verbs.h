#pragma once

#include <atomic>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "cli/console.h"

namespace CLI {  // NOLINT(readability-identifier-naming): the name of the library
class App;
}

/// The verbs of the tool, one file each. A verb adds itself to the parser and, when it is the one
/// that was called, leaves its job to be run once parsing is done.
namespace convkit::cli {

/// Exit codes.
enum ExitCode : int {
  kSuccess = 0,
  kFailed = 1,         ///< the job could not be done
  kWrongUsage = 2,     ///< the command line asks for something that makes no sense
  kInterrupted = 130,  ///< stopped by Ctrl-C, as shells say it (128 + SIGINT)
};

/// Thrown by a job for what a correct command line would have avoided.
class UsageError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Ctrl-C as a wish rather than a blow, for the verbs that can stop in good order.
struct Interrupts {
  const std::atomic<bool>* stop = nullptr;
  std::function<void()> catch_them;
};

/// What verbs share with whoever runs them.
struct Session {
  Console& console;
  Interrupts interrupts;
  /// Set by the verb that was called; gives an ExitCode.
  std::function<int()> job;
  /// Whether algorithms are measured while the job runs.
  bool autotune = false;

  /// From here on a Ctrl-C waits for the files that are being written: one that came in the middle
  /// would leave a temporary file behind. Call it when all that takes long is done.
  void finish_files() const {
    if (interrupts.catch_them) interrupts.catch_them();
  }
  /// The code of a job that has done all: kInterrupted if there was a Ctrl-C since finish_files().
  int code() const {
    return interrupts.stop != nullptr && interrupts.stop->load() ? kInterrupted : kSuccess;
  }
};

void add_train(CLI::App& app, Session& session);
void add_evaluate(CLI::App& app, Session& session);
void add_predict(CLI::App& app, Session& session);
void add_run(CLI::App& app, Session& session);
void add_summary(CLI::App& app, Session& session);
void add_export(CLI::App& app, Session& session);
void add_bench(CLI::App& app, Session& session);
void add_data(CLI::App& app, Session& session);
void add_version(CLI::App& app, Session& session);

/// Runs the tool: `arguments` without the program's name. Never throws: what goes wrong is told on
/// standard error as `convkit: error: ...`, and in the exit code.
int run(const std::vector<std::string>& arguments, Console& console,
        const Interrupts& interrupts = {});

/// Runs `check`, whose errors are about what the user typed, and tells them as wrong usage.
template <class F>
auto as_usage(F&& check) {
  try {
    return check();
  } catch (const std::exception& error) {
    throw UsageError(error.what());
  }
}

}  // namespace convkit::cli
