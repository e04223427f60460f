#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "convkit/kernels/conv_algorithm.h"
#include "convkit/kernels/conv_reference.h"
#include "convkit/kernels/target.h"
#include "tests/support/on_target.h"
#include "tests/support/on_threads.h"

/// Convolutions with random values, their exact results, and how far a float result may be off.
namespace convkit::test {

using kernels::ConvAlgorithm;
using kernels::ConvGeometry;
using kernels::Direction;

inline std::vector<float> random_floats(int64_t count, std::mt19937& random) {
  std::uniform_real_distribution<float> values(-1.0f, 1.0f);
  std::vector<float> result(static_cast<std::size_t>(count));
  for (float& value : result) value = values(random);
  return result;
}

struct ConvData {
  ConvData(const ConvGeometry& geometry, unsigned seed) : g(geometry) {
    std::mt19937 random(seed);
    x = random_floats(kernels::input_count(g), random);
    w = random_floats(kernels::weight_count(g), random);
    dy = random_floats(kernels::output_count(g), random);
    bias = random_floats(g.out_channels, random);
  }
  int64_t result_count(Direction direction) const {
    return direction == Direction::forward          ? kernels::output_count(g)
           : direction == Direction::backward_input ? kernels::input_count(g)
                                                    : kernels::weight_count(g);
  }
  ConvGeometry g;
  std::vector<float> x, w, dy, bias;
};

/// Runs one direction of `row` on raw pointers, forward with the bias.
inline void run(const ConvAlgorithm& row, Direction direction, const ConvGeometry& g,
                const float* x, const float* w, const float* dy, const float* bias, float* to) {
  const bool forward = direction == Direction::forward;
  kernels::prepare(row, g, direction)
      ->pack_and_run(direction == Direction::backward_input ? dy : x,
                     direction == Direction::backward_weight ? dy : w,
                     {.bias = forward ? bias : nullptr}, to);
}

/// The result of one direction; NaN where nothing was written.
inline std::vector<float> result(const ConvAlgorithm& row, Direction direction,
                                 const ConvData& data) {
  std::vector<float> to(static_cast<std::size_t>(data.result_count(direction)), NAN);
  run(row, direction, data.g, data.x.data(), data.w.data(), data.dy.data(), data.bias.data(),
      to.data());
  return to;
}

/// The exact result of one direction, and Σ|a·b| of every element.
struct Exact {
  std::vector<double> value;
  std::vector<double> magnitude;
  double terms;  ///< most products in a sum
};

inline Exact exact(Direction direction, const ConvData& data) {
  const ConvGeometry& g = data.g;
  const auto wide = [](const std::vector<float>& from, bool absolute) {
    std::vector<double> to(from.begin(), from.end());
    if (absolute)
      for (double& value : to) value = std::fabs(value);
    return to;
  };
  const auto compute = [&](bool absolute) {
    const std::vector<double> x = wide(data.x, absolute);
    const std::vector<double> w = wide(data.w, absolute);
    const std::vector<double> dy = wide(data.dy, absolute);
    const std::vector<double> bias = wide(data.bias, absolute);
    std::vector<double> to(static_cast<std::size_t>(data.result_count(direction)));
    if (direction == Direction::forward)
      kernels::reference_forward(g, x.data(), w.data(), bias.data(), to.data());
    if (direction == Direction::backward_input)
      kernels::reference_backward_input(g, dy.data(), w.data(), to.data());
    if (direction == Direction::backward_weight)
      kernels::reference_backward_weight(g, x.data(), dy.data(), to.data());
    return to;
  };
  const auto taps = static_cast<double>(g.kernel[0] * g.kernel[1] * g.kernel[2]);
  const auto positions = static_cast<double>(g.batch * g.out[0] * g.out[1] * g.out[2]);
  return {compute(false), compute(true),
          direction == Direction::forward          ? taps * static_cast<double>(g.group_in()) + 1.0
          : direction == Direction::backward_input ? taps * static_cast<double>(g.group_out())
                                                   : positions};
}

/// Empty if `got` is within rounding of `want`, else the worst element in words. A float sum of n
/// products is off by at most n·u·Σ|a·b|, u = 2^-24 (Higham, Accuracy and Stability, eq. 3.5, with
/// a rounding to spare for the final one); roundings that do not conspire give √n instead of n, of
/// which 8 times is far beyond chance. The smaller of the two is allowed. Where transformed numbers
/// are added up, `growth` > 1 times as much is allowed, of the largest Σ|a·b| there is, or of one
/// product of the largest operands (all are below 1): a result shares the errors of its neighbours,
/// and those of sums that are not even asked for.
inline std::string difference(const std::vector<float>& got, const Exact& want,
                              double growth = 1.0) {
  const double factor =
      std::ldexp(1.0, -24) * growth * std::min(want.terms + 2.0, 8.0 * std::sqrt(want.terms) + 2.0);
  double largest = 0.0;
  if (growth > 1.0) {
    largest = 1.0;
    for (const double magnitude : want.magnitude) largest = std::max(largest, magnitude);
  }
  double worst = 1.0;
  std::string text;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double error = std::fabs(static_cast<double>(got[i]) - want.value[i]);
    const double allowed = factor * std::max(largest, want.magnitude[i]);
    if (error <= allowed * worst) continue;  // false for NaN
    worst = allowed > 0.0 ? error / allowed : INFINITY;
    text = "element " + std::to_string(i) + " is " + std::to_string(got[i]) + ", should be " +
           std::to_string(want.value[i]) + ": off by " + std::to_string(error) + ", allowed " +
           std::to_string(allowed);
    if (std::isnan(got[i])) break;
  }
  return text;
}

/// The root mean square error of `row` and the largest, in units of 2^-24 · √n, n products being
/// summed. All operands are below 1.
struct RowErrors {
  double most = 0.0;
  double mean = 0.0;
};
inline RowErrors errors(const ConvAlgorithm& row, const ConvData& data, Direction direction,
                        const Exact& want) {
  const std::vector<float> got = result(row, direction, data);
  const double unit = std::ldexp(std::sqrt(want.terms), -24);
  RowErrors found;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double error = std::fabs(static_cast<double>(got[i]) - want.value[i]) / unit;
    found.most = std::max(found.most, error);
    found.mean += error * error;
  }
  found.mean = std::sqrt(found.mean / static_cast<double>(got.size()));
  return found;
}

/// The instruction sets the engine is built for, as far as this machine has them.
inline std::vector<std::string> engine_targets() {
  std::vector<std::string> targets;
  for (const std::string& name : kernels::simd_targets())
    if (name != "sse4" && name != "ssse3") targets.push_back(name);
  return targets;
}

/// Calls `body(row, target)` with every algorithm that computes `direction` of `g`, while the
/// engine is limited to each instruction set in turn. The reference is the same on all: it comes
/// once.
template <class Body>
void for_each_row(const ConvGeometry& g, Direction direction, const Body& body) {
  for (const std::string& target : engine_targets()) {
    const OnTarget limited(target);
    for (const ConvAlgorithm& row : kernels::conv_algorithms()) {
      if (row.name == std::string("reference") && target != engine_targets().front()) continue;
      if (row.why_not(g, direction).empty()) body(row, target);
    }
  }
}

/// A small valid geometry with everything PyTorch allows in it, and cropping.
inline ConvGeometry random_geometry(std::mt19937& random) {
  const auto pick = [&random](int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random);
  };
  for (;;) {
    ConvGeometry g;
    const bool few = pick(0, 1) == 1;
    g.batch = pick(0, 2) == 0 ? pick(2, 4) : 1;
    g.groups = pick(0, 2) == 0 ? pick(2, 5) : 1;
    g.in_channels = g.groups * (few ? pick(1, 5) : pick(1, 40));
    g.out_channels = g.groups * (few ? pick(1, 5) : pick(1, 40));
    if (pick(0, 4) == 0) g.groups = g.in_channels = g.out_channels = pick(1, 70);
    const auto rank = static_cast<int>(pick(1, 3));
    const int64_t largest = rank == 1 ? 90 : rank == 2 ? 17 : 8;
    for (int axis = kernels::kAxes - rank; axis < kernels::kAxes; ++axis) {
      g.in[axis] = pick(1, largest);
      g.kernel[axis] = pick(1, pick(0, 2) == 0 ? largest / 3 + 1 : 3);
      g.stride[axis] = pick(0, 1) == 0 ? pick(2, 4) : 1;
      g.dilation[axis] = pick(0, 2) == 0 ? pick(2, 3) : 1;
      g.pad_lo[axis] = pick(0, 5) == 0 ? pick(-2, 7) : pick(0, 2);
      g.pad_hi[axis] = pick(0, 1) == 0 ? pick(-2, 5) : g.pad_lo[axis];
    }
    g = kernels::with_output_size(g);
    if (std::all_of(g.out.begin(), g.out.end(), [](int64_t extent) { return extent >= 1; }) &&
        kernels::macs(g) < 400'000)
      return g;
  }
}

}  // namespace convkit::test
