#include "convkit/train/run_directory.h"

#include <unistd.h>

#include <cstdio>

#include "convkit/base/error.h"
#include "convkit/io/file.h"
#include "convkit/io/folder.h"

namespace convkit::train {
namespace {

constexpr const char* kHeader =
    "epoch,step,lr,train_loss,train_accuracy,val_loss,val_accuracy,images_per_second,seconds";
constexpr int64_t kMaxText = int64_t{1} << 28;

std::string read_text(const std::string& path) {
  const io::Bytes bytes = io::read_file(path, kMaxText);
  return {bytes.begin(), bytes.end()};
}

std::string line_of(const EpochResult& r) {
  return message(r.epoch, ",", r.step, ",", r.lr, ",", r.train_loss, ",", r.train_accuracy, ",",
                 r.val_loss, ",", r.val_accuracy, ",", r.images_per_second, ",", r.seconds);
}

}  // namespace

void RunDirectory::check_free(const std::string& path, bool overwrite) {
  CONVKIT_CHECK(!path.empty(), ValueError, "the run directory's name is empty");
  CONVKIT_CHECK(!io::file_exists(path), IoError, "cannot make the run directory '", path,
                "': there is a file of that name; choose another");
  if (!io::folder_exists(path) || overwrite) return;
  const io::FolderContent content = io::list_folder(path);
  if (content.files.empty() && content.folders.empty()) return;
  const bool is_run = io::file_exists(RunDirectory(path).config_path());
  throw IoError(message("the run directory '", path, "' exists and is not empty; choose another",
                        is_run ? message(", go on with the run in it (--resume ", path, ")") : "",
                        ", or overwrite it (--force)"));
}

void RunDirectory::remove(const std::string& path, bool with_folder) {
  const RunDirectory run(path);
  run.remove_temporary_files();
  for (const std::string& file :
       {run.results_path(), run.events_path(), run.best_weights_path(), run.last_weights_path(),
        run.checkpoint_path(), run.config_path()})
    std::remove(file.c_str());
  rmdir(io::join_path(path, "weights").c_str());
  if (with_folder) rmdir(path.c_str());
}

RunDirectory RunDirectory::create(const std::string& path, const TrainConfig& config,
                                  bool overwrite) {
  check_free(path, overwrite);
  RunDirectory run(path);
  io::create_folders(io::join_path(path, "weights"));
  if (overwrite) {
    run.remove_temporary_files();
    for (const std::string& file : {run.results_path(), run.events_path(), run.best_weights_path(),
                                    run.last_weights_path(), run.checkpoint_path()})
      std::remove(file.c_str());
  }
  io::write_file(run.config_path(), to_json(config));
  return run;
}

RunDirectory RunDirectory::open(const std::string& path) {
  RunDirectory run(path);
  CONVKIT_CHECK(!io::file_exists(path), IoError, "'", path,
                "' is a file, not a run directory; name the folder that convkit train --out was"
                " given");
  CONVKIT_CHECK(io::folder_exists(path), IoError, "there is no run directory '", path,
                "'; convkit train --out ", path, " starts one");
  CONVKIT_CHECK(io::file_exists(run.config_path()), IoError, "'", path,
                "' is no run directory: it has no config.json; name the folder that convkit train"
                " --out was given");
  return run;
}

std::string RunDirectory::config_path() const { return io::join_path(path_, "config.json"); }
std::string RunDirectory::results_path() const { return io::join_path(path_, "results.csv"); }
std::string RunDirectory::events_path() const {
  return io::join_path(path_, "events.out.tfevents.convkit");
}
std::string RunDirectory::best_weights_path() const {
  return io::join_path(path_, "weights/best.safetensors");
}
std::string RunDirectory::last_weights_path() const {
  return io::join_path(path_, "weights/last.safetensors");
}
std::string RunDirectory::checkpoint_path() const {
  return io::join_path(path_, "checkpoint.safetensors");
}

TrainConfig RunDirectory::config() const {
  return config_from_json(read_text(config_path()), config_path());
}

bool RunDirectory::has_results() const {
  return io::file_exists(results_path()) || io::file_exists(best_weights_path());
}

void RunDirectory::check_writable() const {
  // Files that are never committed.
  const io::AtomicFile checkpoint(checkpoint_path());
  const io::AtomicFile weights(last_weights_path());
}

void RunDirectory::remove_temporary_files() const {
  io::remove_temporary_files(path_);
  io::remove_temporary_files(io::join_path(path_, "weights"));
}

void RunDirectory::keep_results(int64_t epochs) {
  lines_.clear();
  if (!io::file_exists(results_path())) return;
  const std::string text = read_text(results_path());
  std::size_t begin = text.find('\n');  // after the header
  while (begin != std::string::npos && static_cast<int64_t>(lines_.size()) < epochs) {
    const std::size_t end = text.find('\n', begin + 1);
    if (end == std::string::npos) break;
    lines_.push_back(text.substr(begin + 1, end - begin - 1));
    begin = end;
  }
}

void RunDirectory::add_result(const EpochResult& result) {
  lines_.push_back(line_of(result));
  std::string text = std::string(kHeader) + "\n";
  for (const std::string& line : lines_) text += line + "\n";
  io::write_file(results_path(), text);
}

std::string find_weights(const std::string& path) {
  if (io::file_exists(path)) return path;
  CONVKIT_CHECK(io::folder_exists(path), IoError, "there is no run directory or weights file '",
                path,
                "'; name the folder that convkit train --out was given, or a .safetensors"
                " file");
  const RunDirectory run = RunDirectory::open(path);
  for (const std::string& weights : {run.best_weights_path(), run.last_weights_path()})
    if (io::file_exists(weights)) return weights;
  throw IoError(message("the run directory '", path,
                        "' has no weights yet; convkit train --resume ", path, " goes on with it"));
}

}  // namespace convkit::train
