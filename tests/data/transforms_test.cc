#include "convkit/data/transforms.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "convkit/base/error.h"
#include "convkit/data/image_sample.h"
#include "convkit/data/resample.h"
#include "convkit/io/safetensors.h"
#include "tests/support/throws.h"

namespace convkit::data {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;

// Pixels 1, 2, 3, ... row by row.
Sample counting(const Shape& shape) {
  Sample sample;
  std::vector<uint8_t>& bytes = sample.make_bytes(shape);
  std::iota(bytes.begin(), bytes.end(), uint8_t{1});
  return sample;
}

Sample transformed(const PixelTransform& transform, Sample sample, uint64_t seed = 0) {
  Generator generator(seed);
  apply(transform, sample, generator);
  return sample;
}

TEST(Resample, GivesTheSameBytesAsPil) {
  const io::SafeTensors golden =
      io::load_safetensors(std::string(CONVKIT_TEST_DATA) + "/data_files/pictures.safetensors");
  const std::vector<uint8_t> source = golden.at("resize:source").to_vector<uint8_t>();
  int checked = 0;
  for (const auto& [name, expected] : golden.tensors) {
    int height = 0;
    int width = 0;
    if (std::sscanf(name.c_str(), "resize:%dx%d", &height, &width) != 2) continue;
    std::vector<uint8_t> result(static_cast<std::size_t>(height * width * 3));
    resample_bilinear(source.data(), {37, 29, 3}, height, width, result.data());
    EXPECT_EQ(result, expected.to_vector<uint8_t>()) << name;
    ++checked;
  }
  EXPECT_EQ(checked, 7);
}

TEST(Resize, ChangesTheShape) {
  const Sample sample = transformed(Resize{1, 1}, counting({1, 1, 3}));
  EXPECT_EQ(sample.shape, Shape({1, 1, 1}));
  EXPECT_THAT(sample.bytes(), ElementsAre(2));
}

TEST(CenterCrop, TakesTheMiddle) {
  const Sample sample = transformed(CenterCrop{2, 1}, counting({1, 4, 3}));
  EXPECT_EQ(sample.shape, Shape({1, 2, 1}));
  EXPECT_THAT(sample.bytes(), ElementsAre(5, 8));
  // Rests of 1 and 3: torchvision's round() takes halves to even.
  EXPECT_THAT(transformed(CenterCrop{1, 1}, counting({1, 1, 2})).bytes(), ElementsAre(1));
  EXPECT_THAT(transformed(CenterCrop{1, 1}, counting({1, 1, 4})).bytes(), ElementsAre(3));
}

TEST(RandomCrop, PadsWithZerosAndReachesEveryPlace) {
  std::vector<int> places(9);
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const Sample sample = transformed(RandomCrop{2, 2, 1}, counting({1, 2, 2}), seed);
    EXPECT_EQ(sample.shape, Shape({1, 2, 2}));
    // The crop is known by where pixel 1 or, when that is cut off, another one landed.
    const std::vector<uint8_t>& b = sample.bytes();
    const std::vector<std::vector<uint8_t>> all = {{0, 0, 0, 1}, {0, 0, 1, 2}, {0, 0, 2, 0},
                                                   {0, 1, 0, 3}, {1, 2, 3, 4}, {2, 0, 4, 0},
                                                   {0, 3, 0, 0}, {3, 4, 0, 0}, {4, 0, 0, 0}};
    const auto found = std::find(all.begin(), all.end(), b);
    ASSERT_NE(found, all.end());
    ++places[static_cast<std::size_t>(found - all.begin())];
  }
  // Each has probability 1/9: 200 draws miss one with probability below 1e-9.
  EXPECT_THAT(places, Each(::testing::Gt(0)));
}

TEST(RandomCrop, KeepsTheChannelsOfAPixelTogether) {
  const Sample sample = transformed(RandomCrop{1, 1, 0}, counting({3, 1, 2}), 4);
  EXPECT_EQ(sample.bytes()[1], sample.bytes()[0] + 1);
  EXPECT_EQ(sample.bytes()[0] % 3, 1);
}

TEST(RandomHorizontalFlip, MirrorsPixelsNotChannels) {
  const Sample flipped = transformed(RandomHorizontalFlip{1.0}, counting({2, 2, 3}));
  EXPECT_THAT(flipped.bytes(), ElementsAre(5, 6, 3, 4, 1, 2, 11, 12, 9, 10, 7, 8));
  const Sample same = transformed(RandomHorizontalFlip{0.0}, counting({2, 2, 3}));
  EXPECT_EQ(same.bytes(), counting({2, 2, 3}).bytes());
}

TEST(RandomHorizontalFlip, FlipsHalfOfThem) {
  int flips = 0;
  Generator generator(1);
  for (int i = 0; i < 1000; ++i) {
    Sample sample = counting({1, 1, 2});
    apply(RandomHorizontalFlip{}, sample, generator);
    flips += sample.bytes()[0] == 2 ? 1 : 0;
  }
  // 500 expected, standard deviation 16: five of them.
  EXPECT_NEAR(flips, 500, 80);
}

std::vector<float> run(const Pipeline& pipeline, Sample sample, uint64_t seed = 0) {
  std::vector<float> result(static_cast<std::size_t>(pipeline.output_shape(sample.shape).numel()));
  pipeline.run(sample, Generator(seed), result);
  return result;
}

TEST(Normalize, IsTorchvisionsFormula) {
  Sample sample;
  sample.make_bytes({2, 1, 2}) = {0, 255, 128, 51};
  const Pipeline pipeline{.normalize = {{0.5F, 0.1F}, {0.25F, 0.2F}}};
  EXPECT_THAT(run(pipeline, sample),
              ElementsAre((0.0F - 0.5F) / 0.25F, (1.0F - 0.1F) / 0.2F,
                          (128.0F / 255.0F - 0.5F) / 0.25F, (51.0F / 255.0F - 0.1F) / 0.2F));
  EXPECT_THAT(run({}, sample), ElementsAre(0, 1, 128.0F / 255.0F, 51.0F / 255.0F));
  EXPECT_FLOAT_EQ(run({.normalize = {{1}, {2}}}, sample)[1], 0);
}

TEST(Normalize, TakesFloatsAsTheyAre) {
  Sample sample;
  sample.make_floats({1, 2}) = {3, 5};
  EXPECT_THAT(run({.normalize = {{1}, {2}}}, sample), ElementsAre(1, 2));
}

TEST(RandomErasing, ErasesARectangleOfTheAreaAskedFor) {
  Sample white;
  white.make_bytes({1, 20, 20}).assign(400, 255);
  Pipeline pipeline;
  pipeline.erasing = RandomErasing{.probability = 1, .scale_min = 0.1, .scale_max = 0.2};
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const std::vector<float> values = run(pipeline, white, seed);
    std::vector<std::size_t> erased;
    for (std::size_t i = 0; i < values.size(); ++i)
      if (values[i] == 0) erased.push_back(i);
    ASSERT_FALSE(erased.empty());
    std::size_t left = 20;
    std::size_t right = 0;
    for (const std::size_t i : erased) {
      left = std::min(left, i % 20);
      right = std::max(right, i % 20);
    }
    const std::size_t height = erased.back() / 20 - erased.front() / 20 + 1;
    EXPECT_EQ(erased.size(), height * (right - left + 1)) << "not a rectangle";
    // Area 40 to 80; rounding height h and width w by a half each changes it by (h + w) / 2.
    const double slack = static_cast<double>(height + right - left + 1) / 2 + 0.25;
    EXPECT_GE(static_cast<double>(erased.size()), 40 - slack);
    EXPECT_LE(static_cast<double>(erased.size()), 80 + slack);
  }
}

TEST(RandomErasing, LeavesThePictureWithTheOtherProbability) {
  Sample white;
  white.make_bytes({1, 8, 8}).assign(64, 255);
  Pipeline pipeline;
  pipeline.erasing = RandomErasing{.probability = 0};
  EXPECT_THAT(run(pipeline, white), Each(1.0F));
}

TEST(Pipeline, IsAFunctionOfTheGenerator) {
  Pipeline pipeline;
  pipeline.pixels = {RandomCrop{8, 8, 2}, RandomHorizontalFlip{}};
  pipeline.erasing = RandomErasing{};
  const Sample sample = counting({3, 8, 8});
  EXPECT_EQ(run(pipeline, sample, 5), run(pipeline, sample, 5));
  EXPECT_NE(run(pipeline, sample, 5), run(pipeline, sample, 6));
}

TEST(Pipeline, TellsItsOutputShape) {
  Pipeline pipeline;
  pipeline.pixels = {Resize{40, 50}, RandomCrop{32, 33, 4}, CenterCrop{10, 12}};
  EXPECT_EQ(pipeline.output_shape({3, 7, 9}), Shape({3, 10, 12}));
  EXPECT_EQ(Pipeline{}.output_shape({2, 100}), Shape({2, 100}));
}

TEST(Pipeline, RefusesWhatCannotWorkInWords) {
  const auto shape_of = [](const PixelTransform& transform, const Shape& input) {
    return Pipeline{.pixels = {transform}}.output_shape(input);
  };
  EXPECT_ERROR(shape_of(CenterCrop{9, 3}, {1, 8, 8}), ShapeError, "center crop", "9×3", "8×8",
               "resize");
  EXPECT_ERROR(shape_of(RandomCrop{13, 1, 2}, {1, 8, 8}), ShapeError, "random crop", "13×1",
               "12×12");
  EXPECT_ERROR(shape_of(RandomCrop{0, 1, 2}, {1, 8, 8}), ValueError, "random crop", "0×1");
  EXPECT_ERROR(shape_of(RandomCrop{1, 1, -2}, {1, 8, 8}), ValueError, "padding (-2)");
  EXPECT_ERROR(shape_of(Resize{0, 4}, {1, 8, 8}), ValueError, "resize", "0×4");
  EXPECT_ERROR(shape_of(Resize{4, 4}, {1, 8}), ShapeError, "pictures (C, H, W)", "1×8");
  EXPECT_ERROR(shape_of(RandomHorizontalFlip{1.5}, {1, 8, 8}), ValueError, "probability (1.5)");
  EXPECT_ERROR((Pipeline{.normalize = {{1, 2}, {}}}.output_shape({3, 8, 8})), ValueError,
               "mean has 2 values", "3 channels");
  EXPECT_ERROR((Pipeline{.normalize = {{}, {0}}}.output_shape({3, 8, 8})), ValueError, "std (0)",
               "greater than 0");
  EXPECT_ERROR((Pipeline{.normalize = {{NAN}, {}}}.output_shape({3, 8, 8})), ValueError, "mean",
               "finite");
  EXPECT_ERROR((Pipeline{.erasing = RandomErasing{.probability = 2}}.output_shape({3, 8, 8})),
               ValueError, "random erasing", "probability (2)");
  EXPECT_ERROR((Pipeline{.erasing = RandomErasing{.scale_max = 1.5}}.output_shape({3, 8, 8})),
               ValueError, "scale");
  EXPECT_ERROR((Pipeline{.erasing = RandomErasing{.ratio_min = 0}}.output_shape({3, 8, 8})),
               ValueError, "ratio");
  EXPECT_ERROR(Pipeline{}.output_shape({0, 8, 8}), ShapeError, "no empty axis", "0×8×8");
  Sample floats;
  floats.make_floats({1, 2, 2});
  EXPECT_ERROR(transformed(Resize{4, 4}, floats), DTypeError, "bytes");
}

TEST(ChannelStatistics, AreMeanAndDeviationOfEachChannel) {
  // Channel 0: 0, 255, 0, 255; channel 1 constant.
  const DatasetPtr dataset = make_memory_dataset(
      {"d", {"a"}, {2, 1, 2}}, std::vector<uint8_t>{0, 51, 255, 51, 0, 51, 255, 51}, {0, 0});
  const Normalize statistics = channel_statistics(*dataset);
  EXPECT_THAT(statistics.mean, ElementsAre(0.5F, 0.2F));
  EXPECT_THAT(statistics.std, ElementsAre(0.5F, 1.0F));
}

TEST(ChannelStatistics, OfFloatsAreTakenAsTheyAre) {
  const DatasetPtr dataset = make_memory_dataset(
      {"d", {"a"}, {1, 4}}, std::vector<float>{1e-8F, 3e-8F, 1e-8F, 3e-8F}, {0});
  const Normalize statistics = channel_statistics(*dataset);
  EXPECT_FLOAT_EQ(statistics.mean[0], 2e-8F);
  EXPECT_FLOAT_EQ(statistics.std[0], 1e-8F);
}

TEST(PrepareImage, FitsAPictureToTheNet) {
  const io::media::Image rgba{{1, 2, 4}, {10, 20, 30, 0, 40, 50, 60, 255}};
  const Tensor rgb = prepare_image(rgba, {3, 1, 2}, {});
  EXPECT_EQ(rgb.shape(), Shape({1, 3, 1, 2}));
  EXPECT_THAT(rgb.to_vector<float>(), ElementsAre(10 / 255.0F, 40 / 255.0F, 20 / 255.0F,
                                                  50 / 255.0F, 30 / 255.0F, 60 / 255.0F));
  const Tensor grey = prepare_image(rgba, {1, 1, 1}, {});
  EXPECT_EQ(grey.shape(), Shape({1, 1, 1, 1}));
  EXPECT_ERROR(prepare_image(rgba, {2, 4, 4}, {}), ShapeError, "(1 or 3, H, W)", "2×4×4");
}

TEST(ToImage, IsTheSampleAsAPicture) {
  const io::media::Image image = to_image(counting({3, 2, 4}));
  EXPECT_EQ(image.height, 2);
  EXPECT_EQ(image.width, 4);
  EXPECT_EQ(image.channels, 3);
  EXPECT_EQ(image.pixels, counting({3, 2, 4}).bytes());
  EXPECT_ERROR(to_image(counting({5, 2, 4})), ShapeError, "5×2×4");
  Sample floats;
  floats.make_floats({1, 2, 2});
  EXPECT_ERROR(to_image(floats), DTypeError, "floats");
}

}  // namespace
}  // namespace convkit::data
