#include "tests/support/golden.h"

#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <cmath>

namespace convkit::test {
namespace {

TEST(GoldenFile, GivesCasesAndTheirTensors) {
  const GoldenFile golden("conv");
  EXPECT_GT(golden.cases().size(), 100U);
  const nlohmann::json& golden_case = golden.find_case("conv1d_kernel1");
  EXPECT_EQ(golden_case.at("op"), "conv1d");
  EXPECT_EQ(int_list(golden_case.at("kernel_size")), std::vector<int64_t>{1});
  EXPECT_EQ(int_list(golden_case.at("groups")), std::vector<int64_t>{1});
  EXPECT_EQ(golden.tensor(golden_case, "weight").shape(), Shape({4, 3, 1}));
  EXPECT_TRUE(golden.has(golden_case, "bias"));
  EXPECT_FALSE(golden.optional_tensor(golden_case, "nothing").defined());
  EXPECT_FALSE(golden.cases_of("conv2d").empty());
}

TEST(GoldenFile, ThrowsForWhatIsNotThere) {
  EXPECT_ANY_THROW(GoldenFile("no-such-topic"));
  const GoldenFile golden("conv");
  EXPECT_ANY_THROW(golden.cases_of("no-such-op"));
  EXPECT_ANY_THROW(golden.find_case("no-such-case"));
  EXPECT_ANY_THROW(golden.tensor("conv1d_kernel1", "no-such-role"));
}

TEST(ExpectClose, AcceptsWhatIsWithinTheTolerance) {
  const Tensor expected = from_values<float>({1, -100, 0, NAN, INFINITY}, {5});
  const Tensor actual = from_values<double>({1.05, -100.9, 0.05, NAN, INFINITY}, {5});
  EXPECT_TRUE(expect_close(actual, expected, 0.06, 0.01, "x"));
}

TEST(ExpectClose, ReportsTheWorstElement) {
  const Tensor expected = from_values<float>({1, 1, 1, 1}, {2, 2});
  const Tensor actual = from_values<float>({1, 1.5, 4, 1}, {2, 2});
  EXPECT_NONFATAL_FAILURE(
      expect_close(actual, expected, 0.5, 0.25, "y"),
      "y: 1 of 4 elements differ; the worst at (1, 0) is 4, expected 1, off by 3");
}

TEST(ExpectClose, FailsForShapesNansAndUndefinedTensors) {
  EXPECT_NONFATAL_FAILURE(expect_close(zeros({2}), zeros({3}), 1, 1, "x"), "shape 2, expected 3");
  EXPECT_NONFATAL_FAILURE(expect_close(full({1}, NAN), zeros({1}), 1, 1, "x"), "1 of 1");
  EXPECT_NONFATAL_FAILURE(expect_close(full({1}, INFINITY), full({1}, -INFINITY), 1, 1, "x"),
                          "1 of 1");
  EXPECT_NONFATAL_FAILURE(expect_close(Tensor(), zeros({1}), 1, 1, "x"), "undefined");
}

}  // namespace
}  // namespace convkit::test
