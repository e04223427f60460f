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
    {"depthwise", false, {0.178, 17.1, 0, 0, 0.0678, 105, 13.2, 17.8}},
    {"depthwise", true, {0.197, 25, 0, 0, 0.101, 170, 0, 0}},
    {"direct", false, {0.186, 46.9, 0.497, 2.28, 0.721, 477, 1.99, 331}},
    {"direct", true, {0.192, 92, 1.26, 0.212, 0.273, 459, 0, 0}},
    {"fft", false, {0.312, 7.42, 1.81, 0.00884, 3.4, 6.34e+03, 1.25, 0}},
    {"fft", true, {0.32, 40.8, 0.696, 2.28, 4.94, 1.27e+03, 0, 0}},
    {"grouped", false, {0.164, 0, 0, 0, 1.55, 786, 0, 160}},
    {"grouped", true, {0.181, 1.34, 0, 0, 1.29, 983, 0, 0}},
    {"scatter", false, {0.186, 46.9, 1, 2.28, 0.7, 477, 5, 331}},
    {"winograd2", false, {0.19, 17.4, 1.09, 0, 0.253, 3.83e+03, 3.89, 488}},
    {"winograd2", true, {0.158, 0, 0.399, 5.04, 9.42, 6.64e+03, 0, 0}},
    {"winograd4", false, {0.196, 40.8, 0.842, 0.189, 0.478, 3.5e+03, 2.9, 914}},
    {"winograd4", true, {0.177, 0, 1.38, 5.05, 1.97, 9.05e+03, 0, 0}},
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
