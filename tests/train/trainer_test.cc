#include "convkit/train/trainer.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "convkit/base/error.h"
#include "convkit/base/random.h"
#include "convkit/io/file.h"
#include "convkit/io/safetensors.h"
#include "convkit/nn/functions.h"
#include "tests/support/limits.h"
#include "tests/support/picture_folder.h"
#include "tests/support/temp_dir.h"
#include "tests/support/throws.h"

namespace convkit::train {
namespace {

TrainConfig small_config(const std::string& data) {
  TrainConfig config;
  config.data = data;
  config.epochs = 2;
  config.batch = 8;  // 38 pictures: 5 steps, the last of 6
  config.augment = "flip,crop,erase";
  config.threads = 2;
  return config;
}

std::string text_of(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// The columns of results.csv that do not depend on the time it took.
std::string timeless_results(const std::string& directory) {
  std::istringstream lines(text_of(directory + "/results.csv"));
  std::string text;
  for (std::string line; std::getline(lines, line);) {
    for (int column = 0; column < 2; ++column) line.erase(line.rfind(','));
    text += line + "\n";
  }
  return text;
}

void expect_same_weights(const std::string& a, const std::string& b) {
  for (const char* file : {"/weights/last.safetensors", "/weights/best.safetensors"})
    EXPECT_EQ(text_of(a + file), text_of(b + file)) << file;
  EXPECT_EQ(timeless_results(a), timeless_results(b));
}

// Everything trained, from the checkpoint: net and optimiser.
void expect_same_state(const std::string& a, const std::string& b) {
  const io::SafeTensors left = io::load_safetensors(a + "/checkpoint.safetensors");
  const io::SafeTensors right = io::load_safetensors(b + "/checkpoint.safetensors");
  ASSERT_EQ(left.tensors.size(), right.tensors.size());
  for (std::size_t i = 0; i < left.tensors.size(); ++i) {
    EXPECT_EQ(left.tensors[i].first, right.tensors[i].first);
    EXPECT_TRUE(bit_equal(left.tensors[i].second, right.tensors[i].second))
        << left.tensors[i].first;
  }
}

// Stops a run once so many steps were reported.
class StopAfter {
 public:
  StopAfter(int64_t epoch, int64_t batch) : epoch_(epoch), batch_(batch) {}
  TrainHooks hooks() {
    TrainHooks hooks;
    hooks.stop = &stop_;
    hooks.on_step = [this](const StepReport& step) {
      if (step.epoch == epoch_ && step.batch >= batch_ && !step.validating) stop_ = true;
    };
    return hooks;
  }

 private:
  int64_t epoch_;
  int64_t batch_;
  std::atomic<bool> stop_{false};
};

class TrainerTest : public testing::Test {
 protected:
  test::TempDir dir;
  TrainConfig config = small_config(test::make_picture_folder(dir / "data"));
};

TEST_F(TrainerTest, LearnsAnEasyDataSet) {
  config.epochs = 4;
  config.augment = "none";
  config.lr = 0.02;
  const TrainOutcome outcome = train(config, dir / "run");
  EXPECT_TRUE(outcome.finished);
  EXPECT_EQ(outcome.epochs_done, 4);
  EXPECT_EQ(outcome.steps, 20);
  // The halves differ by 120 of 255, the noise within a half by 100: anything but a broken net
  // tells the twelve test pictures apart.
  EXPECT_GE(outcome.best_accuracy, 0.9);
}

TEST_F(TrainerTest, LeavesACompleteRunFolder) {
  train(config, dir / "run");
  for (const char* file :
       {"config.json", "results.csv", "events.out.tfevents.convkit", "weights/best.safetensors",
        "weights/last.safetensors", "checkpoint.safetensors"})
    EXPECT_TRUE(std::filesystem::is_regular_file(dir / "run" + "/" + file)) << file;
  const std::string results = text_of(dir / "run/results.csv");
  EXPECT_EQ(std::count(results.begin(), results.end(), '\n'), 3);
  EXPECT_EQ(RunDirectory::open(dir / "run").config(), config);
}

TEST_F(TrainerTest, WritesWeightsWithPyTorchsKeys) {
  train(config, dir / "run");
  const io::SafeTensors file = io::load_safetensors(dir / "run/weights/last.safetensors");
  EXPECT_NE(file.find("features.0.conv.weight"), nullptr);
  EXPECT_NE(file.find("features.0.norm.running_mean"), nullptr);
  EXPECT_NE(file.find("features.0.norm.num_batches_tracked"), nullptr);
  EXPECT_NE(file.find("fc.bias"), nullptr);
  EXPECT_EQ(file.metadata.at("format"), "pt");
  EXPECT_EQ(file.at("features.0.norm.num_batches_tracked").item(), 10);
}

TEST_F(TrainerTest, GivesTheSameBitsForAnyNumberOfThreadsAndWorkers) {
  config.threads = 1;
  config.workers = 0;
  train(config, dir / "one");
  for (const int64_t threads : {2, 3}) {
    config.threads = threads;
    config.workers = threads;
    const std::string other = dir / std::to_string(threads);
    train(config, other);
    expect_same_weights(dir / "one", other);
    expect_same_state(dir / "one", other);
  }
}

TEST_F(TrainerTest, GivesOtherWeightsForAnotherSeed) {
  config.epochs = 1;
  train(config, dir / "one");
  config.seed = 2;
  train(config, dir / "two");
  EXPECT_NE(text_of(dir / "one/weights/last.safetensors"),
            text_of(dir / "two/weights/last.safetensors"));
}

TEST_F(TrainerTest, LeavesTheCallersRandomNumbersAlone) {
  config.epochs = 1;
  manual_seed(5);
  default_generator().next_u32();
  const uint64_t position = default_generator().position();
  train(config, dir / "run");
  EXPECT_EQ(default_generator().seed(), 5U);
  EXPECT_EQ(default_generator().position(), position);
}

struct Stop {
  const char* name;
  int64_t epoch;
  int64_t batch;
};

class ResumeTest : public TrainerTest, public testing::WithParamInterface<Stop> {};

TEST_P(ResumeTest, EndsWithTheSameBits) {
  config.epochs = 3;
  config.optimizer = GetParam().epoch == 2 ? "adamw" : "sgd";
  config.schedule = GetParam().epoch == 2 ? "cosine" : "onecycle";
  config.warmup = GetParam().epoch == 2 ? 0.5 : 0;
  train(config, dir / "whole");

  StopAfter stop(GetParam().epoch, GetParam().batch);
  const TrainOutcome stopped = train(config, dir / "parts", false, stop.hooks());
  EXPECT_FALSE(stopped.finished);
  EXPECT_EQ(stopped.epochs_done, GetParam().epoch - 1);
  EXPECT_EQ(stopped.batches_done, GetParam().batch);
  const TrainOutcome resumed = resume(dir / "parts", {.threads = 1});
  EXPECT_TRUE(resumed.finished);
  EXPECT_EQ(resumed.steps, 15);
  expect_same_weights(dir / "whole", dir / "parts");
  expect_same_state(dir / "whole", dir / "parts");
}

INSTANTIATE_TEST_SUITE_P(Stopped, ResumeTest,
                         testing::Values(Stop{"AfterTheFirstStep", 1, 1},
                                         Stop{"AtTheEndOfAnEpochBeforeValidation", 2, 5},
                                         Stop{"InTheLastEpoch", 3, 1}),
                         [](const auto& test) { return std::string(test.param.name); });

TEST_F(TrainerTest, ResumesARunThatWasKilledBetweenItsFiles) {
  train(config, dir / "whole");
  TrainHooks hooks;
  // Dies in the callback of the first epoch: its files are written, later ones are not.
  hooks.on_epoch = [](const EpochReport&) { throw std::runtime_error("killed"); };
  EXPECT_THROW(train(config, dir / "parts", false, hooks), std::runtime_error);
  // As if it had died after results.csv of the second epoch, before its checkpoint.
  RunDirectory run = RunDirectory::open(dir / "parts");
  run.keep_results(1);
  run.add_result({.epoch = 2, .step = 77});
  resume(dir / "parts");
  expect_same_weights(dir / "whole", dir / "parts");
  expect_same_state(dir / "whole", dir / "parts");
}

TEST_F(TrainerTest, ResumesARunThatWasKilledBeforeItsFirstSave) {
  train(config, dir / "whole");
  RunDirectory::create(dir / "parts", config, false);
  resume(dir / "parts");
  expect_same_weights(dir / "whole", dir / "parts");
  std::filesystem::remove(dir / "parts/checkpoint.safetensors");
  EXPECT_ERROR(resume(dir / "parts"), IoError, dir / "parts", "no checkpoint", "--force");
}

TEST_F(TrainerTest, RefusesAFolderThatAnotherTrainingWritesTo) {
  TrainHooks hooks;
  hooks.on_epoch = [&](const EpochReport&) {
    EXPECT_ERROR(resume(dir / "run"), IoError, dir / "run", "in use: another training writes");
    EXPECT_ERROR(train(config, dir / "run", true), IoError, "in use");
  };
  EXPECT_TRUE(train(config, dir / "run", false, hooks).finished);
}

TEST_F(TrainerTest, LeavesNothingWhenItCannotEvenBegin) {
  {
    const test::FileSizeLimit full(20'000);
    EXPECT_ERROR(train(config, dir / "run"), IoError, "cannot write", "last.safetensors");
  }
  EXPECT_FALSE(std::filesystem::exists(dir / "run"));
  EXPECT_TRUE(train(config, dir / "run").finished);
}

TEST_F(TrainerTest, RefusesSamplesOfOneClassOnly) {
  std::string images = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 8, 0, 0, 0, 8};
  images.resize(images.size() + 128, '\x50');
  const std::string labels = {0, 0, 8, 1, 0, 0, 0, 2, 4, 4};
  std::filesystem::create_directory(dir / "idx");
  for (const char* part : {"train", "t10k"}) {
    io::write_file(dir / "idx/" + part + "-images-idx3-ubyte", images);
    io::write_file(dir / "idx/" + part + "-labels-idx1-ubyte", labels);
  }
  config.data = "mnist:" + dir / "idx";
  EXPECT_ERROR(train(config, dir / "run"), ValueError, "all 2 samples are of one class",
               "add samples of another");
  EXPECT_FALSE(std::filesystem::exists(dir / "run"));
}

TEST_F(TrainerTest, LeavesAFinishedRunAlone) {
  train(config, dir / "run");
  const std::string before = text_of(dir / "run/weights/last.safetensors");
  const TrainOutcome outcome = resume(dir / "run");
  EXPECT_TRUE(outcome.finished);
  EXPECT_FALSE(outcome.last.has_value());
  EXPECT_EQ(text_of(dir / "run/weights/last.safetensors"), before);
}

TEST_F(TrainerTest, RefusesToResumeWithOtherData) {
  StopAfter stop(1, 5);
  train(config, dir / "run", false, stop.hooks());
  std::filesystem::remove_all(dir / "data");
  test::make_picture_folder(dir / "data", 4, 2);
  EXPECT_ERROR(resume(dir / "run"), FormatError, "checkpoint stands at epoch 0, batch",
               "2 epochs of 1 batches", "have changed since");
}

TEST_F(TrainerTest, SaysWhichLayerMadeTheLossInfinite) {
  config.lr = 1e30;
  config.schedule = "constant";
  config.augment = "none";
  EXPECT_ERROR(train(config, dir / "run"), NotFiniteError, "the loss became nan",
               "epoch 1, batch 2", "the first output that is not finite is that of features.",
               "Lower the learning rate", "1e+30", "weights/last.safetensors");
  const io::SafeTensors kept = io::load_safetensors(dir / "run/weights/last.safetensors");
  for (const auto& [name, tensor] : kept.tensors) EXPECT_TRUE(all_finite(tensor)) << name;
}

TEST_F(TrainerTest, SaysWhichLayerMadeTheValidationLossInfinite) {
  config.batch = 38;  // all: what the only step spoils, only the validation sees
  config.lr = 1e19;
  config.weight_decay = 0;
  config.schedule = "constant";
  config.augment = "none";
  EXPECT_ERROR(train(config, dir / "run"), NotFiniteError, "the validation loss became",
               "after epoch 1", "the first output that is not finite is that of ",
               "Lower the learning rate", "weights/last.safetensors");
}

TEST_F(TrainerTest, ReportsEveryEpochAndItsEnds) {
  std::vector<std::string> told;
  TrainHooks hooks;
  hooks.on_start = [&](const TrainStart& start) {
    EXPECT_EQ(start.train_samples, 38);
    EXPECT_EQ(start.val_samples, 12);
    EXPECT_EQ(start.threads, 2);
    told.emplace_back("start");
  };
  hooks.on_step = [&](const StepReport& step) {
    EXPECT_EQ(step.epochs, 2);
    EXPECT_GE(step.seconds_left, 0);
    if (!step.validating && (step.batch == 1 || step.batch == 5))
      told.push_back(message("step ", step.epoch, ".", step.batch, " of ", step.batches));
  };
  hooks.on_epoch = [&](const EpochReport& epoch) {
    told.push_back(message("epoch ", epoch.result.epoch));
  };
  train(config, dir / "run", false, hooks);
  EXPECT_EQ(told, (std::vector<std::string>{"start", "step 1.1 of 5", "step 1.5 of 5", "epoch 1",
                                            "step 2.1 of 5", "step 2.5 of 5", "epoch 2"}));
}

TEST_F(TrainerTest, LeavesNoFolderForARequestThatCannotWork) {
  config.model = "m5";
  EXPECT_ERROR(train(config, dir / "run"), ShapeError, "m5", "2 spatial axes");
  config = small_config("folder:" + dir / "none");
  EXPECT_THROW(train(config, dir / "run"), Error);
  config = small_config(config.data);
  config.batch = 0;
  EXPECT_ERROR(train(config, dir / "run"), ValueError, "batch is 0");
  EXPECT_FALSE(std::filesystem::exists(dir / "run"));
}

TEST_F(TrainerTest, KeepsWhatItHasWhenTheDiskIsFull) {
  StopAfter stop(1, 2);
  train(config, dir / "run", false, stop.hooks());
  const std::string before = text_of(dir / "run/checkpoint.safetensors");
  {
    const test::FileSizeLimit full(1000);
    EXPECT_ERROR(resume(dir / "run"), IoError, dir / "run", "cannot write");
  }
  EXPECT_EQ(text_of(dir / "run/checkpoint.safetensors"), before);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(dir / "run"))
    EXPECT_NE(entry.path().extension(), ".tmp") << entry.path();
  EXPECT_TRUE(resume(dir / "run").finished);
}

TEST_F(TrainerTest, SaysWhenTheRunFolderCannotBeWritten) {
  StopAfter stop(1, 2);
  train(config, dir / "run", false, stop.hooks());
  std::filesystem::permissions(dir / "run/weights", std::filesystem::perms(0555));
  std::filesystem::permissions(dir / "run", std::filesystem::perms(0555));
  const test::WithoutRoot user(dir.path());
  EXPECT_ERROR(resume(dir / "run"), IoError, "cannot write", "checkpoint.safetensors",
               "choose a folder you may write to");
}

TEST_F(TrainerTest, LeavesOutALastBatchOfOnePicture) {
  config.data = test::make_picture_folder(dir / "odd", 9, 3);
  config.batch = 17;  // 18 pictures
  config.epochs = 1;
  EXPECT_EQ(train(config, dir / "run").steps, 1);
}

TEST_F(TrainerTest, BringsPicturesToAnotherSize) {
  config.resize = "12x16";
  config.epochs = 1;
  train(config, dir / "run");
  LoadedNet loaded = load_net(dir / "run/weights/last.safetensors");
  EXPECT_EQ(loaded.card.input, (Shape{1, 12, 16}));
}

}  // namespace
}  // namespace convkit::train
