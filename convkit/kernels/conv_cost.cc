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
    {"direct", false, {0.188, 48.4, 0.817, 1.23, 0.414, 489, 2.49, 561}},
    {"direct", true, {0.196, 103, 1.23, 0, 0.393, 469, 0, 0}},
    {"fft", false, {0.267, 26.8, 0.332, 1.12, 5.41, 1.17e+03, 1.11, 0}},
    {"fft", true, {0.0544, 103, 0.296, 8.29, 5.1, 1.11e+03, 0, 0}},
    {"grouped", false, {0.19, 16.9, 0, 0, 0, 283, 3.18, 49.4}},
    {"grouped", true, {0.206, 5.32, 0, 0, 1.06, 572, 0, 0}},
    {"scatter", false, {0.128, 100, 0.315, 4.3, 3.94, 1.11e+03, 9.83, 53.8}},
    {"winograd2", false, {0.203, 64.8, 0.324, 0.205, 0, 4.56e+03, 3.89, 321}},
    {"winograd2", true, {0.176, 0, 0.665, 4.95, 6.96, 6.42e+03, 0, 0}},
    {"winograd4", false, {0.218, 104, 0, 0.179, 0, 4.2e+03, 2.99, 1.1e+03}},
    {"winograd4", true, {0.286, 0, 0.399, 3.54, 1.36, 2.06e+04, 0, 0}},
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
