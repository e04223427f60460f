#pragma once

#include "convkit/tensor/tensor.h"

namespace convkit::test {

/// max |actual − expected| / max |expected|, infinite where shapes differ or a value is not finite.
double relative_difference(const Tensor& actual, const Tensor& expected);

/// What ONNX files and the module may differ by, relative to the largest output: both sum the same
/// float32 products, in orders of their own.
inline constexpr double kExactDifference = 1e-5;
/// With Winograd's algorithms, which round the transformed tiles too.
inline constexpr double kFastDifference = 1e-3;

}  // namespace convkit::test
