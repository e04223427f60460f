#include "convkit/base/error.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <thread>

#include "convkit/base/checked.h"
#include "convkit/base/extents.h"
#include "convkit/base/scope.h"
#include "tests/support/throws.h"

namespace convkit {
namespace {

TEST(Check, ThrowsTheTypeWithTheConcatenatedText) {
  const auto fail = [](int64_t in, int64_t groups) {
    CONVKIT_CHECK(in % groups == 0, ShapeError, "conv2d: in_channels (", in,
                  ") must be divisible by groups (", groups, ")");
  };
  EXPECT_NO_THROW(fail(4, 2));
  try {
    fail(3, 2);
    FAIL();
  } catch (const ShapeError& error) {
    EXPECT_STREQ(error.what(), "conv2d: in_channels (3) must be divisible by groups (2)");
  }
}

TEST(Check, EvaluatesItsTextOnlyOnFailure) {
  int calls = 0;
  const auto expensive = [&] { return std::to_string(++calls); };
  CONVKIT_CHECK(true, ValueError, expensive());
  EXPECT_EQ(calls, 0);
}

TEST(Error, IsCaughtAsErrorAndAsStdException) {
  const auto throws_each = [](int which) {
    if (which == 0) throw ShapeError("x");
    if (which == 1) throw DTypeError("x");
    if (which == 2) throw ValueError("x");
    if (which == 3) throw GradError("x");
    if (which == 4) throw IoError("x");
    if (which == 5) throw FormatError("x");
    throw NotFiniteError("x");
  };
  for (int which = 0; which < 7; ++which) {
    EXPECT_THROW(throws_each(which), Error);
    EXPECT_THROW(throws_each(which), std::runtime_error);
  }
}

TEST(Scope, PrefixesErrorsWithTheInnermostPath) {
  const std::string stem = "stem";
  const std::string conv = "stem.conv";
  const std::string nothing;
  EXPECT_STREQ(ValueError("text").what(), "text");
  {
    const Scope outer(stem);
    EXPECT_STREQ(ValueError("text").what(), "stem: text");
    {
      const Scope inner(conv);
      EXPECT_EQ(Scope::current_path(), "stem.conv");
      EXPECT_STREQ(ShapeError("text").what(), "stem.conv: text");
      const Scope unnamed(nothing);
      EXPECT_STREQ(ValueError("text").what(), "stem.conv: text");
    }
    EXPECT_STREQ(ValueError("text").what(), "stem: text");
  }
  EXPECT_EQ(Scope::current_path(), "");
}

TEST(Scope, EndsWithAnException) {
  const std::string path = "layer";
  try {
    const Scope scope(path);
    throw ValueError("text");
  } catch (const ValueError& error) {
    EXPECT_STREQ(error.what(), "layer: text");
  }
  EXPECT_EQ(Scope::current_path(), "");
}

TEST(Scope, BelongsToItsThread) {
  const std::string path = "layer";
  const Scope scope(path);
  std::thread([] { EXPECT_EQ(Scope::current_path(), ""); }).join();
}

TEST(Checked, GivesProductsAndSums) {
  EXPECT_EQ(checked_mul(int64_t{1} << 31, int64_t{1} << 31), int64_t{1} << 62);
  EXPECT_EQ(checked_mul(0, std::numeric_limits<int64_t>::max()), 0);
  EXPECT_EQ(checked_add(std::numeric_limits<int64_t>::max() - 1, 1),
            std::numeric_limits<int64_t>::max());
}

TEST(Checked, RefusesToWrapAround) {
  EXPECT_ERROR(checked_mul(int64_t{1} << 32, int64_t{1} << 31, "bytes"), ValueError,
               "bytes: 4294967296 · 2147483648", "64 bits");
  EXPECT_ERROR(checked_add(std::numeric_limits<int64_t>::max(), 1, "offset"), ValueError,
               "offset: 9223372036854775807 + 1");
}

TEST(CeilDiv, RoundsUp) {
  EXPECT_EQ(ceil_div(0, 4), 0);
  EXPECT_EQ(ceil_div(1, 4), 1);
  EXPECT_EQ(ceil_div(8, 4), 2);
  EXPECT_EQ(ceil_div(9, 4), 3);
  EXPECT_EQ(round_up(9, 4), 12);
  EXPECT_EQ(round_up(8, 4), 8);
  EXPECT_EQ(round_up(0, 4), 0);
}

TEST(Text, WritesNumbersInTheirShortestForm) {
  EXPECT_EQ(to_text(0.1), "0.1");
  EXPECT_EQ(to_text(0.1F), "0.1");
  EXPECT_EQ(to_text(1.0), "1");
  EXPECT_EQ(to_text(1e-5), "1e-05");
  EXPECT_EQ(to_text(static_cast<double>(INFINITY)), "inf");
  EXPECT_EQ(to_text(-0.25), "-0.25");
  EXPECT_EQ(to_text(true), "true");
  EXPECT_EQ(to_text(int64_t{-3}), "-3");
  EXPECT_EQ(to_text(uint64_t{18446744073709551615U}), "18446744073709551615");
  EXPECT_EQ(std::stod(to_text(1.0 / 3)), 1.0 / 3);
  EXPECT_EQ(std::stof(to_text(1.0F / 3)), 1.0F / 3);
}

TEST(Text, WritesListsAsPyTorchWritesSizes) {
  EXPECT_EQ(to_text(std::vector<int64_t>{1, 2, 3}), "(1, 2, 3)");
  EXPECT_EQ(to_text(std::vector<int64_t>{}), "()");
  EXPECT_EQ(to_text(std::array<int64_t, 1>{7}), "(7,)");
  EXPECT_EQ(message("a", 1, 'b', 2.5, std::string("c"), std::vector<int64_t>{4}), "a1b2.5c(4,)");
}

struct Named {
  int value = 3;
};
std::string to_text(const Named& named) { return "named " + std::to_string(named.value); }

TEST(Text, AMessageTakesEveryTypeInAnyOrder) {
  EXPECT_EQ(message(), "");
  EXPECT_EQ(message(int8_t{-1}, uint8_t{255}, ' ', short{-2}, 3U, int64_t{INT64_MIN}, UINT64_MAX),
            "-1255 -23-922337203685477580818446744073709551615");
  EXPECT_EQ(message(0.1F, ' ', 0.1, ' ', true, false), "0.1 0.1 truefalse");
  const char* const pointer = "p";
  char array[] = "array";
  EXPECT_EQ(message(pointer, std::string_view("view").substr(1), array, std::string(300, 'x')),
            "piewarray" + std::string(300, 'x'));
  EXPECT_EQ(message(Named{}, ", ", Named{.value = 4}, std::array<int64_t, 2>{1, 2}),
            "named 3, named 4(1, 2)");
}

TEST(Text, GroupsThousands) {
  EXPECT_EQ(with_thousands(0), "0");
  EXPECT_EQ(with_thousands(999), "999");
  EXPECT_EQ(with_thousands(1000), "1,000");
  EXPECT_EQ(with_thousands(12345678), "12,345,678");
  EXPECT_EQ(with_thousands(-999), "-999");
  EXPECT_EQ(with_thousands(-1234567), "-1,234,567");
}

TEST(Extents, TakeOneNumberOrOnePerAxis) {
  const Extents<3> same = 3;
  EXPECT_EQ(same.values, (std::array<int64_t, 3>{3, 3, 3}));
  const Extents<3> each = {1, 2, 3};
  EXPECT_EQ(each[0], 1);
  EXPECT_EQ(each[2], 3);
  const Extents<2> braced = {5};
  EXPECT_EQ(braced, Extents<2>(5));
  EXPECT_EQ(to_text(each), "(1, 2, 3)");
  EXPECT_EQ(Extents<2>(), Extents<2>(0));
}

TEST(Extents, RefuseAnyOtherCount) {
  EXPECT_ERROR((Extents<3>{1, 2}), ShapeError, "one number or 3", "not 2");
  EXPECT_ERROR((Extents<1>{1, 2}), ShapeError, "one number or 1", "not 2");
}

}  // namespace
}  // namespace convkit
