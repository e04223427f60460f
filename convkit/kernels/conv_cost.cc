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
    {"depthwise", false, {0.178, 10.2, 0, 0, 0.116, 82.7, 7.57, 45.5}},
    {"depthwise", true, {0.194, 14.4, 0, 0, 0, 169, 0, 0}},
    {"direct", false, {0.169, 31.3, 1.02, 1.13, 0, 530, 2.56, 460}},
    {"direct", true, {0.176, 88, 1.39, 0, 0.693, 530, 0, 0}},
    {"fft", false, {0.211, 24.5, 0.359, 1.6, 4.69, 1.17e+03, 0.988, 0}},
    {"fft", true, {0.214, 0, 0.533, 4.68, 7.06, 1.39e+03, 0, 0}},
    {"grouped", false, {0.169, 7.59, 0, 0, 0.0998, 209, 2.4, 61.1}},
    {"grouped", true, {0.179, 0, 0, 0, 0.653, 387, 0, 0}},
    {"scatter", false, {0.147, 11.8, 2.09, 3.99, 2.43, 876, 8.01, 79.6}},
    {"winograd2", false, {0.174, 30.2, 0.489, 0.0698, 0.786, 4.41e+03, 3.68, 162}},
    {"winograd2", true, {0.16, 0, 0.798, 4.46, 1.49, 4.52e+03, 0, 0}},
    {"winograd4", false, {0.171, 63.3, 0.125, 0.413, 1.05, 3.49e+03, 3.61, 560}},
    {"winograd4", true, {0.196, 0, 0.422, 3.36, 2.51, 7.72e+03, 0, 0}},
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
