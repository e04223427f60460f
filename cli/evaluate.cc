#include "convkit/train/evaluate.h"

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>

#include "cli/json_output.h"
#include "cli/option_checks.h"
#include "cli/progress_bar.h"
#include "cli/verbs.h"
#include "convkit/data/sources.h"
#include "convkit/train/text_table.h"

namespace convkit::cli {
namespace {

using train::Evaluation;

constexpr int64_t kLargestConfusion = 20;  // classes whose matrix still reads well

struct EvaluateArguments {
  std::string what;
  std::string data;
  std::string model;
  int64_t batch = 256;
  int64_t threads = 0;
};

nlohmann::ordered_json json_of(const Evaluation& evaluation) {
  const train::Metrics& metrics = evaluation.metrics;
  nlohmann::ordered_json json;
  json["weights"] = evaluation.weights;
  json["data"] = evaluation.data;
  json["conversion"] = evaluation.conversion;
  json["model"] = evaluation.card.config.model;
  json["samples"] = metrics.samples();
  json["accuracy"] = metrics.accuracy();
  json["top5"] = metrics.top5();
  json["loss"] = metrics.loss();
  json["seconds"] = evaluation.seconds;
  json["classes"] = nlohmann::ordered_json::array();
  json["confusion"] = nlohmann::ordered_json::array();
  for (int64_t c = 0; c < metrics.classes(); ++c) {
    const train::ClassMetrics of_class = metrics.of_class(c);
    json["classes"].push_back({{"name", evaluation.card.classes[static_cast<std::size_t>(c)]},
                               {"precision", of_class.precision},
                               {"recall", of_class.recall},
                               {"support", of_class.support}});
    nlohmann::ordered_json row = nlohmann::ordered_json::array();
    for (int64_t guess = 0; guess < metrics.classes(); ++guess)
      row.push_back(metrics.confusion(c, guess));
    json["confusion"].push_back(std::move(row));
  }
  return json;
}

std::string class_table(const Evaluation& evaluation) {
  train::TextTable table({"class", "precision", "recall", "samples"});
  for (int64_t c = 0; c < evaluation.metrics.classes(); ++c) {
    const train::ClassMetrics of_class = evaluation.metrics.of_class(c);
    table.add_row({evaluation.card.classes[static_cast<std::size_t>(c)],
                   percent(of_class.precision), percent(of_class.recall),
                   with_thousands(of_class.support)});
  }
  return table.text();
}

// Rows are the truth, columns the guesses by number.
std::string confusion_table(const Evaluation& evaluation) {
  const int64_t classes = evaluation.metrics.classes();
  std::vector<std::string> header = {"truth \\ taken for"};
  for (int64_t c = 0; c < classes; ++c) header.push_back(to_text(c));
  train::TextTable table(std::move(header));
  for (int64_t truth = 0; truth < classes; ++truth) {
    std::vector<std::string> cells = {
        message(truth, " ", evaluation.card.classes[static_cast<std::size_t>(truth)])};
    for (int64_t guess = 0; guess < classes; ++guess) {
      const int64_t count = evaluation.metrics.confusion(truth, guess);
      cells.push_back(count == 0 ? "·" : to_text(count));
    }
    table.add_row(std::move(cells));
  }
  return table.text();
}

void tell(const Evaluation& evaluation, Console& console) {
  const train::Metrics& metrics = evaluation.metrics;
  const std::string& conversion = evaluation.conversion;
  console.out() << evaluation.card.config.model << " from " << evaluation.weights << " on "
                << evaluation.data << (conversion.empty() ? "" : " (" + conversion + ")") << ", "
                << with_thousands(metrics.samples()) << " samples in "
                << fixed(evaluation.seconds, 1) << " s\n\n"
                << "accuracy  " << console.styled("1;32", percent(metrics.accuracy())) << "\n"
                << "top-5     " << percent(metrics.top5()) << "\n"
                << "loss      " << fixed(metrics.loss(), 4) << "\n\n"
                << class_table(evaluation);
  if (metrics.classes() <= kLargestConfusion) console.out() << "\n" << confusion_table(evaluation);
}

int run_evaluate(const EvaluateArguments& arguments, Session& session) {
  if (!arguments.data.empty()) as_usage([&] { data::check_spec(arguments.data); });
  ProgressBar bar(session.console);
  train::EvaluateOptions options;
  if (!arguments.data.empty()) options.data = arguments.data;
  if (!arguments.model.empty()) options.model = arguments.model;
  options.batch = arguments.batch;
  options.threads = arguments.threads;
  options.on_progress = [&](int64_t done, int64_t all) {
    bar.draw("evaluating", static_cast<double>(done) / static_cast<double>(all),
             with_thousands(done) + " of " + with_thousands(all));
  };
  const Evaluation evaluation = train::evaluate(arguments.what, options);
  bar.clear();
  if (session.console.json()) {
    write_json(json_of(evaluation), session.console);
  } else {
    tell(evaluation, session.console);
  }
  return kSuccess;
}

}  // namespace

void add_evaluate(CLI::App& app, Session& session) {
  const auto arguments = std::make_shared<EvaluateArguments>();
  CLI::App* const verb = app.add_subcommand(
      "evaluate", "Accuracy, top-5, precision, recall and confusions on the test data");
  verb->footer(
      "Examples:\n"
      "  convkit evaluate runs/first\n"
      "  convkit evaluate weights.safetensors --model resnet18 --data cifar10:DIR --json");
  verb->add_option("run", arguments->what, "A run folder (its best weights) or a weights file")
      ->required();
  verb->add_option("--data", arguments->data, "Another data set with the same classes");
  verb->add_option("--model", arguments->model, "The net, if the weights file does not name it");
  verb->add_option("--batch", arguments->batch, "Samples at once")
      ->check(whole_number(1, int64_t{1} << 20))
      ->capture_default_str();
  verb->add_option("--threads", arguments->threads, "Threads; 0: all processors")
      ->check(whole_number(0, 1024))
      ->capture_default_str();
  add_exact_flag(*verb);
  add_autotune_flag(*verb, session);
  add_json_flag(*verb, session);
  verb->callback([&session, arguments] {
    session.job = [&session, arguments] { return run_evaluate(*arguments, session); };
  });
}

}  // namespace convkit::cli
