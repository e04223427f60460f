#include "convkit/train/predict.h"

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>

#include "cli/json_output.h"
#include "cli/option_checks.h"
#include "cli/verbs.h"
#include "convkit/train/run_directory.h"

namespace convkit::cli {
namespace {

using train::Guess;
using train::Prediction;

struct PredictArguments {
  std::string what;
  std::vector<std::string> images;
  int64_t top = 3;
};

nlohmann::ordered_json json_of(const std::string& weights,
                               const std::vector<Prediction>& predictions) {
  nlohmann::ordered_json json;
  json["weights"] = weights;
  json["predictions"] = nlohmann::ordered_json::array();
  for (const Prediction& prediction : predictions) {
    nlohmann::ordered_json one;
    one["image"] = prediction.path;
    one["conversion"] = prediction.conversion;
    one["classes"] = nlohmann::ordered_json::array();
    for (const Guess& guess : prediction.guesses)
      one["classes"].push_back(
          {{"label", guess.label}, {"name", guess.name}, {"probability", guess.probability}});
    json["predictions"].push_back(std::move(one));
  }
  return json;
}

void tell(const Prediction& prediction, Console& console) {
  std::ostream& out = console.out();
  out << prediction.path;
  if (!prediction.conversion.empty()) out << "  (" << prediction.conversion << ")";
  out << "\n";
  for (std::size_t i = 0; i < prediction.guesses.size(); ++i) {
    const Guess& guess = prediction.guesses[i];
    const std::string share = percent(guess.probability);
    out << std::string(12 - std::min<std::size_t>(share.size(), 10), ' ') << share << "  "
        << console.styled(i == 0 ? "1" : "0", guess.name) << "\n";
  }
}

int run_predict(const PredictArguments& arguments, Console& console) {
  const std::string weights = train::find_weights(arguments.what);
  train::LoadedNet loaded = train::load_net(weights);
  const std::vector<Prediction> predictions =
      train::predict(loaded, arguments.images, arguments.top);
  if (console.json()) {
    write_json(json_of(weights, predictions), console);
  } else {
    for (const Prediction& prediction : predictions) tell(prediction, console);
  }
  return kSuccess;
}

}  // namespace

void add_predict(CLI::App& app, Session& session) {
  const auto arguments = std::make_shared<PredictArguments>();
  CLI::App* const verb = app.add_subcommand("predict", "Classify pictures with a trained net");
  verb->footer(
      "Examples:\n"
      "  convkit predict runs/first picture.png\n"
      "  convkit predict runs/first *.jpg --top 1 --json");
  verb->add_option("run", arguments->what, "A run folder (its best weights) or a weights file")
      ->required();
  verb->add_option("images", arguments->images, "PNG or JPEG files")->required();
  verb->add_option("--top", arguments->top, "Classes to name, the likeliest first")
      ->check(whole_number(1, INT32_MAX))
      ->capture_default_str();
  add_exact_flag(*verb);
  add_autotune_flag(*verb, session);
  add_json_flag(*verb, session);
  verb->callback([&session, arguments] {
    session.job = [&session, arguments] { return run_predict(*arguments, session.console); };
  });
}

}  // namespace convkit::cli
