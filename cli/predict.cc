#include "convkit/train/predict.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>

#include "cli/json_output.h"
#include "cli/option_checks.h"
#include "cli/predict_onnx.h"
#include "cli/subject.h"
#include "cli/verbs.h"
#include "convkit/train/run_directory.h"

namespace convkit::cli {
namespace {

using train::Guess;
using train::Prediction;

struct PredictArguments {
  std::string what;
  std::vector<std::string> images;
  int64_t top = 0;
  std::string labels;
  PictureOptions pictures;
};

nlohmann::ordered_json json_of(const std::vector<Prediction>& predictions) {
  auto json = nlohmann::ordered_json::array();
  for (const Prediction& prediction : predictions) {
    nlohmann::ordered_json one;
    one["image"] = prediction.path;
    one["conversion"] = prediction.conversion;
    one["classes"] = nlohmann::ordered_json::array();
    for (const Guess& guess : prediction.guesses)
      one["classes"].push_back(
          {{"label", guess.label}, {"name", guess.name}, {"probability", guess.probability}});
    json.push_back(std::move(one));
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

int run_onnx(const PredictArguments& arguments, Console& console) {
  constexpr int64_t kTop = 5;
  const OnnxPredictions found =
      predict_onnx(arguments.what, arguments.images, arguments.labels, arguments.pictures,
                   arguments.top > 0 ? arguments.top : kTop);
  if (console.json()) {
    nlohmann::ordered_json json;
    json["model"] = arguments.what;
    json["preparation"] = found.preparation;
    json["softmax"] = found.softmax;
    json["predictions"] = json_of(found.predictions);
    write_json(json, console);
    return kSuccess;
  }
  console.out() << "pictures as " << found.preparation << "\n";
  for (const Prediction& prediction : found.predictions) tell(prediction, console);
  return kSuccess;
}

void check_options_of_runs(const PredictArguments& arguments) {
  const PictureOptions& pictures = arguments.pictures;
  if (!arguments.labels.empty() || pictures.size > 0 || pictures.resize > 0 || pictures.raw ||
      pictures.grey || !pictures.mean.empty() || !pictures.std.empty())
    throw UsageError(
        "--labels, --size, --resize, --mean, --std, --raw and --grey go with an .onnx file; a run "
        "knows its classes and how its pictures are prepared");
}

int run_predict(const PredictArguments& arguments, Console& console) {
  if (is_onnx_file(arguments.what)) return run_onnx(arguments, console);
  constexpr int64_t kTop = 3;
  check_options_of_runs(arguments);
  const std::string weights = train::find_weights(arguments.what);
  train::LoadedNet loaded = train::load_net(weights);
  const std::vector<Prediction> predictions =
      train::predict(loaded, arguments.images, arguments.top > 0 ? arguments.top : kTop);
  if (console.json()) {
    nlohmann::ordered_json json;
    json["weights"] = weights;
    json["predictions"] = json_of(predictions);
    write_json(json, console);
  } else {
    for (const Prediction& prediction : predictions) tell(prediction, console);
  }
  return kSuccess;
}

// How pictures become the input of an ONNX file.
void add_picture_options(CLI::App& verb, PredictArguments& arguments) {
  PictureOptions& pictures = arguments.pictures;
  const auto group = [&](CLI::Option* option) { option->group("Of an ONNX file"); };
  group(verb.add_option("--labels", arguments.labels,
                        "Names of the classes, one a line [those in the file]")
            ->check(not_empty()));
  group(verb.add_option("--size", pictures.size, "Height and width, where the net takes any [224]")
            ->check(whole_number(1, 1 << 14)));
  group(verb.add_option("--resize", pictures.resize,
                        "The shorter side before the middle is cut out [256/224 of the net's]")
            ->check(whole_number(1, 1 << 14)));
  group(verb.add_option("--mean", pictures.mean,
                        "Taken off each channel [ImageNet's; grey: 0], such as 0.485,0.456,0.406")
            ->delimiter(',')
            ->allow_extra_args(false)
            ->check(any_number()));
  group(
      verb.add_option("--std", pictures.std, "Each channel is divided by it [ImageNet's; grey: 1]")
          ->delimiter(',')
          ->allow_extra_args(false)
          ->check(any_number()));
  group(verb.add_flag("--raw", pictures.raw, "Pixels of 0 to 255, not of 0 to 1 [mean 0, std 1]"));
  group(verb.add_flag("--grey", pictures.grey, "Grey, where the net takes any number of channels"));
}

}  // namespace

void add_predict(CLI::App& app, Session& session) {
  const auto arguments = std::make_shared<PredictArguments>();
  CLI::App* const verb =
      app.add_subcommand("predict", "Classify pictures with a trained net or an ONNX file");
  verb->footer(
      "Examples:\n"
      "  convkit predict runs/first picture.png\n"
      "  convkit predict runs/first *.jpg --top 1 --json\n"
      "  convkit predict model.onnx photo.jpg --labels imagenet.txt");
  verb->add_option("run", arguments->what,
                   "A run folder (its best weights), a weights file, or an ONNX file")
      ->required();
  verb->add_option("images", arguments->images, "PNG or JPEG files")->required();
  verb->add_option("--top", arguments->top,
                   "Classes to name, the likeliest first [3, of an ONNX file 5]")
      ->check(whole_number(1, INT32_MAX));
  add_picture_options(*verb, *arguments);
  add_exact_flag(*verb);
  add_autotune_flag(*verb, session);
  add_json_flag(*verb, session);
  verb->callback([&session, arguments] {
    session.job = [&session, arguments] { return run_predict(*arguments, session.console); };
  });
}

}  // namespace convkit::cli
