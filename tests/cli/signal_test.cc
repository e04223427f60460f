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
#include "convkit/io/file.h"
#include "tests/support/picture_folder.h"
#include "tests/support/temp_dir.h"

namespace convkit::cli {
namespace {

constexpr const char* kTool = CONVKIT_BINARY_DIR "/convkit";

// Starts `convkit train` with its output in a file; returns the process.
pid_t start_training(const std::string& data, const std::string& run, const std::string& output,
                     const char* epochs) {
  const pid_t child = fork();
  if (child != 0) return child;
  if (std::freopen(output.c_str(), "w", stdout) == nullptr) _exit(99);
  execl(kTool, kTool, "train", "--data", data.c_str(), "--epochs", epochs, "--batch", "8", "--out",
        run.c_str(), nullptr);
  _exit(99);
}

int exit_code(pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

// A run that has results is in the midst of training.
void wait_for(const std::string& file) {
  for (int i = 0; i < 6000 && !std::filesystem::exists(file); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
}

TEST(Signals, FirstCtrlCSavesTheRun) {
  if (!std::filesystem::exists(kTool)) GTEST_SKIP() << "the tool is not built";
  const test::TempDir dir;
  const std::string data = test::make_picture_folder(dir / "data");
  const pid_t child = start_training(data, dir / "run", dir / "output", "100000");
  ASSERT_GT(child, 0);
  wait_for(dir / "run/results.csv");
  kill(child, SIGINT);
  EXPECT_EQ(exit_code(child), kInterrupted);
  std::ostringstream output;
  output << std::ifstream(dir / "output").rdbuf();
  EXPECT_THAT(output.str(), testing::HasSubstr("convkit train --resume " + dir / "run"));
  EXPECT_TRUE(std::filesystem::exists(dir / "run/checkpoint.safetensors"));
  for (const auto& entry : std::filesystem::recursive_directory_iterator(dir / "run"))
    EXPECT_NE(entry.path().extension(), ".tmp") << entry.path();
}

TEST(Signals, AKilledRunEndsWithTheSameBits) {
  if (!std::filesystem::exists(kTool)) GTEST_SKIP() << "the tool is not built";
  const test::TempDir dir;
  const std::string data = test::make_picture_folder(dir / "data");
  EXPECT_EQ(exit_code(start_training(data, dir / "whole", dir / "output", "20")), kSuccess);
  const pid_t child = start_training(data, dir / "killed", dir / "output", "20");
  ASSERT_GT(child, 0);
  wait_for(dir / "killed/results.csv");
  kill(child, SIGKILL);
  EXPECT_EQ(exit_code(child), -SIGKILL);
  // As if it had been killed in the middle of saving, too.
  io::write_file(dir / "killed/weights/half", "half");
  std::filesystem::rename(dir / "killed/weights/half", dir / "killed/weights/.convkit-1-1.tmp");
  std::ostringstream out;
  std::ostringstream err;
  Console console(out, err);
  EXPECT_EQ(run({"train", "--resume", dir / "killed"}, console), kSuccess) << err.str();
  for (const char* file : {"/weights/last.safetensors", "/weights/best.safetensors"})
    EXPECT_EQ(io::read_file(dir / "whole" + file), io::read_file(dir / "killed" + file)) << file;
  EXPECT_FALSE(std::filesystem::exists(dir / "killed/weights/.convkit-1-1.tmp"));
}

}  // namespace
}  // namespace convkit::cli
