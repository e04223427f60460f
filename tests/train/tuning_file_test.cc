#include "convkit/train/tuning_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

#include "convkit/base/cpu.h"
#include "convkit/base/error.h"
#include "convkit/io/file.h"
#include "convkit/io/folder.h"
#include "convkit/kernels/conv_planner.h"
#include "convkit/kernels/conv_tuning.h"
#include "tests/support/temp_dir.h"

namespace convkit::train {
namespace {

using kernels::Direction;
using kernels::TuningRecord;
using nlohmann::json;
using testing::HasSubstr;
using testing::ThrowsMessage;

json content(const std::string& path) {
  const io::Bytes bytes = io::read_file(path);
  return json::parse(bytes.begin(), bytes.end());
}

TuningRecord direct_record(const std::string& problem) {
  return {problem,         Direction::forward,
          Exactness::fast, kernels::Weights::changing,
          "avx512",        {{"direct", 1.25e-3}, {"fft", 2e-3}}};
}

class TuningFile : public testing::Test {
 protected:
  void SetUp() override { kernels::clear_tuning_records(); }
  void TearDown() override { kernels::clear_tuning_records(); }

  test::TempDir dir_;
  std::string path_ = dir_ / "cache/tuning.json";
};

TEST_F(TuningFile, GivesBackWhatWasSaved) {
  kernels::add_tuning_record(direct_record("mb1ic3ih9oc3oh9kh3ph1"));
  save_tuning(path_);
  kernels::clear_tuning_records();
  load_tuning(path_);
  ASSERT_EQ(kernels::tuning_records().size(), 1U);
  const TuningRecord record = kernels::tuning_records()[0];
  EXPECT_EQ(record.problem, "mb1ic3ih9oc3oh9kh3ph1");
  EXPECT_EQ(record.simd_target, "avx512");
  ASSERT_EQ(record.times.size(), 2U);
  EXPECT_EQ(record.times[0].algorithm, "direct");
  EXPECT_NEAR(record.times[0].seconds, 1.25e-3, 1e-15);
}

TEST_F(TuningFile, KeepsWhatAnotherProcessAddedMeanwhile) {
  kernels::add_tuning_record(direct_record("mb1ic3ih9oc3oh9kh3ph1"));
  save_tuning(path_);
  kernels::clear_tuning_records();
  kernels::add_tuning_record(direct_record("mb2ic3ih9oc3oh9kh3ph1"));
  save_tuning(path_);
  EXPECT_EQ(content(path_).at("records").size(), 2U);
}

TEST_F(TuningFile, TakesNothingFromAnotherProcessorOrVersion) {
  kernels::add_tuning_record(direct_record("mb1ic3ih9oc3oh9kh3ph1"));
  save_tuning(path_);
  for (const char* field : {"cpu", "convkit"}) {
    json other = content(path_);
    other[field] = "another";
    io::write_file(dir_ / "other.json", other.dump());
    kernels::clear_tuning_records();
    load_tuning(dir_ / "other.json");
    EXPECT_TRUE(kernels::tuning_records().empty()) << field;
  }
}

TEST_F(TuningFile, RefusesWhatItHasNotWritten) {
  kernels::add_tuning_record(direct_record("mb1ic3ih9oc3oh9kh3ph1"));
  save_tuning(path_);
  const json saved = content(path_);
  kernels::clear_tuning_records();
  for (const char* key : {"problem", "direction", "exactness", "weights", "simd", "microseconds"}) {
    json lacking = saved;
    lacking["records"][0].erase(key);
    json wrong = saved;
    wrong["records"][0][key] = 7;
    for (const json& bad : {lacking, wrong}) {
      io::write_file(path_, bad.dump());
      EXPECT_THAT([&] { load_tuning(path_); },
                  ThrowsMessage<FormatError>(HasSubstr("remove it, and everything is measured")))
          << bad;
    }
  }
  for (const char* text : {"", "[]", "{}", "{\"cpu\": ", "\xff\xfe", "null"}) {
    io::write_file(path_, std::string_view(text));
    EXPECT_THAT([&] { load_tuning(path_); }, ThrowsMessage<FormatError>(HasSubstr(path_))) << text;
  }
  EXPECT_TRUE(kernels::tuning_records().empty());
}

TEST_F(TuningFile, AutotuneMeasuresSavesAndEndsWithItsScope) {
  ASSERT_EQ(kernels::planning(), kernels::Planning::estimated);
  {
    const Autotune autotune(path_);
    EXPECT_TRUE(io::file_exists(path_));
    EXPECT_EQ(kernels::planning(), kernels::Planning::measured);
    choose(kernels::parse_problem("mb1ic16ih20oc16oh20kh3ph1"), Direction::forward);
  }
  EXPECT_EQ(kernels::planning(), kernels::Planning::estimated);
  const json saved = content(path_);
  EXPECT_EQ(saved.at("cpu"), cpu_model());
  ASSERT_EQ(saved.at("records").size(), 1U);
  EXPECT_EQ(saved.at("records")[0].at("problem"), "mb1ic16ih20oc16oh20kh3ph1");
}

TEST_F(TuningFile, TellsAtOnceOfAFolderThatCannotBeWritten) {
  io::write_file(dir_ / "file", std::string_view("no folder"));
  EXPECT_THROW(Autotune(dir_ / "file/tuning.json"), IoError);
  EXPECT_EQ(kernels::planning(), kernels::Planning::estimated);
}

TEST_F(TuningFile, IsNamedAfterTheProcessor) {
  setenv("CONVKIT_AUTOTUNE_FILE", "", 1);
  setenv("XDG_CACHE_HOME", "/c", 1);
  EXPECT_THAT(default_tuning_path(),
              testing::MatchesRegex("/c/convkit/autotune-[a-z0-9-]+\\.json"));
  setenv("CONVKIT_AUTOTUNE_FILE", "/x/y.json", 1);
  EXPECT_EQ(default_tuning_path(), "/x/y.json");
  unsetenv("CONVKIT_AUTOTUNE_FILE");
  unsetenv("XDG_CACHE_HOME");
}

}  // namespace
}  // namespace convkit::train
