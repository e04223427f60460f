#include "convkit/base/conv_size.h"

#include <gtest/gtest.h>

namespace convkit {
namespace {

TEST(FloorDiv, RoundsTowardsMinusInfinity) {
  EXPECT_EQ(floor_div(7, 2), 3);
  EXPECT_EQ(floor_div(-7, 2), -4);
  EXPECT_EQ(floor_div(-8, 2), -4);
  EXPECT_EQ(floor_div(-1, 3), -1);
  EXPECT_EQ(floor_div(0, 3), 0);
}

TEST(KernelSpan, CountsTheGapsOfADilatedKernel) {
  EXPECT_EQ(kernel_span(1, 5), 1);
  EXPECT_EQ(kernel_span(3, 1), 3);
  EXPECT_EQ(kernel_span(7, 2), 13);
}

// How many places a kernel has on the padded axis, counted one by one.
int64_t counted_places(int64_t padded, int64_t kernel, int64_t stride, int64_t dilation) {
  int64_t places = 0;
  for (int64_t begin = 0; begin + (kernel - 1) * dilation < padded; begin += stride) ++places;
  return places;
}

TEST(ConvOutputSize, CountsThePlacesOfTheKernel) {
  for (int64_t in = 0; in < 12; ++in)
    for (int64_t kernel = 1; kernel < 6; ++kernel)
      for (int64_t stride = 1; stride < 5; ++stride)
        for (int64_t lo = 0; lo < 3; ++lo)
          for (int64_t hi = 0; hi < 3; ++hi)
            for (int64_t dilation = 1; dilation < 4; ++dilation) {
              const int64_t places = counted_places(in + lo + hi, kernel, stride, dilation);
              const int64_t out = conv_output_size(in, kernel, stride, lo, hi, dilation);
              ASSERT_EQ(out > 0 ? out : 0, places) << in << " " << kernel << " " << stride << " "
                                                   << lo << " " << hi << " " << dilation;
            }
}

TEST(ConvOutputSize, GivesTheTextbookSizes) {
  EXPECT_EQ(conv_output_size(224, 7, 2, 3, 3), 112);
  EXPECT_EQ(conv_output_size(56, 3, 1, 1, 1), 56);
  EXPECT_EQ(conv_output_size(5, 7, 1, 2, 2, 2), -3) << "a kernel that does not fit";
  EXPECT_EQ(conv_output_size(3, 5, 4), 0) << "rounds down, not towards zero";
}

TEST(SamePadding, KeepsTheExtentOrDividesItByTheStride) {
  for (int64_t in = 1; in < 20; ++in)
    for (int64_t kernel = 1; kernel < 8; ++kernel)
      for (int64_t stride = 1; stride < 5; ++stride)
        for (int64_t dilation = 1; dilation < 4; ++dilation) {
          const SamePadding p = same_padding(in, kernel, stride, dilation);
          ASSERT_EQ(conv_output_size(in, kernel, stride, p.lo, p.hi, dilation),
                    (in + stride - 1) / stride)
              << in << " " << kernel << " " << stride << " " << dilation;
          ASSERT_TRUE(p.lo >= 0 && (p.hi == p.lo || p.hi == p.lo + 1))
              << "the odd one goes to the end";
        }
}

TEST(SamePadding, IsPyTorchsForStrideOne) {
  EXPECT_EQ(same_padding(10, 4, 1, 1).lo, 1);
  EXPECT_EQ(same_padding(10, 4, 1, 1).hi, 2);
  EXPECT_EQ(same_padding(10, 3, 1, 2).lo, 2);
  EXPECT_EQ(same_padding(10, 3, 1, 2).hi, 2);
}

}  // namespace
}  // namespace convkit
