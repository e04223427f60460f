#include "convkit/kernels/conv_algorithm.h"

#include "convkit/base/error.h"
#include "convkit/kernels/conv_direct.h"
#include "convkit/kernels/conv_reference.h"

namespace convkit::kernels {
namespace {

constexpr ConvAlgorithm kAlgorithms[] = {
    {.name = "direct",
     .why_not = direct_why_not,
     .forward = direct_forward,
     .backward_input = direct_backward_input,
     .backward_weight = direct_backward_weight},
    {.name = "reference",
     .why_not = [](const ConvGeometry&, Direction) { return std::string(); },
     .forward = reference_forward<float>,
     .backward_input = reference_backward_input<float>,
     .backward_weight = reference_backward_weight<float>},
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

ConvChoice choose(const ConvGeometry& geometry, Direction direction) {
  for (const ConvAlgorithm& row : kAlgorithms)
    if (row.why_not(geometry, direction).empty()) return {&row, "the first that applies"};
  throw ValueError(message("no convolution algorithm computes ", name(direction), " of ",
                           to_string(geometry)));
}

}  // namespace convkit::kernels
