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
    {"direct", false, {0.187, 43.5, 0.598, 1.26, 0.499, 497, 2.49, 561}},
    {"direct", true, {0.194, 104, 1.24, 0, 0.375, 468, 0, 0}},
    {"fft", false, {0.279, 25.5, 0.414, 0.848, 5.71, 1.18e+03, 1.11, 0}},
    {"fft", true, {0.134, 93.9, 0.315, 7.02, 5.04, 1.16e+03, 0, 0}},
    {"grouped", false, {0.191, 16.3, 0, 0, 0, 288, 3.18, 49.4}},
    {"grouped", true, {0.207, 4.35, 0, 0, 1.15, 576, 0, 0}},
    {"scatter", false, {0.128, 100, 0.315, 4.3, 3.94, 1.11e+03, 9.83, 53.8}},
    {"winograd2", false, {0.203, 64.8, 0.324, 0.205, 0, 4.56e+03, 3.89, 321}},
    {"winograd2", true, {0.179, 0, 0.72, 4.84, 6.35, 6.46e+03, 0, 0}},
    {"winograd4", false, {0.216, 104, 0, 0.193, 0, 4.17e+03, 2.99, 1.1e+03}},
    {"winograd4", true, {0.263, 0, 0.53, 3.96, 1.88, 2.03e+04, 0, 0}},
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
