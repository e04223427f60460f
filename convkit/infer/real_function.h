#pragma once

#include <array>
#include <optional>

#include "convkit/infer/operation.h"

/// For the sources of infer only: what operators of one operand do with a real number.
namespace convkit::infer {

/// y = formula(x, parameters).
struct RealFunction {
  using Parameters = std::array<double, 2>;

  double (*formula)(double x, const Parameters& parameters) = nullptr;
  Parameters parameters = {};

  double operator()(double x) const { return formula(x, parameters); }
};

/// The function a node applies to each element of a floating tensor, its attributes among the
/// parameters; nothing for operators that are no such function. Throws ValueError for attributes
/// out of their range.
std::optional<RealFunction> real_function(const Call& call);

}  // namespace convkit::infer
