#include "convkit/data/resample.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

namespace convkit::data {
namespace {

// Weights are fixed-point numbers: 8 bits of pixel and 22 of weight fit into 32 with some to spare.
constexpr int kWeightBits = 22;

// For each output position the first input position, and the weights from there on.
struct Filter {
  std::vector<int64_t> first;
  std::vector<int64_t> count;
  std::vector<int32_t> weights;  ///< `taps` per output
  int64_t taps = 0;
};

Filter triangle_filter(int64_t in, int64_t out) {
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  const double half_width = std::max(scale, 1.0);
  Filter filter;
  filter.taps = static_cast<int64_t>(std::ceil(half_width)) * 2 + 1;
  filter.weights.resize(static_cast<std::size_t>(out * filter.taps));
  std::vector<double> exact(static_cast<std::size_t>(filter.taps));
  for (int64_t i = 0; i < out; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * scale;
    const int64_t begin =
        std::max<int64_t>(0, static_cast<int64_t>(std::floor(center - half_width + 0.5)));
    const int64_t end =
        std::min<int64_t>(in, static_cast<int64_t>(std::floor(center + half_width + 0.5)));
    double sum = 0;
    for (int64_t x = begin; x < end; ++x) {
      const double distance = std::abs((static_cast<double>(x) - center + 0.5) / half_width);
      const double weight = std::max(0.0, 1.0 - distance);
      exact[static_cast<std::size_t>(x - begin)] = weight;
      sum += weight;
    }
    for (int64_t k = 0; k < end - begin; ++k)
      filter.weights[static_cast<std::size_t>(i * filter.taps + k)] = static_cast<int32_t>(
          std::floor(exact[static_cast<std::size_t>(k)] / sum * (1 << kWeightBits) + 0.5));
    filter.first.push_back(begin);
    filter.count.push_back(end - begin);
  }
  return filter;
}

// target[o][i][inner] = Σ_k weight[i][k] · source[o][first[i] + k][inner]
void resample_axis(const uint8_t* source, int64_t outer, int64_t in, int64_t out, int64_t inner,
                   uint8_t* target) {
  const Filter filter = triangle_filter(in, out);
  std::vector<int32_t> sums(static_cast<std::size_t>(inner));
  for (int64_t o = 0; o < outer; ++o) {
    for (int64_t i = 0; i < out; ++i) {
      std::fill(sums.begin(), sums.end(), 1 << (kWeightBits - 1));  // rounds
      const auto at = static_cast<std::size_t>(i);
      const int32_t* weights = &filter.weights[static_cast<std::size_t>(i * filter.taps)];
      for (int64_t k = 0; k < filter.count[at]; ++k) {
        const uint8_t* pixels = source + (o * in + filter.first[at] + k) * inner;
        for (int64_t c = 0; c < inner; ++c)
          sums[static_cast<std::size_t>(c)] += weights[k] * int32_t{pixels[c]};
      }
      uint8_t* result = target + (o * out + i) * inner;
      for (int64_t c = 0; c < inner; ++c)
        result[c] = static_cast<uint8_t>(
            std::clamp(sums[static_cast<std::size_t>(c)] >> kWeightBits, 0, 255));
    }
  }
}

}  // namespace

void resample_bilinear(const uint8_t* source, PixelSize size, int64_t new_height, int64_t new_width,
                       uint8_t* target) {
  const auto [height, width, channels] = size;
  const bool resize_width = new_width != width;
  const bool resize_height = new_height != height;
  if (!resize_width && !resize_height) {
    std::memcpy(target, source, static_cast<std::size_t>(height * width * channels));
    return;
  }
  if (!resize_height) return resample_axis(source, height, width, new_width, channels, target);
  if (!resize_width) return resample_axis(source, 1, height, new_height, width * channels, target);
  std::vector<uint8_t> wide(static_cast<std::size_t>(height * new_width * channels));
  resample_axis(source, height, width, new_width, channels, wide.data());
  resample_axis(wide.data(), 1, height, new_height, new_width * channels, target);
}

}  // namespace convkit::data
