#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/progress_bar.h"
#include "convkit/base/text.h"
#include "convkit/io/file.h"
#include "convkit/io/media/image.h"
#include "convkit/io/safetensors.h"
#include "convkit/kernels/conv_planner.h"
#include "convkit/onnx/import.h"
#include "tests/cli/run_tool.h"
#include "tests/support/limits.h"
#include "tests/support/picture_folder.h"
#include "tests/support/temp_dir.h"

namespace convkit::cli {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

// Standard output holds one JSON object and nothing else.
json json_of(const Result& result) {
  EXPECT_EQ(result.code, kSuccess) << result.err;
  json parsed = json::parse(result.out, nullptr, false);
  EXPECT_TRUE(parsed.is_object()) << result.out;
  return parsed;
}

void expect_wrong_usage(const std::vector<std::string>& arguments, const std::string& words) {
  const Result result = convkit(arguments);
  EXPECT_EQ(result.code, kWrongUsage) << testing::PrintToString(arguments);
  EXPECT_THAT(result.err, AllOf(StartsWith("convkit: error: "), HasSubstr(words)));
  EXPECT_THAT(result.out, IsEmpty());
}

void expect_failure(const std::vector<std::string>& arguments, const std::string& words) {
  const Result result = convkit(arguments);
  EXPECT_EQ(result.code, kFailed) << testing::PrintToString(arguments);
  EXPECT_THAT(result.err, AllOf(HasSubstr("convkit: error: "), HasSubstr(words)));
}

class CliTest : public testing::Test {
 protected:
  // Two epochs on small pictures; more options may follow.
  std::vector<std::string> train_arguments(const std::string& run,
                                           const std::vector<std::string>& more = {}) const {
    std::vector<std::string> all = {"train",   "--data", data,     "--epochs", "2",
                                    "--batch", "8",      "--lr",   "0.02",     "--threads",
                                    "2",       "--out",  dir / run};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }

  test::TempDir dir;
  std::string data = test::make_picture_folder(dir / "data");
};

TEST(Cli, ExplainsItself) {
  const Result result = convkit({"--help"});
  EXPECT_EQ(result.code, kSuccess);
  for (const char* verb :
       {"train", "evaluate", "predict", "run", "summary", "export", "bench", "data", "version"}) {
    EXPECT_THAT(result.out, HasSubstr(verb));
    const Result help = convkit({verb, "--help"});
    EXPECT_EQ(help.code, kSuccess);
    EXPECT_THAT(help.out, AllOf(HasSubstr("Example"), HasSubstr(std::string("convkit ") + verb)));
    EXPECT_THAT(help.err, IsEmpty());
  }
}

TEST(Cli, HelpOfTrainNamesEveryOption) {
  const std::string help = convkit({"train", "--help"}).out;
  for (const char* option :
       {"--data",      "--model",           "--epochs",       "--batch",       "--lr",
        "--optimizer", "--momentum",        "--weight-decay", "--nesterov",    "--schedule",
        "--warmup",    "--label-smoothing", "--clip",         "--augment",     "--resize",
        "--seed",      "--threads",         "--workers",      "--out",         "--resume",
        "--config",    "--force",           "--json",         "--val-fraction"})
    EXPECT_THAT(help, HasSubstr(option));
}

TEST(Cli, TellsItsVersion) {
  EXPECT_THAT(convkit({"version"}).out, AllOf(HasSubstr("convkit 0."), HasSubstr("SIMD target"),
                                              HasSubstr("threads"), HasSubstr("compiler")));
  const json version = json_of(convkit({"version", "--json"}));
  EXPECT_TRUE(version["version"].is_string());
  EXPECT_TRUE(version["simd"].is_string());
  EXPECT_GE(version["threads"], 1);
}

TEST(Cli, RefusesWrongUsage) {
  expect_wrong_usage({}, "name a verb: train, evaluate");
  expect_wrong_usage({"tarin"}, "no verb 'tarin'; begin with one of train, evaluate");
  expect_wrong_usage({"--threads", "2", "train"}, "no option '--threads'; begin with one of train");
  expect_wrong_usage({"train", "--epoch", "3"}, "train does not know what to do with --epoch 3");
  expect_wrong_usage({"train", "--epochs"}, "--epochs needs a value; none follows it");
  expect_wrong_usage({"train", "--epochs", "3", "--epochs", "4"}, "--epochs is given twice");
  expect_wrong_usage({"train", "--epochs", "three"}, "--epochs: 'three' is not a whole number");
  expect_wrong_usage({"train", "--epochs", "1.5"}, "--epochs: '1.5' is not a whole number");
  expect_wrong_usage({"train", "--epochs", ""}, "--epochs: '' is not a whole number");
  expect_wrong_usage({"train", "--lr", "fast"}, "--lr: 'fast' is not a number, such as 0.1");
  expect_wrong_usage({"train", "--seed", "99999999999999999999"}, "is out of range; between");
  expect_wrong_usage({"train", "--nesterov=maybe"}, "--nesterov = maybe: a switch takes no value");
  expect_wrong_usage({"train", "--out", ""}, "--out: it is empty; give a name");
  expect_wrong_usage({"train", "--resume", ""}, "--resume: it is empty; give a name");
  expect_wrong_usage({"train", "--data", "imagenet"}, "no data set 'imagenet'; known are");
  expect_wrong_usage({"train", "--data", "folder"}, "needs a folder: folder:DIR");
  expect_wrong_usage({"train", "--epochs", "0"}, "epochs is 0");
  expect_wrong_usage({"train", "--epochs", "99999999999999999999"}, "epochs");
  expect_wrong_usage({"train", "--batch", "0"}, "batch is 0");
  expect_wrong_usage({"train", "--lr", "-0.1"}, "lr is -0.1");
  expect_wrong_usage({"train", "--lr", "nan"}, "lr is nan");
  expect_wrong_usage({"train", "--optimizer", "sdg"}, "'sdg'");
  expect_wrong_usage({"train", "--schedule", "sometimes"}, "'sometimes'");
  expect_wrong_usage({"train", "--model", "resnet19"}, "resnet18");
  expect_wrong_usage({"train", "--augment", "twist"}, "'twist'");
  expect_wrong_usage({"train", "--resize", "32"}, "such as 32x32");
  expect_wrong_usage({"train", "--threads", "-1"}, "threads is -1");
  expect_wrong_usage({"train", "--config", "no/such.json"}, "no/such.json");
  expect_wrong_usage({"evaluate"}, "run");
  expect_wrong_usage({"evaluate", "x", "--batch", "0"}, "'0' is out of range; between 1 and");
  expect_wrong_usage({"evaluate", "x", "--threads", "1000000"}, "between 0 and 1024");
  expect_wrong_usage({"evaluate", "x", "--data", "imagenet"}, "no data set 'imagenet'");
  expect_wrong_usage({"predict", "runs/x"}, "images");
  expect_wrong_usage({"predict", "runs/x", "a.png", "--top", "0"}, "--top: '0' is out of range");
  expect_wrong_usage({"summary"}, "name a net");
  expect_wrong_usage({"summary", "resnet19"}, "'resnet19'");
  expect_wrong_usage({"summary", "resnet18", "--classes", "0"}, "--classes: '0' is out of range");
  for (const char* shape : {"1", "x", "1x3x", "1xax2", "1,3,,4", "0x3x8x8", "-1x3x8x8"})
    expect_wrong_usage({"summary", "resnet18", "--input", shape}, "1x3x224x224");
  expect_wrong_usage({"data"}, "data");
  expect_wrong_usage({"data", "nonsense"}, "fashion-mnist");
  expect_wrong_usage({"data", "fashion-mnist", "--export", "3"}, "--out");
  expect_wrong_usage({"data", "fashion-mnist", "--out", "x"}, "--export");
}

TEST(Cli, FailsInWords) {
  expect_failure({"train", "--data", "folder:/no/such/folder", "--out", "/no/run"},
                 "/no/such/folder");
  expect_failure({"train", "--resume", "no/such/run"}, "no run directory 'no/such/run'");
  expect_failure({"evaluate", "no/such/run"}, "no/such/run");
  expect_failure({"predict", "no/such/run", "a.png"}, "no/such/run");
  expect_failure({"summary", "m5", "--input", "1x1x100"}, "at least 1021");
}

TEST(Cli, SaysWhenStandardOutputCannotBeWritten) {
  std::ofstream full("/dev/full");
  if (!full) GTEST_SKIP() << "there is no /dev/full";
  std::ostringstream err;
  Console console(full, err);
  EXPECT_EQ(run({"version"}, console), kFailed);
  EXPECT_THAT(err.str(), HasSubstr("cannot write to standard output"));
}

TEST(Cli, SummarisesNets) {
  const Result table = convkit({"summary", "lenet5", "--explain"});
  EXPECT_EQ(table.code, kSuccess);
  EXPECT_THAT(table.out, AllOf(HasSubstr("conv1 (Conv2d)"), HasSubstr("61,706"),
                               HasSubstr("floor((28 + 2 + 2 − 1·(5 − 1) − 1) / 1) + 1 = 28"),
                               ContainsRegex("algorithm: [a-z0-9]+ \\(estimated [0-9]+ us; ")));
  const json summary =
      json_of(convkit({"summary", "resnet18", "--input", "2x1x32x32", "--classes", "7", "--json"}));
  EXPECT_EQ(summary["input"], json({2, 1, 32, 32}));
  EXPECT_EQ(summary["layers"][0]["output"], json({2, 7}));
  EXPECT_EQ(summary["layers"][1]["receptive_field"], json({7, 7}));
  const json& conv1 = summary["layers"][1];
  EXPECT_EQ(conv1["plan"]["problem"], "mb2ic1ih32oc64oh16kh7sh2ph3");
  const kernels::ConvChoice chosen = kernels::choose(
      kernels::parse_problem("mb2ic1ih32oc64oh16kh7sh2ph3"), kernels::Direction::forward);
  EXPECT_EQ(conv1["algorithm"]["name"], chosen.algorithm->name);
  EXPECT_EQ(conv1["algorithm"]["reason"], chosen.reason);
  EXPECT_TRUE(summary["layers"][2]["algorithm"].is_null());
  EXPECT_THAT(convkit({"summary", "--list"}).out, HasSubstr("resnet50"));
  EXPECT_EQ(json_of(convkit({"summary", "--list", "--json"}))["models"][0], "default");
}

TEST_F(CliTest, TrainsEvaluatesAndPredicts) {
  const Result trained = convkit(train_arguments("run"));
  ASSERT_EQ(trained.code, kSuccess) << trained.err;
  EXPECT_THAT(trained.out,
              AllOf(HasSubstr("epoch 1/2"), HasSubstr("epoch 2/2"), HasSubstr("validation loss"),
                    HasSubstr("img/s"), HasSubstr("convkit evaluate " + dir / "run")));
  EXPECT_THAT(trained.out, Not(HasSubstr("\x1b"))) << "no colours outside a terminal";
  EXPECT_THAT(trained.out, Not(HasSubstr("\r")));

  const Result table = convkit({"evaluate", dir / "run"});
  EXPECT_EQ(table.code, kSuccess) << table.err;
  EXPECT_THAT(table.out, AllOf(HasSubstr("accuracy"), HasSubstr("precision"), HasSubstr("upper"),
                               HasSubstr("truth")));
  const json evaluation = json_of(convkit({"evaluate", dir / "run", "--json"}));
  const json& confusion = evaluation["confusion"];
  const double right = confusion[0][0].get<double>() + confusion[1][1].get<double>();
  EXPECT_DOUBLE_EQ(evaluation["accuracy"], right / 12);
  EXPECT_EQ(evaluation["top5"], 1.0);
  EXPECT_EQ(evaluation["classes"][1]["name"], "upper");
  EXPECT_EQ(evaluation["classes"][1]["support"], 6);
  EXPECT_EQ(confusion.size(), 2U);
  EXPECT_TRUE(evaluation["loss"].is_number());
  EXPECT_EQ(evaluation["conversion"], "");
  const std::string large = test::make_picture_folder(dir / "large", 3, 9, 16);
  EXPECT_THAT(convkit({"evaluate", dir / "run", "--data", large}).out,
              HasSubstr("test (16×16 to 8×8), 18 samples"));
  EXPECT_EQ(json_of(convkit({"evaluate", dir / "run", "--data", large, "--json"}))["conversion"],
            "16×16 to 8×8");

  const std::string picture = dir / "data/test/upper/0.png";
  EXPECT_THAT(convkit({"predict", dir / "run", picture}).out,
              AllOf(HasSubstr(picture), HasSubstr("upper"), HasSubstr(" %")));
  const json predicted =
      json_of(convkit({"predict", dir / "run", picture, picture, "--top", "1", "--json"}));
  EXPECT_EQ(predicted["predictions"].size(), 2U);
  EXPECT_EQ(predicted["predictions"][0]["classes"].size(), 1U);
  EXPECT_TRUE(predicted["predictions"][0]["classes"][0]["probability"].is_number());

  expect_wrong_usage({"summary", dir / "run", "--classes", "5"}, "goes with a net by name");
  const json exported = json_of(convkit({"export", dir / "run", dir / "run.onnx", "--json"}));
  EXPECT_EQ(exported["input"], "float32 N×1×8×8");
  EXPECT_TRUE(onnx::load_onnx(dir / "run.onnx").metadata.contains("convkit"));
  expect_wrong_usage({"export", dir / "run", dir / "x.onnx", "--weights", "w"},
                     "weights of its own");
  const json summary = json_of(convkit({"summary", dir / "run", "--json"}));
  EXPECT_EQ(summary["input"], json({1, 1, 8, 8}));
}

TEST_F(CliTest, ExportsNetsByNameAndTheirWeights) {
  const std::string model = dir / "small.onnx";
  const std::string weights = dir / "small.safetensors";
  const std::string script = dir / "load.py";
  const json first = json_of(convkit({"export", "resnet18", weights, "--input", "1x1x32x32",
                                      "--classes", "4", "--python", script, "--json"}));
  EXPECT_EQ(first["tensors"], 122);
  EXPECT_TRUE(first["weights"].is_null());
  const io::Bytes program = io::read_file(script);
  EXPECT_THAT(std::string(program.begin(), program.end()),
              AllOf(HasSubstr("resnet18(weights=None, num_classes=4)"), HasSubstr("net.conv1 ="),
                    HasSubstr("Conv2d(1,"), HasSubstr("load_file(")));
  const std::vector<std::string> same = {"--input", "1x1x32x32", "--classes", "4"};
  std::vector<std::string> again = {"export", "resnet18", model, "--weights", weights, "--json"};
  again.insert(again.end(), same.begin(), same.end());
  const json second = json_of(convkit(again));
  EXPECT_EQ(second["opset"], 17);
  EXPECT_EQ(second["input"], "float32 N×1×32×32");
  EXPECT_EQ(second["output"], "float32 N×4");
  EXPECT_EQ(second["weights"], weights);
  const onnx::Model loaded = onnx::load_onnx(model);
  const io::SafeTensors saved = io::load_safetensors(weights);
  for (const graph::Value& value : loaded.graph.values) {
    if (value.is_constant()) {
      EXPECT_TRUE(bit_equal(value.constant, saved.at(value.name))) << value.name;
    }
  }
  EXPECT_THAT(convkit({"export", "m5", weights}).out,
              AllOf(HasSubstr("not trained"), HasSubstr("torchvision has no m5")));
  EXPECT_THAT(convkit({"export", "lenet5", model}).out, HasSubstr("N×1×28×28"));
  expect_wrong_usage({"export", "lenet5", "lenet5.pt"}, ".onnx");
  expect_wrong_usage({"export", "lenet6", model}, "'lenet6'");
  expect_wrong_usage({"export", model, weights}, "is a net in ONNX already");
  expect_wrong_usage({"export", "lenet5", model, "--python", script}, "--python loads weights");
  expect_wrong_usage({"export", "lenet5", weights, "--opset", "17"}, "--opset goes with");
  expect_failure({"export", "lenet5", model, "--opset", "12"}, "convkit writes 17 to 25");
  expect_failure({"export", "lenet5", model, "--weights", weights}, "conv");
  expect_failure({"export", "lenet5", dir / "none/x.onnx"}, "none");
}

TEST_F(CliTest, FinishesTheFileWhenInterruptedWhileExporting) {
  std::atomic<bool> stop{false};
  const std::string model = dir / "small.onnx";
  // As if Ctrl-C came when the writing begins.
  const Result result = convkit({"export", "lenet5", model}, {&stop, [&] { stop = true; }});
  EXPECT_EQ(result.code, kInterrupted);
  EXPECT_EQ(onnx::load_onnx(model).opset, 17);
}

TEST_F(CliTest, TellsTheOutcomeAsJson) {
  const Result result = convkit(train_arguments("run", {"--json"}));
  const json outcome = json_of(result);
  EXPECT_EQ(outcome["finished"], true);
  EXPECT_EQ(outcome["run"], dir / "run");
  EXPECT_EQ(outcome["epochs"], 2);
  EXPECT_EQ(outcome["steps"], 10);
  EXPECT_THAT(result.err, HasSubstr("epoch 2/2"));
}

TEST_F(CliTest, TakesAConfigOverWhichTheCommandLineWins) {
  io::write_file(dir / "c.json", R"({"epochs": 1, "batch": 19, "schedule": "cosine", "seed": 3})");
  const Result result = convkit(
      {"train", "--config", dir / "c.json", "--data", data, "--seed", "4", "--out", dir / "run"});
  ASSERT_EQ(result.code, kSuccess) << result.err;
  std::ifstream file(dir / "run/config.json");
  const json config = json::parse(file);
  EXPECT_EQ(config["epochs"], 1);
  EXPECT_EQ(config["batch"], 19);
  EXPECT_EQ(config["schedule"], "cosine");
  EXPECT_EQ(config["seed"], 4);
  EXPECT_EQ(config["data"], data);
  // What a run has written starts another.
  EXPECT_EQ(convkit({"train", "--config", dir / "run/config.json", "--out", dir / "again"}).code,
            kSuccess);
}

TEST_F(CliTest, RefusesAConfigThatIsWrong) {
  io::write_file(dir / "c.json", R"({"epoch": 1})");
  expect_wrong_usage(train_arguments("run", {"--config", dir / "c.json"}), "unknown key 'epoch'");
  io::write_file(dir / "c.json", R"({"epochs": 0})");
  expect_wrong_usage({"train", "--config", dir / "c.json"}, "epochs is 0");
  EXPECT_FALSE(std::filesystem::exists(dir / "run"));
}

TEST_F(CliTest, NeverOverwritesARunUnasked) {
  ASSERT_EQ(convkit(train_arguments("run", {"--epochs", "1"})).code, kWrongUsage)
      << "an option given twice";
  ASSERT_EQ(convkit(train_arguments("run")).code, kSuccess);
  expect_failure(train_arguments("run"), "not empty");
  EXPECT_EQ(convkit(train_arguments("run", {"--force"})).code, kSuccess);
}

TEST_F(CliTest, SavesWhenInterruptedAndSaysHowToGoOn) {
  ASSERT_EQ(convkit(train_arguments("whole")).code, kSuccess);
  const std::atomic<bool> stop{true};
  bool caught = false;
  const Result stopped = convkit(train_arguments("parts"), {&stop, [&] { caught = true; }});
  EXPECT_TRUE(caught);
  EXPECT_EQ(stopped.code, kInterrupted);
  EXPECT_THAT(stopped.out, HasSubstr("convkit train --resume " + dir / "parts"));
  EXPECT_EQ(convkit({"train", "--resume", dir / "parts", "--threads", "1"}).code, kSuccess);
  EXPECT_EQ(io::read_file(dir / "whole/weights/last.safetensors"),
            io::read_file(dir / "parts/weights/last.safetensors"));
  EXPECT_THAT(convkit({"train", "--resume", dir / "parts"}).out,
              AllOf(HasSubstr("finished already, after 2 epochs"), Not(HasSubstr("going on"))));
}

TEST_F(CliTest, SaysHowToGoOnWhenTheDataFailInTheMiddle) {
  const std::string picture = dir / "data/test/lower/0.png";
  const io::Bytes whole = io::read_file(picture);
  io::write_file(picture, std::span(whole).first(whole.size() - 20));
  const Result failed = convkit(train_arguments("run"));
  EXPECT_EQ(failed.code, kFailed);
  EXPECT_THAT(failed.err, AllOf(HasSubstr(picture + ": damaged PNG: "),
                                HasSubstr("go on with: convkit train --resume " + dir / "run")));
  io::write_file(picture, whole);
  EXPECT_EQ(convkit({"train", "--resume", dir / "run"}).code, kSuccess);
}

TEST_F(CliTest, ResumesARunAsItWas) {
  ASSERT_EQ(convkit(train_arguments("run")).code, kSuccess);
  expect_wrong_usage({"train", "--resume", dir / "run", "--lr", "1"}, "--lr cannot be changed");
  expect_wrong_usage({"train", "--resume", dir / "run", "--force"}, "--force");
  expect_wrong_usage({"train", "--resume", dir / "run", "--threads", "-3"}, "threads is -3");
}

TEST_F(CliTest, NamesTheLayerOfALossThatIsNotFinite) {
  const Result result = convkit({"train", "--data", data, "--batch", "8", "--lr", "1e30",
                                 "--schedule", "constant", "--out", dir / "run"});
  EXPECT_EQ(result.code, kFailed);
  EXPECT_THAT(result.err, AllOf(HasSubstr("the loss became"), HasSubstr("that of features."),
                                HasSubstr("last good weights")));
  EXPECT_EQ(convkit({"evaluate", dir / "run"}).code, kSuccess);
}

TEST_F(CliTest, FailsWhereItCannotWrite) {
  std::filesystem::create_directory(dir / "locked");
  std::filesystem::permissions(dir / "locked", std::filesystem::perms(0555));
  {
    const test::WithoutRoot user(dir.path());
    expect_failure(train_arguments("locked/run"), "locked/run");
  }
  EXPECT_TRUE(std::filesystem::is_empty(dir / "locked"));
  const test::FileSizeLimit full(20'000);
  expect_failure(train_arguments("full"), "full");
  EXPECT_FALSE(std::filesystem::exists(dir / "full")) << "what cannot be resumed stays not";
}

TEST_F(CliTest, DescribesAndExportsData) {
  EXPECT_THAT(convkit({"data", data}).out,
              AllOf(HasSubstr("38 samples to train on"), HasSubstr("lower"), HasSubstr("1×8×8")));
  const json described = json_of(convkit({"data", data, "--json"}));
  EXPECT_EQ(described["train"], 38);
  EXPECT_EQ(described["classes"][0]["test"], 6);
  const Result exported = convkit({"data", data, "--export", "3", "--out", dir / "pictures"});
  EXPECT_EQ(exported.code, kSuccess) << exported.err;
  EXPECT_EQ(io::media::read_image(dir / "pictures/0-lower.png").height, 8);
  EXPECT_TRUE(std::filesystem::exists(dir / "pictures/2-lower.png"));
  EXPECT_EQ(
      json_of(convkit({"data", data, "--export", "99", "--out", dir / "all", "--json"}))["files"]
          .size(),
      12U);
}

TEST(ProgressBar, FitsTheLine) {
  const std::string line = bar_line("epoch 1/5", 0.43, "1234 img/s", 79);
  EXPECT_THAT(line, AllOf(StartsWith("epoch 1/5 ["), HasSubstr("] 43 %  1234 img/s")));
  EXPECT_THAT(line, HasSubstr("█"));
  EXPECT_EQ(bar_line("epoch 1/5", 0.43, "1234 img/s", 30), "epoch 1/5 43 %  1234 img/s");
  EXPECT_EQ(bar_line("epoch 1/5", 2.0, "1234 img/s", 20), "epoch 1/5 100 %");
}

TEST(Console, WritesNumbersForPeople) {
  EXPECT_EQ(percent(0.12345), "12.35 %");
  EXPECT_EQ(duration(0.4), "0 s");
  EXPECT_EQ(duration(59.6), "1:00 min");
  EXPECT_EQ(duration(3729), "1:02:09 h");
  EXPECT_EQ(duration(-1), "?");
}

TEST_F(CliTest, AutotuneMeasuresOnceAndSaysSo) {
  const std::string file = dir / "tuning.json";
  setenv("CONVKIT_AUTOTUNE_FILE", file.c_str(), 1);
  const std::vector<std::string> arguments = {"summary", "lenet5", "--autotune", "--json"};
  const json first = json_of(convkit(arguments));
  const json second = json_of(convkit(arguments));
  unsetenv("CONVKIT_AUTOTUNE_FILE");
  EXPECT_THAT(io::read_file(file), Not(IsEmpty()));
  int measured = 0;
  for (std::size_t i = 0; i < first.at("layers").size(); ++i) {
    const json& algorithm = first.at("layers")[i].at("algorithm");
    EXPECT_EQ(algorithm, second.at("layers")[i].at("algorithm"));
    measured += !algorithm.is_null() &&
                algorithm.at("reason").get<std::string>().find("measured") != std::string::npos;
  }
  EXPECT_GE(measured, 1);
}

}  // namespace
}  // namespace convkit::cli
