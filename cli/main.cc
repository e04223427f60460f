#include <atomic>
#include <csignal>
#include <string>
#include <vector>

#include "cli/verbs.h"

namespace {

std::atomic<bool> stop_requested{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may set it");

// The first Ctrl-C asks for an orderly end; the default action is back for a second one.
extern "C" void request_stop(int signal) {
  stop_requested.store(true);
  std::signal(signal, SIG_DFL);
}

void catch_interrupts() {
  std::signal(SIGINT, request_stop);
  std::signal(SIGTERM, request_stop);
}

}  // namespace

int main(int argc, char** argv) {
  // A file that outgrows its limit is an error to report, not a reason to die unheard.
  std::signal(SIGXFSZ, SIG_IGN);
  convkit::cli::Console console;
  return convkit::cli::run(std::vector<std::string>(argv + 1, argv + argc), console,
                           {&stop_requested, catch_interrupts});
}
