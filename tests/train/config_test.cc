#include "convkit/train/config.h"

#include <gtest/gtest.h>

#include <cmath>

#include "convkit/base/error.h"
#include "tests/support/throws.h"

namespace convkit::train {
namespace {

TrainConfig unusual() {
  TrainConfig config;
  config.data = "folder:some \"where\"";
  config.model = "resnet18";
  config.epochs = 7;
  config.batch = 3;
  config.lr = 0.30000000000000004;  // needs all 17 digits
  config.optimizer = "adamw";
  config.momentum = 0.85;
  config.weight_decay = 0;
  config.schedule = "cosine";
  config.warmup = 0.5;
  config.label_smoothing = 0.1;
  config.clip = 2;
  config.augment = "flip,crop";
  config.resize = "24x32";
  config.val_fraction = 0.25;
  config.seed = INT64_MAX;
  config.threads = 2;
  config.workers = 0;
  return config;
}

TEST(TrainConfig, SurvivesJsonUnchanged) {
  EXPECT_EQ(config_from_json(to_json(unusual()), "test"), unusual());
  EXPECT_EQ(config_from_json(to_json(TrainConfig{}), "test"), TrainConfig{});
}

TEST(TrainConfig, WritesEveryField) {
  const std::string json = to_json(TrainConfig{});
  for_each_field([&](const char* name, auto, const char* help) {
    EXPECT_THAT(json, testing::HasSubstr(std::string("\"") + name + "\"")) << help;
  });
}

TEST(TrainConfig, KeepsWhatTheJsonDoesNotName) {
  const TrainConfig config = config_from_json(R"({"epochs": 9, "lr": 1})", "test", unusual());
  TrainConfig expected = unusual();
  expected.epochs = 9;
  expected.lr = 1.0;
  EXPECT_EQ(config, expected);
}

TEST(TrainConfig, RefusesUnknownKeysAndListsTheKnown) {
  EXPECT_ERROR(config_from_json(R"({"learning_rate": 0.1})", "my.json"), FormatError, "my.json",
               "'learning_rate'", "lr", "epochs");
}

TEST(TrainConfig, RefusesValuesOfTheWrongKind) {
  EXPECT_ERROR(config_from_json(R"({"epochs": "ten"})", "my.json"), FormatError, "epochs",
               "\"ten\"", "a whole number");
  EXPECT_ERROR(config_from_json(R"({"epochs": 1.5})", "x"), FormatError, "1.5", "whole number");
  EXPECT_ERROR(config_from_json(R"({"seed": 18446744073709551615})", "x"), FormatError, "seed");
  EXPECT_ERROR(config_from_json(R"({"nesterov": 1})", "x"), FormatError, "true or false");
  EXPECT_ERROR(config_from_json(R"({"lr": true})", "x"), FormatError, "a number or null");
  EXPECT_ERROR(config_from_json(R"({"model": null})", "x"), FormatError, "a text");
}

TEST(TrainConfig, RefusesWhatIsNoJsonObject) {
  EXPECT_ERROR(config_from_json("{\"epochs\": ", "my.json"), FormatError, "my.json", "JSON object");
  EXPECT_ERROR(config_from_json("[1]", "my.json"), FormatError, "JSON object");
  EXPECT_ERROR(config_from_json("", "my.json"), FormatError, "JSON object");
}

template <class Change>
TrainConfig changed(Change change) {
  TrainConfig config;
  change(config);
  return config;
}

TEST(TrainConfig, ValidatesItsDefaults) { EXPECT_NO_THROW(validate(TrainConfig{})); }

TEST(TrainConfig, RefusesNonsenseInWords) {
  const auto refused = [](auto change) { validate(changed(change)); };
  EXPECT_ERROR(refused([](auto& c) { c.epochs = 0; }), ValueError, "epochs is 0", "between 1 and");
  EXPECT_ERROR(refused([](auto& c) { c.batch = 0; }), ValueError, "batch is 0", "between 1 and");
  EXPECT_ERROR(refused([](auto& c) { c.batch = -4; }), ValueError, "batch is -4");
  EXPECT_ERROR(refused([](auto& c) { c.lr = -0.1; }), ValueError, "lr is -0.1", "positive");
  EXPECT_ERROR(refused([](auto& c) { c.lr = 0; }), ValueError, "lr is 0", "such as 0.1");
  EXPECT_ERROR(refused([](auto& c) { c.lr = INFINITY; }), ValueError, "lr is inf");
  EXPECT_ERROR(refused([](auto& c) { c.optimizer = "sdg"; }), ValueError, "'sdg'",
               "sgd, adam, adamw");
  EXPECT_ERROR(refused([](auto& c) { c.schedule = "linear"; }), ValueError, "'linear'", "cosine");
  EXPECT_ERROR(refused([](auto& c) { c.model = "resnet19"; }), ValueError, "'resnet19'",
               "resnet18");
  EXPECT_ERROR(refused([](auto& c) { c.data = ""; }), ValueError, "data is empty");
  EXPECT_ERROR(refused([](auto& c) { c.momentum = 1; }), ValueError, "momentum is 1", "below 1");
  EXPECT_ERROR(refused([](auto& c) { c.weight_decay = -1; }), ValueError, "weight_decay is -1");
  EXPECT_ERROR(refused([](auto& c) { c.label_smoothing = 1; }), ValueError, "label_smoothing");
  EXPECT_ERROR(refused([](auto& c) { c.clip = -1; }), ValueError, "clip is -1");
  EXPECT_ERROR(refused([](auto& c) { c.val_fraction = 0; }), ValueError, "val_fraction is 0");
  EXPECT_ERROR(refused([](auto& c) { c.val_fraction = 1; }), ValueError, "val_fraction is 1");
  EXPECT_ERROR(refused([](auto& c) { c.warmup = 5; }), ValueError, "warmup is 5", "5 epochs");
  EXPECT_ERROR(refused([](auto& c) { c.warmup = 1; }), ValueError, "onecycle");
  EXPECT_ERROR(refused([](auto& c) { c.seed = -1; }), ValueError, "seed is -1");
  EXPECT_ERROR(refused([](auto& c) { c.threads = -1; }), ValueError, "threads is -1");
  EXPECT_ERROR(refused([](auto& c) { c.workers = 9999; }), ValueError, "workers is 9999");
  EXPECT_ERROR(refused([](auto& c) {
                 c.optimizer = "adam";
                 c.nesterov = true;
               }),
               ValueError, "nesterov needs the sgd optimizer", "adam");
}

TEST(TrainConfig, ReadsAugmentations) {
  const auto parts = [](const char* words) {
    return augmentations(changed([=](auto& c) { c.augment = words; }));
  };
  EXPECT_TRUE(parts("none").empty());
  EXPECT_EQ(parts("flip,crop"), (std::vector<std::string>{"flip", "crop"}));
  EXPECT_ERROR(parts("flip,twist"), ValueError, "'twist'", "flip, crop, erase");
  EXPECT_ERROR(parts(""), ValueError, "augment", "none");
}

TEST(TrainConfig, ReadsPictureSizes) {
  const auto size = [](const char* text) {
    return picture_size(changed([=](auto& c) { c.resize = text; }));
  };
  EXPECT_EQ(size(""), std::nullopt);
  EXPECT_EQ(size("24x32"), (PictureSize{24, 32}));
  for (const char* wrong : {"24", "x", "24x", "24x32x3", "24 x 32", "axb", "x32"})
    EXPECT_ERROR(size(wrong), ValueError, "resize", "such as 32x32");
  EXPECT_ERROR(size("0x32"), ValueError, "between 1 and");
  EXPECT_ERROR(size("-4x32"), ValueError, "between 1 and");
  EXPECT_ERROR(size("99999x3"), ValueError, "between 1 and");
}

TEST(TrainConfig, KnowsTheDefaultRatesOfEachOptimizer) {
  const auto named = [](const char* name) { return changed([=](auto& c) { c.optimizer = name; }); };
  EXPECT_EQ(learning_rate(named("sgd")), 0.1);
  EXPECT_EQ(learning_rate(named("adam")), 0.001);
  EXPECT_EQ(weight_decay(named("sgd")), 0.0005);
  EXPECT_EQ(weight_decay(named("adam")), 0.0);
  EXPECT_EQ(weight_decay(named("adamw")), 0.01);
}

// Values are printed and copied by recursion.
TEST(TrainConfig, RefusesJsonNestedWithoutEnd) {
  constexpr std::size_t kDeep = 1'000'000;
  const std::string lists = std::string(kDeep, '[') + std::string(kDeep, ']');
  EXPECT_ERROR(config_from_json("{\"lr\": " + lists + "}", "file"), FormatError, "file: lr is");
  std::string objects;
  for (std::size_t i = 0; i < kDeep; ++i) objects += "{\"a\":";
  EXPECT_ERROR(config_from_json("{\"lr\": " + objects + "1" + std::string(kDeep + 1, '}'), "file"),
               FormatError, "file: lr is");
  EXPECT_ERROR(config_from_json(lists, "file"), FormatError, "not a JSON object");
}

}  // namespace
}  // namespace convkit::train
