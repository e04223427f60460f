#include "convkit/kernels/conv_algorithm.h"

#include "convkit/base/error.h"
#include "convkit/kernels/conv_depthwise.h"
#include "convkit/kernels/conv_direct.h"
#include "convkit/kernels/conv_reference.h"

namespace convkit::kernels {
namespace {

constexpr ConvAlgorithm kAlgorithms[] = {
    {.name = "depthwise",
     .why_not = depthwise_why_not,
     .forward = depthwise_forward,
     .backward_input = depthwise_backward_input,
     .backward_weight = depthwise_backward_weight},
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

const ConvAlgorithm& plan(const ConvGeometry& g, Direction) {
  // With a single channel the direct engine fills vectors with neighbouring outputs instead.
  const bool depthwise = g.groups > 1 && g.groups == g.in_channels && g.groups == g.out_channels;
  return kAlgorithms[depthwise ? 0 : 1];
}

ConvChoice choose(const ConvGeometry& g, Direction direction) {
  const ConvAlgorithm& row = plan(g, direction);
  if (&row == &kAlgorithms[0])
    return {&row, message("each of the ", g.groups,
                          " groups is one channel, so channels fill the vectors")};
  return {&row, message("the tile engine serves every geometry; ",
                        g.groups == 1 ? "with one group all channels share its tiles"
                                      : depthwise_why_not(g, direction))};
}

}  // namespace convkit::kernels
