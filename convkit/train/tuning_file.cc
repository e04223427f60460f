#include "convkit/train/tuning_file.h"

#include <cctype>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>

#include "convkit/base/cpu.h"
#include "convkit/base/error.h"
#include "convkit/base/version.h"
#include "convkit/io/file.h"
#include "convkit/io/folder.h"
#include "convkit/kernels/conv_tuning.h"
#include "convkit/train/shallow_json.h"

namespace convkit::train {
namespace {

using Json = nlohmann::ordered_json;
using kernels::Direction;
using kernels::TuningRecord;
using kernels::Weights;

constexpr int64_t kMostBytes = int64_t{64} << 20;

// "AMD EPYC 9654" -> "amd-epyc-9654"
std::string file_word(const std::string& text) {
  std::string word;
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0)
      word += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    else if (!word.empty() && word.back() != '-')
      word += '-';
  }
  while (word.ends_with('-')) word.pop_back();
  return word;
}

std::optional<std::string> environment(const char* name) {
  const char* const value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets it
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

const char* name(Exactness exactness) { return exactness == Exactness::exact ? "exact" : "fast"; }
const char* name(Weights weights) { return weights == Weights::fixed ? "fixed" : "changing"; }

// The value that `word` names.
template <class T, class Values>
T named(const std::string& word, const Values& values) {
  for (const T value : values)
    if (word == name(value)) return value;
  throw ValueError(message("'", word, "' is not known"));
}

Json json_of(const TuningRecord& record) {
  Json json;
  json["problem"] = record.problem;
  json["direction"] = name(record.direction);
  json["exactness"] = name(record.exactness);
  json["weights"] = name(record.weights);
  json["simd"] = record.simd_target;
  for (const TuningRecord::Time& time : record.times)
    json["microseconds"][time.algorithm] = time.seconds * 1e6;
  return json;
}

TuningRecord record_of(const Json& json) {
  constexpr Exactness kExactness[] = {Exactness::fast, Exactness::exact};
  constexpr Weights kWeights[] = {Weights::changing, Weights::fixed};
  TuningRecord record;
  record.problem = json.at("problem").get<std::string>();
  record.direction =
      named<Direction>(json.at("direction").get<std::string>(), kernels::kDirections);
  record.exactness = named<Exactness>(json.at("exactness").get<std::string>(), kExactness);
  record.weights = named<Weights>(json.at("weights").get<std::string>(), kWeights);
  record.simd_target = json.at("simd").get<std::string>();
  for (const auto& [algorithm, microseconds] : json.at("microseconds").items())
    record.times.push_back({algorithm, microseconds.get<double>() * 1e-6});
  return record;
}

[[noreturn]] void refuse(const std::string& path, const std::string& why) {
  throw FormatError(message(path, ": no file that --autotune has written: ", why,
                            "; remove it, and everything is measured anew"));
}

}  // namespace

std::string default_tuning_path() {
  if (const auto file = environment("CONVKIT_AUTOTUNE_FILE")) return *file;
  std::optional<std::string> folder = environment("XDG_CACHE_HOME");
  if (!folder) {
    folder = environment("HOME");
    CONVKIT_CHECK(
        folder, IoError,
        "--autotune keeps what it measures in a file, but neither HOME nor XDG_CACHE_HOME "
        "is set; name the file in CONVKIT_AUTOTUNE_FILE");
    folder = io::join_path(*folder, ".cache");
  }
  return io::join_path(io::join_path(*folder, "convkit"),
                       "autotune-" + file_word(cpu_model()) + ".json");
}

void load_tuning(const std::string& path) {
  if (!io::file_exists(path)) return;
  const io::Bytes bytes = io::read_file(path, kMostBytes);
  const Json json = parse_shallow<Json>(bytes);
  if (!json.is_object()) refuse(path, "it is no JSON object");
  try {
    if (json.at("cpu") != cpu_model() || json.at("convkit") != kVersionString) return;
    for (const Json& record : json.at("records")) kernels::add_tuning_record(record_of(record));
  } catch (const Json::exception& error) {
    refuse(path, error.what());
  } catch (const Error& error) {
    refuse(path, error.what());
  }
}

void save_tuning(const std::string& path) {
  load_tuning(path);
  Json json;
  json["cpu"] = cpu_model();
  json["convkit"] = kVersionString;
  json["records"] = Json::array();
  for (const TuningRecord& record : kernels::tuning_records())
    json["records"].push_back(json_of(record));
  const std::size_t slash = path.rfind('/');
  if (slash != std::string::npos && slash > 0) io::create_folders(path.substr(0, slash));
  io::write_file(path, json.dump(1) + "\n");
}

Autotune::Autotune(std::string path) : path_(std::move(path)), outer_(kernels::planning()) {
  save();
  kernels::set_planning(kernels::Planning::measured);
}

Autotune::~Autotune() {
  kernels::set_planning(outer_);
  try {
    save();
  } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): said in the header
  }
}

}  // namespace convkit::train
