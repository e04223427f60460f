#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <ostream>

#include "cli/json_output.h"
#include "cli/verbs.h"
#include "convkit/base/text.h"
#include "convkit/base/thread_pool.h"
#include "convkit/base/version.h"
#include "convkit/kernels/target.h"

namespace convkit::cli {
namespace {

std::string compiler() {
#if defined(__clang__)
  return message("clang ", __clang_major__, ".", __clang_minor__, ".", __clang_patchlevel__);
#else
  return message("g++ ", __GNUC__, ".", __GNUC_MINOR__, ".", __GNUC_PATCHLEVEL__);
#endif
}

int tell_version(Console& console) {
  if (console.json()) {
    nlohmann::ordered_json json;
    json["version"] = kVersionString;
    json["simd"] = kernels::simd_target();
    json["threads"] = num_threads();
    json["compiler"] = compiler();
    write_json(json, console);
    return kSuccess;
  }
  console.out() << "convkit " << kVersionString << "\n"
                << "SIMD target  " << kernels::simd_target() << "\n"
                << "threads      " << num_threads() << "\n"
                << "compiler     " << compiler() << std::endl;
  return kSuccess;
}

}  // namespace

void add_version(CLI::App& app, Session& session) {
  CLI::App* const verb =
      app.add_subcommand("version", "Version, SIMD instruction set in use, threads, compiler");
  verb->footer("Example:\n  convkit version --json");
  add_json_flag(*verb, session);
  verb->callback(
      [&session] { session.job = [&session] { return tell_version(session.console); }; });
}

}  // namespace convkit::cli
