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
    {"depthwise", false, {0.175, 12.3, 0, 0, 0.322, 117, 9.41, 50.6}},
    {"depthwise", true, {0.262, 16.1, 0, 0, 0, 205, 0, 0}},
    {"direct", false, {0.188, 45.2, 1.39, 0.827, 0.267, 523, 2.49, 561}},
    {"direct", true, {0.193, 102, 1.21, 0, 0.533, 472, 0, 0}},
    {"fft", false, {0.223, 33.1, 0.411, 1.5, 5.74, 1.01e+03, 1.11, 0}},
    {"fft", true, {0.109, 105, 0.211, 7.62, 5.19, 1.14e+03, 0, 0}},
    {"grouped", false, {0.193, 16, 0, 0, 0, 288, 3.18, 49.4}},
    {"grouped", true, {0.199, 5.57, 0, 0, 1.11, 572, 0, 0}},
    {"scatter", false, {0.139, 67.5, 1.12, 4.33, 3.54, 995, 9.83, 53.8}},
    {"winograd2", false, {0.202, 53.9, 0.546, 0.19, 0, 4.04e+03, 3.89, 321}},
    {"winograd2", true, {0.182, 0, 0.71, 4.76, 4.65, 6.65e+03, 0, 0}},
    {"winograd4", false, {0.219, 96.2, 0.0863, 0.0928, 0.134, 4.28e+03, 2.99, 1.1e+03}},
    {"winograd4", true, {0.261, 0, 0.306, 3.49, 1.67, 1.45e+04, 0, 0}},
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
