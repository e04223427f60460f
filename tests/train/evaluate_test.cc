#include "convkit/train/evaluate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "convkit/base/error.h"
#include "convkit/io/file.h"
#include "convkit/io/safetensors.h"
#include "convkit/nn/functions.h"
#include "convkit/train/predict.h"
#include "convkit/train/trainer.h"
#include "tests/support/picture_folder.h"
#include "tests/support/temp_dir.h"
#include "tests/support/throws.h"

namespace convkit::train {
namespace {

// One small trained net for all tests here.
class TrainedNet : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    dir = new test::TempDir;
    TrainConfig config;
    config.data = test::make_picture_folder(*dir / "data");
    config.epochs = 4;
    config.batch = 8;
    config.lr = 0.02;
    outcome = train(config, *dir / "run");
  }
  static void TearDownTestSuite() { delete dir; }

  static std::string path(const std::string& name) { return *dir / name; }
  static inline test::TempDir* dir = nullptr;
  static inline TrainOutcome outcome;
};

TEST_F(TrainedNet, EvaluatesToWhatTrainingSaw) {
  const Evaluation evaluation = evaluate(path("run"));
  EXPECT_EQ(evaluation.weights, path("run/weights/best.safetensors"));
  EXPECT_EQ(evaluation.metrics.samples(), 12);
  EXPECT_DOUBLE_EQ(evaluation.metrics.accuracy(), outcome.best_accuracy);
  EXPECT_EQ(evaluation.card.classes, (std::vector<std::string>{"lower", "upper"}));
  EXPECT_EQ(evaluation.metrics.of_class(0).support, 6);
}

TEST_F(TrainedNet, GivesTheSameNumbersForAnyBatchAndThreads) {
  const Evaluation one = evaluate(path("run"), {.batch = 256, .threads = 1});
  const Evaluation two = evaluate(path("run"), {.batch = 5, .threads = 2, .workers = 0});
  EXPECT_EQ(one.metrics.accuracy(), two.metrics.accuracy());
  // The losses of batches of 12 and of 5, 5, 2 are float32, of logits that may be rounded apart.
  EXPECT_NEAR(one.metrics.loss(), two.metrics.loss(), 1e-6 * (1 + one.metrics.loss()));
}

TEST_F(TrainedNet, NeedsNothingButTheWeightsFile) {
  std::filesystem::copy(path("run/weights/best.safetensors"), path("moved.safetensors"));
  EXPECT_DOUBLE_EQ(evaluate(path("moved.safetensors")).metrics.accuracy(), outcome.best_accuracy);
}

TEST_F(TrainedNet, EvaluatesOnOtherData) {
  const std::string other = test::make_picture_folder(path("other"), 3, 9, 16);
  const Evaluation evaluation = evaluate(path("run"), {.data = other});
  EXPECT_EQ(evaluation.metrics.samples(), 18);
  EXPECT_GE(evaluation.metrics.accuracy(), 0.9);  // the same stripes, twice as large
  EXPECT_EQ(evaluation.conversion, "16×16 to 8×8");
}

TEST_F(TrainedNet, RefusesDataWithOtherClasses) {
  for (const char* name : {"a", "b", "c"})
    for (const char* part : {"train", "test"}) {
      const std::string folder = path(std::string("three/") + part + "/" + name);
      io::create_folders(folder);
      Generator generator(1);
      io::media::write_png(folder + "/1.png", test::striped_picture(true, 8, generator));
    }
  EXPECT_THROW(evaluate(path("run"), {.data = "folder:" + path("three")}), Error);
  if (!io::folder_exists("/usr/share/datasets/fashion-mnist")) return;
  EXPECT_ERROR(evaluate(path("run"), {.data = "fashion-mnist"}), ValueError, "fashion-mnist, test",
               "T-shirt/top, Trouser, Pullover, ... (10)", "the net knows lower, upper; take data");
}

// A net for pictures in colour, as if it had been trained on `data`.
std::string save_colour_net(const std::string& file, const std::string& data,
                            const std::vector<std::string>& classes) {
  TrainConfig config;
  config.data = data;
  const ModelCard card{config, {3, 32, 32}, classes, {0, 0, 0}, {1, 1, 1}};
  nn::AnyModule net = make_net(card);
  save_weights(file, net, card);
  return file;
}

TEST(Evaluate, TakesOtherDataOnlyWithTheClassesByName) {
  const test::TempDir dir;
  std::string images = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 8, 0, 0, 0, 8};
  images.resize(images.size() + 128, '\x50');
  io::write_file(dir / "t10k-images-idx3-ubyte", images);
  const std::string labels = {0, 0, 8, 1, 0, 0, 0, 2, 4, 5};
  io::write_file(dir / "t10k-labels-idx1-ubyte", labels);
  const std::string weights = dir / "net.safetensors";
  save_colour_net(
      weights, "cifar10:x",
      {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"});
  const std::string mnist = "mnist:" + dir.path();
  EXPECT_ERROR(evaluate(weights, {.data = mnist}), ValueError, "mnist, test",
               "the classes are 0, 1, 2, ... (10)",
               "the net knows airplane, automobile, bird, ... (10)", "folder:DIR");
  save_colour_net(weights, "cifar10:x", {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"});
  const Evaluation evaluation = evaluate(weights, {.data = mnist});
  EXPECT_EQ(evaluation.metrics.samples(), 2);
  EXPECT_EQ(evaluation.conversion, "grey to colour, 8×8 to 32×32");
}

TEST(Evaluate, TakesClassesThatTheFilesDoNotName) {
  const test::TempDir dir;
  io::write_file(dir / "test.bin", std::string(3074, '\3'));
  std::vector<std::string> names(100);
  for (std::size_t i = 0; i < names.size(); ++i) names[i] = message("name ", i);
  const std::string weights = save_colour_net(dir / "net.safetensors", "cifar100:x", names);
  EXPECT_EQ(evaluate(weights, {.data = "cifar100:" + dir.path()}).metrics.samples(), 1);
}

TEST_F(TrainedNet, AsksForTheNetOfWeightsThatDoNotNameIt) {
  const io::SafeTensors file = io::load_safetensors(path("run/weights/best.safetensors"));
  io::save_safetensors(path("bare.safetensors"), file.tensors);
  EXPECT_ERROR(evaluate(path("bare.safetensors")), ValueError, "bare.safetensors", "--model",
               "--data");
  EXPECT_ERROR(load_net(path("bare.safetensors")), FormatError, "bare.safetensors", "--model");
  const Evaluation evaluation =
      evaluate(path("bare.safetensors"), {.data = "folder:" + path("data"), .model = "default"});
  EXPECT_DOUBLE_EQ(evaluation.metrics.accuracy(), outcome.best_accuracy);
  EXPECT_ERROR(
      evaluate(path("bare.safetensors"), {.data = "folder:" + path("data"), .model = "resnet18"}),
      Error, "bare.safetensors");
  EXPECT_ERROR(evaluate(path("run"), {.model = "resnet18"}), ValueError, "of default",
               "not of resnet18");
}

TEST_F(TrainedNet, StopsWhenAsked) {
  const std::atomic<bool> stop{true};
  EXPECT_ERROR(evaluate(path("run"), {.stop = &stop}), Error, "stopped after 0 of 12");
}

TEST_F(TrainedNet, RefusesDamagedFiles) {
  io::write_file(path("damaged.safetensors"), "not weights");
  EXPECT_THROW(evaluate(path("damaged.safetensors")), FormatError);
  io::SafeTensors file = io::load_safetensors(path("run/weights/best.safetensors"));
  for (const char* card : {"{}", "[", "{\"config\": 3}", "{\"config\": {}, \"input\": [1, -8, 8]}",
                           "{\"config\": {}, \"input\": [1, 1000000, 1000000]}",
                           "{\"config\": {}, \"input\": [1, 8, 8], \"classes\": [\"a\"]}"}) {
    file.metadata["convkit"] = card;
    io::save_safetensors(path("damaged.safetensors"), file.tensors, file.metadata);
    EXPECT_ERROR(evaluate(path("damaged.safetensors")), FormatError, "damaged.safetensors",
                 "description");
  }
}

TEST_F(TrainedNet, RefusesWeightsThatAreNotFinite) {
  io::SafeTensors file = io::load_safetensors(path("run/weights/best.safetensors"));
  file.tensors[0].second.fill(NAN);
  io::save_safetensors(path("nan.safetensors"), file.tensors, file.metadata);
  EXPECT_ERROR(load_net(path("nan.safetensors")), FormatError, "nan.safetensors",
               file.tensors[0].first, "not finite", "earlier save");
}

TEST_F(TrainedNet, PredictsPictures) {
  LoadedNet loaded = load_net(path("run/weights/best.safetensors"));
  Generator generator(3);
  io::media::write_png(path("up.png"), test::striped_picture(true, 8, generator));
  io::media::write_png(path("down.png"), test::striped_picture(false, 8, generator));
  const auto predictions = predict(loaded, {path("up.png"), path("down.png")});
  ASSERT_EQ(predictions.size(), 2U);
  EXPECT_EQ(predictions[0].guesses[0].name, "upper");
  EXPECT_EQ(predictions[1].guesses[0].name, "lower");
  EXPECT_EQ(predictions[1].guesses[0].label, 0);
  EXPECT_EQ(predictions[0].conversion, "");
  ASSERT_EQ(predictions[0].guesses.size(), 2U);
  // Softmax in float32: two values that sum to 1 within two roundings of 2^-24.
  EXPECT_NEAR(predictions[0].guesses[0].probability + predictions[0].guesses[1].probability, 1,
              2e-7);
  EXPECT_GE(predictions[0].guesses[0].probability, predictions[0].guesses[1].probability);
}

TEST_F(TrainedNet, SaysHowItMadeAPictureFit) {
  LoadedNet loaded = load_net(path("run/weights/best.safetensors"));
  Generator generator(3);
  const io::media::Image grey = test::striped_picture(true, 32, generator);
  io::media::write_png(path("large.png"), io::media::with_channels(grey, 3));
  const auto predictions = predict(loaded, {path("large.png")}, 1);
  EXPECT_EQ(predictions[0].conversion, "colour to grey, 32×32 to 8×8");
  EXPECT_EQ(predictions[0].guesses.size(), 1U);
  EXPECT_EQ(predictions[0].guesses[0].name, "upper");
}

TEST_F(TrainedNet, RefusesPicturesItCannotRead) {
  LoadedNet loaded = load_net(path("run/weights/best.safetensors"));
  EXPECT_ERROR(predict(loaded, {path("none.png")}), IoError, "none.png");
  io::write_file(path("text.png"), "no picture");
  EXPECT_ERROR(predict(loaded, {path("text.png")}), FormatError, "text.png");
  EXPECT_ERROR(predict(loaded, {}, 0), ValueError, "top is 0");
}

}  // namespace
}  // namespace convkit::train
