// What libFuzzer has found worth keeping (tests/data_files/fuzz), and sound files cut short, with
// single bits turned, and with numbers made huge: every reader ends with convkit's own error, or
// without one, in bounded time and memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>

#include "convkit/base/error.h"
#include "convkit/io/folder.h"
#include "tests/fuzz/readers.h"
#include "tests/fuzz/seeds.h"

namespace convkit::fuzz {
namespace {

using Clock = std::chrono::steady_clock;

// For one file; sanitizers and a busy machine take their share of it.
constexpr double kMostSeconds = 10;
// That a reader's whole test adds to the process: sanitizers keep 256 MiB of freed memory.
constexpr int64_t kMostKilobytes = 768 << 10;

// A number of /proc/self/status, in kilobytes; 0 where there is none.
int64_t status_of(const std::string& key) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(key + ":")) return std::stoll(line.substr(key.size() + 1));
  return 0;
}

class Replay : public testing::TestWithParam<Reader> {
 protected:
  void SetUp() override {
    std::ofstream("/proc/self/clear_refs") << 5;  // forgets the peak so far
    before_ = status_of("VmRSS");
  }
  void TearDown() override { EXPECT_LT(status_of("VmHWM") - before_, kMostKilobytes); }

  // True if the bytes were a sound file.
  bool give(ByteView bytes, const std::string& what) {
    bool sound = false;
    const Clock::time_point begin = Clock::now();
    try {
      GetParam().read(bytes);
      sound = true;
    } catch (const Error&) {  // NOLINT(bugprone-empty-catch): what it says is free
    } catch (const std::exception& error) {
      ADD_FAILURE() << what << ": an error that is not convkit's: " << error.what();
    }
    const std::chrono::duration<double> taken = Clock::now() - begin;
    EXPECT_LT(taken.count(), kMostSeconds) << what;
    return sound;
  }

  std::vector<io::Bytes> seeds() const { return seeds_of(GetParam().name); }

 private:
  int64_t before_ = 0;
};

TEST_P(Replay, KeptFiles) {
  const std::string folder = std::string(CONVKIT_TEST_DATA) + "/data_files/fuzz/" + GetParam().name;
  ASSERT_TRUE(io::folder_exists(folder)) << "run tools/fuzz --keep " << GetParam().name;
  const std::vector<std::string> files = io::list_folder(folder).files;
  EXPECT_FALSE(files.empty());
  for (const std::string& file : files) give(io::read_file(io::join_path(folder, file)), file);
}

TEST_P(Replay, SeedsAreSoundAndEveryPrefixEnds) {
  int number = 0;
  int sound = 0;
  for (const io::Bytes& seed : seeds()) {
    const std::string name = "seed " + std::to_string(number++) + " cut to ";
    for (std::size_t size = 0; size < seed.size(); ++size)
      give(ByteView(seed).first(size), name + std::to_string(size));
    sound += give(seed, "seed") ? 1 : 0;
  }
  EXPECT_GT(sound, 0);
}

TEST_P(Replay, SeedsWithOneBitTurned) {
  int number = 0;
  for (io::Bytes seed : seeds()) {
    const std::string name = "seed " + std::to_string(number++) + ", byte ";
    for (std::size_t at = 0; at < seed.size(); ++at) {
      const auto bit = static_cast<uint8_t>(1 << at % 8);
      seed[at] = static_cast<uint8_t>(seed[at] ^ bit);
      give(seed, name + std::to_string(at));
      seed[at] = static_cast<uint8_t>(seed[at] ^ bit);
    }
  }
}

TEST_P(Replay, SeedsWithHugeNumbers) {
  int number = 0;
  for (const io::Bytes& seed : seeds()) {
    const std::string name = "seed " + std::to_string(number++) + ", byte ";
    for (std::size_t at = 0; at < seed.size(); ++at) {
      // In binary formats of either order, in protobuf's numbers, and in text.
      for (const io::Bytes& huge :
           {io::Bytes{0xFF, 0xFF, 0xFF, 0x7F}, io::Bytes{0x7F, 0xFF, 0xFF, 0xFF},
            io::Bytes{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F},
            io::Bytes{'9', '9', '9', '9', '9', '9'}}) {
        if (at % 4 != huge[0] % 4U && seed.size() > 64) continue;
        io::Bytes changed = seed;
        for (std::size_t i = 0; i < huge.size() && at + i < changed.size(); ++i)
          changed[at + i] = huge[i];
        give(changed, name + std::to_string(at));
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Hostile, Replay, testing::ValuesIn(readers()),
                         [](const auto& chosen) { return std::string(chosen.param.name); });

}  // namespace
}  // namespace convkit::fuzz
