#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "cli/verbs.h"
#include "tests/support/picture_folder.h"
#include "tests/support/temp_dir.h"

namespace convkit::cli {
namespace {

constexpr const char* kTool = CONVKIT_BINARY_DIR "/convkit";

// Starts `convkit train` with its output in a file; returns the process.
pid_t start_training(const std::string& data, const std::string& run, const std::string& output) {
  const pid_t child = fork();
  if (child != 0) return child;
  if (std::freopen(output.c_str(), "w", stdout) == nullptr) _exit(99);
  execl(kTool, kTool, "train", "--data", data.c_str(), "--epochs", "100000", "--batch", "8",
        "--out", run.c_str(), nullptr);
  _exit(99);
}

int exit_code(pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST(Signals, FirstCtrlCSavesTheRun) {
  if (!std::filesystem::exists(kTool)) GTEST_SKIP() << "the tool is not built";
  const test::TempDir dir;
  const std::string data = test::make_picture_folder(dir / "data");
  const pid_t child = start_training(data, dir / "run", dir / "output");
  ASSERT_GT(child, 0);
  // A run that has results is in the midst of training.
  for (int i = 0; i < 6000 && !std::filesystem::exists(dir / "run/results.csv"); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  kill(child, SIGINT);
  EXPECT_EQ(exit_code(child), kInterrupted);
  std::ostringstream output;
  output << std::ifstream(dir / "output").rdbuf();
  EXPECT_THAT(output.str(), testing::HasSubstr("convkit train --resume " + dir / "run"));
  EXPECT_TRUE(std::filesystem::exists(dir / "run/checkpoint.safetensors"));
  for (const auto& entry : std::filesystem::recursive_directory_iterator(dir / "run"))
    EXPECT_NE(entry.path().extension(), ".tmp") << entry.path();
}

}  // namespace
}  // namespace convkit::cli
