#include "convkit/kernels/winograd_line.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "convkit/kernels/conv_algorithm.h"
#include "tests/kernels/conv_check.h"

namespace convkit::test {
namespace {

using kernels::conv_algorithm;
using kernels::kLineOutputs;
using kernels::kLinePoints;
using kernels::kLineTaps;
using kernels::parse_problem;
using kernels::WinogradLineKernels;

// Its geometries: sounds, pictures and volumes; columns and outputs
// that do not fill vectors and tiles; rows that see no input at all.
constexpr const char* kLineProblems[] = {
    "mb2ic1iw500oc20ow125kw79sw4pw39",
    "mb1ic3ih30oc17oh15kh7sh2ph3",
    "mb1ic2iw50oc8ow47kw4pw0",
    "mb1ic3id5ih9iw21oc19od5oh5ow11kd3kh5kw7sd1sh2sw2pd1ph2pw3",
    "mb2ic6ih12oc16oh22kh3kw7ph6pw3iw9ow9",
};

std::array<float, kLinePoints> transformed(const WinogradLineKernels& kernels, int place) {
  const auto block = static_cast<std::size_t>(kernels.block);
  std::vector<float> x(kLinePoints * block, 0.0F);
  x[static_cast<std::size_t>(place) * block] = 1.0F;
  std::vector<float> v(x.size());
  kernels.input(x.data(), kernels.block, 1, v.data());
  std::array<float, kLinePoints> first;
  for (std::size_t p = 0; p < kLinePoints; ++p) first[p] = v[p * block];
  return first;
}

// The root of Σ over points p of (A_ip ‖B_p‖ ‖G_p‖)², over that of a plain sum with one product per
// tap: what rounding errors grow by, at the worst output.
TEST(WinogradLine, ItsErrorsGrowLessThanItsRowSays) {
  for (const std::string& target : engine_targets()) {
    const OnTarget limited(target);
    const WinogradLineKernels& kernels = kernels::winograd_line_kernels();
    std::array<double, kLinePoints> squares = {};  // ‖B_p‖²
    for (int place = 0; place < kLinePoints; ++place) {
      const auto v = transformed(kernels, place);
      for (std::size_t p = 0; p < kLinePoints; ++p)
        squares[p] += static_cast<double>(v[p]) * static_cast<double>(v[p]);
    }
    std::vector<float> packed(static_cast<std::size_t>(kLinePoints * kernels.lanes));
    std::array<double, kLinePoints> weights = {};  // ‖G_p‖²
    for (std::size_t tap = 0; tap < kLineTaps; ++tap) {
      float w[kLineTaps] = {};
      w[tap] = 1.0F;
      kernels.weight(w, packed.data());
      for (std::size_t p = 0; p < kLinePoints; ++p) {
        const auto value = static_cast<double>(packed[p * static_cast<std::size_t>(kernels.lanes)]);
        weights[p] += value * value;
      }
    }
    std::array<double, kLineOutputs> sums = {};
    packed.assign(packed.size() * static_cast<std::size_t>(kernels.block), 1.0F);
    for (std::size_t p = 0; p < kLinePoints; ++p) {
      const int64_t tile_step = kLinePoints * kernels.block;
      std::vector<float> v(static_cast<std::size_t>(tile_step * kernels.tiles), 0.0F);
      v[p * static_cast<std::size_t>(kernels.block)] = 1.0F;
      std::array<float, kLineOutputs> y = {};
      const kernels::TileSegment line = {0, 0};
      kernels::WinogradLineJob job;
      job.v = v.data();
      job.tile_step = tile_step;
      job.lines = &line;
      job.depth = kernels.block;
      job.line_count = job.tiles = job.channels = job.y_step = 1;
      job.w = packed.data();
      job.outputs = kLineOutputs;
      job.y = y.data();
      kernels.run(job);
      for (std::size_t i = 0; i < kLineOutputs; ++i)
        sums[i] += static_cast<double>(y[i]) * static_cast<double>(y[i]) * squares[p] * weights[p];
    }
    double most = 0;
    for (const double sum : sums) most = std::max(most, std::sqrt(sum / kLineTaps));
    EXPECT_NEAR(most, 3.79, 0.005) << target;
    EXPECT_LT(most, conv_algorithm("winograd4").error_growth);
  }
}

TEST(WinogradLine, GivesWhatTheReferenceGives) {
  unsigned seed = 1;
  for (const char* problem : kLineProblems) {
    const kernels::ConvGeometry g = parse_problem(problem);
    const ConvData data(g, seed++);
    const Exact want = exact(Direction::forward, data);
    for (const std::string& target : engine_targets()) {
      const OnTarget limited(target);
      const ConvAlgorithm& row = conv_algorithm("winograd4");
      ASSERT_EQ(row.why_not(g, Direction::forward), "") << problem;
      EXPECT_EQ(difference(result(row, Direction::forward, data), want, row.error_growth), "")
          << target << ", " << problem;
    }
  }
}

// The largest of four neighbours, bit for bit; what is not a number stays so, and what is left over
// at the end of a line counts for nothing.
TEST(WinogradLine, PoolsWhatItWouldHaveStored) {
  for (const char* problem : kLineProblems) {
    const kernels::ConvGeometry g = parse_problem(problem);
    ConvData data(g, 9);
    data.x[data.x.size() / 2] = NAN;
    for (const std::string& target : engine_targets()) {
      const OnTarget limited(target);
      const auto program = prepare(conv_algorithm("winograd4"), g, Direction::forward);
      ASSERT_EQ(program->pool_window(), 4);
      std::vector<float> packed(static_cast<std::size_t>(program->packed_floats()));
      program->pack(data.w.data(), packed.data());
      const kernels::ConvEpilogue epilogue = {.bias = data.bias.data(), .low = 0.0F};
      std::vector<float> y(static_cast<std::size_t>(output_count(g)), 0.0F);
      program->run(data.x.data(), packed.data(), epilogue, y.data());
      const int64_t pooled = g.out[2] / 4;
      const int64_t lines = g.batch * g.out[0] * g.out[1];
      std::vector<float> got(static_cast<std::size_t>(lines * pooled * g.out_channels) + 1, -1.0F);
      program->run_pooled(data.x.data(), packed.data(), epilogue, got.data());
      EXPECT_EQ(got.back(), -1.0F);
      int64_t wrong = 0;
      for (int64_t line = 0; line < lines; ++line)
        for (int64_t place = 0; place < pooled; ++place)
          for (int64_t c = 0; c < g.out_channels; ++c) {
            float most = -INFINITY;
            for (int64_t j = 0; j < 4; ++j) {
              const float value = y[static_cast<std::size_t>(
                  (line * g.out[2] + 4 * place + j) * g.out_channels + c)];
              if (!(value <= most)) most = std::isnan(most) ? most : value;
            }
            const float value =
                got[static_cast<std::size_t>((line * pooled + place) * g.out_channels + c)];
            wrong += std::isnan(most) ? !std::isnan(value) : value != most;
          }
      EXPECT_EQ(wrong, 0) << target << ", " << problem;
    }
  }
}

TEST(WinogradLine, SaysWhyItDoesNotApply) {
  const auto why = [](const char* problem) {
    return conv_algorithm("winograd4").why_not(parse_problem(problem), Direction::forward);
  };
  for (const char* problem :
       {"mb1ic3ih30oc16oh15kh7sh2ph3dh1", "mb1ic32ih30oc16oh15kh7sh2ph3",
        "mb1ic3ih30oc16oh15kh3sh2ph1", "mb1ic3ih30oc16oh30kh7ph3", "g3mb1ic3ih30oc6oh15kh7sh2ph3"})
    EXPECT_NE(why(problem), "") << problem;
  EXPECT_NE(conv_algorithm("winograd4")
                .why_not(parse_problem(kLineProblems[0]), Direction::backward_weight),
            "");
}

}  // namespace
}  // namespace convkit::test
