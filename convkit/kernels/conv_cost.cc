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
    {"depthwise", false, {0.177, 10.2, 0, 0, 0.13, 89, 7.54, 47.6}},
    {"depthwise", true, {0.191, 14.5, 0, 0, 0.0266, 176, 0, 0}},
    {"direct", false, {0.172, 31.9, 1.23, 0.972, 0, 530, 2.61, 486}},
    {"direct", true, {0.182, 0, 1.28, 0.705, 0.712, 567, 0, 0}},
    {"fft", false, {0.2, 24.3, 0.447, 1.98, 5.17, 1.17e+03, 1.09, 0}},
    {"fft", true, {0.168, 24.3, 0.542, 4.95, 8.42, 1.13e+03, 0, 0}},
    {"grouped", false, {0.172, 9.06, 0, 0, 0.0308, 205, 1.99, 74.1}},
    {"grouped", true, {0.188, 0, 0, 0, 0.573, 372, 0, 0}},
    {"scatter", false, {0.151, 12.8, 2.01, 4.19, 2.7, 856, 9.53, 83.4}},
    {"winograd2", false, {0.182, 30.6, 0.486, 0, 1.02, 4.55e+03, 3.97, 58.6}},
    {"winograd2", true, {0.154, 37, 2.26, 3.13, 0, 1.19e+04, 0, 0}},
    {"winograd4", false, {0.187, 71.1, 0, 0.242, 1.13, 3.87e+03, 3.84, 558}},
    {"winograd4", true, {0.193, 77.8, 2.47, 0, 0, 2.35e+04, 0, 0}},
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
