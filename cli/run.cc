#include <CLI/CLI.hpp>
#include <algorithm>
#include <optional>
#include <ostream>
#include <sstream>

#include "cli/verbs.h"
#include "convkit/base/text.h"
#include "convkit/base/version.h"
#include "convkit/train/tuning_file.h"

namespace convkit::cli {
namespace {

constexpr const char* kAbout =
    "convkit: convolutional networks on a CPU; train them, run them, see them.";
constexpr const char* kExamples =
    "Examples:\n"
    "  convkit train --data fashion-mnist --epochs 3 --out runs/first\n"
    "  convkit evaluate runs/first\n"
    "  convkit predict runs/first picture.png\n"
    "  convkit run model.onnx --input x=in.npy --output y=out.npy\n"
    "  convkit summary resnet18 --input 1x3x224x224\n"
    "Each verb has a help of its own: convkit train --help";

void tell_error(Console& console, const std::string& text) {
  console.err() << console.styled_error("1;31", "convkit: error:") << " " << text << std::endl;
}

// The verb that was called, for hints; empty when none was.
std::string called_verb(const CLI::App& app) {
  const auto called = app.get_subcommands();
  return called.empty() ? std::string() : called.front()->get_name() + " ";
}

// CLI11 would only say that a verb is missing.
void check_verb(const CLI::App& app, const std::vector<std::string>& arguments) {
  const std::string first = arguments.empty() ? "" : arguments[0];
  if (app.get_option_no_throw(first) != nullptr) return;
  std::string known;
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (verb->get_name() == first) return;
    known += (known.empty() ? "" : ", ") + verb->get_name();
  }
  if (arguments.empty()) throw UsageError("name a verb: " + known);
  throw UsageError(message("there is no ", first.starts_with("-") ? "option" : "verb", " '", first,
                           "'; begin with one of ", known));
}

// What nobody asked for, in the order it was typed.
std::string extras(const CLI::App& app) {
  std::string text;
  for (const std::string& each : app.remaining(/*recurse=*/true))
    text += (text.empty() ? "" : " ") + each;
  return text;
}

// CLI11's words for a count of arguments and for what it does not know say too little.
std::string in_words(const CLI::ParseError& error, const CLI::App& app) {
  std::string text = error.what();
  const std::string after_colon = text.substr(std::min(text.find(": ") + 2, text.size()));
  const std::string option = text.substr(0, text.find(':'));
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::ExtrasError))
    return message("convkit ", called_verb(app), "does not know what to do with ", extras(app));
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::ArgumentMismatch))
    return option + (text.find("missing") != std::string::npos ? " needs a value; none follows it"
                                                               : " is given twice; give it once");
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::ConversionError))
    return after_colon + ": a switch takes no value, or true or false";
  return text;
}

int wrong_usage(Console& console, const CLI::App& app, const std::string& text) {
  tell_error(console, text);
  console.err() << "See convkit " << called_verb(app) << "--help" << std::endl;
  return kWrongUsage;
}

std::optional<train::Autotune> autotune_of(const Session& session) {
  if (!session.autotune) return std::nullopt;
  return std::optional<train::Autotune>(std::in_place);
}

}  // namespace

int run(const std::vector<std::string>& arguments, Console& console, const Interrupts& interrupts) {
  CLI::App app(kAbout, "convkit");
  app.footer(kExamples);
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string("convkit ") + kVersionString);
  Session session{console, interrupts, {}, false};
  add_train(app, session);
  add_evaluate(app, session);
  add_predict(app, session);
  add_run(app, session);
  add_summary(app, session);
  add_export(app, session);
  add_bench(app, session);
  add_data(app, session);
  add_version(app, session);

  try {
    check_verb(app, arguments);
    // CLI11 takes its arguments from the end.
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
    const std::optional<train::Autotune> autotune = autotune_of(session);
    const int code = session.job();
    if (console.out().flush()) return code;
    tell_error(console, "cannot write to standard output; the disk may be full");
    return kFailed;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != 0) return wrong_usage(console, app, in_words(error, app));
    std::ostringstream ignored;
    return app.exit(error, console.out(), ignored);  // --help and --version
  } catch (const UsageError& error) {
    return wrong_usage(console, app, error.what());
  } catch (const std::bad_alloc&) {
    tell_error(
        console,
        "there is not enough memory; try a smaller batch, smaller pictures or a smaller net");
    return kFailed;
  } catch (const std::exception& error) {
    tell_error(console, error.what());
    return kFailed;
  }
}

}  // namespace convkit::cli
