#include "convkit/train/summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "convkit/base/error.h"
#include "convkit/base/exactness.h"
#include "convkit/models/registry.h"
#include "convkit/nn/conv.h"
#include "convkit/nn/linear.h"
#include "convkit/nn/pool.h"
#include "convkit/nn/sequential.h"
#include "convkit/ops/arithmetic.h"
#include "tests/support/throws.h"

namespace convkit::train {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const SummaryRow& row_at(const Summary& summary, const std::string& path) {
  const auto found = std::find_if(summary.rows.begin(), summary.rows.end(),
                                  [&](const SummaryRow& row) { return row.path == path; });
  if (found == summary.rows.end()) throw ValueError("no row " + path);
  return *found;
}

Summary summary_of(const std::string& model) {
  const models::ModelFacts& facts = models::find_model(model);
  nn::AnyModule net = models::make_model(model, facts.input, facts.num_classes);
  return summarize(net, facts.input.with_inserted(0, 1));
}

// One forward at 224×224 is enough for all tests.
const Summary& resnet18() {
  static const Summary summary = summary_of("resnet18");
  return summary;
}

TEST(Summary, KnowsResNet18AsItIsPublished) {
  const Summary& summary = resnet18();
  EXPECT_EQ(summary.parameters, 11'689'512);
  // torchinfo's total; of batch norms it counts nothing here.
  EXPECT_EQ(summary.multiply_adds, 1'814'073'344);
  EXPECT_EQ(summary.input_bytes, 3 * 224 * 224 * 4);
  EXPECT_EQ(row_at(summary, "conv1").output, (Shape{1, 64, 112, 112}));
  EXPECT_EQ(row_at(summary, "conv1").multiply_adds, 118'013'952);
  EXPECT_EQ(row_at(summary, "layer2").output, (Shape{1, 128, 28, 28}));
  EXPECT_EQ(row_at(summary, "layer2").parameters, 525'568);
  EXPECT_EQ(row_at(summary, "").parameters, 11'689'512);
  EXPECT_EQ(row_at(summary, "").output, (Shape{1, 1000}));
  EXPECT_EQ(row_at(summary, "").type, "ResNet");
  EXPECT_EQ(row_at(summary, "layer1.0").type, "BasicBlock");
}

TEST(Summary, GivesPublishedReceptiveFields) {
  // Araujo et al. (Distill 2019) and the layers' arithmetic.
  const Summary& resnet = resnet18();
  EXPECT_THAT(row_at(resnet, "conv1").receptive_field, ElementsAre(7, 7));
  EXPECT_THAT(row_at(resnet, "maxpool").receptive_field, ElementsAre(11, 11));
  EXPECT_THAT(row_at(resnet, "layer4").receptive_field, ElementsAre(435, 435));
  EXPECT_THAT(row_at(resnet, "layer4").stride, ElementsAre(32, 32));
  const Summary lenet = summary_of("lenet5");
  EXPECT_THAT(row_at(lenet, "conv2").receptive_field, ElementsAre(14, 14));
  EXPECT_THAT(row_at(lenet, "fc1").receptive_field, ElementsAre(32, 32));
}

TEST(Summary, ListsASharedLayerEachTimeItRuns) {
  const Summary summary = summary_of("lenet5");
  std::vector<std::string> order;
  for (const SummaryRow& row : summary.rows)
    order.push_back(row.is_operation ? row.type : row.path);
  EXPECT_THAT(order, ElementsAre("", "conv1", "relu", "pool", "conv2", "relu", "pool", "flatten",
                                 "fc1", "relu", "fc2", "relu", "fc3"));
  EXPECT_TRUE(summary.rows[6].is_again);
  EXPECT_EQ(summary.rows[6].output, (Shape{1, 16, 5, 5}));
}

TEST(Summary, ShowsLayersThatDoNothingWhereTheyStand) {
  const Summary summary = summary_of("default");
  const auto at = [&](const std::string& path) { return &row_at(summary, path); };
  EXPECT_FALSE(at("dropout")->ran);
  EXPECT_LT(at("avgpool"), at("dropout"));
  EXPECT_LT(at("dropout"), at("fc"));
}

TEST(Summary, CountsNoMemoryForOperationsInPlace) {
  const Summary& summary = resnet18();
  EXPECT_EQ(row_at(summary, "relu").bytes, 0);
  EXPECT_EQ(row_at(summary, "bn1").bytes, 64 * 112 * 112 * 4);
}

TEST(Summary, ExplainsOutputSizesWithTheirNumbers) {
  const Summary& resnet = resnet18();
  EXPECT_THAT(row_at(resnet, "conv1").explanation,
              ElementsAre("H: floor((224 + 3 + 3 − 1·(7 − 1) − 1) / 2) + 1 = 112",
                          "W: floor((224 + 3 + 3 − 1·(7 − 1) − 1) / 2) + 1 = 112"));
  EXPECT_THAT(row_at(resnet, "maxpool").explanation.front(),
              "H: floor((112 + 1 + 1 − 1·(3 − 1) − 1) / 2) + 1 = 56");
  EXPECT_THAT(row_at(resnet, "fc").explanation, ElementsAre("out_features = 1000"));
  const Summary m5 = summary_of("m5");
  EXPECT_THAT(row_at(m5, "conv1").explanation,
              ElementsAre("L: floor((16000 + 39 + 39 − 1·(79 − 1) − 1) / 4) + 1 = 4000"));
}

TEST(Summary, PlansEachConvolutionInEachDirection) {
  for (const SummaryRow& row : resnet18().rows) {
    ASSERT_EQ(row.plan.size(), row.type == "Conv2d" ? 3 : 0) << row.path;
    EXPECT_EQ(row.problem.empty(), row.plan.empty()) << row.path;
  }
  EXPECT_EQ(row_at(resnet18(), "conv1").plan[0].algorithm, "winograd4");
  const SummaryRow& row = row_at(resnet18(), "layer1.0.conv1");
  EXPECT_EQ(row.problem, "mb1ic64ih56oc64oh56kh3ph1");
  EXPECT_EQ(row.plan[2].direction, "backward_weight");
  EXPECT_EQ(row.plan[2].algorithm, "winograd4");
  const UseExactness exact(Exactness::exact);
  nn::AnyModule net = models::make_model("resnet18", {3, 64, 64}, 10);
  EXPECT_EQ(row_at(summarize(net, {1, 3, 64, 64}), "layer1.0.conv1").plan[0].algorithm, "direct");
}

TEST(Summary, ShowsPlansWhenAsked) {
  nn::AnyModule net = nn::Sequential(
      nn::Conv1d({.in_channels = 4, .out_channels = 4, .kernel_size = 3, .groups = 4}));
  const Summary summary = summarize(net, {1, 4, 9});
  EXPECT_THAT(to_table(summary, {.explain = true}),
              testing::AllOf(HasSubstr("algorithm: depthwise (estimated "),
                             testing::Not(HasSubstr("backward_input"))));
  EXPECT_THAT(to_table(summary, {.plan = true}),
              testing::AllOf(HasSubstr("g4mb1ic4iw9oc4ow7kw3pw0"),
                             HasSubstr("backward_weight: depthwise (estimated "),
                             HasSubstr("not Winograd: 4 groups, where it takes one")));
  EXPECT_THAT(to_table(summary), testing::Not(HasSubstr("depthwise")));
}

TEST(Summary, ShowsEveryActivationOfAResidualBlock) {
  for (const char* model : {"resnet18", "resnet50"}) {
    nn::AnyModule net = models::make_model(model, {3, 32, 32}, 2);
    std::vector<bool> again;
    for (const SummaryRow& row : summarize(net, {1, 3, 32, 32}).rows) {
      EXPECT_NE(row.type, "relu_") << row.path;
      if (row.path != "layer1.0.relu") continue;
      EXPECT_EQ(row.type, "ReLU");
      EXPECT_EQ(row.bytes, 0) << "in place";
      again.push_back(row.is_again);
    }
    const bool is_basic = model == std::string("resnet18");
    EXPECT_EQ(again, is_basic ? std::vector({false, true}) : std::vector({false, true, true}));
  }
}

TEST(Summary, FollowsDilationSamePaddingAndUnevenAxes) {
  nn::AnyModule net = nn::Sequential(
      nn::Conv2d({.in_channels = 1,
                  .out_channels = 2,
                  .kernel_size = {3, 5},
                  .stride = {1, 2},
                  .dilation = {4, 1}}),
      nn::Conv2d({.in_channels = 2, .out_channels = 2, .kernel_size = 2, .padding = Padding::same}),
      nn::MaxPool2d({.kernel_size = 3, .stride = 2, .ceil_mode = true}));
  const Summary summary = summarize(net, {2, 1, 20, 20});
  EXPECT_THAT(row_at(summary, "0").receptive_field, ElementsAre(9, 5));
  EXPECT_THAT(row_at(summary, "0").stride, ElementsAre(1, 2));
  EXPECT_THAT(row_at(summary, "1").receptive_field, ElementsAre(10, 7));
  EXPECT_THAT(row_at(summary, "1").explanation.front(),
              "H: floor((12 + 0 + 1 − 1·(2 − 1) − 1) / 1) + 1 = 12");
  EXPECT_THAT(row_at(summary, "2").receptive_field, ElementsAre(12, 11));
  EXPECT_THAT(row_at(summary, "2").explanation.front(),
              "H: ceil((12 + 0 + 0 − 1·(3 − 1) − 1) / 2) + 1 = 6");
  EXPECT_EQ(summary.multiply_adds, 2LL * 2 * 12 * 8 * 15 + 2LL * 2 * 12 * 8 * 8);
}

struct TwoPaths {
  nn::Conv1d wide{
      nn::Conv1dOptions{.in_channels = 1, .out_channels = 1, .kernel_size = 9, .padding = 4}};
  nn::Conv1d narrow{
      nn::Conv1dOptions{.in_channels = 1, .out_channels = 1, .kernel_size = 3, .padding = 1}};
  Tensor operator()(const Tensor& x) { return ops::add(narrow(x), wide(x)); }
  void visit(auto&& v) {
    v("wide", wide);
    v("narrow", narrow);
  }
};

TEST(Summary, TakesTheLargerFieldWherePathsMeet) {
  nn::AnyModule net = TwoPaths();
  const Summary summary = summarize(net, {1, 1, 30});
  EXPECT_THAT(summary.rows.back().receptive_field, ElementsAre(9));
  EXPECT_EQ(summary.rows.back().type, "add");
}

TEST(Summary, CountsAParameterUsedTwiceOnce) {
  nn::Linear layer({.in_features = 4, .out_features = 4});
  nn::AnyModule net = nn::Sequential(layer, layer);  // copies share their tensors
  EXPECT_EQ(summarize(net, {1, 4}).parameters, 20);
}

TEST(Summary, PrintsATable) {
  const std::string table = to_table(summary_of("lenet5"), {.explain = true});
  EXPECT_THAT(table, HasSubstr("├─ conv1 (Conv2d)"));
  EXPECT_THAT(table, HasSubstr("└─ fc3 (Linear)"));
  EXPECT_THAT(to_table(summary_of("resnet18")), HasSubstr("│     └─ relu (ReLU)"));
  EXPECT_THAT(table, HasSubstr("1×6×28×28"));
  EXPECT_THAT(table, HasSubstr("receptive field"));
  EXPECT_THAT(table, HasSubstr("H: floor((28 + 2 + 2 − 1·(5 − 1) − 1) / 1) + 1 = 28"));
  EXPECT_THAT(table, HasSubstr("61,706"));
  EXPECT_THAT(to_table(summary_of("lenet5")), testing::Not(HasSubstr("floor")));
}

TEST(Summary, ThrowsWhatTheNetThrows) {
  nn::AnyModule net = models::make_model("lenet5", {3, 28, 28}, 10);
  EXPECT_ERROR(summarize(net, {1, 4, 28, 28}), ShapeError, "conv1", "4 channels");
}

}  // namespace
}  // namespace convkit::train
