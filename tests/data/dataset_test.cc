#include "convkit/data/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "convkit/base/error.h"
#include "tests/support/throws.h"

namespace convkit::data {
namespace {

using ::testing::ElementsAre;

// Three pictures of 1 channel, 1×2.
DatasetPtr small() {
  return make_memory_dataset({"small", {"a", "b"}, {1, 1, 2}},
                             std::vector<uint8_t>{1, 2, 3, 4, 5, 6}, {0, 1, 0});
}

TEST(MemoryDataset, GivesSamplesAndLabels) {
  const DatasetPtr dataset = small();
  EXPECT_EQ(dataset->size(), 3);
  EXPECT_EQ(dataset->classes(), 2);
  const Sample sample = dataset->read(1);
  EXPECT_EQ(sample.shape, Shape({1, 1, 2}));
  EXPECT_EQ(sample.label, 1);
  EXPECT_THAT(sample.bytes(), ElementsAre(3, 4));
  EXPECT_EQ(dataset->origin(1), "small #1");
  EXPECT_THAT(class_counts(*dataset), ElementsAre(2, 1));
}

TEST(MemoryDataset, HoldsFloatsOfAnyRank) {
  const DatasetPtr dataset =
      make_memory_dataset({"series", {"x"}, {2, 3}}, std::vector<float>(12, 0.5F), {0, 0});
  EXPECT_EQ(dataset->read(1).floats().size(), 6U);
  EXPECT_FALSE(dataset->read(1).is_bytes());
}

TEST(MemoryDataset, RefusesCountsAndLabelsThatDoNotFit) {
  EXPECT_ERROR(make_memory_dataset({"d", {"a"}, {1, 2}}, std::vector<uint8_t>(3), {0, 0}),
               ShapeError, "d: 2 samples of 1×2 have 4 elements, not 3");
  EXPECT_ERROR(make_memory_dataset({"d", {"a"}, {1, 1}}, std::vector<uint8_t>(2), {0, 1}),
               ValueError, "sample 1 has the label 1", "1 classes");
  EXPECT_ERROR(make_memory_dataset({"d", {"a"}, {1, 1}}, std::vector<uint8_t>(1), {-1}), ValueError,
               "label -1");
}

TEST(MemoryDataset, RefusesAnIndexOutOfRange) {
  EXPECT_ERROR(small()->read(3), ValueError, "small: there is no sample 3 among 3");
  EXPECT_ERROR(small()->label(-1), ValueError, "no sample -1");
}

TEST(Subset, TakesTheSamplesInTheirOrder) {
  const DatasetPtr subset = make_subset(small(), {2, 0, 2});
  EXPECT_EQ(subset->size(), 3);
  EXPECT_THAT(subset->read(0).bytes(), ElementsAre(5, 6));
  EXPECT_THAT(subset->read(1).bytes(), ElementsAre(1, 2));
  EXPECT_EQ(subset->origin(2), "small #2");
  EXPECT_ERROR(make_subset(small(), {3}), ValueError, "no sample 3 among 3");
}

TEST(Sample, ChangesItsKindAndShape) {
  Sample sample;
  sample.make_bytes({1, 2, 2});
  EXPECT_EQ(sample.bytes().size(), 4U);
  sample.make_floats({3});
  EXPECT_EQ(sample.floats().size(), 3U);
  EXPECT_EQ(sample.shape, Shape({3}));
}

}  // namespace
}  // namespace convkit::data
