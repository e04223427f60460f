#include "convkit/kernels/conv.h"

#include <algorithm>
#include <vector>

#include "convkit/base/checked.h"
#include "convkit/base/thread_pool.h"
#include "convkit/kernels/conv_planner.h"
#include "convkit/kernels/conv_reference.h"

namespace convkit::kernels {
namespace {

// Floats are added one after the other over this many rows at most, so rounding errors stay small.
constexpr int64_t kRowsPerSum = 256;

template <class T>
void sum_rows(const T* x, int64_t rows, int64_t channels, T* sums) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < channels; ++c) sums[c] += x[r * channels + c];
}

template <class T>
void sum_channels(const T* x, int64_t rows, int64_t channels, T* sums) {
  // At most 64 slices, cut by the shape alone; each keeps a double per channel.
  const int64_t grain = round_up(std::max<int64_t>(1, ceil_div(rows, 64)), kRowsPerSum);
  const int64_t slices = ceil_div(rows, grain);
  std::vector<double> partial(static_cast<std::size_t>(slices * channels), 0.0);
  parallel_for(slices, [&](int64_t slice) {
    double* const total = partial.data() + slice * channels;
    std::vector<T> block(static_cast<std::size_t>(channels));
    const int64_t end = std::min(rows, (slice + 1) * grain);
    for (int64_t r = slice * grain; r < end; r += kRowsPerSum) {
      std::fill(block.begin(), block.end(), T{0});
      sum_rows(x + r * channels, std::min(kRowsPerSum, end - r), channels, block.data());
      for (int64_t c = 0; c < channels; ++c)
        total[c] += static_cast<double>(block[static_cast<std::size_t>(c)]);
    }
  });
  for (int64_t c = 0; c < channels; ++c) {
    double total = 0.0;
    for (int64_t slice = 0; slice < slices; ++slice)
      total += partial[static_cast<std::size_t>(slice * channels + c)];
    sums[c] = static_cast<T>(total);
  }
}

}  // namespace

void conv_forward(const ConvGeometry& geometry, const float* x, const float* w, const float* bias,
                  float* y) {
  conv_forward(geometry, x, w, ConvEpilogue{.bias = bias}, y);
}

void conv_forward(const ConvGeometry& geometry, const float* x, const float* w,
                  const ConvEpilogue& epilogue, float* y) {
  validate(geometry);
  planned_program(geometry, Direction::forward)->pack_and_run(x, w, epilogue, y);
}

void conv_forward(const ConvGeometry& geometry, const double* x, const double* w,
                  const double* bias, double* y) {
  validate(geometry);
  reference_forward(geometry, x, w, bias, y);
}

void conv_backward_input(const ConvGeometry& geometry, const float* dy, const float* w, float* dx) {
  validate(geometry);
  planned_program(geometry, Direction::backward_input)->pack_and_run(dy, w, {}, dx);
}

void conv_backward_input(const ConvGeometry& geometry, const double* dy, const double* w,
                         double* dx) {
  validate(geometry);
  reference_backward_input(geometry, dy, w, dx);
}

void conv_backward_weight(const ConvGeometry& geometry, const float* x, const float* dy,
                          float* dw) {
  validate(geometry);
  planned_program(geometry, Direction::backward_weight)->pack_and_run(x, dy, {}, dw);
}

void conv_backward_weight(const ConvGeometry& geometry, const double* x, const double* dy,
                          double* dw) {
  validate(geometry);
  reference_backward_weight(geometry, x, dy, dw);
}

void channel_sums(const float* x, int64_t rows, int64_t channels, float* sums) {
  sum_channels(x, rows, channels, sums);
}

void channel_sums(const double* x, int64_t rows, int64_t channels, double* sums) {
  sum_channels(x, rows, channels, sums);
}

}  // namespace convkit::kernels
