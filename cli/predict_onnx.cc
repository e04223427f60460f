#include "cli/predict_onnx.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string_view>

#include "convkit/base/scope.h"
#include "convkit/base/text.h"
#include "convkit/infer/session.h"
#include "convkit/io/file.h"
#include "convkit/onnx/import.h"
#include "convkit/ops/arithmetic.h"
#include "convkit/ops/softmax.h"

namespace convkit::cli {
namespace {

std::vector<std::string> read_labels(const std::string& path) {
  const io::Bytes bytes = io::read_file(path);
  std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);  // a byte order mark
  std::vector<std::string> labels;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    labels.emplace_back(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  while (!labels.empty() && labels.back().empty()) labels.pop_back();
  CONVKIT_CHECK(!labels.empty(), FormatError, path,
                ": there is no name in it; write one a line, in the order of the classes");
  return labels;
}

// Whether the first output comes from a LogSoftmax, whatever its shape is made into.
bool gives_logarithms(const graph::Graph& graph) {
  using graph::Op;
  graph::ValueId at = graph.outputs[0];
  for (std::size_t n = graph.nodes.size(); n-- > 0;) {
    const graph::Node& node = graph.nodes[n];
    if (node.outputs.empty() || node.outputs[0] != at) continue;
    const Op op = node.op;
    if (op == Op::log_softmax) return true;
    if (op != Op::reshape && op != Op::flatten && op != Op::squeeze && op != Op::identity)
      return false;
    at = node.inputs[0];
  }
  return false;
}

// Numbers of 0 to 1 that add up to 1: the net has a softmax of its own.
bool is_distribution(const Tensor& scores) {
  constexpr double kRounding = 1e-3;
  double sum = 0;
  for (const float score : scores.to_vector<float>()) {
    if (!(score >= -kRounding && score <= 1 + kRounding)) return false;
    sum += score;
  }
  return std::abs(sum - 1) <= kRounding;
}

struct PictureNet {
  infer::Session session;
  PictureInput input;
  std::vector<std::string> names;  ///< of the classes; empty: none are known
  std::string names_from;          ///< the file
  bool logarithms = false;
};

PictureNet load_picture_net(const std::string& path, const std::string& labels,
                            const PictureOptions& options) {
  onnx::Model model = onnx::load_onnx(path);
  const graph::Graph& graph = model.graph;
  CONVKIT_CHECK(
      graph.inputs.size() == 1 && !graph.outputs.empty(), ValueError, path, ": the net has ",
      graph.inputs.size(), " inputs and ", graph.outputs.size(),
      " outputs; predict gives one picture and needs an output; convkit run takes any net");
  std::optional<train::ModelCard> card;
  if (train::has_card(model.metadata)) card = train::card_from_metadata(model.metadata, path);
  std::vector<std::string> names;
  if (!labels.empty())
    names = read_labels(labels);
  else if (card)
    names = card->classes;
  const bool logarithms = gives_logarithms(graph);
  const Scope scope(path);
  PictureInput input =
      picture_input(graph.value(graph.inputs[0]), card ? &*card : nullptr, options);
  return {infer::Session(std::move(model.graph)), std::move(input), std::move(names),
          labels.empty() ? path : labels, logarithms};
}

// (1, classes) in float32.
Tensor scores_of(const PictureNet& net, const Tensor& output, const std::string& image) {
  int64_t axes = 0;
  for (const int64_t extent : output.shape()) axes += extent != 1 ? 1 : 0;
  const std::string& name = net.session.outputs()[0].name;
  CONVKIT_CHECK(is_floating(output.dtype()) && axes == 1, ValueError, "the output '", name, "' is ",
                output.dtype(), " ", output.shape(),
                ", not a score for each class; convkit run takes any net");
  CONVKIT_CHECK(net.names.empty() || std::ssize(net.names) == output.numel(), ValueError,
                net.names_from, " names ", net.names.size(), " classes, but the net has ",
                output.numel(), "; one name a line is needed, in the order of the classes");
  Tensor scores = output.to(DType::float32).reshaped({1, output.numel()});
  for (const float score : scores.to_vector<float>())
    CONVKIT_CHECK(std::isfinite(score), NotFiniteError, image, ": the net's score for a class is ",
                  score, "; is the picture prepared as the net expects it (--mean, --std, --raw)?");
  return scores;
}

}  // namespace

OnnxPredictions predict_onnx(const std::string& model, const std::vector<std::string>& images,
                             const std::string& labels, const PictureOptions& options,
                             int64_t top) {
  const PictureNet net = load_picture_net(model, labels, options);
  std::vector<Tensor> scores;
  OnnxPredictions result{
      .preparation = description_of(net.input), .softmax = false, .predictions = {}};
  for (const std::string& path : images) {
    const io::media::Image image = io::media::read_image(path);
    Tensor output;
    {
      const Scope scope(path);
      output = net.session.run({prepared(image, net.input)})[0];
    }
    scores.push_back(scores_of(net, output, path));
    result.predictions.push_back(
        {.path = path, .conversion = conversion_of(image, net.input), .guesses = {}});
  }
  // One picture's logits may look like probabilities, those of all hardly.
  result.softmax = !net.logarithms && !std::all_of(scores.begin(), scores.end(), is_distribution);
  std::vector<std::string> names = net.names;
  for (int64_t label = std::ssize(names); label < scores[0].numel(); ++label)
    names.push_back(data::unnamed_class(label));
  for (std::size_t i = 0; i < scores.size(); ++i) {
    Tensor probabilities = scores[i];
    if (net.logarithms) probabilities = ops::exp(scores[i]);
    if (result.softmax) probabilities = ops::softmax(scores[i], 1);
    result.predictions[i].guesses = train::top_guesses(probabilities, names, top);
  }
  return result;
}

}  // namespace convkit::cli
