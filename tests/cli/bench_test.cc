// convkit bench, and convkit summary of an ONNX file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/cli/run_tool.h"
#include "tests/support/on_threads.h"

namespace convkit::cli {
namespace {

using testing::HasSubstr;

std::string model() { return std::string(CONVKIT_TEST_DATA) + "/data_files/onnx/opt-mnist.onnx"; }

TEST(Bench, PrintsTimesRatesAndMemory) {
  const test::OnThreads threads(2);
  const Result result =
      convkit({"bench", model(), "--seconds", "0.01", "--threads", "1", "--steps", "--json"});
  ASSERT_EQ(result.code, kSuccess) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  for (const char* key :
       {"median_ms", "min_ms", "p99_ms", "load_ms", "gflops", "peak_share", "peak_memory", "gflop"})
    EXPECT_GT(json.at(key).get<double>(), 0) << key;
  EXPECT_LE(json["min_ms"].get<double>(), json["median_ms"].get<double>());
  EXPECT_LE(json["median_ms"].get<double>(), json["p99_ms"].get<double>());
  EXPECT_EQ(json["threads"], 1);
  ASSERT_FALSE(json["steps"].empty());
  for (const auto& step : json["steps"]) EXPECT_GT(step.at("seconds").get<double>(), 0);
  EXPECT_THAT(convkit({"bench", model(), "--seconds", "0.01"}).out, HasSubstr("GFLOP/s"));
}

TEST(Bench, SaysWhatIsWrong) {
  EXPECT_EQ(convkit({"bench"}).code, kWrongUsage);
  EXPECT_EQ(convkit({"bench", "/no/such/file.onnx"}).code, kFailed);
  EXPECT_EQ(convkit({"bench", model(), "--input", "1x1"}).code, kFailed);
  EXPECT_EQ(convkit({"bench", model(), "--input", "1x1xa"}).code, kWrongUsage);
}

TEST(SummaryOfOnnx, NamesEachStepWithItsAlgorithmAndWhy) {
  const Result result = convkit({"summary", model(), "--plan"});
  ASSERT_EQ(result.code, kSuccess) << result.err;
  EXPECT_THAT(result.out, HasSubstr("Conv+"));
  EXPECT_THAT(result.out, HasSubstr("estimated "));
  EXPECT_THAT(result.out, HasSubstr("bytes between steps"));
  const auto json = nlohmann::json::parse(convkit({"summary", model(), "--json"}).out);
  EXPECT_GT(json.at("weight_bytes").get<int64_t>(), 0);
  EXPECT_FALSE(json.at("steps").empty());
}

}  // namespace
}  // namespace convkit::cli
