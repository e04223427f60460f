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
    {"depthwise", false, {0.175, 10.6, 0, 0, 0, 79.7, 6.27, 49.2}},
    {"depthwise", true, {0.197, 11.8, 0, 0, 0, 162, 0, 0}},
    {"direct", false, {0.164, 25.1, 1.12, 0.948, 0.102, 509, 2.14, 511}},
    {"direct", true, {0.174, 30.9, 0.897, 0, 0.633, 438, 0, 0}},
    {"fft", false, {0.197, 34.1, 0.242, 1.06, 4.75, 955, 0.943, 0}},
    {"fft", true, {0.168, 31.4, 0.209, 5.01, 5.9, 1.31e+03, 0, 0}},
    {"grouped", false, {0.17, 6.69, 0, 0, 0.0323, 207, 2.43, 63}},
    {"grouped", true, {0.184, 0, 0, 0, 0.431, 343, 0, 0}},
    {"scatter", false, {0.134, 25.6, 1.7, 4.41, 2.39, 822, 7.69, 76.3}},
    {"winograd2", false, {0.173, 24.8, 0.637, 0.105, 0.665, 3.73e+03, 3.43, 425}},
    {"winograd2", true, {0.156, 0, 0, 3.49, 7.31, 5.08e+03, 0, 0}},
    {"winograd4", false, {0.181, 68.4, 0.0156, 0.228, 0.434, 4.02e+03, 3.44, 478}},
    {"winograd4", true, {0.193, 0, 0, 2.69, 4.09, 5.64e+03, 0, 0}},
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
