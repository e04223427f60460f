#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "convkit/infer/operation.h"

/// For the sources of infer only: which elements, and how much of each, a position takes.
namespace convkit::infer {

struct Tap {
  int64_t index;
  double weight;
};

/// One axis of a Resize.
struct ResizedAxis {
  std::size_t axis;
  std::vector<std::vector<Tap>> taps;  ///< per output position; none where that is extrapolated
};
/// The axes along which a Resize node computes anything, from the shape of its input 0 and the
/// values of the others. The result is no larger than memory_limit() in float64. Throws ShapeError
/// or ValueError where the node makes no sense.
std::vector<ResizedAxis> resized_axes(const Call& call);

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
