// convkit bench, and convkit summary of an ONNX file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "convkit/io/file.h"
#include "tests/cli/run_tool.h"
#include "tests/support/on_threads.h"
#include "tests/support/temp_dir.h"

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

TEST(Bench, TakesNetsByName) {
  const test::OnThreads threads(2);
  const auto json_of = [](std::vector<std::string> options) {
    std::vector<std::string> arguments = {"bench", "default", "--seconds", "0.01", "--json"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    const Result result = convkit(arguments);
    EXPECT_EQ(result.code, kSuccess) << result.err;
    return result.code == kSuccess ? nlohmann::json::parse(result.out) : nlohmann::json::object();
  };
  const auto usual = json_of({"--steps"});
  EXPECT_EQ(usual.at("model"), "default");
  EXPECT_EQ(usual.at("input"), nlohmann::json({1, 1, 28, 28}));
  EXPECT_GT(usual.at("median_ms").get<double>(), 0);
  EXPECT_FALSE(usual.at("steps").empty());
  const auto batched = json_of({"--batch", "3", "--threads", "1", "--exact"});
  EXPECT_EQ(batched.at("input"), nlohmann::json({3, 1, 28, 28}));
  EXPECT_EQ(batched.at("threads"), 1);
  EXPECT_NEAR(batched.at("gflop").get<double>() / usual.at("gflop").get<double>(), 3, 0.01);
  EXPECT_EQ(json_of({"--input", "2x3x20"}).at("input"), nlohmann::json({2, 3, 20}));
  // Ten classes more in the last layer.
  EXPECT_GT(json_of({"--classes", "20"}).at("gflop").get<double>(),
            usual.at("gflop").get<double>());
}

TEST(Bench, KnowsOnnxByWhatIsInTheFile) {
  const test::TempDir dir;
  io::write_file(dir / "model.bin", io::read_file(model()));
  EXPECT_EQ(convkit({"bench", dir / "model.bin", "--seconds", "0.01"}).code, kSuccess);
  EXPECT_EQ(convkit({"summary", dir / "model.bin"}).code, kSuccess);
  EXPECT_EQ(convkit({"export", "lenet5", dir / "w.safetensors"}).code, kSuccess);
  io::write_file(dir / "weights", io::read_file(dir / "w.safetensors"));
  // Weights of a net by name have no card.
  EXPECT_THAT(convkit({"bench", dir / "weights"}).err,
              HasSubstr("which net its weights belong to"));
}

TEST(Bench, SaysWhatIsWrong) {
  EXPECT_EQ(convkit({"bench"}).code, kWrongUsage);
  EXPECT_EQ(convkit({"bench", "/no/such/file.onnx"}).code, kFailed);
  EXPECT_EQ(convkit({"bench", model(), "--input", "1x1"}).code, kFailed);
  EXPECT_EQ(convkit({"bench", model(), "--input", "1x1xa"}).code, kWrongUsage);
  const Result unknown = convkit({"bench", "resnet19"});
  EXPECT_EQ(unknown.code, kWrongUsage);
  EXPECT_THAT(unknown.err, HasSubstr("there is no model 'resnet19'"));
  EXPECT_THAT(convkit({"bench", model(), "--classes", "3"}).err,
              HasSubstr("--classes goes with a net by name"));
  EXPECT_THAT(convkit({"bench", "resnet18-3d"}).err,
              HasSubstr("resnet18-3d needs --input, such as 1x3x16x112x112"));
  const Result fixed = convkit({"bench", model(), "--batch", "3"});
  EXPECT_EQ(fixed.code, kWrongUsage);
  EXPECT_THAT(fixed.err, HasSubstr("--batch 3: the file fixes the batch at 1"));
  const Result twice = convkit({"bench", "default", "--input", "2x1x28x28", "--batch", "4"});
  EXPECT_EQ(twice.code, kWrongUsage);
  EXPECT_THAT(twice.err, HasSubstr("is a batch of 2, --batch says 4; leave one of them out"));
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

TEST(SummaryOfOnnx, NamesOpenExtentsAndWhatFollowsFromThem) {
  const test::TempDir dir;
  const std::string net = dir / "net.onnx";
  ASSERT_EQ(convkit({"export", "lenet5", net}).code, kSuccess);
  const Result types = convkit({"summary", net});
  ASSERT_EQ(types.code, kSuccess) << types.err;
  EXPECT_THAT(types.out, HasSubstr("float32 N×10"));
  EXPECT_THAT(types.out, HasSubstr("float32 N×1×28×28"));
  EXPECT_THAT(convkit({"summary", net, "--plan"}).out, HasSubstr("bytes between steps"));
  EXPECT_THAT(convkit({"summary", net, "--input", "1x1x28x28"}).out,
              HasSubstr("bytes between steps"));
  const auto json = nlohmann::json::parse(convkit({"summary", net, "--json"}).out);
  EXPECT_EQ(json.at("values").at(0).at("op"), "input");
  EXPECT_FALSE(json.at("steps").empty());
}

}  // namespace
}  // namespace convkit::cli
