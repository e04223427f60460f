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
    {"depthwise", false, {0.178, 12.4, 0, 0, 0.223, 125, 8.12, 55.6}},
    {"depthwise", true, {0.203, 18.8, 0, 0, 0.223, 290, 0, 0}},
    {"direct", false, {0.183, 41.4, 1.48, 1.55, 0, 772, 1.73, 607}},
    {"direct", true, {0.173, 82.5, 1.31, 0, 0.462, 516, 0, 0}},
    {"fft", false, {0.251, 39.7, 0.34, 0.838, 4.25, 1.58e+03, 1.1, 0}},
    {"fft", true, {0.237, 48, 0.374, 4.32, 5.56, 1.9e+03, 0, 0}},
    {"grouped", false, {0.166, 0, 0, 0, 1.53, 1.09e+03, 6.42, 0}},
    {"grouped", true, {0.179, 44.2, 0, 0, 0, 911, 0, 0}},
    {"scatter", false, {0.157, 42.7, 1.99, 4.52, 2.55, 1.18e+03, 6.82, 59}},
    {"winograd2", false, {0.189, 26.7, 1.06, 0, 0.055, 3.96e+03, 3.56, 823}},
    {"winograd2", true, {0.138, 0, 0.513, 5.83, 10.3, 6.9e+03, 0, 0}},
    {"winograd4", false, {0.189, 53.4, 1.13, 0.308, 0, 3.93e+03, 2.76, 1.5e+03}},
    {"winograd4", true, {0.158, 0, 1.78, 5.62, 1.64, 8.47e+03, 0, 0}},
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
