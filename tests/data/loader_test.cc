#include "convkit/data/loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <numeric>
#include <thread>

#include "convkit/base/error.h"
#include "tests/support/throws.h"

namespace convkit::data {
namespace {

using ::testing::ElementsAre;

// Sample i has the pixels i, i + 1, ... and the label i % 3.
DatasetPtr counting(int64_t size, const Shape& shape = {1, 2, 2}) {
  std::vector<uint8_t> pixels(static_cast<std::size_t>(size * shape.numel()));
  std::vector<int64_t> labels(static_cast<std::size_t>(size));
  for (int64_t i = 0; i < size; ++i) {
    labels[static_cast<std::size_t>(i)] = i % 3;
    for (int64_t k = 0; k < shape.numel(); ++k)
      pixels[static_cast<std::size_t>(i * shape.numel() + k)] = static_cast<uint8_t>(i + k);
  }
  return make_memory_dataset({"counting", {"a", "b", "c"}, shape}, std::move(pixels),
                             std::move(labels));
}

// A data set that takes its time, counts its readers, and fails at one sample.
class Slow final : public Dataset {
 public:
  Slow(int64_t size, int64_t failing)
      : Dataset({"slow", {"a"}, {1}}), size_(size), failing_(failing) {}
  int64_t size() const override { return size_; }
  int64_t label(int64_t /*index*/) const override { return 0; }
  void read(int64_t index, Sample& sample) const override {
    std::this_thread::sleep_for(std::chrono::microseconds(index % 7 * 100));
    ++reads;
    if (index == failing_) throw FormatError(message("picture ", index, " is damaged"));
    sample.make_bytes({1})[0] = static_cast<uint8_t>(index);
    sample.label = 0;
  }
  mutable std::atomic<int> reads{0};

 private:
  int64_t size_;
  int64_t failing_;
};

Pipeline augmenting() {
  Pipeline pipeline;
  pipeline.pixels = {RandomCrop{2, 2, 1}, RandomHorizontalFlip{}};
  pipeline.erasing = RandomErasing{};
  return pipeline;
}

std::vector<Batch> rest_of_epoch(DataLoader& loader) {
  std::vector<Batch> batches;
  while (std::optional<Batch> batch = loader.next()) batches.push_back(std::move(*batch));
  return batches;
}

void expect_same(const std::vector<Batch>& a, const std::vector<Batch>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].index, b[i].index);
    EXPECT_EQ(a[i].samples, b[i].samples);
    EXPECT_TRUE(bit_equal(a[i].images, b[i].images)) << "batch " << i;
    EXPECT_TRUE(bit_equal(a[i].labels, b[i].labels)) << "batch " << i;
  }
}

TEST(DataLoader, GivesEverySampleOnceInOrder) {
  DataLoader loader(counting(7), {.batch_size = 3});
  EXPECT_EQ(loader.batches(), 3);
  EXPECT_EQ(loader.samples(), 7);
  loader.start(0);
  const std::vector<Batch> batches = rest_of_epoch(loader);
  ASSERT_EQ(batches.size(), 3U);
  EXPECT_EQ(batches[0].images.shape(), Shape({3, 1, 2, 2}));
  EXPECT_EQ(batches[2].images.shape(), Shape({1, 1, 2, 2}));
  EXPECT_THAT(batches[1].samples, ElementsAre(3, 4, 5));
  EXPECT_THAT(batches[1].labels.to_vector<int64_t>(), ElementsAre(0, 1, 2));
  EXPECT_EQ(batches[1].images.at({2, 0, 1, 0}), 7 / 255.0F);
  EXPECT_FALSE(loader.next().has_value());
}

TEST(DataLoader, PutsTheChannelsWhereTensorsHaveThem) {
  // Sample (C = 3, H = 2, W = 1): the pixels count along C first.
  DataLoader loader(counting(2, {3, 2, 1}), {.batch_size = 2});
  loader.start(0);
  const Batch batch = *loader.next();
  EXPECT_EQ(batch.images.shape(), Shape({2, 3, 2, 1}));
  EXPECT_EQ(batch.images.at({0, 2, 0, 0}), 2 / 255.0F);
  EXPECT_EQ(batch.images.at({0, 0, 1, 0}), 3 / 255.0F);
  EXPECT_EQ(batch.images.at({1, 1, 1, 0}), 5 / 255.0F);
}

TEST(DataLoader, TakesSamplesOfAnyRank) {
  for (const Shape& shape : {Shape{4}, Shape{2, 5}, Shape{2, 3, 4, 5}}) {
    DataLoader loader(counting(2, shape), {.batch_size = 2});
    loader.start(0);
    EXPECT_EQ(loader.next()->images.shape(), shape.with_inserted(0, 2));
  }
}

TEST(DataLoader, DropsTheLastBatchWhenAsked) {
  DataLoader loader(counting(7), {.batch_size = 3, .drop_last = true});
  EXPECT_EQ(loader.batches(), 2);
  EXPECT_EQ(loader.samples(), 6);
  loader.start(0);
  EXPECT_EQ(rest_of_epoch(loader).size(), 2U);
}

TEST(DataLoader, ShufflesByTheSeedAndTheEpochAlone) {
  DataLoader loader(counting(50), {.batch_size = 7, .shuffle = true, .seed = 3});
  const std::vector<int64_t> first = loader.order(0);
  std::vector<int64_t> sorted = first;
  std::sort(sorted.begin(), sorted.end());
  std::vector<int64_t> all(50);
  std::iota(all.begin(), all.end(), 0);
  EXPECT_EQ(sorted, all);
  EXPECT_NE(first, all);
  EXPECT_NE(first, loader.order(1));
  DataLoader other(counting(50), {.batch_size = 50, .shuffle = true, .seed = 3, .workers = 3});
  EXPECT_EQ(first, other.order(0));
  DataLoader reseeded(counting(50), {.batch_size = 7, .shuffle = true, .seed = 4});
  EXPECT_NE(first, reseeded.order(0));
}

TEST(DataLoader, GivesTheSameBitsWithAnyNumberOfWorkers) {
  std::vector<std::vector<Batch>> runs;
  for (const int workers : {0, 1, 2, 3}) {
    DataLoader loader(counting(100),
                      {.batch_size = 8, .shuffle = true, .seed = 9, .workers = workers},
                      augmenting());
    loader.start(2);
    runs.push_back(rest_of_epoch(loader));
  }
  for (std::size_t i = 1; i < runs.size(); ++i) expect_same(runs[0], runs[i]);
}

TEST(DataLoader, AugmentsAnewInEachEpoch) {
  DataLoader loader(counting(20), {.batch_size = 20}, augmenting());
  loader.start(0);
  const Batch first = *loader.next();
  loader.start(1);
  const Batch second = *loader.next();
  EXPECT_EQ(first.samples, second.samples);
  EXPECT_FALSE(bit_equal(first.images, second.images));
}

TEST(DataLoader, AugmentsASampleAlikeInAnyBatch) {
  DataLoader small(counting(20), {.batch_size = 1, .shuffle = true}, augmenting());
  DataLoader large(counting(20), {.batch_size = 20}, augmenting());
  small.start(4);
  large.start(4);
  const Batch all = *large.next();
  for (const Batch& one : rest_of_epoch(small)) {
    const int64_t at = one.samples[0];
    for (int64_t y = 0; y < 2; ++y)
      for (int64_t x = 0; x < 2; ++x)
        EXPECT_EQ(one.images.at({0, 0, y, x}), all.images.at({at, 0, y, x}));
  }
}

TEST(DataLoader, GoesOnWhereAnotherRunStopped) {
  const LoaderOptions options{.batch_size = 6, .shuffle = true, .seed = 5, .workers = 2};
  DataLoader whole(counting(64), options, augmenting());
  whole.start(0);
  static_cast<void>(rest_of_epoch(whole));
  whole.start(1);
  std::vector<Batch> expected = rest_of_epoch(whole);
  expected.erase(expected.begin(), expected.begin() + 4);

  DataLoader resumed(counting(64), options, augmenting());
  resumed.start(1, 4);
  expect_same(rest_of_epoch(resumed), expected);
  // Also in the middle of an epoch that is under way.
  whole.start(0);
  static_cast<void>(whole.next());
  whole.start(1, 4);
  expect_same(rest_of_epoch(whole), expected);
  whole.start(1, whole.batches());
  EXPECT_FALSE(whole.next().has_value());
}

TEST(DataLoader, BringsAWorkersErrorOutAtItsPlace) {
  for (const int workers : {0, 1, 3}) {
    const auto dataset = std::make_shared<Slow>(40, 25);
    DataLoader loader(dataset, {.batch_size = 4, .workers = workers});
    loader.start(0);
    for (int batch = 0; batch < 6; ++batch) EXPECT_EQ(loader.next()->index, batch);
    EXPECT_ERROR(loader.next(), FormatError, "picture 25 is damaged");
    EXPECT_ERROR(loader.next(), FormatError, "picture 25 is damaged");
    loader.start(0, 7);
    EXPECT_EQ(rest_of_epoch(loader).size(), 3U);
  }
}

TEST(DataLoader, StopsCleanlyInTheMiddleOfItsWork) {
  for (int round = 0; round < 20; ++round) {
    const auto dataset = std::make_shared<Slow>(1000, -1);
    {
      DataLoader loader(dataset, {.batch_size = 2, .workers = 3});
      loader.start(0);
      if (round % 2 == 0) static_cast<void>(loader.next());
    }
    EXPECT_LT(dataset->reads, 100) << "of 1000: it did not read to the end";
    EXPECT_EQ(dataset.use_count(), 1) << "nobody holds the data any more";
  }
}

TEST(DataLoader, WorksAheadButNotTooFar) {
  const auto dataset = std::make_shared<Slow>(1000, -1);
  DataLoader loader(dataset, {.batch_size = 2, .workers = 1, .prefetch = 3});
  loader.start(0);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (dataset->reads < 6 && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(dataset->reads, 6) << "three batches of two, and no more before one is taken";
}

TEST(DataLoader, GivesNothingBeforeItIsStarted) {
  DataLoader loader(counting(3), {});
  EXPECT_FALSE(loader.next().has_value());
}

TEST(DataLoader, RefusesWrongOptionsInWords) {
  EXPECT_ERROR(DataLoader(counting(3), {.batch_size = 0}), ValueError, "batch_size (0)");
  EXPECT_ERROR(DataLoader(counting(3), {.workers = -1}), ValueError, "workers (-1)");
  EXPECT_ERROR(DataLoader(counting(3), {.prefetch = 0}), ValueError, "prefetch (0)");
  EXPECT_ERROR(DataLoader(nullptr, {}), ValueError, "no data set");
  EXPECT_ERROR(DataLoader(counting(0), {}), ValueError, "counting has 0 samples");
  EXPECT_ERROR(DataLoader(counting(3), {.batch_size = 4, .drop_last = true}), ValueError,
               "3 samples, which make no full batch of 4", "smaller batch");
  EXPECT_ERROR(DataLoader(counting(3), {}, {.pixels = {CenterCrop{5, 5}}}), ShapeError,
               "center crop: 5×5", "2×2");
  DataLoader loader(counting(3), {});
  EXPECT_ERROR(loader.start(-1), ValueError, "epoch (-1)");
  EXPECT_ERROR(loader.start(0, 4), ValueError, "no batch 4 in an epoch of 3");
}

}  // namespace
}  // namespace convkit::data
