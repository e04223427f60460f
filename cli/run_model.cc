// convkit run: any net in an ONNX file, tensors in, tensors out.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>

#include "cli/json_output.h"
#include "cli/option_checks.h"
#include "cli/verbs.h"
#include "convkit/infer/session.h"
#include "convkit/io/npy.h"
#include "convkit/onnx/import.h"

namespace convkit::cli {
namespace {

struct RunArguments {
  std::string model;
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
};

struct NamedFile {
  std::string name;
  std::string path;
};

// NAME=FILE; a name may be left out where there is only one. Names of ONNX files may hold '='.
NamedFile split(const std::string& text, const std::vector<std::string>& names,
                const std::string& option) {
  for (const std::string& name : names)
    if (text.starts_with(name + "=")) return {name, text.substr(name.size() + 1)};
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos && names.size() == 1) return {names[0], text};
  std::string known;
  for (const std::string& name : names) known += (known.empty() ? "" : ", ") + name;
  if (equals == std::string::npos)
    throw UsageError(message(option, " '", text, "' names no tensor; write ", option,
                             " NAME=FILE.npy with a NAME of ", known));
  throw UsageError(message(option, ": the net has no ", option.substr(2), " '",
                           text.substr(0, equals), "'; there is ", known));
}

std::vector<std::string> names_of(const graph::Graph& graph,
                                  const std::vector<graph::ValueId>& ids) {
  std::vector<std::string> names;
  names.reserve(ids.size());
  for (const graph::ValueId id : ids) names.push_back(graph.value(id).name);
  return names;
}

std::vector<NamedFile> named_files(const std::vector<std::string>& texts,
                                   const std::vector<std::string>& names,
                                   const std::string& option) {
  std::vector<NamedFile> files;
  for (const std::string& text : texts) {
    files.push_back(split(text, names, option));
    const auto is_same = [&](const NamedFile& file) { return file.name == files.back().name; };
    if (std::count_if(files.begin(), files.end(), is_same) > 1)
      throw UsageError(message(option, " gives '", files.back().name, "' twice"));
    if (files.back().path.empty())
      throw UsageError(message(option, " '", text, "' names no file after the '='"));
  }
  return files;
}

// How to make an array of this shape fit.
std::string way_out(const graph::ValueType& type, const Tensor& given) {
  const std::optional<Shape> wanted = type.shape();
  if (wanted && wanted->numel() == given.numel())
    return message("; in Python: np.save(file, x.reshape", to_text(wanted->to_vector()), ")");
  if (type.rank() == given.dim() && given.dim() > 0 && (*type.dims)[0].known()) {
    std::vector<graph::Dim> any_batch = *type.dims;
    any_batch[0] = {};
    if (graph::accepts({.dtype = type.dtype, .dims = any_batch}, given))
      return message("; its batch is fixed: give ", (*type.dims)[0].extent,
                     " at a time, or export the net with a batch of any size");
  }
  return "";
}

std::vector<Tensor> read_inputs(const graph::Graph& graph, const std::vector<NamedFile>& files) {
  std::vector<Tensor> inputs;
  std::string missing;
  for (const graph::ValueId id : graph.inputs) {
    const graph::Value& value = graph.value(id);
    const auto file = std::find_if(files.begin(), files.end(),
                                   [&](const NamedFile& each) { return each.name == value.name; });
    if (file == files.end()) {
      missing += message("\n  --input ", value.name, "=FILE.npy   (", to_text(value.type), ")");
      continue;
    }
    inputs.push_back(io::load_npy(file->path));
    const Tensor& given = inputs.back();
    if (value.type.dtype && *value.type.dtype != given.dtype())
      throw DTypeError(message(file->path, ": the array is ", given.dtype(), ", but the input '",
                               value.name, "' is ", to_text(value.type),
                               "; in Python: np.save(file, x.astype('", *value.type.dtype, "'))"));
    if (!graph::accepts(value.type, given))
      throw ShapeError(message(file->path, ": the array has the shape ", given.shape(),
                               ", but the input '", value.name, "' is ", to_text(value.type),
                               way_out(value.type, given)));
  }
  if (!missing.empty()) throw UsageError("the net needs more inputs:" + missing);
  return inputs;
}

nlohmann::ordered_json json_of(const std::string& name, const Tensor& tensor,
                               const std::string& file) {
  nlohmann::ordered_json json;
  json["name"] = name;
  json["dtype"] = name_of(tensor.dtype());
  json["shape"] = tensor.shape().to_vector();
  json["file"] = file.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(file);
  return json;
}

int run_model(const RunArguments& arguments, Session& session) {
  Console& console = session.console;
  const onnx::Model model = onnx::load_onnx(arguments.model);
  const graph::Graph& graph = model.graph;
  const std::vector<std::string> output_names = names_of(graph, graph.outputs);
  const auto input_files = named_files(arguments.inputs, names_of(graph, graph.inputs), "--input");
  const auto output_files = named_files(arguments.outputs, output_names, "--output");
  const std::vector<Tensor> outputs = infer::Session(graph).run(read_inputs(graph, input_files));
  session.finish_files();
  nlohmann::ordered_json json;
  json["model"] = arguments.model;
  json["outputs"] = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const auto file =
        std::find_if(output_files.begin(), output_files.end(),
                     [&](const NamedFile& each) { return each.name == output_names[i]; });
    const std::string path = file == output_files.end() ? "" : file->path;
    if (!path.empty()) io::save_npy(path, outputs[i]);
    json["outputs"].push_back(json_of(output_names[i], outputs[i], path));
    if (console.json()) continue;
    console.out() << output_names[i] << ": " << to_text(outputs[i].dtype()) << " "
                  << to_text(outputs[i].shape());
    // Values for whoever asked for no files.
    if (!path.empty()) {
      console.out() << " → " << path;
    } else if (output_files.empty()) {
      console.out() << "\n" << to_text(outputs[i]);
    }
    console.out() << "\n";
  }
  if (console.json()) write_json(json, console);
  return session.code();
}

}  // namespace

void add_run(CLI::App& app, Session& session) {
  const auto arguments = std::make_shared<RunArguments>();
  CLI::App* const verb = app.add_subcommand("run", "Run any ONNX net on arrays in .npy files");
  verb->footer(
      "Examples:\n"
      "  convkit run model.onnx --input x=in.npy --output y=out.npy\n"
      "  convkit run model.onnx --input left=l.npy --input right=r.npy\n"
      "Without --output the results are printed. A NAME may be left out where there is one only.");
  verb->add_option("model", arguments->model, "An ONNX file")->required()->check(not_empty());
  verb->add_option("--input", arguments->inputs, "NAME=FILE.npy, once for each input of the net")
      ->take_all();
  verb->add_option("--output", arguments->outputs, "NAME=FILE.npy: where to write an output")
      ->take_all();
  add_exact_flag(*verb);
  add_json_flag(*verb, session);
  verb->callback([&session, arguments] {
    session.job = [&session, arguments] { return run_model(*arguments, session); };
  });
}

}  // namespace convkit::cli
