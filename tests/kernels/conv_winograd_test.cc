#include "convkit/kernels/conv_winograd.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "convkit/kernels/winograd_tiles.h"
#include "convkit/kernels/winograd_transform.h"
#include "tests/kernels/conv_check.h"

namespace convkit::test {
namespace {

using kernels::conv_algorithm;
using kernels::kDirections;
using kernels::parse_problem;
using kernels::WinogradKernels;
using kernels::WinogradSize;
using kernels::WinogradTile;
using kernels::WinogradVariant;

constexpr int kLanes = 16;  // no vector is wider

// The matrix of a transform, [to][from], from its answers to unit vectors.
using Matrix = std::vector<std::vector<double>>;
template <class Apply>
Matrix matrix(int to, int from, Apply&& apply) {
  Matrix all(static_cast<std::size_t>(to), std::vector<double>(static_cast<std::size_t>(from)));
  for (int j = 0; j < from; ++j) {
    const auto place = [](int number) { return static_cast<std::size_t>(number) * kLanes; };
    std::vector<float> in(place(from), 0.0f);
    std::vector<float> out(place(to), 0.0f);
    in[place(j)] = 1.0f;
    std::vector<const float*> pixels;
    pixels.reserve(static_cast<std::size_t>(from));
    for (int i = 0; i < from; ++i) pixels.push_back(in.data() + i * kLanes);
    apply(in.data(), pixels.data(), out.data());
    for (int i = 0; i < to; ++i)
      all[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)] =
          static_cast<double>(out[place(i)]);
  }
  return all;
}

double square_sum(const std::vector<double>& row) {
  double sum = 0.0;
  for (const double value : row) sum += value * value;
  return sum;
}

// Per result i: the root of Σ over points p of (A_ip ‖B_p‖ ‖G_p‖)², over that of a plain sum with
// one product per tap. Rounding errors of the points, of like relative size, grow by this much.
std::vector<double> growth(const Matrix& a, const Matrix& b, const Matrix& g) {
  std::vector<double> all;
  for (const std::vector<double>& row : a) {
    double sum = 0.0;
    for (std::size_t p = 0; p < b.size(); ++p)
      sum += row[p] * row[p] * square_sum(b[p]) * square_sum(g[p]);
    all.push_back(std::sqrt(sum / static_cast<double>(g[0].size())));
  }
  return all;
}

struct Growth {
  std::vector<double> outputs;
  std::vector<double> gradients;
};

WinogradSize whole(const WinogradTile& tile) { return {tile.out_h, tile.out_w}; }

// Of tiles of so many outputs.
Growth growth_of(WinogradVariant variant, const WinogradSize& size) {
  const WinogradKernels& kernels = kernels::winograd_kernels(variant);
  const int points = kernels.tile.points();
  const int outputs = kernels.tile.out_h * kernels.tile.out_w;
  const int taps = kernels.tile.taps_h * kernels.tile.taps_w;
  const auto input = matrix(points, points, [&](const float*, const float* const* x, float* to) {
    kernels.input(x, 1, size, to, kLanes);
  });
  const auto output = matrix(outputs, points, [&](const float* m, const float* const*, float* to) {
    kernels.output(
        m, kLanes, 1, {},
        {.offset = 0, .row_step = kernels.tile.out_w * kLanes, .pixel_step = kLanes, .size = size},
        to);
  });
  const auto weight = matrix(points, taps, [&](const float* w, const float* const*, float* to) {
    kernels.weight({w, 0, kLanes, 1, kLanes, false}, to, 0, kLanes);
  });
  const std::vector<float> zeros(kLanes, 0.0f);
  const int existing = size.rows * size.columns;
  const auto slope = matrix(points, existing, [&](const float*, const float* const* dy, float* to) {
    std::vector<const float*> pixels;
    for (int i = 0; i < kernels.tile.out_h; ++i)
      for (int j = 0; j < kernels.tile.out_w; ++j)
        pixels.push_back(i < size.rows && j < size.columns ? dy[i * size.columns + j]
                                                           : zeros.data());
    kernels.slope(pixels.data(), 1, size, to, kLanes);
  });
  const auto gradient = matrix(taps, points, [&](const float* m, const float* const*, float* to) {
    kernels.gradient(m, kLanes, 1, to, kLanes);
  });
  return {growth(output, input, weight), growth(gradient, input, slope)};
}
Growth growth_of(WinogradVariant variant) {
  return growth_of(variant, whole(kernels::winograd_kernels(variant).tile));
}

double largest(const std::vector<double>& values) {
  return *std::max_element(values.begin(), values.end());
}

// The factor that results may be off more than plain sums is what the transforms amplify errors by:
// not less, nor more than a hundredth above it.
TEST(Winograd, ErrorGrowthIsWhatItsTransformsAmplify) {
  const Growth f4x4 = growth_of(WinogradVariant::f4x4);
  const Growth f4 = growth_of(WinogradVariant::f4);
  const Growth f2x2 = growth_of(WinogradVariant::f2x2);
  const double four = std::max(
      {largest(f4x4.outputs), largest(f4x4.gradients), largest(f4.outputs), largest(f4.gradients)});
  const double two = std::max(largest(f2x2.outputs), largest(f2x2.gradients));
  EXPECT_LE(four, conv_algorithm("winograd4").error_growth);
  EXPECT_GE(four, 0.99 * conv_algorithm("winograd4").error_growth);
  EXPECT_LE(two, conv_algorithm("winograd2").error_growth * (1.0 + 1e-6));
  EXPECT_GE(two, 0.99 * conv_algorithm("winograd2").error_growth);
}

// Shorter tiles, of fewer points with weights of whole tiles, amplify errors less.
TEST(Winograd, ErrorGrowthOfShortTilesIsBelowThatOfWholeOnes) {
  const double whole_ones = conv_algorithm("winograd4").error_growth;
  for (const WinogradVariant variant : {WinogradVariant::f4x4, WinogradVariant::f4}) {
    const WinogradTile& tile = kernels::winograd_kernels(variant).tile;
    for (int rows = 1; rows <= tile.out_h; ++rows)
      for (int columns = 1; columns < tile.out_w; ++columns) {
        const Growth growth = growth_of(variant, {rows, columns});
        EXPECT_LT(largest(growth.outputs), whole_ones) << rows << "×" << columns;
        EXPECT_LT(largest(growth.gradients), whole_ones) << rows << "×" << columns;
      }
  }
}

TEST(WinogradTiles, NumbersEachPlaceOnceAndThoseThatHaveAPointInOneRange) {
  constexpr int64_t kBatch = 2;
  for (const WinogradVariant variant :
       {WinogradVariant::f4x4, WinogradVariant::f2x2, WinogradVariant::f4}) {
    const WinogradKernels& kernels = kernels::winograd_kernels(variant);
    const WinogradTile& shape = kernels.tile;
    const auto has = [&](int point, int outputs, int whole_outputs, int points) {
      return !kernels.shortens || outputs == whole_outputs || point <= outputs ||
             point == points - 1;
    };
    for (int64_t h = 1; h <= 9; ++h)
      for (int64_t w = 1; w <= 13; ++w) {
        const std::string what = std::to_string(h) + "×" + std::to_string(w);
        const kernels::WinogradTiles tiles(kernels, kBatch, {1, h, w});
        std::set<std::tuple<int64_t, int64_t, int64_t>> places;
        for (int64_t tile = 0; tile < tiles.count(); ++tile) {
          const auto at = tiles.place(tile);
          const WinogradSize size = tiles.size(at);
          EXPECT_TRUE(at.n < kBatch && at.h < h && at.w < w) << what;
          EXPECT_TRUE(at.h % shape.out_h == 0 && at.w % shape.out_w == 0) << what;
          places.insert({at.n, at.h, at.w});
          for (int point = 0; point < shape.points(); ++point) {
            const auto range = tiles.with_point(point);
            EXPECT_EQ(range.first <= tile && tile < range.end,
                      has(point / shape.in_w(), size.rows, shape.out_h, shape.in_h()) &&
                          has(point % shape.in_w(), size.columns, shape.out_w, shape.in_w()))
                << what << ", tile " << tile << ", point " << point;
          }
        }
        EXPECT_EQ(std::ssize(places), tiles.count()) << what;
        EXPECT_EQ(tiles.count(), kBatch * ((h + shape.out_h - 1) / shape.out_h) *
                                     ((w + shape.out_w - 1) / shape.out_w))
            << what;
      }
  }
}

// Outputs that end inside of a tile, by one, two or three, along either axis or both.
TEST(Winograd, AgreesWithTheReferenceWhereTilesAreShort) {
  for (const char* problem :
       {"mb3ic20ih7iw14oc33oh7ow14kh3ph1", "mb2ic17ih5iw6oc20oh5ow6kh3ph1",
        "mb1ic24ih3iw2oc40oh3ow2kh3ph1", "mb2ic9id3ih6iw9oc19od3oh6ow9kd3pd1kh3ph1kw3pw1",
        "mb1ic70ih27iw13oc40oh27ow13kh3ph1", "mb5ic20iw13oc33ow13kw3pw1"}) {
    const ConvData data(parse_problem(problem), 13);
    for (const Direction direction : kDirections) {
      const Exact want = exact(direction, data);
      on_every_target([&] {
        const ConvAlgorithm& row = conv_algorithm("winograd4");
        EXPECT_EQ(difference(result(row, direction, data), want, row.error_growth), "")
            << name(direction) << " of " << problem;
      });
    }
  }
}

// In the mean over all outputs a sum of C products per point, amplified by `growth`, stands against
// a plain sum of C products per tap, one after the other, whose error grows with their number: by
// growth/√taps. Half as much again is left to the roundings of the transforms themselves; the
// largest error is held to the same with the growth of the worst place in a tile.
TEST(Winograd, ErrsInTheMeanAsItsGrowthSays) {
  struct Row {
    const char* algorithm;
    const char* problem;
    WinogradVariant variant;
  };
  for (const Row& row : {Row{"winograd4", "mb1ic64ih24oc24oh24kh3ph1", WinogradVariant::f4x4},
                         Row{"winograd4", "mb1ic24ih24oc64oh24kh3ph1", WinogradVariant::f4x4},
                         Row{"winograd4", "mb2ic64iw200oc40ow200kw3pw1", WinogradVariant::f4},
                         Row{"winograd2", "mb1ic64ih24oc24oh24kh3ph1", WinogradVariant::f2x2}}) {
    const Growth growth = growth_of(row.variant);
    const ConvData data(parse_problem(row.problem), 5);
    for (const Direction direction : kDirections) {
      const Exact want = exact(direction, data);
      const RowErrors ours = errors(conv_algorithm(row.algorithm), data, direction, want);
      const RowErrors plain = errors(conv_algorithm("direct"), data, direction, want);
      const bool gradients = direction == Direction::backward_weight;
      const std::vector<double>& per_result = gradients ? growth.gradients : growth.outputs;
      const double mean =
          std::sqrt(square_sum(per_result) / static_cast<double>(per_result.size()));
      const double terms = gradients ? static_cast<double>(growth.outputs.size())
                                     : static_cast<double>(growth.gradients.size());
      const std::string what = std::string(row.algorithm) + " " + name(direction) + " of " +
                               row.problem + ": mean " + std::to_string(ours.mean) + ", largest " +
                               std::to_string(ours.most) + "; direct " +
                               std::to_string(plain.mean) + ", " + std::to_string(plain.most);
      RecordProperty(std::string(row.problem) + row.algorithm + name(direction), what);
      EXPECT_LE(ours.mean, 1.5 * mean / std::sqrt(terms) * plain.mean) << what;
      EXPECT_LE(ours.most, 1.5 * largest(per_result) / std::sqrt(terms) * plain.most) << what;
    }
  }
}

// Weights that few tiles use and that stay in no cache: transformed in parts where they are used if
// they change, packed otherwise. With columns and channels left over, several parts, one or more
// groups of tiles, taps along D, no padding, and tiles along W alone.
TEST(Winograd, AgreesWithTheReferenceWhereFewTilesMeetManyChannels) {
  for (const char* problem :
       {"mb1ic100ih14oc150oh14kh3ph1", "mb3ic24ih28oc250oh28kh3ph1", "mb3ic250ih28oc24oh28kh3ph1",
        "mb2ic64ih7oc160oh5kh3ph0", "mb2ic70id3ih5iw6oc40od3oh5ow6kd3kh3kw3pd1ph1pw1",
        "mb1ic70id5ih7iw6oc40od3oh5ow4kd3kh3kw3pd0ph0pw0", "mb2ic250iw50oc190ow50kw3pw1"}) {
    const ConvData data(parse_problem(problem), 7);
    for (const Direction direction : {Direction::forward, Direction::backward_input}) {
      const bool forward = direction == Direction::forward;
      const Exact want = exact(direction, data);
      for_each_row(data.g, direction, [&](const ConvAlgorithm& row, const std::string& target) {
        if (std::string(row.name).find("winograd") != 0) return;
        const std::string what =
            std::string(row.name) + " " + name(direction) + " of " + problem + " on " + target;
        std::vector<float> changing;
        for (const int threads : {1, 3}) {
          const OnThreads together(threads);
          const std::vector<float> got = result(row, direction, data);
          EXPECT_EQ(difference(got, want, row.error_growth), "") << what;
          if (changing.empty()) changing = got;
          EXPECT_EQ(changing, got) << what;
        }
        const auto program = prepare(row, data.g, direction);
        std::vector<float> packed(static_cast<std::size_t>(program->packed_floats()));
        program->pack(data.w.data(), packed.data());
        std::vector<float> got(changing.size(), NAN);
        program->run(forward ? data.x.data() : data.dy.data(), packed.data(),
                     {.bias = forward ? data.bias.data() : nullptr}, got.data());
        EXPECT_EQ(difference(got, want, row.error_growth), "") << what << ", packed";
      });
    }
  }
}

// Three taps along H or D alone are tiles along W with the axes named otherwise.
TEST(Winograd, AgreesWithTheReferenceWhereTapsLieAlongHOrDAlone) {
  for (const char* problem :
       {"mb2ic20ih9iw7oc33oh9ow7kh3ph1kw1pw0", "mb1ic17ih6iw5oc40oh4ow7kh3ph0kw1pw1",
        "mb1ic9id4ih7iw5oc19od4oh7ow5kd3pd1kh3ph1kw1pw0",
        "mb2ic20id7ih5iw6oc33od7oh5ow6kd3pd1kh1ph0kw1pw0",
        "mb1ic150id6ih7iw7oc100od4oh7ow7kd3pd0kh1ph0kw1pw0"}) {
    const ConvData data(parse_problem(problem), 11);
    for (const Direction direction : kDirections) {
      ASSERT_EQ(conv_algorithm("winograd4").why_not(data.g, direction), "") << problem;
      const Exact want = exact(direction, data);
      on_every_target([&] {
        const ConvAlgorithm& row = conv_algorithm("winograd4");
        EXPECT_EQ(difference(result(row, direction, data), want, row.error_growth), "")
            << name(direction) << " of " << problem;
      });
    }
  }
  // A padded plane of 1×1 taps is larger than its input: no other name makes that one line.
  EXPECT_NE(conv_algorithm("winograd4")
                .why_not(parse_problem("mb1ic20id7ih5iw6oc33od7oh7ow8kd3pd1kh1ph1kw1pw1"),
                         Direction::forward),
            "");
}

// What is not a number spreads over the tiles that read it, and no further.
TEST(Winograd, SpreadsNanOverItsTiles) {
  ConvData data(parse_problem("mb2ic3ih24oc2oh24kh3ph1"), 3);
  data.x[static_cast<std::size_t>((10 * 24 + 13) * 3)] = NAN;
  const std::vector<float> y = result(conv_algorithm("winograd4"), Direction::forward, data);
  for (int64_t i = 0; i < 2 * 24 * 24; ++i) {
    const int64_t h = i % 576 / 24;
    const int64_t w = i % 24;
    const bool is_nan = std::isnan(y[static_cast<std::size_t>(i * 2)]);
    const bool reads = i < 576 && h >= 9 && h <= 11 && w >= 12 && w <= 14;
    const bool beside = i < 576 && h >= 8 && h < 12 && w >= 12 && w < 16;
    if (reads) {
      EXPECT_TRUE(is_nan) << i;
    }
    if (!beside) {
      EXPECT_FALSE(is_nan) << i;
    }
  }
}

}  // namespace
}  // namespace convkit::test
