#include "convkit/kernels/conv_direct.h"

#include <gtest/gtest.h>

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

// Many rows and several blocks of columns: each tile of rows meets all blocks. A layer of one block
// has but one order.
TEST(ConvDirect, OrderOfBlocksAndRowsChangesNoBit) {
  constexpr int64_t kSize = 80;
  const ConvGeometry g = layer(64, 128, kSize, 1);
  const ConvGeometry narrow = layer(64, 16, kSize, 1);
  const ConvData data(g, 7);
  const auto all =
      run(*kernels::prepare_direct(g, Direction::forward), data, data.w.data(), data.bias.data());
  const auto program = kernels::prepare_direct(narrow, Direction::forward);
  ConvData part(narrow, 8);
  part.x = data.x;
  for (int64_t first = 0; first < g.out_channels; first += narrow.out_channels) {
    for (std::size_t i = 0; i < part.dy.size(); ++i)
      part.dy[i] = data.dy[i / 16 * 128 + static_cast<std::size_t>(first) + i % 16];
    const auto y =
        run(*program, part, data.w.data() + first * g.in_channels, data.bias.data() + first);
    for (std::size_t i = 0; i < y.size(); ++i)
      ASSERT_EQ(y[i], all[i / 16 * 128 + static_cast<std::size_t>(first) + i % 16])
          << "row " << i / 16 << ", channel " << static_cast<std::size_t>(first) + i % 16;
  }
}

}  // namespace
}  // namespace convkit::test
