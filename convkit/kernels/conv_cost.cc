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
    {"depthwise", false, {0.144, 13.9, 0, 0, 0.0551, 85.7, 13.2, 17.8}},
    {"depthwise", true, {0.162, 20.5, 0, 0, 0.0831, 139, 0, 0}},
    {"direct", false, {0.157, 39.6, 0.387, 1.94, 0.611, 404, 1.99, 331}},
    {"direct", true, {0.161, 85, 1.06, 0, 0.179, 379, 0, 0}},
    {"fft", false, {0.248, 9.47, 1.45, 0, 2.44, 4.86e+03, 1.28, 0}},
    {"fft", true, {0.215, 27.7, 1.63, 0.77, 2.81, 257, 0, 0}},
    {"grouped", false, {0.149, 0, 0, 0, 1.2, 687, 0, 160}},
    {"grouped", true, {0.177, 14.5, 0, 0, 0.352, 778, 0, 0}},
    {"winograd2", false, {0.161, 15.4, 0.882, 0, 0.239, 3.21e+03, 3.89, 488}},
    {"winograd2", true, {0.132, 0, 0.321, 3.68, 7.04, 5.29e+03, 0, 0}},
    {"winograd4", false, {0.167, 36.2, 0.693, 0.15, 0.294, 2.95e+03, 2.9, 915}},
    {"winograd4", true, {0.141, 0, 1.04, 3.76, 1.4, 7.05e+03, 0, 0}},
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
