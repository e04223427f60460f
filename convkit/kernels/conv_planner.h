#pragma once

#include <memory>
#include <string>

#include "convkit/base/exactness.h"
#include "convkit/base/export.h"
#include "convkit/kernels/conv_algorithm.h"

/// Which algorithm computes a convolution.
namespace convkit::kernels {

struct ConvChoice {
  const ConvAlgorithm* algorithm;
  std::string reason;  ///< one sentence
};

/// The planner: which row runs for `geometry` in `direction`. Depends on nothing else but the
/// instruction set.
CONVKIT_API const ConvAlgorithm& plan(const ConvGeometry& geometry, Direction direction,
                                      Exactness exactness = convkit::exactness());
/// The same, and why, for people to read.
CONVKIT_API ConvChoice choose(const ConvGeometry& geometry, Direction direction,
                              Exactness exactness = convkit::exactness());

/// The planned program for `geometry`. Kept for the next call with the same geometry; the least
/// recently used are forgotten, so that changing shapes do not grow memory. Thread-safe.
CONVKIT_API std::shared_ptr<const ConvProgram> planned_program(const ConvGeometry& geometry,
                                                               Direction direction);

}  // namespace convkit::kernels
