#pragma once

#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "convkit/kernels/pool.h"

/// The oracle: pools by their definitions, in double, one output at a time. For tests.
namespace convkit::kernels {

/// Of each output position on one axis, the input positions inside and the divisor.
struct ReferencePoolAxis {
  int64_t in;
  std::vector<std::vector<int64_t>> taps;
  std::vector<int64_t> divisors;
};

inline ReferencePoolAxis reference_axis(const SlidingAxis& a) {
  ReferencePoolAxis axis{a.in, {}, {}};
  for (int64_t o = 0; o < a.out; ++o) {
    std::vector<int64_t> inside;
    int64_t padded = 0;
    for (int64_t k = 0; k < a.kernel; ++k) {
      const int64_t at = o * a.stride - a.pad + k * a.dilation;
      if (at >= 0 && at < a.in) inside.push_back(at);
      if (at >= -a.pad && at < a.in + a.pad) ++padded;
    }
    axis.divisors.push_back(a.count_pad ? padded : static_cast<int64_t>(inside.size()));
    axis.taps.push_back(std::move(inside));
  }
  return axis;
}

inline ReferencePoolAxis reference_adaptive_axis(int64_t in, int64_t out) {
  ReferencePoolAxis axis{in, {}, {}};
  for (int64_t o = 0; o < out; ++o) {
    std::vector<int64_t> inside;
    for (int64_t i = 0; i < in; ++i)
      if ((i + 1) * out > o * in && i * out < (o + 1) * in) inside.push_back(i);
    axis.divisors.push_back(static_cast<int64_t>(inside.size()));
    axis.taps.push_back(std::move(inside));
  }
  return axis;
}

/// y = pool(x) and dx from dy, which may be null together.
template <class T>
void reference_pool(bool maximum, int64_t batch, int64_t channels,
                    const std::array<ReferencePoolAxis, kAxes>& axes, const T* x, double* y,
                    const T* dy, double* dx) {
  const int64_t in_image = axes[0].in * axes[1].in * axes[2].in;
  if (dx != nullptr) std::fill(dx, dx + batch * in_image * channels, 0.0);
  int64_t out = 0;
  for (int64_t n = 0; n < batch; ++n) {
    for (std::size_t od = 0; od < axes[0].taps.size(); ++od) {
      for (std::size_t oh = 0; oh < axes[1].taps.size(); ++oh) {
        for (std::size_t ow = 0; ow < axes[2].taps.size(); ++ow) {
          const auto divisor = static_cast<double>(axes[0].divisors[od] * axes[1].divisors[oh] *
                                                   axes[2].divisors[ow]);
          for (int64_t c = 0; c < channels; ++c, ++out) {
            double best = -std::numeric_limits<double>::infinity();
            double sum = 0.0;
            std::vector<int64_t> offsets;
            int64_t winner = -1;
            for (const int64_t d : axes[0].taps[od]) {
              for (const int64_t h : axes[1].taps[oh]) {
                for (const int64_t w : axes[2].taps[ow]) {
                  const int64_t at =
                      (n * in_image + (d * axes[1].in + h) * axes[2].in + w) * channels + c;
                  const auto value = static_cast<double>(x[at]);
                  if (winner < 0 || value > best || std::isnan(value)) {
                    best = value;
                    winner = at;
                  }
                  sum += value;
                  offsets.push_back(at);
                }
              }
            }
            y[out] = maximum ? best : sum / divisor;
            if (dx == nullptr) continue;
            const auto gradient = static_cast<double>(dy[out]);
            if (maximum && winner >= 0) dx[winner] += gradient;
            if (!maximum)
              for (const int64_t at : offsets) dx[at] += gradient / divisor;
          }
        }
      }
    }
  }
}

}  // namespace convkit::kernels
