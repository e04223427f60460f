#include "convkit/tensor/dtype.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "convkit/base/random.h"

namespace convkit {
namespace {

// The value of a half by its definition: (−1)^s · 1.m · 2^(e − 15), or 0.m · 2^−14.
double half_value(uint16_t bits) {
  const double sign = (bits & 0x8000) != 0 ? -1 : 1;
  const int exponent = (bits >> 10) & 31;
  const double mantissa = (bits & 0x3FF) / 1024.0;
  if (exponent == 31) return mantissa == 0 ? sign * INFINITY : NAN;
  if (exponent == 0) return sign * std::ldexp(mantissa, -14);
  return sign * std::ldexp(1 + mantissa, exponent - 15);
}

TEST(Half, EveryPatternHasItsValueAndComesBack) {
  for (uint32_t pattern = 0; pattern < 65536; ++pattern) {
    const Half half{static_cast<uint16_t>(pattern)};
    const double expected = half_value(half.bits);
    const float value = to_float(half);
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(value)) << pattern;
      ASSERT_TRUE(std::isnan(to_float(to_half(value)))) << pattern;
      continue;
    }
    ASSERT_EQ(static_cast<double>(value), expected) << pattern;
    ASSERT_EQ(std::signbit(value), (pattern & 0x8000) != 0) << pattern;
    ASSERT_EQ(to_half(value).bits, half.bits);
  }
}

TEST(Half, RoundsToNearestEvenBetweenAllNeighbours) {
  for (uint16_t low = 0; low < 0x7BFF; ++low) {  // the last finite one is 0x7BFF
    const double a = half_value(low);
    const double b = half_value(static_cast<uint16_t>(low + 1));
    const auto middle = static_cast<float>((a + b) / 2);  // exact: one bit more than a half has
    const uint16_t even = (low & 1) == 0 ? low : static_cast<uint16_t>(low + 1);
    ASSERT_EQ(to_half(middle).bits, even) << low;
    ASSERT_EQ(to_half(std::nextafter(middle, 0.0F)).bits, low) << low;
    ASSERT_EQ(to_half(std::nextafter(middle, INFINITY)).bits, low + 1) << low;
    ASSERT_EQ(to_half(-middle).bits, even | 0x8000) << low;
  }
}

TEST(Half, OverflowsToInfinityAndUnderflowsToZero) {
  EXPECT_EQ(to_half(65504).bits, 0x7BFF);
  EXPECT_EQ(to_half(std::nextafter(65520.0F, 0.0F)).bits, 0x7BFF);
  EXPECT_EQ(to_half(65520).bits, 0x7C00);
  EXPECT_EQ(to_half(1e30F).bits, 0x7C00);
  EXPECT_EQ(to_half(-INFINITY).bits, 0xFC00);
  EXPECT_EQ(to_half(0x1p-25F).bits, 0) << "half of the smallest: to even";
  EXPECT_EQ(to_half(std::nextafter(0x1p-25F, 1.0F)).bits, 1);
  EXPECT_EQ(to_half(-1e-30F).bits, 0x8000);
  EXPECT_TRUE(std::isnan(to_float(to_half(NAN))));
}

TEST(BFloat16, EveryPatternComesBack) {
  for (uint32_t pattern = 0; pattern < 65536; ++pattern) {
    const BFloat16 value{static_cast<uint16_t>(pattern)};
    const float wide = to_float(value);
    ASSERT_EQ(std::bit_cast<uint32_t>(wide), pattern << 16);
    if (std::isnan(wide)) {
      ASSERT_TRUE(std::isnan(to_float(to_bfloat16(wide))));
    } else {
      ASSERT_EQ(to_bfloat16(wide).bits, value.bits);
    }
  }
}

TEST(BFloat16, RoundsToNearestEven) {
  Generator generator(1);
  for (int i = 0; i < 200000; ++i) {
    const uint32_t bits = generator.next_u32();
    const auto value = std::bit_cast<float>(bits);
    const uint16_t rounded = to_bfloat16(value).bits;
    if (std::isnan(value)) {
      ASSERT_TRUE(std::isnan(to_float(BFloat16{rounded})));
      continue;
    }
    // Between its two neighbours by bits; the nearer one, or the even one of equals.
    const uint32_t below = bits >> 16;
    const uint32_t rest = bits & 0xFFFF;
    const bool up = rest > 0x8000 || (rest == 0x8000 && (below & 1) != 0);
    ASSERT_EQ(rounded, below + (up ? 1 : 0)) << bits;
  }
  EXPECT_EQ(to_bfloat16(std::bit_cast<float>(0x3F808000U)).bits, 0x3F80);
  EXPECT_EQ(to_bfloat16(std::bit_cast<float>(0x3F818000U)).bits, 0x3F82);
  EXPECT_EQ(to_bfloat16(std::numeric_limits<float>::max()).bits, 0x7F80) << "rounds to infinity";
  EXPECT_TRUE(std::isnan(to_float(to_bfloat16(std::bit_cast<float>(0x7F800001U)))));
}

TEST(DType, KnowsSizesAndNames) {
  const struct {
    DType dtype;
    std::size_t size;
    const char* name;
    bool floating;
  } rows[] = {
      {DType::float32, 4, "float32", true}, {DType::float64, 8, "float64", true},
      {DType::float16, 2, "float16", true}, {DType::bfloat16, 2, "bfloat16", true},
      {DType::int8, 1, "int8", false},      {DType::uint8, 1, "uint8", false},
      {DType::int16, 2, "int16", false},    {DType::uint16, 2, "uint16", false},
      {DType::int32, 4, "int32", false},    {DType::uint32, 4, "uint32", false},
      {DType::int64, 8, "int64", false},    {DType::uint64, 8, "uint64", false},
      {DType::boolean, 1, "bool", false},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(item_size(row.dtype), row.size);
    EXPECT_EQ(name_of(row.dtype), row.name);
    EXPECT_EQ(is_floating(row.dtype), row.floating);
    visit_dtype(row.dtype, [&]<class T>() { EXPECT_EQ(kDTypeOf<T>, row.dtype); });
  }
}

}  // namespace
}  // namespace convkit
