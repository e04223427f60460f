#include "convkit/kernels/conv_geometry.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "convkit/base/error.h"
#include "tests/kernels/conv_check.h"
#include "tests/support/conv_shapes.h"
#include "tests/support/throws.h"

namespace convkit::test {
namespace {

using kernels::Extents;
using kernels::parse_problem;

TEST(ConvGeometry, EverySharedShapeIsReadAndWrittenAlike) {
  for (const ConvShape& shape : kConvShapes) {
    const ConvGeometry g = parse_problem(shape.problem);
    EXPECT_EQ(parse_problem(to_string(g)), g) << shape.problem << " became " << to_string(g);
  }
}

TEST(ConvGeometry, TheSharedShapesDiffer) {
  std::set<std::string> problems;
  for (const ConvShape& shape : kConvShapes)
    EXPECT_TRUE(problems.insert(to_string(parse_problem(shape.problem))).second) << shape.problem;
}

TEST(ConvGeometry, ShrunkSharedShapesKeepTheirKernels) {
  for (const ConvShape& shape : kConvShapes) {
    const ConvGeometry g = parse_problem(shape.problem);
    const ConvGeometry small = shrunk(g, 2'000'000);
    EXPECT_LE(macs(small), 2'000'000);
    EXPECT_EQ(small.kernel, g.kernel);
    EXPECT_EQ(small.pad_lo, g.pad_lo);
  }
}

TEST(ConvGeometry, IsWrittenAsBenchdnnWritesIt) {
  EXPECT_EQ(to_string(parse_problem("g4mb1ic64ih56oc64oh56kh3ph1")), "g4mb1ic64ih56oc64oh56kh3ph1");
  EXPECT_EQ(to_string(parse_problem("mb16ic1iw16000oc64ow4000kw79sw4pw39")),
            "mb16ic1iw16000oc64ow4000kw79sw4pw39");
  EXPECT_EQ(to_string(parse_problem("mb1ic64ih56oc64oh56kh3ph2dh1")),
            "mb1ic64ih56oc64oh56kh3ph2dh1");
  EXPECT_EQ(to_string(parse_problem("mb2ic3ih8iw9oc4oh8ow9kh3kw5ph1pw2")),
            "mb2ic3ih8iw9oc4oh8ow9kh3ph1kw5pw2");
}

TEST(ConvGeometry, AProblemsOmittedExtentsFollowThoseToTheLeft) {
  const ConvGeometry g = parse_problem("mb2ic3id9oc4od5kd3sd2pd1");
  EXPECT_EQ(g.in, (Extents{9, 9, 9}));
  EXPECT_EQ(g.stride, (Extents{2, 2, 2}));
  EXPECT_EQ(g.out, (Extents{5, 5, 5}));
}

TEST(ConvGeometry, TheOutputSizeOfAProblemSetsThePadAfter) {
  const ConvGeometry g = parse_problem("mb1ic1iw16000oc64ow4000kw79sw4pw39");
  EXPECT_EQ(g.pad_lo[2], 39);
  EXPECT_EQ(g.pad_hi[2], 36);  // (4000 − 1)·4 + 79 − 16000 − 39 − 3 unused ones
}

TEST(ConvGeometry, TextThatIsNoProblemIsRefused) {
  for (const char* text : {"hello", "mb", "mb1ic3", "mb1ic3ih8oc4oh8kh3ph1qq7", "mb1ic3ih-oc2",
                           "mb1ic3ih99999999999999999999oc4"})
    EXPECT_THROW(parse_problem(text), Error) << text;
}

TEST(ConvGeometry, RefusesWhatDoesNotFitInWords) {
  const ConvGeometry good = parse_problem("g2mb1ic6ih9oc4oh9kh3ph1");
  ConvGeometry g = good;
  g.batch = -1;
  EXPECT_ERROR(validate(g), ShapeError, "batch (-1) must not be negative");
  g = good;
  g.groups = 0;
  EXPECT_ERROR(validate(g), ShapeError, "groups (0) must be at least 1");
  g = good;
  g.groups = 4;
  EXPECT_ERROR(validate(g), ShapeError, "in_channels (6) must be divisible by groups (4)");
  g = good;
  g.out_channels = 5;
  EXPECT_ERROR(validate(g), ShapeError, "out_channels (5) must be divisible by groups (2)");
  g = good;
  g.in_channels = 0;
  EXPECT_ERROR(validate(g), ShapeError, "in_channels (0)");
  g = good;
  g.stride[1] = 0;
  EXPECT_ERROR(validate(g), ShapeError, "stride H is 0; it must be at least 1");
  g = good;
  g.dilation[2] = -3;
  EXPECT_ERROR(validate(g), ShapeError, "dilation W is -3");
  g = good;
  g.kernel[2] = 13;
  EXPECT_ERROR(validate(g), ShapeError,
               "the kernel spans 13 along W, but the padded input is 11 (9 + 1 + 1)");
  g = good;
  g.out[1] = 8;
  EXPECT_ERROR(validate(g), ShapeError, "output size H is 8");
}

TEST(ConvGeometry, RefusesSizesThatOverflow) {
  ConvGeometry g;
  g.batch = int64_t{1} << 40;
  g.in_channels = int64_t{1} << 20;
  g.in[2] = g.out[2] = int64_t{1} << 30;
  EXPECT_THROW(validate(g), Error);
}

TEST(ConvGeometry, CountsElementsAndMultiplyAdds) {
  const ConvGeometry g = parse_problem("g2mb3ic6ih9oc4oh9kh3ph1");
  EXPECT_EQ(input_count(g), 3 * 9 * 9 * 6);
  EXPECT_EQ(output_count(g), 3 * 9 * 9 * 4);
  EXPECT_EQ(weight_count(g), 4 * 3 * 3 * 3);
  EXPECT_EQ(macs(g), 3 * 9 * 9 * 4 * 3 * 3 * 3);
}

TEST(ConvGeometry, DifferentGeometriesHashDifferently) {
  std::mt19937 random(2);
  std::set<std::size_t> hashes;
  std::set<std::string> texts;
  for (int i = 0; i < 500; ++i) {
    const ConvGeometry g = random_geometry(random);
    std::string text = to_string(g);
    for (const int64_t pad : g.pad_hi) text += "," + std::to_string(pad);
    hashes.insert(hash(g));
    texts.insert(text);
  }
  EXPECT_EQ(hashes.size(), texts.size());
}

TEST(SimdTarget, CanBeLimitedByName) {
  const std::string best = kernels::simd_target();
  for (const std::string& target : kernels::simd_targets()) {
    const OnTarget limited(target);
    EXPECT_EQ(kernels::simd_target(), target);
  }
  EXPECT_EQ(kernels::simd_target(), best);
  EXPECT_EQ(kernels::simd_targets().back(), "portable");
}

TEST(SimdTarget, AnUnknownNameIsRefusedWithTheNamesThereAre) {
  EXPECT_ERROR(kernels::set_simd_target("avx1024"), ValueError, "'avx1024'", "portable");
}

}  // namespace
}  // namespace convkit::test
