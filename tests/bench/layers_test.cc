// Holds the list of layers that the benchmarks compare (bench/layers.h) to the nets it names.
#include "bench/layers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <span>
#include <string>
#include <unordered_map>

#include "convkit/kernels/conv_geometry.h"
#include "tests/support/conv_shapes.h"

namespace convkit::bench {
namespace {

using kernels::ConvGeometry;
using kernels::parse_problem;

struct Hash {
  std::size_t operator()(const ConvGeometry& geometry) const { return hash(geometry); }
};

// Which layer of the group has this geometry.
using Seen = std::unordered_map<ConvGeometry, std::string, Hash>;

TEST(BenchLayers, ParseAndLeaveTheBatchToTheRun) {
  for (const auto& layers :
       {std::span<const Layer>(kNetLayers), std::span<const Layer>(kHoleLayers)})
    for (const Layer& layer : layers) {
      EXPECT_EQ(std::string(layer.problem).find("mb"), std::string::npos) << layer.problem;
      EXPECT_EQ(parse_problem(layer.problem).batch, 1) << layer.problem;
      EXPECT_GE(layer.times, 1) << layer.problem;
    }
}

TEST(BenchLayers, EachStandsInItsNetOnce) {
  std::map<std::string, Seen> nets;
  for (const Layer& layer : kNetLayers) {
    const auto [place, is_new] =
        nets[layer.group].emplace(parse_problem(layer.problem), layer.problem);
    EXPECT_TRUE(is_new) << layer.group << ": " << layer.problem << " is " << place->second;
  }
  EXPECT_EQ(nets.size(), 8u);
}

TEST(BenchLayers, HolesRepeatNeitherEachOtherNorANetNorTheShapesOfTheTests) {
  Seen seen;
  for (const Layer& layer : kNetLayers) seen.emplace(parse_problem(layer.problem), layer.problem);
  for (const test::ConvShape& shape : test::kConvShapes) {
    ConvGeometry geometry = parse_problem(shape.problem);
    geometry.batch = 1;
    seen.emplace(geometry, shape.problem);
  }
  for (const Layer& layer : kHoleLayers) {
    const auto [place, is_new] = seen.emplace(parse_problem(layer.problem), layer.problem);
    EXPECT_TRUE(is_new) << layer.problem << " is " << place->second;
  }
}

double gflop_of(const std::string& net) {
  double sum = 0.0;
  for (const Layer& layer : kNetLayers)
    if (layer.group == net)
      sum += 2e-9 * layer.times * static_cast<double>(macs(parse_problem(layer.problem)));
  return sum;
}

// The figures are those that the nets' authors and torchvision give: two operations for each
// multiply-add of the convolutions, rounded to the digits written.
TEST(BenchLayers, SumUpToWhatTheNetsAreKnownToCompute) {
  EXPECT_NEAR(gflop_of("ResNet-18"), 3.6, 0.05);
  EXPECT_NEAR(gflop_of("ResNet-50"), 8.2, 0.05);
  EXPECT_NEAR(gflop_of("VGG-16"), 31, 0.5);
  EXPECT_NEAR(gflop_of("MobileNetV2"), 0.6, 0.05);
  EXPECT_NEAR(gflop_of("R3D-18"), 81, 0.5);
  EXPECT_NEAR(gflop_of("M5"), 0.09, 0.005);
}

TEST(BenchLayers, CoverTheClassesWhereLibrariesHaveSlowPaths) {
  std::set<int64_t> channels;
  std::set<int64_t> long_kernels;
  std::set<int64_t> groups;
  int64_t longest = 0;
  for (const Layer& layer : kHoleLayers) {
    const ConvGeometry g = parse_problem(layer.problem);
    channels.insert({g.in_channels, g.out_channels});
    if (g.groups > 1 && g.groups < g.in_channels) groups.insert(g.groups);
    if (g.in[1] == 1) {
      long_kernels.insert(g.kernel[2]);
      longest = std::max(longest, g.in[2]);
    }
  }
  for (const int64_t count : {1, 2, 3, 4, 6, 10, 17, 31}) EXPECT_TRUE(channels.contains(count));
  for (const int64_t count : {2, 4, 8, 16, 32}) EXPECT_TRUE(groups.contains(count));
  EXPECT_EQ(*long_kernels.rbegin(), 2048);
  EXPECT_EQ(longest, 160'000);
}

}  // namespace
}  // namespace convkit::bench
