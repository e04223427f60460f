#include "convkit/kernels/conv_direct.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "tests/kernels/conv_check.h"

namespace convkit::test {
namespace {

using kernels::ConvEpilogue;
using kernels::ConvProgram;

ConvGeometry layer(int64_t in, int64_t out, int64_t size, int64_t kernel) {
  ConvGeometry g;
  g.batch = 1;
  g.in_channels = in;
  g.out_channels = out;
  g.in = {1, size, size};
  g.kernel = {1, kernel, kernel};
  g.pad_lo = g.pad_hi = {0, kernel / 2, kernel / 2};
  return kernels::with_output_size(g);
}

std::vector<float> run(const ConvProgram& program, const ConvData& data, const float* w,
                       const float* bias) {
  std::vector<float> packed(static_cast<std::size_t>(program.packed_floats()));
  program.pack(w, packed.data());
  std::vector<float> y(data.dy);  // the residual
  const ConvEpilogue epilogue = {.bias = bias, .residual = y.data(), .low = 0.0F, .high = 6.0F};
  program.run(data.x.data(), packed.data(), epilogue, y.data());
  return y;
}

// Many rows and several blocks of columns: each tile of rows meets all blocks, where windows do not
// overlap. A layer of one block has but one order.
TEST(ConvDirect, OrderOfBlocksAndRowsChangesNoBit) {
  for (const int64_t window : {1, 2}) {
    ConvGeometry g = layer(64, 128, 80 * window, window);
    g.pad_lo = g.pad_hi = {0, 0, 0};
    g.stride = {1, window, window};
    g = kernels::with_output_size(g);
    ConvGeometry narrow = g;
    narrow.out_channels = 16;
    const ConvData data(g, 7);
    const auto all =
        run(*kernels::prepare_direct(g, Direction::forward), data, data.w.data(), data.bias.data());
    const auto program = kernels::prepare_direct(narrow, Direction::forward);
    ConvData part(narrow, 8);
    part.x = data.x;
    for (int64_t first = 0; first < g.out_channels; first += narrow.out_channels) {
      const auto element = [&](std::size_t i) {
        return i / 16 * 128 + static_cast<std::size_t>(first) + i % 16;
      };
      for (std::size_t i = 0; i < part.dy.size(); ++i) part.dy[i] = data.dy[element(i)];
      const auto y = run(*program, part, data.w.data() + first * window * window * g.in_channels,
                         data.bias.data() + first);
      for (std::size_t i = 0; i < y.size(); ++i)
        ASSERT_EQ(y[i], all[element(i)])
            << "window " << window << ", row " << i / 16 << ", channel " << element(i) % 128;
    }
  }
}

// Tiles of 12 to 14 rows, at edges of a picture too, with sums that are stored in between (64·9
// rows of weights are few enough for one part, 512·9 are not). Same sums, same order: same bits.
TEST(ConvDirect, AVectorAndAHalfOfColumnsHasTheBitsOfTwo) {
  for (const auto& [in, size, kernel] :
       {std::array<int64_t, 3>{40, 7, 1}, {40, 14, 1}, {64, 14, 3}, {512, 14, 3}})
    for (const int64_t out : {17, 20, 24}) {
      const ConvGeometry wide = layer(in, 32, size, kernel);
      const ConvGeometry g = layer(in, out, size, kernel);
      const ConvData all(wide, 3);
      ConvData data(g, 4);
      data.x = all.x;
      std::copy_n(all.w.begin(), data.w.size(), data.w.begin());
      std::copy_n(all.bias.begin(), data.bias.size(), data.bias.begin());
      const auto pixel = static_cast<std::size_t>(out);
      for (std::size_t i = 0; i < data.dy.size(); ++i)
        data.dy[i] = all.dy[i / pixel * 32 + i % pixel];
      const auto want =
          run(*kernels::prepare_direct_part(wide, false), all, all.w.data(), all.bias.data());
      const auto y =
          run(*kernels::prepare_direct_part(g, true), data, data.w.data(), data.bias.data());
      for (std::size_t i = 0; i < y.size(); ++i)
        ASSERT_EQ(y[i], want[i / pixel * 32 + i % pixel])
            << in << " -> " << out << ", " << kernel << " taps, row " << i / pixel << ", channel "
            << i % pixel;
    }
}

TEST(ConvDirect, LimitsKeepNaNAndTakeInfinitiesToTheirEnds) {
  constexpr std::size_t kRows = 49;
  on_every_target([&] {
    for (const int64_t out : {16, 24, 32}) {
      ConvData data(layer(8, out, 7, 1), 9);
      std::fill(data.w.begin(), data.w.end(), 1.0F);
      std::fill(data.dy.begin(), data.dy.end(), 0.0F);
      const float special[] = {NAN, INFINITY, -INFINITY};
      for (std::size_t row = 0; row < kRows; ++row)
        if (row % 4 < 3) data.x[row * 8 + row % 8] = special[row % 4];
      const auto y = run(*kernels::prepare_direct(data.g, Direction::forward), data, data.w.data(),
                         data.bias.data());
      for (std::size_t i = 0; i < y.size(); ++i) {
        const std::size_t kind = i / static_cast<std::size_t>(out) % 4;
        const bool right = kind == 0   ? std::isnan(y[i])
                           : kind == 1 ? y[i] == 6.0F
                           : kind == 2 ? y[i] == 0.0F
                                       : y[i] >= 0.0F && y[i] <= 6.0F;
        ASSERT_TRUE(right) << out << " channels, element " << i << ": " << y[i];
      }
    }
  });
}

}  // namespace
}  // namespace convkit::test
