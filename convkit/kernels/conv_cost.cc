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
    {"depthwise", false, {0.141, 2.24, 0, 0, 0.41, 2.08e+03, 15.3, 2.32e+03}},
    {"depthwise", true, {0.189, 0, 0, 0, 0.453, 4.94e+03, 0, 0}},
    {"direct", false, {0.158, 32, 0.469, 0.923, 0.565, 1.8e+03, 2.14, 40.3}},
    {"direct", true, {0.169, 0, 0.87, 0.94, 0, 2.91e+03, 0, 0}},
    {"fft", false, {0.249, 5.31, 1.57, 0, 2.32, 9.74e+03, 1.27, 136}},
    {"fft", true, {0.217, 26.2, 1.58, 0.862, 2.82, 2.15e+03, 0, 0}},
    {"grouped", false, {0.149, 0, 0, 0, 1.21, 0, 0, 0}},
    {"grouped", true, {0.177, 12.4, 0, 0, 0.437, 0, 0, 0}},
    {"winograd2", false, {0.16, 18.4, 0.8, 0, 0.117, 4.1e+03, 3.66, 1.45e+03}},
    {"winograd2", true, {0.134, 0, 0.194, 3.57, 7.54, 5.94e+03, 0, 0}},
    {"winograd4", false, {0.169, 37, 0.649, 0.116, 0.314, 3.42e+03, 2.73, 2.45e+03}},
    {"winograd4", true, {0.142, 0, 0.998, 3.71, 1.48, 7.84e+03, 0, 0}},
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
