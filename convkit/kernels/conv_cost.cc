#include "convkit/kernels/conv_cost.h"

#include <limits>
#include <span>
#include <string_view>

#include "convkit/kernels/conv_tile.h"

namespace convkit::kernels {
namespace {

struct Row {
  std::string_view algorithm;
  bool weight_gradient;
  ConvCosts costs;
};

// Of tiles with wide vectors (TileKernels::wide), measured with AVX-512.
constexpr Row kWideCosts[] = {
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

// Of the others, measured with AVX2.
constexpr Row kNarrowCosts[] = {
    {"depthwise", false, {0.151, 3.48, 0, 0, 0.128, 139, 13.3, 14.3}},
    {"depthwise", true, {0.229, 9.02, 0, 0, 0, 185, 0, 0}},
    {"direct", false, {0.104, 0, 1.25, 1.04, 0.969, 1.38e+03, 0.775, 643}},
    {"direct", true, {0.104, 50.4, 0.668, 0, 0.374, 785, 0, 0}},
    {"fft", false, {0.142, 26.4, 0.486, 0.238, 3.8, 1.11e+03, 0.814, 32.6}},
    {"fft", true, {0.178, 48.4, 0.263, 3.18, 2.31, 1.34e+03, 0, 0}},
    {"grouped", false, {0.0979, 6.06, 0, 0, 0.521, 374, 1.02, 96.3}},
    {"grouped", true, {0.128, 0.46, 0, 0, 0.603, 428, 0, 0}},
    {"scatter", false, {0.0804, 0, 2.36, 1.16, 1.86, 1.17e+03, 3.63, 543}},
    {"winograd2", false, {0.1, 15.8, 0.29, 0.512, 0, 3.18e+03, 1.88, 619}},
    {"winograd2", true, {0.0716, 0, 0, 3.92, 7.86, 7.62e+03, 0, 0}},
    {"winograd4", false, {0.168, 4.14, 0.673, 0, 1.03, 5.86e+03, 2.16, 534}},
    {"winograd4", true, {0.0906, 0, 1.61, 3.46, 0, 1.59e+04, 0, 0}},
};

}  // namespace

const ConvCosts* conv_costs(std::string_view algorithm, Direction direction) {
  const std::span<const Row> rows = tile_kernels().wide() ? kWideCosts : kNarrowCosts;
  for (const Row& row : rows)
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
