#include "convkit/train/summary.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>
#include <ostream>

#include "cli/json_output.h"
#include "cli/net_input.h"
#include "cli/option_checks.h"
#include "cli/step_table.h"
#include "cli/subject.h"
#include "cli/verbs.h"
#include "convkit/infer/shapes.h"
#include "convkit/models/registry.h"
#include "convkit/onnx/load.h"
#include "convkit/train/text_table.h"

namespace convkit::cli {
namespace {

struct SummaryArguments {
  SubjectOptions subject;
  bool explain = false;
  bool plan = false;
  bool list = false;
};

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

// How many axes are open, but for the first, which random_inputs closes.
enum class Open { nothing, batch, sizes };

Open open_extents(const infer::Session& net) {
  Open open = Open::nothing;
  for (const graph::Value& input : net.inputs()) {
    if (!input.type.dims) return Open::sizes;
    for (std::size_t axis = 0; axis < input.type.dims->size(); ++axis)
      if (!(*input.type.dims)[axis].known())
        open = std::max(open, axis == 0 ? Open::batch : Open::sizes);
  }
  return open;
}

struct NamedType {
  std::string name;
  std::string op;
  std::string type;
};

// What the inputs are, and what each node puts out, with symbols for what is open.
std::vector<NamedType> types_of(const infer::Session& net) {
  const graph::Graph& graph = net.graph();
  const std::vector<graph::ValueType> types = infer::infer_types(graph);
  std::vector<NamedType> all;
  const auto add = [&](graph::ValueId id, std::string_view op) {
    if (id != graph::kNoValue)
      all.push_back({graph.value(id).name, std::string(op), to_text(types[graph::index_of(id)])});
  };
  for (const graph::ValueId id : graph.inputs) add(id, "input");
  for (const graph::Node& node : graph.nodes)
    for (const graph::ValueId id : node.outputs) add(id, graph::name_of(node.op));
  return all;
}

std::string table_of(const std::vector<NamedType>& types) {
  std::size_t name = 0;
  std::size_t op = 0;
  for (const NamedType& each : types) {
    name = std::max(name, train::display_width(each.name));
    op = std::max(op, each.op.size());
  }
  std::string text;
  for (const NamedType& each : types)
    text += each.name + std::string(name + 2 - train::display_width(each.name), ' ') + each.op +
            std::string(op + 2 - each.op.size(), ' ') + each.type + '\n';
  return text;
}

// A net in a file: the steps that run it. Where its inputs have open extents, the values' types.
int summarize_onnx(const SummaryArguments& arguments, Console& console) {
  if (arguments.subject.classes > 0) throw UsageError("--classes goes with a net by name");
  const infer::Session net = load(arguments.subject.what);
  const Open open = arguments.subject.input.empty() ? open_extents(net) : Open::nothing;
  const bool shows_types = open != Open::nothing && !arguments.plan;
  if (shows_types && !console.json()) {
    console.out() << table_of(types_of(net))
                  << (open == Open::sizes ? "--input SHAPE shows the steps that run it\n"
                                          : "--plan shows the steps that run it\n");
    return kSuccess;
  }
  nlohmann::ordered_json json;
  json["model"] = arguments.subject.what;
  if (shows_types)
    for (const NamedType& each : types_of(net))
      json["values"].push_back({{"name", each.name}, {"op", each.op}, {"type", each.type}});
  if (shows_types && open == Open::sizes) {
    write_json(json, console);
    return kSuccess;
  }
  const std::vector<Tensor> inputs = random_inputs(net.inputs(), 1, arguments.subject.input);
  const std::vector<infer::StepDescription> steps = net.steps(inputs);
  double gflop = 0;
  int64_t weights = 0;
  for (const infer::StepDescription& step : steps) {
    gflop += step.gflop;
    weights += step.weight_bytes;
  }
  if (console.json()) {
    json["gflop"] = gflop;
    json["weight_bytes"] = weights;
    json["arena_bytes"] = net.arena_bytes(inputs);
    json["steps"] = steps_json(steps);
    write_json(json, console);
    return kSuccess;
  }
  console.out() << step_table(steps, arguments.plan) << steps.size() << " steps, " << gflop
                << " GFLOP, " << with_thousands(weights) << " bytes of weights, "
                << with_thousands(net.arena_bytes(inputs)) << " bytes between steps\n";
  return kSuccess;
}

int summarize(const SummaryArguments& arguments, Console& console) {
  if (arguments.list) return list_models(console);
  if (arguments.subject.what.empty()) throw UsageError("name a net or a run, such as resnet18");
  if (is_onnx_file(arguments.subject.what)) return summarize_onnx(arguments, console);
  Subject subject = find_subject(arguments.subject);
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
      "  convkit summary runs/first --explain\n"
      "  convkit summary model.onnx --plan");
  verb->add_option("net", arguments->subject.what,
                   "A net by name, a run folder, a weights file, or an ONNX file");
  verb->add_option("--input", arguments->subject.input, "Shape NxCxSIZES [the net's usual one]");
  verb->add_option("--classes", arguments->subject.classes,
                   "Classes of a net by name [its paper's]")
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
