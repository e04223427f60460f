#include "convkit/kernels/conv_algorithm.h"

#include <algorithm>

#include "convkit/base/error.h"
#include "convkit/kernels/conv_direct.h"
#include "convkit/kernels/conv_fft.h"
#include "convkit/kernels/conv_grouped.h"
#include "convkit/kernels/conv_reference.h"
#include "convkit/kernels/conv_scatter.h"
#include "convkit/kernels/conv_winograd.h"

namespace convkit::kernels {
namespace {

// The gradient of an empty batch: nothing, and zeros for the weight.
class EmptyBatch : public ConvProgram {
 public:
  EmptyBatch(const ConvGeometry& geometry, Direction direction)
      : zeros_(direction == Direction::backward_weight ? weight_count(geometry) : 0) {}
  void run(const float*, const float*, const ConvEpilogue&, float* out) const override {
    std::fill_n(out, zeros_, 0.0f);
  }
  ConvWork work() const override { return {}; }

 private:
  int64_t zeros_;
};

constexpr ConvAlgorithm kAlgorithms[] = {
    {.name = "depthwise",
     .exact = true,
     .error_growth = 1.0,
     .why_not = depthwise_why_not,
     .prepare = prepare_grouped},
    {.name = "grouped",
     .exact = true,
     .error_growth = 1.0,
     .why_not = grouped_why_not,
     .prepare = prepare_grouped},
    {.name = "winograd4",
     .exact = false,
     .error_growth = 8.8,
     .why_not = winograd4_why_not,
     .prepare = prepare_winograd4},
    {.name = "winograd2",
     .exact = false,
     .error_growth = 2.0,
     .why_not = winograd2_why_not,
     .prepare = prepare_winograd2},
    {.name = "fft",
     .exact = false,
     .error_growth = 8.0,
     .why_not = fft_why_not,
     .prepare = prepare_fft},
    {.name = "scatter",
     .exact = true,
     .error_growth = 1.0,
     .why_not = scatter_why_not,
     .prepare = prepare_scatter},
    {.name = "direct",
     .exact = true,
     .error_growth = 1.0,
     .why_not = direct_why_not,
     .prepare = prepare_direct},
    {.name = "reference",
     .exact = true,
     .error_growth = 1.0,
     .why_not = [](const ConvGeometry&, Direction) { return std::string(); },
     .prepare = prepare_reference},
};

}  // namespace

std::span<const ConvAlgorithm> conv_algorithms() { return kAlgorithms; }

const ConvAlgorithm& conv_algorithm(std::string_view name) {
  std::string known;
  for (const ConvAlgorithm& row : kAlgorithms) {
    if (name == row.name) return row;
    if (!known.empty()) known += ", ";
    known += row.name;
  }
  throw ValueError(message("no convolution algorithm is called '", name, "'; there are: ", known));
}

std::unique_ptr<ConvProgram> prepare(const ConvAlgorithm& row, const ConvGeometry& geometry,
                                     Direction direction) {
  if (geometry.batch == 0) return std::make_unique<EmptyBatch>(geometry, direction);
  return row.prepare(geometry, direction);
}

}  // namespace convkit::kernels
