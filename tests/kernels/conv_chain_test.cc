#include "convkit/kernels/conv_chain.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "tests/kernels/conv_check.h"

namespace convkit::test {
namespace {

using kernels::ChainLayer;
using kernels::ConvChain;
using kernels::ConvEpilogue;

// What surrounds a depthwise layer of `wide` channels.
struct ChainCase {
  int64_t batch;
  int64_t in, wide, out;  // channels; in = 0: no layer before the depthwise one
  int64_t height, width;
  int64_t kernel, stride, pad, dilation;
};

ConvGeometry pointwise(int64_t batch, int64_t in, int64_t out, int64_t height, int64_t width) {
  ConvGeometry g;
  g.batch = batch;
  g.in_channels = in;
  g.out_channels = out;
  g.in = {1, height, width};
  return kernels::with_output_size(g);
}

std::vector<ConvGeometry> layers_of(const ChainCase& c) {
  std::vector<ConvGeometry> layers;
  if (c.in > 0) layers.push_back(pointwise(c.batch, c.in, c.wide, c.height, c.width));
  ConvGeometry depthwise = pointwise(c.batch, c.wide, c.wide, c.height, c.width);
  depthwise.groups = c.wide;
  depthwise.kernel = {1, c.kernel, c.kernel};
  depthwise.stride = {1, c.stride, c.stride};
  depthwise.dilation = {1, c.dilation, c.dilation};
  depthwise.pad_lo = depthwise.pad_hi = {0, c.pad, c.pad};
  layers.push_back(kernels::with_output_size(depthwise));
  layers.push_back(pointwise(c.batch, c.wide, c.out, layers.back().out[1], layers.back().out[2]));
  return layers;
}

// Operands of all layers, and what layer after layer makes of them.
struct ChainData {
  explicit ChainData(const ChainCase& c) : layers(layers_of(c)) {
    std::mt19937 random(5);
    x = random_floats(kernels::input_count(layers[0]), random);
    residual = random_floats(kernels::output_count(layers.back()), random);
    for (const ConvGeometry& g : layers) {
      w.push_back(random_floats(kernels::weight_count(g), random));
      bias.push_back(random_floats(g.out_channels, random));
    }
  }
  ConvEpilogue epilogue(std::size_t i) const {
    if (i + 1 == layers.size()) return {.bias = bias[i].data(), .residual = residual.data()};
    // Not 0 at 0, as padding must be.
    static constexpr kernels::UnaryFunction kSigmoid = {kernels::UnaryOp::sigmoid};
    return {.bias = bias[i].data(),
            .low = 0.0F,
            .high = 6.0F,
            .function = layers.front().batch > 1 ? &kSigmoid : nullptr};
  }
  std::vector<float> one_by_one() const {
    std::vector<float> from = x;
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const ConvGeometry& g = layers[i];
      std::vector<float> to(static_cast<std::size_t>(kernels::output_count(g)), NAN);
      kernels::prepare(kernels::conv_algorithm(g.groups > 1 ? "depthwise" : "direct"), g,
                       Direction::forward)
          ->pack_and_run(from.data(), w[i].data(), epilogue(i), to.data());
      from = std::move(to);
    }
    return from;
  }
  std::vector<float> chained(const float* from) const {
    const ConvChain chain(layers);
    std::vector<std::vector<float>> packed;
    std::vector<ChainLayer> operands;
    for (std::size_t i = 0; i < layers.size(); ++i) {
      packed.emplace_back(static_cast<std::size_t>(chain.packed_floats(i)), NAN);
      chain.pack(i, w[i].data(), packed.back().data());
      operands.push_back({packed.back().data(), epilogue(i)});
    }
    std::vector<float> y(residual.size(), NAN);
    chain.run(from, operands, y.data());
    return y;
  }

  std::vector<ConvGeometry> layers;
  std::vector<float> x, residual;
  std::vector<std::vector<float>> w, bias;
};

// Several bands a task, several tasks a picture, strides that skip rows, kernels as high as the
// picture, and pictures of a few rows.
const ChainCase kCases[] = {
    {1, 16, 96, 24, 61, 60, 3, 1, 1, 1},  {1, 16, 96, 24, 62, 57, 3, 2, 1, 1},
    {1, 0, 48, 16, 90, 90, 3, 1, 1, 1},   {3, 24, 144, 32, 28, 28, 3, 2, 1, 1},
    {2, 20, 70, 33, 19, 23, 5, 1, 2, 1},  {1, 16, 64, 16, 40, 64, 3, 1, 2, 2},
    {1, 16, 160, 40, 50, 50, 2, 3, 0, 1}, {2, 16, 32, 16, 3, 5, 3, 1, 1, 1},
    {1, 16, 32, 16, 1, 9, 3, 1, 1, 1},    {1, 16, 32, 16, 30, 8, 1, 4, 0, 1},
    {9, 0, 33, 18, 7, 7, 7, 1, 3, 1},     {1, 32, 640, 32, 24, 40, 3, 1, 0, 1},
};

TEST(ConvChain, HasTheBitsOfItsLayersOneByOneOnAnyNumberOfThreads) {
  for (const ChainCase& c : kCases) {
    const ChainData data(c);
    SCOPED_TRACE(kernels::to_string(data.layers[data.layers.size() - 2]));
    on_every_target([&] {
      const std::vector<float> expected = data.one_by_one();
      for (const int threads : {1, 2, 3, 4}) {
        const OnThreads many(threads);
        const std::vector<float> actual = data.chained(data.x.data());
        EXPECT_EQ(std::memcmp(actual.data(), expected.data(), expected.size() * sizeof(float)), 0)
            << threads << " threads";
      }
    });
  }
}

TEST(ConvChain, MayWriteWhereItsResidualLies) {
  ChainData data(kCases[0]);
  const std::vector<float> expected = data.one_by_one();
  const ConvChain chain(data.layers);
  std::vector<std::vector<float>> packed;
  std::vector<ChainLayer> operands;
  for (std::size_t i = 0; i < data.layers.size(); ++i) {
    packed.emplace_back(static_cast<std::size_t>(chain.packed_floats(i)));
    chain.pack(i, data.w[i].data(), packed.back().data());
    operands.push_back({packed.back().data(), data.epilogue(i)});
  }
  chain.run(data.x.data(), operands, data.residual.data());
  EXPECT_EQ(data.residual, expected);
}

// The picture ends at, or begins after, a page that nobody may touch.
TEST(ConvChain, ReadsNothingOutsideOfThePicture) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  for (const ChainCase& c : kCases) {
    const ChainData data(c);
    const std::vector<float> expected = data.chained(data.x.data());
    const std::size_t bytes = data.x.size() * sizeof(float);
    const std::size_t inner = (bytes + page - 1) / page * page;
    char* const block = static_cast<char*>(mmap(nullptr, inner + 2 * page, PROT_READ | PROT_WRITE,
                                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ASSERT_NE(static_cast<void*>(block), MAP_FAILED);
    mprotect(block, page, PROT_NONE);
    mprotect(block + page + inner, page, PROT_NONE);
    for (char* const start : {block + page, block + page + inner - bytes}) {
      std::memcpy(start, data.x.data(), bytes);
      EXPECT_EQ(data.chained(reinterpret_cast<const float*>(start)), expected);
    }
    munmap(block, inner + 2 * page);
  }
}

TEST(ConvChain, SaysWhyNot) {
  const auto why_not = [](const ChainCase& c) { return ConvChain::why_not(layers_of(c)); };
  EXPECT_EQ(why_not({1, 16, 96, 24, 112, 112, 3, 2, 1, 1}), "");
  EXPECT_EQ(why_not({1, 0, 32, 16, 112, 112, 3, 1, 1, 1}), "");
  EXPECT_NE(why_not({1, 64, 384, 64, 14, 14, 3, 1, 1, 1}).find("stays in the caches"),
            std::string::npos);
  EXPECT_NE(why_not({8, 160, 960, 160, 7, 7, 3, 1, 1, 1}).find("weights"), std::string::npos);
  std::vector<ConvGeometry> layers = layers_of({1, 16, 96, 24, 112, 112, 3, 2, 1, 1});
  std::swap(layers[0], layers[1]);
  EXPECT_NE(ConvChain::why_not(layers), "");
  layers = layers_of({1, 16, 96, 24, 112, 112, 3, 2, 1, 1});
  layers[1].groups = 1;
  EXPECT_NE(ConvChain::why_not(layers).find("depthwise"), std::string::npos);
}

}  // namespace
}  // namespace convkit::test
