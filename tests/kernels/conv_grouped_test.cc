#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "convkit/kernels/conv_planner.h"
#include "tests/kernels/conv_check.h"

// Depthwise convolutions, groups of few channels and first layers: what the general tests of the
// table (conv_algorithm_test.cc) reach only by chance.
namespace convkit::test {
namespace {

using kernels::conv_algorithm;
using kernels::kDirections;
using kernels::parse_problem;

const ConvAlgorithm& row_of(const ConvGeometry& g) {
  return conv_algorithm(g.groups == g.in_channels && g.groups == g.out_channels ? "depthwise"
                                                                                : "grouped");
}

void expect_match(const ConvGeometry& g, unsigned seed) {
  const ConvData data(g, seed);
  for (const Direction direction : kDirections) {
    if (!row_of(g).why_not(g, direction).empty()) continue;
    const Exact want = exact(direction, data);
    for (const std::string& target : engine_targets()) {
      const OnTarget limited(target);
      EXPECT_EQ(difference(result(row_of(g), direction, data), want), "")
          << row_of(g).name << " on " << target << ", " << name(direction) << " of "
          << to_string(g);
    }
  }
}

ConvGeometry line(int64_t channels, int64_t width, int64_t kernel) {
  ConvGeometry g;
  g.groups = g.in_channels = g.out_channels = channels;
  g.in[2] = width;
  g.kernel[2] = kernel;
  g.pad_lo[2] = kernel / 2;
  g.pad_hi[2] = kernel - 1 - kernel / 2;
  return g;
}

// Every size of block, and every count of outputs that is left over.
TEST(GroupedConv, MatchesTheReferenceOnLinesOfEveryLength) {
  const OnThreads alone(1);
  for (int64_t width = 1; width <= 46; ++width)
    expect_match(with_output_size(line(17, width, 3)), static_cast<unsigned>(width));
}

// The gradient of the weights takes up to 64 outputs at a time, of one line or of several.
TEST(GroupedConv, MatchesTheReferenceOnLongLines) {
  const OnThreads alone(1);
  for (const int64_t width : {63, 64, 65, 66, 67, 127, 128, 129, 130, 193})
    for (const int64_t kernel : {1, 2, 3, 4}) {
      expect_match(with_output_size(line(10, width, kernel)), static_cast<unsigned>(width));
      ConvGeometry wide = line(24, width, kernel);
      wide.groups = 3;
      expect_match(with_output_size(wide), static_cast<unsigned>(width));
    }
}

// Pixels that share a few sets of the cache are copied.
TEST(GroupedConv, MatchesTheReferenceWherePixelsPushEachOtherOut) {
  const OnThreads alone(1);
  for (const char* problem :
       {"g64mb1ic512ih5iw9oc512oh5ow9kh3kw3ph1pw1", "g32mb2ic512ih4iw7oc512oh4ow7kh3kw3ph1pw1",
        "g16mb1ic512ih3iw70oc256oh3ow70kh1kw3ph0pw1", "g32mb1ic256ih9oc320oh5kh3sh2ph1",
        "g32mb1ic256ih9oc256oh9kh3ph2dh1",
        "g32mb1ic512id4ih4iw5oc512od4oh4ow5kd3kh3kw3pd1ph1pw1"}) {
    const ConvGeometry g = parse_problem(problem);
    expect_match(g, 7);
  }
}

// 1 to 4 taps share what they read; longer kernels take several runs.
TEST(GroupedConv, MatchesTheReferenceOnKernelsOfEveryLength) {
  const OnThreads alone(1);
  for (const int64_t kernel : {1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 31, 64})
    expect_match(with_output_size(line(20, 37, kernel)), static_cast<unsigned>(kernel));
}

// Strides and dilations with and without common divisors become classes of outputs and taps.
TEST(GroupedConv, MatchesTheReferenceOnEveryStrideAndDilation) {
  const OnThreads alone(1);
  for (int64_t stride = 1; stride <= 6; ++stride)
    for (int64_t dilation = 1; dilation <= 6; ++dilation)
      for (const int64_t kernel : {3, 5, 8}) {
        ConvGeometry g = line(16, 61, kernel);
        g.stride[2] = stride;
        g.dilation[2] = dilation;
        g.pad_lo[2] = dilation * kernel / 2;
        expect_match(with_output_size(g), static_cast<unsigned>(36 * stride + dilation));
      }
}

// Whole groups in one read, reads one float further for each channel, groups wider than a vector,
// and lanes that are added up.
TEST(GroupedConv, MatchesTheReferenceOnGroupsOfEverySize) {
  const OnThreads alone(1);
  for (const int64_t in : {1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 17, 20})
    for (const int64_t out : {1, 2, 3, 4, 5, 6, 8, 15, 16, 24})
      for (const int64_t groups : {1, 2, 7}) {
        ConvGeometry g;
        g.groups = groups;
        g.in_channels = groups * in;
        g.out_channels = groups * out;
        g.in = {1, 4, 9};
        g.kernel = {1, 3, 3};
        g.pad_lo = g.pad_hi = {0, 1, 1};
        expect_match(with_output_size(g), static_cast<unsigned>(in * out));
      }
}

TEST(GroupedConv, MatchesTheReferenceInThreeDimensions) {
  const OnThreads alone(1);
  for (const char* problem : {"g18mb2ic18id5ih6iw9oc18od5oh6ow9kd3kh3kw3pd1ph1pw1",
                              "g3mb1ic12id6ih5iw8oc9od3oh3ow4kd3kh3kw3sd2sh2sw2pd1ph1pw1",
                              "g5mb1ic10id7ih7iw11oc10od3oh3ow7kd3kh3kw3pd0ph0pw0dd1dh1dw1"})
    expect_match(parse_problem(problem), 5);
}

// Beyond some megabytes the input is fetched ahead.
TEST(GroupedConv, MatchesTheReferenceOnLargeTensors) {
  for (const char* problem : {"g20mb2ic20ih130oc20oh130kh3ph1", "g8mb2ic16ih110oc32oh55kh3sh2ph1"})
    expect_match(parse_problem(problem), 6);
}

TEST(GroupedConv, SlicesOfTheWeightsGradientDependOnTheShapeAlone) {
  for (const char* problem : {"g20mb2ic20ih130oc20oh130kh3ph1", "g8mb4ic32ih30oc32oh30kh3ph1",
                              "g16mb4ic32ih30oc16oh30kh3ph1"}) {
    const ConvData data(parse_problem(problem), 8);
    std::vector<float> alone;
    for (const int threads : {1, 2, 4}) {
      const OnThreads together(threads);
      std::vector<float> got = result(row_of(data.g), Direction::backward_weight, data);
      if (threads == 1)
        alone = std::move(got);
      else
        EXPECT_EQ(std::memcmp(alone.data(), got.data(), alone.size() * sizeof(float)), 0)
            << problem << " on " << threads << " threads";
    }
  }
}

// Few positions: backward-input reads the weights where they lie, if a vector is of one group.
TEST(GroupedConv, BackwardInputReadsWeightsInPlace) {
  const OnThreads alone(1);
  const auto packed = [](const char* problem) {
    const ConvGeometry g = parse_problem(problem);
    return prepare(conv_algorithm("grouped"), g, Direction::backward_input)->packed_floats();
  };
  for (const std::string& target : engine_targets()) {
    const OnTarget limited(target);
    EXPECT_EQ(packed("g4mb1ic128ih7oc128oh7kh3ph1"), 0) << target;
    EXPECT_EQ(packed("g3mb2ic48ih9oc96oh5kh3sh2ph1"), 0) << target;
    EXPECT_GT(packed("g4mb1ic128ih28oc128oh28kh3ph1"), 0) << target;
    // Rows of weights pages apart.
    EXPECT_GT(packed("g2mb1ic128iw9oc128ow8kw8pw3"), 0) << target;
  }
  for (const char* problem : {"g4mb1ic128ih7oc128oh7kh3ph1", "g3mb2ic48ih9oc96oh5kh3sh2ph1",
                              "g2mb1ic64id3ih5iw6oc32od3oh5ow6kd3kh3kw3pd1ph1pw1"})
    expect_match(parse_problem(problem), 11);
}

enum class Kind { finite, infinite, nan };
Kind kind(float value) {
  return std::isnan(value) ? Kind::nan : std::isinf(value) ? Kind::infinite : Kind::finite;
}

// An infinite weight that meets padding adds nothing, a NaN reaches the outputs that see it and no
// neighbour in its vector, block or window.
TEST(GroupedConv, NanAndInfinityGoWhereTheReferenceSaysTheyGo) {
  const OnThreads alone(1);
  for (const char* problem :
       {"g18mb1ic18ih5iw19oc18oh5ow19kh3kw3ph1pw1", "g3mb1ic12ih5iw19oc12oh5ow19kh3kw3ph1pw1",
        "g4mb1ic12ih5iw19oc12oh3ow10kh3kw3sh2sw2ph1pw1", "g8mb1ic8ih5iw19oc16oh5ow19kh3kw3ph1pw1",
        "g8mb1ic32ih5iw19oc8oh5ow19kh3kw3ph1pw1", "mb1ic3ih5iw19oc20oh3ow10kh3kw3sh2sw2ph1pw1"}) {
    ConvData data(parse_problem(problem), 9);
    data.w[0] = std::numeric_limits<float>::infinity();
    data.x[data.x.size() / 2] = std::numeric_limits<float>::quiet_NaN();
    data.x.front() = std::numeric_limits<float>::infinity();
    data.dy[data.dy.size() / 3] = std::numeric_limits<float>::quiet_NaN();
    data.dy.back() = -std::numeric_limits<float>::infinity();
    for (const Direction direction : kDirections) {
      if (!row_of(data.g).why_not(data.g, direction).empty()) continue;
      const std::vector<float> want = result(conv_algorithm("reference"), direction, data);
      for (const std::string& target : engine_targets()) {
        const OnTarget limited(target);
        const std::vector<float> got = result(row_of(data.g), direction, data);
        for (std::size_t i = 0; i < got.size(); ++i)
          ASSERT_EQ(kind(got[i]), kind(want[i]))
              << name(direction) << " of " << problem << " on " << target << ", element " << i;
      }
    }
  }
}

TEST(ConvPlanner, PicksGroupedWhereSeveralGroupsShareAVector) {
  for (const char* problem :
       {"g8mb8ic32ih32oc32oh32kh3ph1", "g32mb1ic128ih56oc128oh56kh3ph1",
        "g4mb4ic4ih28oc8oh28kh3ph1", "g5mb4ic15ih28oc15oh28kh3ph1", "g4mb1ic64ih56oc64oh56kh3ph1"})
    for (const Direction direction : kDirections)
      EXPECT_STREQ(choose(parse_problem(problem), direction).algorithm->name, "grouped")
          << problem << " " << name(direction);
}

// Few channels to sum over: a tile's sums would be short.
TEST(ConvPlanner, PicksGroupedForFirstLayers) {
  for (const char* problem :
       {"mb1ic3ih224oc32oh112kh3sh2ph1", "mb8ic1ih64oc16oh64kh3ph1", "mb8ic4ih64oc16oh64kh3ph1"})
    EXPECT_STREQ(choose(parse_problem(problem), Direction::forward).algorithm->name, "grouped")
        << problem;
  const kernels::PlanOptions exact = {.exactness = Exactness::exact};
  EXPECT_STREQ(choose(parse_problem("mb1ic3ih224oc64oh112kh7sh2ph3"), Direction::forward, exact)
                   .algorithm->name,
               "grouped");
}

TEST(GroupedConv, SaysInWordsWhyItDoesNotApply) {
  const ConvAlgorithm& grouped = conv_algorithm("grouped");
  const auto why = [&](const char* problem, Direction direction) {
    return grouped.why_not(parse_problem(problem), direction);
  };
  EXPECT_EQ(why("mb1ic64ih8oc64oh8kh3ph1", Direction::forward),
            "one group: sums over 64 channels need no window");
  EXPECT_EQ(why("mb1ic3ih8oc64oh8kh3ph1", Direction::backward_input),
            "one group: sums over 64 channels need no window");
  EXPECT_EQ(why("mb1ic3ih8oc64oh8kh3ph1", Direction::forward), "");
  EXPECT_EQ(why("mb1ic64ih8oc3oh8kh3ph1", Direction::backward_input), "");
  EXPECT_EQ(why("g8mb1ic8ih8oc8oh8kh3ph1", Direction::forward),
            "every group is one channel: that is depthwise");
  EXPECT_EQ(why("g2mb1ic256ih8oc128oh8kh3ph1", Direction::forward),
            "groups of 128 → 64 channels fill vectors by themselves");
  EXPECT_EQ(why("g2mb1ic64ih8oc4oh8kh3ph1", Direction::forward), "");
}

}  // namespace
}  // namespace convkit::test
