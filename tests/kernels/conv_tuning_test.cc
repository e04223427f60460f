#include "convkit/kernels/conv_tuning.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "convkit/base/error.h"
#include "convkit/kernels/conv_planner.h"
#include "convkit/kernels/target.h"
#include "tests/kernels/conv_check.h"

namespace convkit::test {
namespace {

using kernels::parse_problem;
using kernels::Planning;
using kernels::PlanOptions;
using kernels::TuningRecord;
using kernels::Weights;
using testing::HasSubstr;
using testing::ThrowsMessage;

constexpr PlanOptions kMeasured = {
    .exactness = Exactness::fast, .weights = Weights::changing, .planning = Planning::measured};

class ConvTuning : public testing::Test {
 protected:
  void SetUp() override { kernels::clear_tuning_records(); }
  void TearDown() override { kernels::clear_tuning_records(); }
};

TuningRecord record(const std::string& problem, std::vector<TuningRecord::Time> times) {
  return {problem,           Direction::forward,     Exactness::fast,
          Weights::changing, kernels::simd_target(), std::move(times)};
}

TEST_F(ConvTuning, MeasuresOnceAndChoosesTheFastest) {
  const ConvGeometry g = parse_problem("mb1ic16ih20oc16oh20kh3ph1");
  const kernels::ConvChoice choice = choose(g, Direction::forward, kMeasured);
  const std::vector<TuningRecord> records = kernels::tuning_records();
  ASSERT_EQ(records.size(), 1U);
  EXPECT_EQ(records[0].problem, "mb1ic16ih20oc16oh20kh3ph1");
  ASSERT_GE(records[0].times.size(), 2U);  // direct and a Winograd are close here
  for (std::size_t i = 1; i < records[0].times.size(); ++i)
    EXPECT_LE(records[0].times[i - 1].seconds, records[0].times[i].seconds);
  EXPECT_EQ(choice.algorithm->name, records[0].times[0].algorithm);
  EXPECT_EQ(choice.seconds, records[0].times[0].seconds);
  EXPECT_THAT(choice.reason, HasSubstr("measured"));
  choose(g, Direction::forward, kMeasured);
  EXPECT_EQ(kernels::tuning_records(), records);
}

TEST_F(ConvTuning, GoesByARecordEvenAgainstTheEstimate) {
  const std::string problem = "mb1ic64ih56oc64oh56kh3ph1";
  ASSERT_EQ(std::string(choose(parse_problem(problem), Direction::forward).algorithm->name),
            "winograd4");
  kernels::add_tuning_record(record(problem, {{"winograd4", 2e-3}, {"direct", 1e-3}}));
  const kernels::ConvChoice choice = choose(parse_problem(problem), Direction::forward, kMeasured);
  EXPECT_EQ(std::string(choice.algorithm->name), "direct");
  EXPECT_THAT(choice.reason, HasSubstr("measured 1000 us; winograd4 2000 us; estimated "));
  // Other directions, and estimates, are not touched.
  EXPECT_EQ(std::string(choose(parse_problem(problem), Direction::forward).algorithm->name),
            "winograd4");
}

TEST_F(ConvTuning, PassesOverARecordOfWhatDoesNotApply) {
  const std::string problem = "mb1ic64ih56oc64oh28kh3sh2ph1";  // no Winograd with a stride
  kernels::add_tuning_record(record(problem, {{"winograd4", 1e-9}, {"direct", 1e-3}}));
  kernels::add_tuning_record(record("mb1ic8ih20oc8oh20kh3ph1", {{"depthwise", 1e-9}}));
  for (const char* each : {"mb1ic64ih56oc64oh28kh3sh2ph1", "mb1ic8ih20oc8oh20kh3ph1"}) {
    const ConvGeometry g = parse_problem(each);
    EXPECT_EQ(choose(g, Direction::forward, kMeasured).algorithm->why_not(g, Direction::forward),
              "");
  }
}

TEST_F(ConvTuning, KeepsTheFirstRecordOfAConvolution) {
  kernels::add_tuning_record(record("mb1ic3ih9oc3oh9kh3ph1", {{"direct", 1e-3}}));
  kernels::add_tuning_record(record("mb1ic3ih9oc3oh9kh3ph1", {{"winograd2", 1e-3}}));
  ASSERT_EQ(kernels::tuning_records().size(), 1U);
  EXPECT_EQ(kernels::tuning_records()[0].times[0].algorithm, "direct");
}

TEST_F(ConvTuning, RefusesRecordsThatCannotBe) {
  const std::string problem = "mb1ic3ih9oc3oh9kh3ph1";
  const auto adding = [](const TuningRecord& each) {
    return [each] { kernels::add_tuning_record(each); };
  };
  EXPECT_THAT(adding(record("nonsense", {{"direct", 1.0}})), testing::Throws<ValueError>());
  EXPECT_THAT(adding(record(problem, {})), ThrowsMessage<ValueError>(HasSubstr("no algorithm")));
  EXPECT_THAT(adding(record(problem, {{"magic", 1.0}})),
              ThrowsMessage<ValueError>(HasSubstr("there are: depthwise")));
  EXPECT_THAT(adding(record(problem, {{"direct", 0.0}})),
              ThrowsMessage<ValueError>(HasSubstr("cannot take 0 seconds")));
  TuningRecord exact = record(problem, {{"winograd4", 1.0}});
  exact.exactness = Exactness::exact;
  EXPECT_THAT(adding(exact), ThrowsMessage<ValueError>(HasSubstr("not exact")));
  EXPECT_TRUE(kernels::tuning_records().empty());
}

TEST_F(ConvTuning, MeasuresEveryDirectionAndPackedWeights) {
  const ConvGeometry g = parse_problem("mb2ic24ih10oc24oh10kh3ph1");
  for (const Direction direction : kernels::kDirections)
    for (const Weights weights : {Weights::changing, Weights::fixed}) {
      PlanOptions options = kMeasured;
      options.weights = weights;
      EXPECT_NE(planned_program(g, direction, options), nullptr);
    }
  EXPECT_EQ(kernels::tuning_records().size(), 6U);
}

TEST_F(ConvTuning, MeasuresNothingForAnEmptyBatch) {
  ConvGeometry g = parse_problem("mb1ic24ih10oc24oh10kh3ph1");
  g.batch = 0;
  EXPECT_NE(planned_program(g, Direction::forward, kMeasured), nullptr);
  EXPECT_TRUE(kernels::tuning_records().empty());
}

}  // namespace
}  // namespace convkit::test
