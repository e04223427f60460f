#include "convkit/kernels/conv_fft.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <set>

#include "convkit/kernels/conv_fft_plan.h"
#include "convkit/kernels/conv_planner.h"
#include "tests/kernels/conv_check.h"

// The tests of every row (conv_algorithm_test.cc) see tiny geometries. Here: many tiles, all kinds
// of lanes, tiles that nobody would choose, and how large the errors are.
namespace convkit::test {
namespace {

using kernels::conv_algorithm;
using kernels::Extents;
using kernels::FftCut;
using kernels::FftLanes;
using kernels::FftTile;
using kernels::kDirections;
using kernels::parse_problem;

std::vector<float> run_cut(const ConvData& data, Direction direction, const FftCut& cut,
                           const kernels::ConvEpilogue& epilogue = {}) {
  std::vector<float> to(static_cast<std::size_t>(data.result_count(direction)), NAN);
  kernels::prepare_fft(data.g, direction, cut)
      ->pack_and_run(direction == Direction::backward_input ? data.dy.data() : data.x.data(),
                     direction == Direction::backward_weight ? data.dy.data() : data.w.data(),
                     epilogue, to.data());
  return to;
}

// The kinds of lanes that compute g.
std::vector<FftLanes> kinds(const ConvGeometry& g) {
  if (g.groups > 1 && g.group_in() == 1 && g.group_out() == 1)
    return {FftLanes::depthwise, FftLanes::tiles};
  return {FftLanes::channels, FftLanes::tiles};
}

// Tiles of random size that hold the kernel.
Extents random_tile(const ConvGeometry& g, std::mt19937& random) {
  Extents tile = {1, 1, 1};
  for (int axis = 0; axis < kernels::kAxes; ++axis) {
    if (g.kernel[axis] == 1) continue;
    tile[axis] =
        std::uniform_int_distribution<int64_t>(g.kernel[axis], 4 * g.kernel[axis] + 20)(random);
    while (!kernels::is_fft_length(tile[axis])) ++tile[axis];
  }
  return tile;
}

void expect_cut_matches(const ConvData& data, Direction direction, const Exact& want,
                        const FftCut& cut) {
  const kernels::ConvEpilogue epilogue = {.bias = direction == Direction::forward ? data.bias.data()
                                                                                  : nullptr};
  EXPECT_EQ(
      difference(run_cut(data, direction, cut, epilogue), want, conv_algorithm("fft").error_growth),
      "")
      << name(direction) << " of " << to_string(data.g) << " lanes " << static_cast<int>(cut.lanes)
      << " tile " << cut.tile[0] << "x" << cut.tile[1] << "x" << cut.tile[2];
}

TEST(ConvFft, MatchesTheReferenceInManyTilesOfEveryKind) {
  const OnThreads alone(1);
  std::mt19937 random(8);
  unsigned seed = 0;
  for (const char* problem :
       {"mb1ic3iw1501oc2ow1464kw38pw0", "mb3ic2iw700oc5ow604kw97pw0",
        "mb2ic17iw400oc18ow400kw33pw16", "g3mb2ic6iw500oc9ow423kw78pw0",
        "g20mb2ic20iw600oc20ow551kw50pw0", "mb1ic2iw900oc3ow300kw61sw3pw29",
        "mb1ic3iw800oc2ow640kw41dw3pw0", "mb1ic2iw700oc2ow233kw31sw3dw5pw76",
        "mb2ic2ih60oc3oh60kh9ph4", "mb1ic18ih40oc4oh32kh9ph0", "g18mb1ic18ih50oc18oh50kh11ph5",
        "mb1ic2ih41oc2oh14kh7sh3ph2", "mb1ic1id12ih14iw40oc2od12oh14ow36kd3kh3kw5pd1ph1pw0"}) {
    const ConvData data(parse_problem(problem), ++seed);
    for (const Direction direction : kDirections) {
      const Exact want = exact(direction, data);
      for (const std::string& target : engine_targets()) {
        const OnTarget limited(target);
        for (const FftLanes kind : kinds(data.g))
          for (int i = 0; i < 3; ++i)
            expect_cut_matches(data, direction, want, {kind, random_tile(data.g, random)});
      }
    }
  }
}

TEST(ConvFft, MatchesTheReferenceOnRandomGeometriesAndTiles) {
  const OnThreads alone(1);
  std::mt19937 random(15);
  for (unsigned i = 0; i < 300; ++i) {
    const ConvData data(random_geometry(random), i);
    for (const Direction direction : kDirections) {
      const Exact want = exact(direction, data);
      for (const FftLanes kind : kinds(data.g))
        expect_cut_matches(data, direction, want, {kind, random_tile(data.g, random)});
    }
  }
}

TEST(ConvFft, GivesTheSameBitsOnAnyNumberOfThreads) {
  std::vector<std::vector<float>> alone;
  for (const int threads : {1, 2, 3}) {
    const OnThreads together(threads);
    std::size_t index = 0;
    for (const char* problem :
         {"mb2ic20iw3000oc18ow2872kw129pw0", "mb1ic3iw30000oc4ow29872kw129pw0",
          "g40mb2ic40iw3000oc40ow2872kw129pw0", "mb1ic4ih150oc20oh150kh15ph7"}) {
      const ConvData data(parse_problem(problem), 5);
      for (const Direction direction : kDirections) {
        std::vector<float> got = result(conv_algorithm("fft"), direction, data);
        if (threads == 1) {
          alone.push_back(std::move(got));
          continue;
        }
        const std::vector<float>& want = alone[index++];
        EXPECT_EQ(std::memcmp(want.data(), got.data(), want.size() * sizeof(float)), 0)
            << name(direction) << " of " << problem << " on " << threads << " threads";
      }
    }
  }
}

// A transform adds pairwise, so that it makes smaller errors than a long sum one after the other:
// the mean is at most √(log₂ N)/3 · 1.2 (docs/design/convolution.md) with N ≤ 2^18 points, and no
// more than that of a direct sum. The largest of a million errors is five times the mean.
TEST(ConvFft, ErrsNoMoreThanItsBoundAndThanADirectSum) {
  for (const char* problem : {"mb1ic4iw1600oc4ow1089kw512pw0", "mb1ic8iw700oc8ow572kw129pw0",
                              "mb1ic1iw6000oc1ow3953kw2048pw0", "mb1ic4ih32oc4oh32kh15ph7",
                              "mb1ic1ih64oc2oh64kh31ph15", "mb2ic16iw500oc16ow485kw16pw0"}) {
    const ConvData data(parse_problem(problem), 21);
    for (const Direction direction : kDirections) {
      const Exact want = exact(direction, data);
      const RowErrors fft = errors(conv_algorithm("fft"), data, direction, want);
      const RowErrors direct = errors(conv_algorithm("direct"), data, direction, want);
      const std::string what = std::string(name(direction)) + " of " + problem + ": fft " +
                               std::to_string(fft.most) + " mean " + std::to_string(fft.mean) +
                               ", direct " + std::to_string(direct.most) + " mean " +
                               std::to_string(direct.mean);
      RecordProperty(std::string(problem) + name(direction), what);
      EXPECT_LE(fft.mean, 1.7) << what;
      EXPECT_LE(fft.most, 5.0 * 1.7) << what;
      EXPECT_LE(fft.mean, direct.mean) << what;
    }
  }
}

// What is not a number spreads to the tile that holds it and the one that shares its elements, and
// no further; where the definition has it, it is.
TEST(ConvFft, SpreadsNanWithinAPairOfTiles) {
  ConvData data(parse_problem("mb2ic2iw4000oc3ow3969kw32pw0"), 3);
  data.x[2 * 1000] = NAN;
  for (const FftLanes kind : {FftLanes::channels, FftLanes::tiles}) {
    const std::vector<float> y = run_cut(data, Direction::forward, {kind, {1, 1, 128}});
    const auto is_nan = [&](int64_t position) {
      return std::isnan(y[static_cast<std::size_t>(position * 3)]);
    };
    for (int64_t o = 1000 - 31; o <= 1000; ++o) EXPECT_TRUE(is_nan(o));
    int64_t spread = 0;
    for (int64_t o = 0; o < 2 * 3969; ++o) {
      if (!is_nan(o)) continue;
      ++spread;
      EXPECT_LE(std::abs(o - 1000), 4 * 128) << o;
    }
    EXPECT_LE(spread, 4 * 97);
  }
}

// A loud picture in the batch leaves the quiet one's digits alone.
TEST(ConvFft, ErrorsOfOnePictureStayInIt) {
  ConvData data(parse_problem("mb3ic2iw500oc3ow469kw32pw0"), 3);
  const auto plain = [&] {
    return run_cut(data, Direction::forward, {FftLanes::channels, {1, 1, 540}});
  };
  const std::vector<float> want = plain();
  for (std::size_t i = 1000; i < 2000; ++i) data.x[i] *= 1e20f;
  const std::vector<float> got = plain();
  for (std::size_t i = 0; i < got.size(); ++i)
    if (i / (469 * 3) != 1) {
      EXPECT_EQ(got[i], want[i]);
    }
}

TEST(ConvFft, DeclinesAKernelThatNoTransformHolds) {
  const std::string words = conv_algorithm("fft").why_not(
      parse_problem("mb1ic1iw400000oc1ow100001kw300000pw0"), Direction::forward);
  EXPECT_NE(words.find("1 × 1 × 300000"), std::string::npos) << words;
}

TEST(ConvPlanner, PicksFftForLongKernelsUnlessExactnessIsWanted) {
  for (const char* problem :
       {"mb1ic16iw16000oc16ow16000kw257pw128", "mb1ic8iw160000oc8ow157953kw2048pw0",
        "mb1ic16ih128oc16oh128kh31ph15", "mb1ic64ih56oc64oh56kh7ph3"})
    for (const Direction direction : kDirections) {
      const ConvGeometry g = parse_problem(problem);
      EXPECT_STREQ(choose(g, direction).algorithm->name, "fft") << problem;
      EXPECT_STRNE(choose(g, direction, {.exactness = Exactness::exact}).algorithm->name, "fft")
          << problem;
    }
}

TEST(FftTile, GoesThereAndBackAndPairsEveryFrequencyWithItsNegative) {
  std::mt19937 random(4);
  for (const std::string& target : engine_targets()) {
    const OnTarget limited(target);
    for (const Extents extents : {Extents{1, 1, 1}, Extents{1, 1, 96}, Extents{1, 1, 4096},
                                  Extents{1, 256, 3}, Extents{6, 10, 8}, Extents{160, 1, 5}}) {
      const FftTile tile(extents);
      const int64_t lanes = kernels::fft_kernels().lanes;
      const int64_t vectors = 3;
      std::vector<float> values(static_cast<std::size_t>(tile.floats(vectors)));
      std::vector<float> scratch(static_cast<std::size_t>(tile.scratch_floats()));
      // Real signals in vector 1; the others must stay as they are.
      const auto at = [&](int64_t element, int64_t vector, int64_t part) -> float& {
        return values[static_cast<std::size_t>((element * vectors + vector) * 2 * lanes +
                                               part * lanes)];
      };
      const auto for_elements = [&](const auto& body) {
        for (int64_t d = 0; d < extents[0]; ++d)
          for (int64_t h = 0; h < extents[1]; ++h)
            for (int64_t w = 0; w < extents[2]; ++w)
              body(tile.element(0, d) + tile.element(1, h) + tile.element(2, w));
      };
      for_elements([&](int64_t e) {
        at(e, 1, 0) = std::uniform_real_distribution<float>(-1.0f, 1.0f)(random);
        at(e, 2, 0) = 5.0f;
      });
      const std::vector<float> before = values;
      tile.forward(values.data(), vectors, 1, extents, scratch.data());
      std::set<int64_t> seen;
      const double allowed = 1e-6 * std::sqrt(static_cast<double>(tile.points())) * 20.0;
      for (const auto& [plus, minus] : tile.frequency_pairs()) {
        EXPECT_TRUE(seen.insert(plus).second);
        EXPECT_TRUE(plus == minus || seen.insert(minus).second);
        EXPECT_NEAR(at(plus, 1, 0), at(minus, 1, 0), allowed);
        EXPECT_NEAR(at(plus, 1, 1), -at(minus, 1, 1), allowed);
        EXPECT_EQ(at(plus, 2, 0), 5.0f);
      }
      EXPECT_EQ(static_cast<int64_t>(seen.size()), tile.points());
      tile.inverse(values.data(), vectors, 1, extents, scratch.data());
      for_elements([&](int64_t e) {
        const std::size_t i = static_cast<std::size_t>((e * vectors + 1) * 2 * lanes);
        EXPECT_NEAR(values[i], before[i] * static_cast<float>(tile.points()),
                    2e-6 * static_cast<double>(tile.points()));
      });
    }
  }
}

}  // namespace
}  // namespace convkit::test
