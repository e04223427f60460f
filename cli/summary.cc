#include "convkit/train/summary.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <nlohmann/json.hpp>
#include <ostream>

#include "cli/json_output.h"
#include "cli/option_checks.h"
#include "cli/verbs.h"
#include "convkit/io/file.h"
#include "convkit/io/folder.h"
#include "convkit/models/registry.h"
#include "convkit/train/model_card.h"
#include "convkit/train/run_directory.h"

namespace convkit::cli {
namespace {

struct SummaryArguments {
  std::string what;
  std::string input;
  int64_t classes = 0;
  bool explain = false;
  bool plan = false;
  bool list = false;
};

Shape parse_shape(const std::string& text) {
  std::vector<int64_t> extents;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (true) {
    int64_t extent = 0;
    const auto [after, error] = std::from_chars(at, end, extent);
    const bool is_sound = error == std::errc() && extent >= 1 && extent <= INT32_MAX &&
                          (after == end || ((*after == 'x' || *after == ',') && after + 1 != end));
    if (!is_sound || extents.size() + 1 > kMaxDim)
      throw UsageError(message("--input '", text,
                               "' is no shape; write batch, channels and sizes,"
                               " such as 1x3x224x224"));
    extents.push_back(extent);
    if (after == end) return Shape(extents);
    at = after + 1;
  }
}

// As --input takes it: 1x3x224x224.
std::string typed(const Shape& shape) {
  std::string text;
  for (const int64_t extent : shape) text += (text.empty() ? "" : "x") + std::to_string(extent);
  return text;
}

Shape with_batch(const Shape& sample) { return sample.with_inserted(0, 1); }

struct Subject {
  nn::AnyModule net;
  Shape input;
};

bool is_file_or_folder(const std::string& path) {
  return io::file_exists(path) || io::folder_exists(path);
}

// A net by name, or of a run folder or weights file.
Subject subject_of(const SummaryArguments& arguments) {
  if (!is_file_or_folder(arguments.what)) {
    const models::ModelFacts& facts =
        as_usage([&]() -> decltype(auto) { return models::find_model(arguments.what); });
    const Shape input =
        arguments.input.empty() ? with_batch(facts.input) : parse_shape(arguments.input);
    if (input.dim() < 3)
      throw UsageError(message("--input ", arguments.input, " has ", input.dim(),
                               " extents; it needs batch, channels and sizes, such as ",
                               typed(with_batch(facts.input))));
    const int64_t classes = arguments.classes > 0 ? arguments.classes : facts.num_classes;
    return {models::make_model(arguments.what, input.without(0), classes), input};
  }
  if (arguments.classes > 0)
    throw UsageError("--classes goes with a net by name; a run's net has the classes of its data");
  train::LoadedNet loaded = train::load_net(train::find_weights(arguments.what));
  Shape input = with_batch(loaded.card.input);
  if (!arguments.input.empty()) input = parse_shape(arguments.input);
  return {std::move(loaded.net), input};
}

nlohmann::ordered_json json_of(const train::SummaryRow& row) {
  nlohmann::ordered_json json;
  json["path"] = row.path;
  json["type"] = row.type;
  json["depth"] = row.depth;
  json["container"] = row.is_container;
  json["output"] = row.ran ? nlohmann::ordered_json(row.output.to_vector()) : nullptr;
  json["parameters"] = row.parameters;
  json["multiply_adds"] = row.multiply_adds;
  json["bytes"] = row.bytes;
  json["receptive_field"] = row.receptive_field;
  json["stride"] = row.stride;
  json["explanation"] = row.explanation;
  json["algorithm"] = nullptr;
  json["plan"] = nullptr;
  if (!row.plan.empty()) {
    json["algorithm"] = {{"name", row.plan[0].algorithm}, {"reason", row.plan[0].reason}};
    json["plan"] = {{"problem", row.problem}};
    for (const train::PlannedConvolution& planned : row.plan)
      json["plan"][planned.direction] = {{"name", planned.algorithm},
                                         {"reason", planned.reason},
                                         {"estimated_seconds", planned.seconds}};
  }
  return json;
}

nlohmann::ordered_json json_of(const train::Summary& summary) {
  nlohmann::ordered_json json;
  json["input"] = summary.input.to_vector();
  json["parameters"] = summary.parameters;
  json["buffer_values"] = summary.buffer_values;
  json["multiply_adds"] = summary.multiply_adds;
  json["input_bytes"] = summary.input_bytes;
  json["output_bytes"] = summary.output_bytes;
  json["parameter_bytes"] = summary.parameter_bytes;
  json["layers"] = nlohmann::ordered_json::array();
  for (const train::SummaryRow& row : summary.rows) json["layers"].push_back(json_of(row));
  return json;
}

int list_models(Console& console) {
  if (console.json()) {
    nlohmann::ordered_json json;
    json["models"] = models::model_names();
    write_json(json, console);
    return kSuccess;
  }
  for (const models::ModelFacts& facts : models::model_list())
    console.out() << facts.name << std::string(14 - facts.name.size(), ' ') << facts.summary
                  << std::endl;
  return kSuccess;
}

int summarize(const SummaryArguments& arguments, Console& console) {
  if (arguments.list) return list_models(console);
  if (arguments.what.empty()) throw UsageError("name a net or a run, such as resnet18");
  Subject subject = subject_of(arguments);
  const train::Summary summary = train::summarize(subject.net, subject.input);
  if (console.json()) {
    write_json(json_of(summary), console);
  } else {
    console.out() << train::to_table(summary,
                                     {.explain = arguments.explain, .plan = arguments.plan});
  }
  return kSuccess;
}

}  // namespace

void add_summary(CLI::App& app, Session& session) {
  const auto arguments = std::make_shared<SummaryArguments>();
  CLI::App* const verb = app.add_subcommand(
      "summary", "A net layer by layer: output, parameters, multiply-adds, receptive field");
  verb->footer(
      "Examples:\n"
      "  convkit summary resnet18 --input 1x3x224x224\n"
      "  convkit summary runs/first --explain");
  verb->add_option("net", arguments->what, "A net by name, a run folder, or a weights file");
  verb->add_option("--input", arguments->input, "Shape NxCxSIZES [the net's usual one]");
  verb->add_option("--classes", arguments->classes, "Classes of a net by name [its paper's]")
      ->check(whole_number(1, INT32_MAX));
  verb->add_flag("--explain", arguments->explain,
                 "Each output size with its formula, each convolution with its algorithm");
  verb->add_flag("--plan", arguments->plan,
                 "The algorithm of each convolution in each direction, and why");
  add_exact_flag(*verb);
  add_autotune_flag(*verb, session);
  verb->add_flag("--list", arguments->list, "List the nets by name");
  add_json_flag(*verb, session);
  verb->callback([&session, arguments] {
    session.job = [&session, arguments] { return summarize(*arguments, session.console); };
  });
}

}  // namespace convkit::cli
