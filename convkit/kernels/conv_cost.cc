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
    {"depthwise", false, {0.145, 5, 0, 0, 0.2, 1000, 6, 500}},
    {"depthwise", true, {0.165, 5, 0, 0, 0.2, 2000, 0, 0}},
    {"grouped", false, {0.15, 5, 0, 0, 0.2, 1000, 6, 500}},
    {"grouped", true, {0.17, 5, 0, 0, 0.2, 2000, 0, 0}},
    {"direct", false, {0.155, 34.9, 0.17, 1.1, 0.273, 1690, 6.85, 1750}},
    {"direct", true, {0.157, 43.1, 0.804, 0, 0.234, 2320, 0, 0}},
    {"fft", false, {0.18, 2, 1.7, 1.9, 3.1, 5500, 1.7, 1300}},
    {"fft", true, {0.2, 2, 2.0, 2.2, 3.8, 8500, 0, 0}},
    {"winograd2", false, {0.151, 13.4, 0.988, 0, 0, 4730, 6.19, 2370}},
    {"winograd2", true, {0.116, 0, 1.13, 4.4, 2.19, 5810, 0, 0}},
    {"winograd4", false, {0.154, 33.8, 0.926, 0.165, 0, 3740, 5.59, 3210}},
    {"winograd4", true, {0.127, 0, 1.08, 4.05, 1.36, 7840, 0, 0}},
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
