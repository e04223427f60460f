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

// Windows far apart, or far out in the padding, see little but zeros. What copies the elements
// between them, or lists their places, would take any amount of memory and time; the reference
// visits the taps that meet the input, and nothing else.
std::string sparse_why_not(const ConvGeometry& g) {
  constexpr double kFew = 0x1p24;
  constexpr double kTimes = 64;
  double reached = 1;
  double given = 1;
  for (int axis = 0; axis < kAxes; ++axis) {
    reached *= static_cast<double>(g.out[axis] - 1) * static_cast<double>(g.stride[axis]) +
               static_cast<double>(g.kernel[axis] - 1) * static_cast<double>(g.dilation[axis]) + 1;
    given *=
        static_cast<double>(std::max<int64_t>(g.in[axis], 1)) + static_cast<double>(g.out[axis]);
  }
  if (reached <= kFew + kTimes * given) return {};
  return "its windows reach over " + std::to_string(reached) + " positions, of which few are there";
}

template <auto kWhyNot>
std::string why_not(const ConvGeometry& geometry, Direction direction) {
  const std::string sparse = sparse_why_not(geometry);
  return sparse.empty() ? kWhyNot(geometry, direction) : sparse;
}

constexpr ConvAlgorithm kAlgorithms[] = {
    {.name = "depthwise",
     .exact = true,
     .error_growth = 1.0,
     .why_not = why_not<depthwise_why_not>,
     .prepare = prepare_grouped},
    {.name = "grouped",
     .exact = true,
     .error_growth = 1.0,
     .why_not = why_not<grouped_why_not>,
     .prepare = prepare_grouped},
    {.name = "winograd4",
     .exact = false,
     .error_growth = 8.8,
     .why_not = why_not<winograd4_why_not>,
     .prepare = prepare_winograd4},
    {.name = "winograd2",
     .exact = false,
     .error_growth = 2.0,
     .why_not = why_not<winograd2_why_not>,
     .prepare = prepare_winograd2},
    {.name = "fft",
     .exact = false,
     .error_growth = 8.0,
     .why_not = why_not<fft_why_not>,
     .prepare = prepare_fft},
    {.name = "scatter",
     .exact = true,
     .error_growth = 1.0,
     .why_not = why_not<scatter_why_not>,
     .prepare = prepare_scatter},
    {.name = "direct",
     .exact = true,
     .error_growth = 1.0,
     .why_not = why_not<direct_why_not>,
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
