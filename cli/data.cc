#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>

#include "cli/json_output.h"
#include "cli/option_checks.h"
#include "cli/verbs.h"
#include "convkit/base/error.h"
#include "convkit/data/image_sample.h"
#include "convkit/data/sources.h"
#include "convkit/io/folder.h"
#include "convkit/io/media/image.h"
#include "convkit/train/text_table.h"

namespace convkit::cli {
namespace {

struct DataArguments {
  std::string spec;
  int64_t count = 0;
  std::string directory;
};

// A class name as part of a file's name.
std::string file_name(const std::string& name) {
  std::string text;
  for (const char c : name) {
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || static_cast<unsigned char>(c) >= 0x80;
    text += is_plain ? c : '-';
  }
  return text;
}

std::vector<std::string> export_pictures(const data::Dataset& dataset, int64_t count,
                                         const std::string& directory) {
  io::create_folders(directory);
  std::vector<std::string> paths;
  data::Sample sample;
  for (int64_t i = 0; i < std::min(count, dataset.size()); ++i) {
    dataset.read(i, sample);
    const std::string& name = dataset.class_names()[static_cast<std::size_t>(sample.label)];
    paths.push_back(io::join_path(directory, message(i, "-", file_name(name), ".png")));
    io::media::write_png(paths.back(), data::to_image(sample));
  }
  return paths;
}

int run_export(const DataArguments& arguments, Console& console) {
  if (arguments.directory.empty())
    throw UsageError("--export needs --out DIR, the folder to write the pictures to");
  const data::DatasetPtr dataset = data::open_dataset(arguments.spec, data::Split::test);
  const auto paths = export_pictures(*dataset, arguments.count, arguments.directory);
  if (console.json()) {
    write_json({{"files", paths}}, console);
    return kSuccess;
  }
  for (const std::string& path : paths) console.out() << path << "\n";
  return kSuccess;
}

nlohmann::ordered_json json_of(const std::string& spec, const data::TrainTest& parts) {
  nlohmann::ordered_json json;
  json["data"] = spec;
  json["sample_shape"] = parts.train->sample_shape().to_vector();
  json["train"] = parts.train->size();
  json["test"] = parts.test->size();
  json["classes"] = nlohmann::ordered_json::array();
  const std::vector<int64_t> train = data::class_counts(*parts.train);
  const std::vector<int64_t> test = data::class_counts(*parts.test);
  for (std::size_t c = 0; c < train.size(); ++c)
    json["classes"].push_back(
        {{"name", parts.train->class_names()[c]}, {"train", train[c]}, {"test", test[c]}});
  return json;
}

int run_describe(const std::string& spec, Console& console) {
  const data::TrainTest parts = data::open_train_test(spec);
  if (console.json()) {
    write_json(json_of(spec, parts), console);
    return kSuccess;
  }
  console.out() << spec << ": " << with_thousands(parts.train->size()) << " samples to train on, "
                << with_thousands(parts.test->size()) << " to test, each "
                << to_text(parts.train->sample_shape()) << "\n\n";
  const std::vector<int64_t> train = data::class_counts(*parts.train);
  const std::vector<int64_t> test = data::class_counts(*parts.test);
  train::TextTable table({"class", "train", "test"});
  for (std::size_t c = 0; c < train.size(); ++c)
    table.add_row(
        {parts.train->class_names()[c], with_thousands(train[c]), with_thousands(test[c])});
  console.out() << table.text();
  return kSuccess;
}

}  // namespace

void add_data(CLI::App& app, Session& session) {
  const auto arguments = std::make_shared<DataArguments>();
  CLI::App* const verb =
      app.add_subcommand("data", "What a data set contains; some of its test pictures as PNG");
  verb->footer("Data sets:\n" + data::known_datasets() +
               "Examples:\n"
               "  convkit data folder:my_pictures\n"
               "  convkit data fashion-mnist --export 8 --out pictures");
  verb->add_option("data", arguments->spec, "The data set")->required();
  CLI::Option* const count =
      verb->add_option("--export", arguments->count, "Write the first so many test pictures as PNG")
          ->check(whole_number(1, INT32_MAX));
  verb->add_option("--out", arguments->directory, "Folder for them")
      ->needs(count)
      ->check(not_empty());
  add_json_flag(*verb, session);
  verb->callback([&session, arguments] {
    session.job = [&session, arguments] {
      as_usage([&] { data::check_spec(arguments->spec); });
      return arguments->count > 0 ? run_export(*arguments, session.console)
                                  : run_describe(arguments->spec, session.console);
    };
  });
}

}  // namespace convkit::cli
