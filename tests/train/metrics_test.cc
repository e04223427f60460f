#include "convkit/train/metrics.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/throws.h"

namespace convkit::train {
namespace {

Tensor labels_of(std::initializer_list<int64_t> labels) {
  return from_values(labels, {static_cast<int64_t>(labels.size())});
}

// Six samples of three classes: 0→0, 0→1, 1→1, 1→1, 2→0, 2→2.
Metrics example() {
  const Tensor logits =
      from_values<float>({5, 1, 1, 1, 5, 1, 0, 2, 1, 0, 3, 1, 9, 0, 1, 0, 0, 1}, {6, 3});
  Metrics metrics(3);
  metrics.add(logits, labels_of({0, 0, 1, 1, 2, 2}), 0.5);
  return metrics;
}

TEST(Metrics, CountsTheConfusionsByTruthAndGuess) {
  const Metrics metrics = example();
  EXPECT_EQ(metrics.samples(), 6);
  EXPECT_EQ(metrics.confusion(0, 0), 1);
  EXPECT_EQ(metrics.confusion(0, 1), 1);
  EXPECT_EQ(metrics.confusion(1, 1), 2);
  EXPECT_EQ(metrics.confusion(2, 0), 1);
  EXPECT_EQ(metrics.confusion(2, 2), 1);
  EXPECT_EQ(metrics.confusion(1, 2), 0);
}

TEST(Metrics, GivesPrecisionAndRecallOfEachClass) {
  const Metrics metrics = example();
  EXPECT_DOUBLE_EQ(metrics.accuracy(), 4.0 / 6);
  EXPECT_DOUBLE_EQ(metrics.of_class(0).precision, 0.5);
  EXPECT_DOUBLE_EQ(metrics.of_class(0).recall, 0.5);
  EXPECT_DOUBLE_EQ(metrics.of_class(1).precision, 2.0 / 3);
  EXPECT_DOUBLE_EQ(metrics.of_class(1).recall, 1.0);
  EXPECT_DOUBLE_EQ(metrics.of_class(2).precision, 1.0);
  EXPECT_EQ(metrics.of_class(2).support, 2);
}

TEST(Metrics, WeighsTheLossOfBatchesByTheirSize) {
  Metrics metrics(2);
  metrics.add(from_values<float>({1, 0, 1, 0, 1, 0}, {3, 2}), labels_of({0, 0, 0}), 1.0);
  metrics.add(from_values<float>({1, 0}, {1, 2}), labels_of({0}), 5.0);
  EXPECT_DOUBLE_EQ(metrics.loss(), 2.0);
}

TEST(Metrics, CountsTheLabelAmongTheFiveLargest) {
  // The label is class 0; the k-th sample has k larger logits.
  Metrics metrics(8);
  std::vector<float> logits;
  for (int larger = 0; larger < 8; ++larger)
    for (int c = 0; c < 8; ++c)
      logits.push_back(c > 0 && c <= larger ? 2.0F : c == 0 ? 1.0F : 0.0F);
  metrics.add(from_values(logits, {8, 8}), labels_of({0, 0, 0, 0, 0, 0, 0, 0}), 0);
  EXPECT_DOUBLE_EQ(metrics.top5(), 5.0 / 8);
  EXPECT_DOUBLE_EQ(metrics.accuracy(), 1.0 / 8);
}

TEST(Metrics, NeverCountsNanAsRight) {
  Metrics metrics(2);
  metrics.add(from_values<float>({0, NAN}, {1, 2}), labels_of({1}), 0);
  EXPECT_EQ(metrics.accuracy(), 0);
}

TEST(Metrics, IsZeroWithoutSamples) {
  const Metrics metrics(2);
  EXPECT_EQ(metrics.accuracy(), 0);
  EXPECT_EQ(metrics.loss(), 0);
  EXPECT_EQ(metrics.of_class(0).precision, 0);
}

TEST(Metrics, RefusesBatchesThatDoNotFit) {
  Metrics metrics(3);
  EXPECT_ERROR(metrics.add(zeros({2, 3}), labels_of({0}), 0), ShapeError, "2×3", "(N, classes)");
  EXPECT_ERROR(metrics.add(zeros({1, 4}), labels_of({0}), 0), ShapeError, "3 classes");
  EXPECT_ERROR(metrics.add(zeros({1, 3}), labels_of({3}), 0), ValueError, "label 3");
  EXPECT_ERROR(Metrics(0), ValueError, "at least 1");
}

TEST(CountCorrect, TakesTheFirstOfEqualValues) {
  const Tensor logits = from_values<float>({1, 1, 0, 0, 2, 2}, {2, 3});
  EXPECT_EQ(count_correct(logits, labels_of({0, 1})), 2);
  EXPECT_EQ(count_correct(logits, labels_of({1, 2})), 0);
}

}  // namespace
}  // namespace convkit::train
