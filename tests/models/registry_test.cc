#include "convkit/models/registry.h"

#include <gtest/gtest.h>

#include "convkit/autograd/record.h"
#include "convkit/base/error.h"
#include "convkit/nn/functions.h"
#include "tests/support/throws.h"

namespace convkit::models {
namespace {

int64_t parameters_of(const std::string& name) {
  const ModelFacts& facts = find_model(name);
  nn::AnyModule net = make_model(name, facts.input, facts.num_classes);
  return nn::parameter_count(net);
}

TEST(Registry, MakesTheNetsOfTheirPapers) {
  // torchvision's counts, and LeNet-5's.
  EXPECT_EQ(parameters_of("resnet18"), 11'689'512);
  EXPECT_EQ(parameters_of("resnet34"), 21'797'672);
  EXPECT_EQ(parameters_of("resnet50"), 25'557'032);
  EXPECT_EQ(parameters_of("vgg16"), 138'357'544);
  EXPECT_EQ(parameters_of("mobilenet_v2"), 3'504'872);
  EXPECT_EQ(parameters_of("r3d_18"), 33'371'472);
  EXPECT_EQ(parameters_of("lenet5"), 61'706);
}

TEST(Registry, MakesEveryNetThatItLists) {
  const NoGradGuard no_grad;
  for (const ModelFacts& facts : model_list()) {
    for (const int64_t rank : facts.ranks) {
      // Small samples, so that the big nets take no time.
      int64_t extent = 12;
      if (facts.name == "m5") extent = 1021;
      if (facts.name == "vgg16") extent = 32;
      std::vector<int64_t> sample(static_cast<std::size_t>(rank) + 1, extent);
      sample[0] = 2;
      const std::string name(facts.name);
      nn::AnyModule net = make_model(name, Shape(sample), 3);
      nn::eval(net);
      EXPECT_EQ(net(zeros(Shape(sample).with_inserted(0, 1))).shape(), (Shape{1, 3}))
          << name << " of rank " << rank;
    }
  }
}

TEST(Registry, TakesTheRankFromTheSampleOrTheName) {
  nn::AnyModule net = make_model("resnet18", {1, 40}, 4);
  EXPECT_EQ(nn::state_dict(net).front().second.shape(), (Shape{64, 1, 7}));
  net = make_model("resnet18-3d", {2, 9, 9, 9}, 4);
  EXPECT_EQ(nn::state_dict(net).front().second.shape(), (Shape{64, 2, 7, 7, 7}));
  EXPECT_ERROR(make_model("resnet18-3d", {2, 9, 9}, 4), ShapeError, "resnet18-3d",
               "2 spatial axes, not 3", "resnet18-2d");
}

TEST(Registry, TellsTheLayersTheirPaths) {
  nn::AnyModule net = make_model("default", {1, 8, 8}, 2);
  EXPECT_ERROR(net(zeros({1, 2, 8, 8})), ShapeError, "features.0.conv");
}

TEST(Registry, ListsTheKnownForAnUnknownName) {
  EXPECT_ERROR(make_model("resnet19", {3, 32, 32}, 10), ValueError, "'resnet19'", "default",
               "lenet5", "resnet18", "resnet34", "resnet50", "vgg16", "mobilenet_v2", "r3d_18",
               "m5");
  EXPECT_ERROR(find_model("-1d"), ValueError, "'-1d'");
  EXPECT_ERROR(find_model("m5-2d"), ValueError, "no 2-d form of m5");
}

TEST(Registry, RefusesSamplesTheNetCannotTake) {
  EXPECT_ERROR(make_model("lenet5", {1, 16000}, 10), ShapeError, "lenet5", "1×16000",
               "1 spatial axes", "takes 2");
  EXPECT_ERROR(make_model("resnet18", {3}, 10), ShapeError, "0 spatial axes", "1, 2 or 3");
  EXPECT_ERROR(make_model("default", {1, 3, 28}, 10), ShapeError, "1×3×28", "at least 4");
  EXPECT_ERROR(make_model("lenet5", {1, 11, 28}, 10), ShapeError, "at least 12");
  EXPECT_ERROR(make_model("vgg16", {3, 31, 64}, 10), ShapeError, "at least 32");
  EXPECT_ERROR(make_model("m5", {1, 500}, 10), ShapeError, "at least 1021");
  EXPECT_ERROR(make_model("resnet18", {0, 32, 32}, 10), ShapeError, "no channels");
  EXPECT_ERROR(make_model("resnet18", {3, 32, 32}, 0), ValueError, "num_classes is 0");
}

}  // namespace
}  // namespace convkit::models
