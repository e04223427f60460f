#pragma once

#include <span>
#include <string>
#include <string_view>

#include "convkit/base/export.h"
#include "convkit/kernels/conv_geometry.h"

/// The ways to compute a convolution, as rows of one table, and the planner that picks a row. A new
/// way (Winograd, FFT, ...) is one file and one row.
namespace convkit::kernels {

/// One row. The run functions take valid geometries for which `why_not` is empty, overwrite their
/// output and work for an empty batch; pointers as in conv.h, memory as in conv_geometry.h.
struct ConvAlgorithm {
  const char* name;
  /// Empty if this algorithm computes this direction of this geometry; otherwise why not, in words.
  std::string (*why_not)(const ConvGeometry& geometry, Direction direction);
  void (*forward)(const ConvGeometry& geometry, const float* x, const float* w, const float* bias,
                  float* y);
  void (*backward_input)(const ConvGeometry& geometry, const float* dy, const float* w, float* dx);
  void (*backward_weight)(const ConvGeometry& geometry, const float* x, const float* dy, float* dw);
};

/// All rows, in the planner's order of preference; the naive reference is the last.
CONVKIT_API std::span<const ConvAlgorithm> conv_algorithms();

/// The row of that name. Throws ValueError, which lists the names there are.
CONVKIT_API const ConvAlgorithm& conv_algorithm(std::string_view name);

struct ConvChoice {
  const ConvAlgorithm* algorithm;
  std::string reason;  ///< one sentence
};

/// The planner: which row runs for `geometry` in `direction`. Depends on nothing else.
CONVKIT_API const ConvAlgorithm& plan(const ConvGeometry& geometry, Direction direction);
/// The same, and why, for people to read.
CONVKIT_API ConvChoice choose(const ConvGeometry& geometry, Direction direction);

}  // namespace convkit::kernels
