#pragma once

#include <cmath>
#include <cstdint>

/// For the sources of infer only: how much an element counts at a distance from it.
namespace convkit::infer {

struct Tap {
  int64_t index;
  double weight;
};

/// The tent 1 − |x|.
inline double linear_weight(double x) { return std::fmax(0.0, 1 - std::abs(x)); }

/// The cubic convolution kernel (Keys 1981, "Cubic convolution interpolation for digital image
/// processing", equation 4 with its parameter a).
inline double cubic_weight(double distance, double a) {
  const double x = std::abs(distance);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return ((x - 5) * x + 8) * x * a - 4 * a;
  return 0;
}

}  // namespace convkit::infer
