#include "cli/subject.h"

#include <algorithm>

#include "cli/net_input.h"
#include "cli/verbs.h"
#include "convkit/base/text.h"
#include "convkit/io/file.h"
#include "convkit/io/folder.h"
#include "convkit/models/registry.h"
#include "convkit/train/model_card.h"
#include "convkit/train/run_directory.h"

namespace convkit::cli {
namespace {

// As --input takes it: 1x3x224x224.
std::string typed(const Shape& shape) {
  std::string text;
  for (const int64_t extent : shape) text += (text.empty() ? "" : "x") + std::to_string(extent);
  return text;
}

Shape with_batch(const Shape& sample) { return sample.with_inserted(0, 1); }

bool is_file_or_folder(const std::string& path) {
  return io::file_exists(path) || io::folder_exists(path);
}

// A name such as resnet18-3d fixes the number of axes, for which the paper may have no input.
void check_rank(const SubjectOptions& options, const models::ModelFacts& facts) {
  const std::string suffix = options.what.substr(std::min(facts.name.size(), options.what.size()));
  if (!options.input.empty() || suffix.size() != 3) return;
  const int64_t rank = suffix[1] - '0';
  if (rank == facts.input.dim() - 1) return;
  const Shape examples[] = {{1, 3, 16000}, {1, 3, 224, 224}, {1, 3, 16, 112, 112}};
  throw UsageError(message(options.what, " needs --input, such as ", typed(examples[rank - 1]),
                           ": batch, channels and ", rank, rank == 1 ? " size" : " sizes"));
}

}  // namespace

bool is_onnx_file(const std::string& what) {
  if (what.ends_with(".onnx")) return true;
  if (what.ends_with(".safetensors") || !io::file_exists(what)) return false;
  // Behind the length of a safetensors header that header begins.
  constexpr int64_t kLengthBytes = 8;
  const io::InputFile file(what);
  uint8_t first = 0;
  if (file.size() > kLengthBytes) file.read_at(kLengthBytes, {&first, 1});
  return first != '{';
}

Subject find_subject(const SubjectOptions& options) {
  if (!is_file_or_folder(options.what)) {
    const models::ModelFacts& facts =
        as_usage([&]() -> decltype(auto) { return models::find_model(options.what); });
    check_rank(options, facts);
    const Shape input =
        options.input.empty() ? with_batch(facts.input) : parse_shape(options.input);
    if (input.dim() < 3)
      throw UsageError(message("--input ", options.input, " has ", input.dim(),
                               " extents; it needs batch, channels and sizes, such as ",
                               typed(with_batch(facts.input))));
    const int64_t classes = options.classes > 0 ? options.classes : facts.num_classes;
    return {models::make_model(options.what, input.without(0), classes),
            input,
            options.what,
            classes,
            "",
            {}};
  }
  if (options.classes > 0)
    throw UsageError("--classes goes with a net by name; a run's net has the classes of its data");
  const std::string weights = train::find_weights(options.what);
  train::LoadedNet loaded = train::load_net(weights);
  Shape input = with_batch(loaded.card.input);
  if (!options.input.empty()) input = parse_shape(options.input);
  return {std::move(loaded.net),           input,   loaded.card.config.model,
          std::ssize(loaded.card.classes), weights, train::to_metadata(loaded.card)};
}

}  // namespace convkit::cli
