#include "convkit/train/run_directory.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "convkit/base/error.h"
#include "convkit/io/file.h"
#include "tests/support/limits.h"
#include "tests/support/temp_dir.h"
#include "tests/support/throws.h"

namespace convkit::train {
namespace {

std::string text_of(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

TEST(RunDirectory, KeepsItsConfig) {
  const test::TempDir dir;
  TrainConfig config;
  config.epochs = 3;
  RunDirectory::create(dir / "a/b", config, false);
  EXPECT_EQ(RunDirectory::open(dir / "a/b").config(), config);
}

TEST(RunDirectory, RefusesAFolderThatIsNotEmpty) {
  const test::TempDir dir;
  io::write_file(dir / "precious.txt", "mine");
  EXPECT_ERROR(RunDirectory::create(dir.path(), {}, false), IoError, dir.path(), "not empty",
               "--force");
  EXPECT_FALSE(std::filesystem::exists(dir / "config.json"));
  RunDirectory::create(dir / "run", {}, false);
  EXPECT_ERROR(RunDirectory::create(dir / "run", {}, false), IoError, "not empty",
               "--resume " + dir / "run", "--force");
}

TEST(RunDirectory, OverwritesAnEarlierRunAndNothingElse) {
  const test::TempDir dir;
  RunDirectory run = RunDirectory::create(dir / "run", {}, false);
  run.add_result({.epoch = 1});
  io::write_file(run.best_weights_path(), "old");
  io::write_file(dir / "run/notes.txt", "mine");
  RunDirectory::create(dir / "run", {}, true);
  EXPECT_FALSE(std::filesystem::exists(run.results_path()));
  EXPECT_FALSE(std::filesystem::exists(run.best_weights_path()));
  EXPECT_EQ(text_of(dir / "run/notes.txt"), "mine");
}

TEST(RunDirectory, RemovesARunAndNothingElse) {
  const test::TempDir dir;
  RunDirectory::create(dir / "run", {}, false);
  RunDirectory::remove(dir / "run", false);
  EXPECT_TRUE(std::filesystem::is_empty(dir / "run"));
  RunDirectory::create(dir / "run", {}, false);
  io::write_file(dir / "run/notes.txt", "mine");
  RunDirectory::remove(dir / "run", true);
  EXPECT_EQ(text_of(dir / "run/notes.txt"), "mine");
  EXPECT_FALSE(std::filesystem::exists(dir / "run/config.json"));
  std::filesystem::remove(dir / "run/notes.txt");
  RunDirectory::remove(dir / "run", true);
  EXPECT_FALSE(std::filesystem::exists(dir / "run"));
}

TEST(RunDirectory, RefusesTheNameOfAFile) {
  const test::TempDir dir;
  io::write_file(dir / "file", "x");
  EXPECT_ERROR(RunDirectory::create(dir / "file", {}, true), IoError, "a file of that name");
}

TEST(RunDirectory, SaysWhenThereIsNone) {
  const test::TempDir dir;
  EXPECT_ERROR(RunDirectory::open(dir / "none"), IoError, "no run directory", "--out");
  EXPECT_ERROR(RunDirectory::open(dir.path()), IoError, "no config.json");
  io::write_file(dir / "file", "x");
  EXPECT_ERROR(RunDirectory::open(dir / "file"), IoError, "is a file, not a run directory");
}

TEST(RunDirectory, CannotBeMadeWhereWritingIsForbidden) {
  const test::TempDir dir;
  std::filesystem::permissions(dir.path(), std::filesystem::perms(0555));
  const test::WithoutRoot user;
  EXPECT_ERROR(RunDirectory::create(dir / "run", {}, false), IoError, "run", "ermission");
}

TEST(RunDirectory, WritesALinePerEpoch) {
  const test::TempDir dir;
  RunDirectory run = RunDirectory::create(dir / "run", {}, false);
  run.add_result({.epoch = 1,
                  .step = 10,
                  .lr = 0.1,
                  .train_loss = 2.5,
                  .train_accuracy = 0.25,
                  .val_loss = 2,
                  .val_accuracy = 0.5,
                  .images_per_second = 100,
                  .seconds = 1.5});
  EXPECT_EQ(text_of(run.results_path()),
            "epoch,step,lr,train_loss,train_accuracy,val_loss,val_accuracy,images_per_second,"
            "seconds\n1,10,0.1,2.5,0.25,2,0.5,100,1.5\n");
}

TEST(RunDirectory, KeepsTheLinesOfTheEpochsThatStand) {
  const test::TempDir dir;
  RunDirectory run = RunDirectory::create(dir / "run", {}, false);
  for (int64_t epoch = 1; epoch <= 3; ++epoch) run.add_result({.epoch = epoch, .step = epoch});
  const std::string all = text_of(run.results_path());
  RunDirectory resumed = RunDirectory::open(dir / "run");
  resumed.keep_results(2);
  resumed.add_result({.epoch = 3, .step = 3});
  EXPECT_EQ(text_of(run.results_path()), all);
}

TEST(RunDirectory, LeavesTheOldResultsWhenTheDiskIsFull) {
  const test::TempDir dir;
  RunDirectory run = RunDirectory::create(dir / "run", {}, false);
  run.add_result({.epoch = 1});
  const std::string before = text_of(run.results_path());
  {
    const test::FileSizeLimit full(16);
    EXPECT_ERROR(run.add_result({.epoch = 2}), IoError, run.results_path());
  }
  EXPECT_EQ(text_of(run.results_path()), before);
  for (const auto& entry : std::filesystem::directory_iterator(run.path()))
    EXPECT_EQ(entry.path().string().find(".tmp"), std::string::npos) << entry.path();
}

TEST(FindWeights, PrefersTheBest) {
  const test::TempDir dir;
  const RunDirectory run = RunDirectory::create(dir / "run", {}, false);
  EXPECT_ERROR(find_weights(dir / "run"), IoError, "no weights yet", "--resume");
  io::write_file(run.last_weights_path(), "x");
  EXPECT_EQ(find_weights(dir / "run"), run.last_weights_path());
  io::write_file(run.best_weights_path(), "x");
  EXPECT_EQ(find_weights(dir / "run"), run.best_weights_path());
  EXPECT_EQ(find_weights(run.last_weights_path()), run.last_weights_path());
  EXPECT_ERROR(find_weights(dir / "none"), IoError, "no run directory or weights file");
}

}  // namespace
}  // namespace convkit::train
