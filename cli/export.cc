#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <iterator>
#include <nlohmann/json.hpp>
#include <ostream>

#include "cli/json_output.h"
#include "cli/option_checks.h"
#include "cli/subject.h"
#include "cli/verbs.h"
#include "convkit/base/scope.h"
#include "convkit/base/text.h"
#include "convkit/graph/capture.h"
#include "convkit/io/file.h"
#include "convkit/nn/functions.h"
#include "convkit/onnx/export.h"

namespace convkit::cli {
namespace {

struct ExportArguments {
  SubjectOptions subject;
  std::string out;
  std::string weights;
  std::string python;
  int64_t opset = 0;
};

// Nets whose state_dict torchvision knows.
struct TorchvisionNet {
  std::string_view name;
  std::string_view constructor;
  int64_t rank;
  std::string_view first_layer;
};
constexpr TorchvisionNet kTorchvision[] = {
    {"resnet18", "torchvision.models.resnet18", 2, "conv1"},
    {"resnet34", "torchvision.models.resnet34", 2, "conv1"},
    {"resnet50", "torchvision.models.resnet50", 2, "conv1"},
    {"vgg16", "torchvision.models.vgg16", 2, "features[0]"},
    {"mobilenet_v2", "torchvision.models.mobilenet_v2", 2, "features[0][0]"},
    {"r3d_18", "torchvision.models.video.r3d_18", 3, "stem[0]"},
};

const TorchvisionNet* torchvision_net(const Subject& subject) {
  const std::string base = subject.name.substr(0, subject.name.find('-'));
  const auto* const found = std::find_if(
      std::begin(kTorchvision), std::end(kTorchvision),
      [&](const auto& net) { return net.name == base && net.rank == subject.input.dim() - 2; });
  return found == std::end(kTorchvision) ? nullptr : found;
}

// A Python text in quotes.
std::string quoted(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

// Stands in for the package safetensors where that is not installed.
constexpr const char* kReader = R"(try:
    from safetensors.torch import load_file
except ImportError:
    import json

    def load_file(path):
        """What the package safetensors would read in a file that convkit wrote."""
        with open(path, "rb") as file:
            data = bytearray(file.read())
        begin = 8 + int.from_bytes(data[:8], "little")
        types = {"F32": torch.float32, "F64": torch.float64, "F16": torch.float16,
                 "BF16": torch.bfloat16, "I64": torch.int64, "I32": torch.int32}
        state = {}
        for name, entry in json.loads(data[8:begin]).items():
            if name == "__metadata__":
                continue
            first, last = entry["data_offsets"]
            elements = bytearray(data[begin + first:begin + last])
            tensor = torch.frombuffer(elements, dtype=types[entry["dtype"]])
            state[name] = tensor.reshape(entry["shape"])
        return state
)";

// A Python program that loads the weights into torch.
std::string python_text(const Subject& subject, const std::string& weights) {
  const TorchvisionNet* const net = torchvision_net(subject);
  std::string text = "# Loads weights that convkit export wrote into PyTorch.\n";
  text += "import torch\n";
  if (net != nullptr) text += "import torchvision\n";
  text += message("\n", kReader);
  text += message("\nstate = load_file(", quoted(weights), ")\n");
  if (net == nullptr)
    return text + message("\n# torchvision has no ", subject.name,
                          ": give your own module with these names to load_into.\n"
                          "for name, tensor in state.items():\n"
                          "    print(name, tuple(tensor.shape))\n\n\n"
                          "def load_into(net: torch.nn.Module) -> torch.nn.Module:\n"
                          "    net.load_state_dict(state)\n    return net.eval()\n");
  text +=
      message("net = ", net->constructor, "(weights=None, num_classes=", subject.classes, ")\n");
  const int64_t channels = subject.input[1];
  constexpr int64_t kColours = 3;
  if (channels != kColours)
    text += message("first = net.", net->first_layer, "\nnet.", net->first_layer,
                    " = torch.nn.Conv", net->rank, "d(", channels,
                    ", first.out_channels, first.kernel_size,\n    first.stride, first.padding, "
                    "bias=first.bias is not None)\n");
  text += "net.load_state_dict(state)\nnet.eval()\n\n";
  std::string sizes;
  for (const int64_t extent : subject.input) sizes += (sizes.empty() ? "" : ", ") + to_text(extent);
  return text + message("with torch.no_grad():\n    print(net(torch.zeros(", sizes, ")).shape)\n");
}

void load_weights(Subject& subject, const std::string& path) {
  const io::SafeTensors file = io::load_safetensors(path);
  const Scope scope(path);  // names the file in messages
  nn::load_state_dict(subject.net, file.tensors);
  subject.weights = path;
}

enum class Format { onnx, safetensors };
Format format_of(const std::string& path) {
  if (path.ends_with(".onnx")) return Format::onnx;
  if (path.ends_with(".safetensors")) return Format::safetensors;
  throw UsageError(message("'", path,
                           "' says no format; name it .onnx (a net that other tools run) ",
                           "or .safetensors (weights for PyTorch)"));
}

void check(const ExportArguments& arguments, Format format) {
  if (!arguments.python.empty() && format == Format::onnx)
    throw UsageError(
        "--python loads weights into PyTorch; it goes with a .safetensors file, not with .onnx");
  if (arguments.opset != 0 && format != Format::onnx)
    throw UsageError("--opset goes with an .onnx file");
}

// {"file", "bytes", ...} of what was written.
nlohmann::ordered_json write_onnx(Subject& subject, const ExportArguments& arguments,
                                  const Session& session) {
  const graph::Graph graph =
      graph::capture(subject.net, zeros(subject.input), {.name = subject.name});
  session.finish_files();
  const onnx::Exported written = onnx::save_onnx(
      arguments.out, graph, {.opset = arguments.opset, .metadata = subject.metadata});
  nlohmann::ordered_json json;
  json["format"] = "onnx";
  json["opset"] = written.opset;
  json["ir_version"] = written.ir_version;
  json["nodes"] = graph.nodes.size();
  json["bytes"] = written.bytes + written.data_bytes;
  json["data_file"] = nullptr;
  if (!written.data_file.empty()) json["data_file"] = written.data_file;
  json["input"] = to_text(graph.value(graph.inputs[0]).type);
  json["output"] = to_text(graph.value(graph.outputs[0]).type);
  return json;
}

nlohmann::ordered_json write_safetensors(Subject& subject, const ExportArguments& arguments,
                                         const Session& session) {
  session.finish_files();
  io::Metadata metadata = subject.metadata;
  metadata["format"] = "pt";  // what Python's loaders look for
  const nn::StateDict state = nn::state_dict(subject.net);
  io::save_safetensors(arguments.out, state, metadata);
  int64_t bytes = 0;
  for (const auto& [key, tensor] : state)
    bytes += tensor.numel() * static_cast<int64_t>(item_size(tensor.dtype()));
  nlohmann::ordered_json json;
  json["format"] = "safetensors";
  json["tensors"] = state.size();
  json["bytes"] = bytes;
  json["python"] = python_text(subject, arguments.out);
  return json;
}

int run_export(const ExportArguments& arguments, Session& session) {
  Console& console = session.console;
  const Format format = format_of(arguments.out);
  check(arguments, format);
  if (is_onnx_file(arguments.subject.what))
    throw UsageError(message("'", arguments.subject.what,
                             "' is a net in ONNX already; export takes a run folder, weights "
                             "(.safetensors), or a net by name"));
  Subject subject = find_subject(arguments.subject);
  if (!arguments.weights.empty()) {
    if (!subject.weights.empty())
      throw UsageError("--weights goes with a net by name; a run has weights of its own");
    load_weights(subject, arguments.weights);
  }
  nlohmann::ordered_json json;
  json["file"] = arguments.out;
  json["net"] = subject.name;
  json["weights"] = nullptr;
  if (!subject.weights.empty()) json["weights"] = subject.weights;
  json.update(format == Format::onnx ? write_onnx(subject, arguments, session)
                                     : write_safetensors(subject, arguments, session));
  if (!arguments.python.empty())
    io::write_file(arguments.python, std::string_view(json["python"].get_ref<std::string&>()));
  if (console.json()) {
    write_json(json, console);
    return session.code();
  }
  console.out() << arguments.out << ": " << subject.name
                << (subject.weights.empty() ? ", not trained (fresh weights)"
                                            : " with the weights of " + subject.weights)
                << ", " << with_thousands(json["bytes"].get<int64_t>()) << " bytes" << std::endl;
  if (format == Format::onnx) {
    console.out() << "input   " << json["input"].get<std::string>() << "\noutput  "
                  << json["output"].get<std::string>() << "\nONNX operator set "
                  << json["opset"].get<int64_t>() << ", " << json["nodes"].get<int64_t>()
                  << " nodes; N is a batch of any size" << std::endl;
  } else if (arguments.python.empty()) {
    console.out() << "\nIn Python (--python FILE writes it):\n\n"
                  << json["python"].get<std::string>();
  } else {
    console.out() << arguments.python << ": loads them into PyTorch" << std::endl;
  }
  return session.code();
}

}  // namespace

void add_export(CLI::App& app, Session& session) {
  const auto arguments = std::make_shared<ExportArguments>();
  CLI::App* const verb = app.add_subcommand(
      "export", "A net as ONNX for other tools, or its weights as safetensors for PyTorch");
  verb->footer(
      "Examples:\n"
      "  convkit export runs/first model.onnx\n"
      "  convkit export runs/first model.safetensors --python load.py\n"
      "  convkit export resnet18 resnet18.onnx --weights resnet18.safetensors");
  verb->add_option("net", arguments->subject.what, "A run folder, a weights file, or a net by name")
      ->required();
  verb->add_option("out", arguments->out, "What to write: a name with .onnx or .safetensors")
      ->required();
  verb->add_option("--weights", arguments->weights, "Weights (safetensors) for a net by name");
  verb->add_option("--input", arguments->subject.input, "Shape NxCxSIZES [the net's usual one]");
  verb->add_option("--classes", arguments->subject.classes,
                   "Classes of a net by name [its paper's]")
      ->check(whole_number(1, INT32_MAX));
  verb->add_option("--opset", arguments->opset, "ONNX operator set [17, or newer if one is needed]")
      ->check(whole_number(1, 1000));
  verb->add_option("--python", arguments->python, "Write a Python program that loads the weights");
  add_json_flag(*verb, session);
  verb->callback([&session, arguments] {
    session.job = [&session, arguments] { return run_export(*arguments, session); };
  });
}

}  // namespace convkit::cli
