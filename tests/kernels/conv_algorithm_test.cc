#include "convkit/kernels/conv_planner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <set>

#include "convkit/base/error.h"
#include "convkit/base/memory.h"
#include "convkit/base/thread_pool.h"
#include "convkit/kernels/conv.h"
#include "tests/kernels/conv_check.h"
#include "tests/support/conv_shapes.h"
#include "tests/support/throws.h"

namespace convkit::test {
namespace {

using kernels::conv_algorithm;
using kernels::conv_algorithms;
using kernels::kDirections;
using kernels::parse_problem;

// Every row but the oracle itself, on every instruction set.
void expect_all_rows_match(const ConvGeometry& g, unsigned seed) {
  const ConvData data(g, seed);
  for (const Direction direction : kDirections) {
    const Exact want = exact(direction, data);
    for_each_row(g, direction, [&](const ConvAlgorithm& row, const std::string& target) {
      EXPECT_EQ(difference(result(row, direction, data), want, row.error_growth), "")
          << row.name << " on " << target << ", " << name(direction) << " of " << to_string(g)
          << " pad_hi " << g.pad_hi[0] << "," << g.pad_hi[1] << "," << g.pad_hi[2];
    });
  }
}

TEST(ConvAlgorithms, MatchTheReferenceOnTheSharedShapes) {
  const OnThreads alone(1);
  unsigned seed = 1;
  for (const ConvShape& shape : kConvShapes)
    expect_all_rows_match(shrunk(parse_problem(shape.problem), 2'000'000), seed++);
}

TEST(ConvAlgorithms, MatchTheReferenceWhereRowsCollideInTheCache) {
  const OnThreads alone(1);
  for (const char* problem :
       {"mb2ic512ih7oc33oh7kh1ph0", "mb1ic1024ih5oc16oh5kh3ph1", "mb2ic512ih9oc40oh5kh1sh2ph0",
        "mb1ic256ih9oc20oh5kh3sh2ph1", "mb10ic512ih7oc40oh7kh1ph0", "g2mb1ic1024iw30oc64ow30kw3pw1",
        "mb4ic32ih16oc32oh16kh3ph1"})
    expect_all_rows_match(parse_problem(problem), 3);
}

TEST(ConvAlgorithms, GiveTheSameBitsOnAnyNumberOfThreads) {
  std::vector<ConvGeometry> geometries;
  for (const ConvShape& shape : kConvShapes)
    geometries.push_back(shrunk(parse_problem(shape.problem), 1'000'000));
  std::mt19937 random(5);
  for (int i = 0; i < 20; ++i) geometries.push_back(random_geometry(random));
  // The longest sums are those that are cut into slices.
  geometries.push_back(parse_problem("mb8ic8ih40oc8oh40kh3ph1"));
  geometries.push_back(parse_problem("g24mb8ic24ih30oc24oh30kh3ph1"));
  std::vector<std::vector<float>> on_one_thread;
  for (const int threads : {1, 2, 3, 4}) {
    const OnThreads together(threads);
    std::size_t index = 0;
    for (const ConvGeometry& g : geometries) {
      const ConvData data(g, 11);
      for (const ConvAlgorithm& row : conv_algorithms())
        for (const Direction direction : kDirections) {
          if (row.name == std::string("reference") || !row.why_not(g, direction).empty()) continue;
          std::vector<float> got = result(row, direction, data);
          if (threads == 1) {
            on_one_thread.push_back(std::move(got));
          } else {
            const std::vector<float>& want = on_one_thread[index++];
            EXPECT_EQ(std::memcmp(want.data(), got.data(), want.size() * sizeof(float)), 0)
                << row.name << " " << name(direction) << " of " << to_string(g) << " on " << threads
                << " threads";
          }
        }
    }
  }
}

// Programs that take weights a few channels at a time pack what they pack of all at once.
TEST(ConvAlgorithms, PackTheSameFromRowsAsFromAllWeights) {
  int packed_by_rows = 0;
  for (const ConvShape& shape : kConvShapes) {
    const ConvGeometry g = shrunk(parse_problem(shape.problem), 200'000);
    const ConvData data(g, 7);
    const int64_t row_floats = weight_count(g) / g.out_channels;
    const kernels::ReadWeightRows read = [&](int64_t first, int64_t count, float* rows) {
      ASSERT_LE(first + count, g.out_channels);
      std::copy_n(data.w.data() + first * row_floats, count * row_floats, rows);
    };
    for (const Direction direction : {Direction::forward, Direction::backward_input})
      for_each_row(g, direction, [&](const ConvAlgorithm& row, const std::string& target) {
        const auto program = prepare(row, g, direction);
        const auto floats = static_cast<std::size_t>(program->packed_floats());
        std::vector<float> from_rows(floats, 0.0f);
        if (!program->pack_rows(read, from_rows.data())) return;
        ++packed_by_rows;
        std::vector<float> from_all(floats, 0.0f);
        program->pack(data.w.data(), from_all.data());
        EXPECT_EQ(std::memcmp(from_rows.data(), from_all.data(), floats * sizeof(float)), 0)
            << row.name << " on " << target << ", " << name(direction) << " of " << to_string(g);
      });
  }
  EXPECT_GT(packed_by_rows, 0);
}

// What they give back is what was packed, a few channels at a time too.
TEST(ConvAlgorithms, UnpackTheBitsTheyHavePacked) {
  int unpacked = 0;
  for (const ConvShape& shape : kConvShapes) {
    const ConvGeometry g = shrunk(parse_problem(shape.problem), 200'000);
    const ConvData data(g, 9);
    const int64_t row_floats = weight_count(g) / g.out_channels;
    for (const Direction direction : {Direction::forward, Direction::backward_input})
      for_each_row(g, direction, [&](const ConvAlgorithm& row, const std::string& target) {
        const auto program = prepare(row, g, direction);
        std::vector<float> packed(static_cast<std::size_t>(program->packed_floats()), NAN);
        program->pack(data.w.data(), packed.data());
        std::vector<float> rows(data.w.size());
        const int64_t half = g.out_channels / 2;
        if (!program->unpack_rows(packed.data(), 0, half, rows.data())) return;
        program->unpack_rows(packed.data(), half, g.out_channels - half,
                             rows.data() + half * row_floats);
        ++unpacked;
        EXPECT_EQ(rows, data.w) << row.name << " on " << target << ", " << name(direction) << " of "
                                << to_string(g);
      });
  }
  EXPECT_GT(unpacked, 0);
}

// Outputs beyond all caches are stored past them, where they are aligned to cache lines.
TEST(ConvAlgorithms, GiveLargeOutputsTheSameBitsWhereverTheyLie) {
  for (const char* problem : {"mb1ic16ih272oc64oh272kh1ph0", "mb1ic4ih300oc48oh300kh3ph1",
                              "g64mb1ic64ih272oc64oh272kh3ph1", "mb1ic3ih544oc64oh272kh7sh2ph3"}) {
    const ConvGeometry g = parse_problem(problem);
    ASSERT_GT(kernels::output_count(g) * 4, kernels::kFarBytes);
    const ConvData data(g, 5);
    const auto count = static_cast<std::size_t>(kernels::output_count(g));
    for_each_row(g, Direction::forward, [&](const ConvAlgorithm& row, const std::string& target) {
      const auto program = prepare(row, g, Direction::forward);
      const auto y_at = [&](std::size_t offset) {
        Buffer<float> y(count + offset);
        std::fill_n(y.data(), y.size(), NAN);
        program->pack_and_run(data.x.data(), data.w.data(), {.bias = data.bias.data(), .low = 0.0F},
                              y.data() + offset);
        return y;
      };
      const Buffer<float> aligned = y_at(0);
      const Buffer<float> unaligned = y_at(1);
      EXPECT_EQ(std::memcmp(aligned.data(), unaligned.data() + 1, count * sizeof(float)), 0)
          << row.name << " on " << target << ", " << problem;
      EXPECT_TRUE(std::none_of(aligned.data(), aligned.data() + count,
                               [](float value) { return std::isnan(value); }))
          << row.name << " on " << target << ", " << problem;
    });
  }
}

TEST(ConvAlgorithms, TakeAnEmptyBatch) {
  ConvGeometry g = parse_problem("mb1ic6ih9oc4oh9kh3ph1");
  g.batch = 0;
  ConvGeometry depthwise = parse_problem("g6mb1ic6ih9oc6oh9kh3ph1");
  depthwise.batch = 0;
  for (const ConvGeometry& empty : {g, depthwise})
    for (const ConvAlgorithm& row : conv_algorithms()) {
      if (!row.why_not(empty, Direction::forward).empty()) continue;
      for (const Direction direction : {Direction::forward, Direction::backward_input})
        prepare(row, empty, direction)->pack_and_run(nullptr, nullptr, {}, nullptr);
      std::vector<float> dw(static_cast<std::size_t>(weight_count(empty)), NAN);
      prepare(row, empty, Direction::backward_weight)
          ->pack_and_run(nullptr, nullptr, {}, dw.data());
      EXPECT_EQ(dw, std::vector<float>(dw.size(), 0.0f)) << row.name;
    }
}

// min(max(sum + bias + residual, low), high), with the residual in the output's own place too.
TEST(ConvAlgorithms, AddTheResidualAndClampWhatTheyStore) {
  const OnThreads alone(1);
  std::mt19937 random(77);
  for (int i = 0; i < 150; ++i) {
    // Long sums go in parts.
    const ConvGeometry g =
        i == 0 ? parse_problem("mb1ic1024ih6oc32oh6kh3ph1") : random_geometry(random);
    const ConvData data(g, 78);
    Exact want = exact(Direction::forward, data);
    const std::vector<float> residual = random_floats(output_count(g), random);
    for (std::size_t k = 0; k < residual.size(); ++k) {
      const double sum = want.value[k] + static_cast<double>(residual[k]);
      want.value[k] = std::clamp(sum, -0.5, 0.75);
      want.magnitude[k] += std::fabs(static_cast<double>(residual[k]));
    }
    want.terms += 1.0;
    for_each_row(g, Direction::forward, [&](const ConvAlgorithm& row, const std::string& target) {
      std::vector<float> y = residual;
      prepare(row, g, Direction::forward)
          ->pack_and_run(
              data.x.data(), data.w.data(),
              {.bias = data.bias.data(), .residual = y.data(), .low = -0.5f, .high = 0.75f},
              y.data());
      EXPECT_EQ(difference(y, want, row.error_growth), "")
          << row.name << " on " << target << ", " << to_string(g);
    });
  }
}

// Each applies the function to what it would store without it, once, and leaves what lies between
// the channels of its positions as it is.
TEST(ConvAlgorithms, EndWithTheFunction) {
  std::mt19937 random(79);
  const kernels::UnaryFunction silu = {kernels::UnaryOp::silu};
  for (int i = 0; i < 150; ++i) {
    // Long sums in parts, folded rows, strips that add lanes up, tiles that hang over.
    constexpr const char* kSome[] = {"mb1ic1024ih6oc32oh6kh3ph1", "mb2ic1iw500oc1ow500kw9pw4",
                                     "g8mb1ic64ih9oc16oh9kh3ph1", "mb2ic24ih13oc40oh13kh3ph1"};
    const ConvGeometry g = i < 4 ? parse_problem(kSome[i]) : random_geometry(random);
    const ConvData data(g, 80);
    const std::vector<float> residual = random_floats(output_count(g), random);
    for (const int64_t gap : {0, 3})
      for_each_row(g, Direction::forward, [&](const ConvAlgorithm& row, const std::string& target) {
        const auto program = prepare(row, g, Direction::forward);
        if (gap > 0 && !program->takes_out_pitch()) return;
        kernels::ConvEpilogue epilogue = {.bias = data.bias.data(), .low = -2.0F};
        if (gap == 0) epilogue.residual = residual.data();
        if (gap > 0) epilogue.out_pitch = g.out_channels + gap;
        const auto positions = static_cast<std::size_t>(output_count(g) / g.out_channels);
        std::vector<float> expected(positions * static_cast<std::size_t>(g.out_channels + gap),
                                    7.0F);
        std::vector<float> y = expected;
        program->pack_and_run(data.x.data(), data.w.data(), epilogue, expected.data());
        for (std::size_t p = 0; p < positions; ++p)
          kernels::apply(silu, g.out_channels,
                         expected.data() + p * static_cast<std::size_t>(g.out_channels + gap));
        epilogue.function = &silu;
        program->pack_and_run(data.x.data(), data.w.data(), epilogue, y.data());
        EXPECT_EQ(y, expected) << row.name << " on " << target << ", " << to_string(g);
      });
  }
}

TEST(ConvAlgorithms, HaveTheReferenceAsTheLastRow) {
  EXPECT_STREQ(conv_algorithms().back().name, "reference");
}

TEST(ConvAlgorithms, AreFoundByName) {
  for (const ConvAlgorithm& row : conv_algorithms()) EXPECT_EQ(&conv_algorithm(row.name), &row);
}

TEST(ConvAlgorithms, AnUnknownNameIsRefusedWithTheNamesThereAre) {
  EXPECT_ERROR(conv_algorithm("winograd99"), ValueError, "'winograd99'",
               "depthwise, grouped, winograd4, winograd2, fft, scatter, direct, reference");
}

TEST(ConvAlgorithms, SayInWordsWhyTheyDoNotApply) {
  const std::string words =
      conv_algorithm("depthwise")
          .why_not(parse_problem("g4mb1ic64ih8oc32oh8kh3ph1"), Direction::forward);
  EXPECT_EQ(words, "not depthwise: 4 groups of 16 → 8 channels, where each group must be 1 → 1");
}

TEST(Conv, FloatAndDoubleAgree) {
  const ConvData data(parse_problem("g2mb2ic6ih11oc8oh6kh3sh2ph1"), 4);
  const auto wide = [](const std::vector<float>& from) {
    return std::vector<double>(from.begin(), from.end());
  };
  const std::vector<double> x = wide(data.x), w = wide(data.w), dy = wide(data.dy);
  for (const Direction direction : kDirections) {
    const auto count = static_cast<std::size_t>(data.result_count(direction));
    std::vector<float> narrow(count, NAN);
    std::vector<double> full(count, NAN);
    if (direction == Direction::forward) {
      kernels::conv_forward(data.g, data.x.data(), data.w.data(), nullptr, narrow.data());
      kernels::conv_forward(data.g, x.data(), w.data(), nullptr, full.data());
    } else if (direction == Direction::backward_input) {
      kernels::conv_backward_input(data.g, data.dy.data(), data.w.data(), narrow.data());
      kernels::conv_backward_input(data.g, dy.data(), w.data(), full.data());
    } else {
      kernels::conv_backward_weight(data.g, data.x.data(), data.dy.data(), narrow.data());
      kernels::conv_backward_weight(data.g, x.data(), dy.data(), full.data());
    }
    // At most 72 products of numbers below 1: off by no more than 72² · 2^-24.
    for (std::size_t i = 0; i < count; ++i) EXPECT_NEAR(narrow[i], full[i], 3.1e-4);
  }
}

TEST(Conv, RefusesAGeometryThatDoesNotFit) {
  ConvGeometry g = parse_problem("mb1ic6ih9oc4oh9kh3ph1");
  g.out[2] = 10;
  EXPECT_THROW(
      kernels::conv_forward(g, static_cast<const float*>(nullptr), nullptr, nullptr, nullptr),
      ShapeError);
}

// Multiples of 2^-12 in [0, 1]: sums of 256 are exact in float32, and all are in double, so that
// the results are rounded once. Float32 alone would lose digits from 4096 on.
TEST(ChannelSums, AddEveryChannelOverAllRows) {
  std::mt19937 random(9);
  for (const int64_t rows : {0, 1, 255, 256, 257, 70'000})
    for (const int64_t channels : {1, 3, 64}) {
      std::vector<float> x = random_floats(rows * channels, random);
      for (float& value : x) value = std::round(std::fabs(value) * 0x1p12F) * 0x1p-12F;
      std::vector<float> sums(static_cast<std::size_t>(channels), NAN);
      kernels::channel_sums(x.data(), rows, channels, sums.data());
      for (int64_t c = 0; c < channels; ++c) {
        double want = 0.0;
        for (int64_t r = 0; r < rows; ++r)
          want += static_cast<double>(x[static_cast<std::size_t>(r * channels + c)]);
        EXPECT_EQ(sums[static_cast<std::size_t>(c)], static_cast<float>(want));
      }
    }
}

}  // namespace
}  // namespace convkit::test
