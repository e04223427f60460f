#pragma once

#include <cstdint>

namespace convkit {

/// floor(a / b) for b > 0 and any a (C++'s division truncates towards zero).
constexpr int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

/// The largest kernel size, stride, dilation and padding: no sum or product of them leaves int64.
inline constexpr int64_t kMaxWindow = INT32_MAX;

/// What a kernel of `kernel` taps `dilation` apart spans: dilation · (kernel − 1) + 1.
constexpr int64_t kernel_span(int64_t kernel, int64_t dilation) {
  return dilation * (kernel - 1) + 1;
}

/// Output extent of a convolution along one axis (PyTorch's Conv2d formula):
///   floor((in + pad_lo + pad_hi − dilation·(kernel − 1) − 1) / stride) + 1.
/// Not positive when the kernel does not fit: callers turn that into a ShapeError in words.
constexpr int64_t conv_output_size(int64_t in, int64_t kernel, int64_t stride = 1,
                                   int64_t pad_lo = 0, int64_t pad_hi = 0, int64_t dilation = 1) {
  return floor_div(in + pad_lo + pad_hi - kernel_span(kernel, dilation), stride) + 1;
}

/// Both ends of a padding that makes the output ceil(in / stride) long. The odd one goes to the
/// end, as in PyTorch and TensorFlow.
struct SamePadding {
  int64_t lo;
  int64_t hi;
};
constexpr SamePadding same_padding(int64_t in, int64_t kernel, int64_t stride, int64_t dilation) {
  const int64_t out = (in + stride - 1) / stride;
  const int64_t needed = (out - 1) * stride + kernel_span(kernel, dilation) - in;
  const int64_t total = needed > 0 ? needed : 0;
  return {total / 2, total - total / 2};
}

}  // namespace convkit
