#include "tests/support/relative_difference.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace convkit::test {

double relative_difference(const Tensor& actual, const Tensor& expected) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (actual.shape() != expected.shape() || actual.dtype() != expected.dtype()) return kInfinity;
  const std::vector<float> a = actual.to_vector<float>();
  const std::vector<float> e = expected.to_vector<float>();
  double largest = 0;
  double worst = 0;
  for (std::size_t i = 0; i < e.size(); ++i) {
    if (!std::isfinite(a[i]) || !std::isfinite(e[i])) return kInfinity;
    largest = std::max(largest, std::abs(double{e[i]}));
    worst = std::max(worst, std::abs(double{a[i]} - double{e[i]}));
  }
  return worst == 0 ? 0 : worst / largest;
}

}  // namespace convkit::test
