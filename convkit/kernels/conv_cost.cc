#include "convkit/kernels/conv_cost.h"

#include <limits>
#include <string_view>

namespace convkit::kernels {
namespace {

struct Row {
  std::string_view algorithm;
  bool weight_gradient;
  ConvCosts costs;
};

constexpr Row kCosts[] = {
    {"depthwise", false, {0.185, 12.7, 0, 0, 0, 84.5, 7.74, 57.9}},
    {"depthwise", true, {0.224, 13.5, 0, 0, 0, 247, 0, 0}},
    {"direct", false, {0.18, 27.4, 1.22, 0.94, 0.533, 758, 2.75, 652}},
    {"direct", true, {0.188, 62.6, 1.04, 0, 0.533, 521, 0, 0}},
    {"fft", false, {0.221, 34.1, 0.574, 0.851, 5.27, 1.15e+03, 1.12, 0}},
    {"fft", true, {0.228, 31.6, 0.479, 4.67, 6.2, 1.73e+03, 0, 0}},
    {"grouped", false, {0.183, 7.17, 0, 0, 0.198, 342, 3.68, 43.2}},
    {"grouped", true, {0.203, 0.653, 0, 0, 0.683, 427, 0, 0}},
    {"scatter", false, {0.144, 7.54, 2.5, 5.13, 3.25, 930, 8.06, 223}},
    {"winograd2", false, {0.193, 28.2, 0.65, 0, 1.27, 5.73e+03, 3.7, 849}},
    {"winograd2", true, {0.168, 0, 0, 4.2, 10.9, 6.98e+03, 0, 0}},
    {"winograd4", false, {0.197, 75, 0.127, 0.266, 0.635, 5.92e+03, 2.92, 1.93e+03}},
    {"winograd4", true, {0.238, 79.6, 0, 0, 3.45, 7.98e+03, 0, 0}},
};

}  // namespace

const ConvCosts* conv_costs(std::string_view algorithm, Direction direction) {
  for (const Row& row : kCosts)
    if (row.algorithm == algorithm &&
        row.weight_gradient == (direction == Direction::backward_weight))
      return &row.costs;
  return nullptr;
}

double estimated_seconds(const ConvAlgorithm& row, Direction direction, const ConvProgram& program,
                         bool packs) {
  const ConvCosts* const costs = conv_costs(row.name, direction);
  if (costs == nullptr) return std::numeric_limits<double>::infinity();
  return costs->seconds(program.work(), packs && program.packed_floats() > 0);
}

}  // namespace convkit::kernels
