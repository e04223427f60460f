#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "convkit/base/export.h"
#include "convkit/kernels/conv_geometry.h"
#include "convkit/kernels/conv_program.h"

/// The ways to compute a convolution, as rows of one table; conv_planner.h picks one. A new way is
/// one file and one row.
namespace convkit::kernels {

struct ConvAlgorithm {
  const char* name;
  /// Whether each result is a sum of the products that define it, in some order. Others (Winograd,
  /// FFT) add up transformed numbers: their rounding errors are larger, and a NaN or an infinity
  /// spreads to neighbours.
  bool exact;
  /// How many times larger than those of a plain sum rounding errors are, in the root mean square,
  /// where they are largest (derived in docs/design/convolution.md); 1 if exact.
  double error_growth;
  /// Empty if this algorithm computes this direction of this geometry; otherwise why not, in words.
  std::string (*why_not)(const ConvGeometry& geometry, Direction direction);
  /// For valid geometries with batch ≥ 1 for which `why_not` is empty.
  std::unique_ptr<ConvProgram> (*prepare)(const ConvGeometry& geometry, Direction direction);
};

/// All rows; the naive reference is the last.
CONVKIT_API std::span<const ConvAlgorithm> conv_algorithms();

/// The row of that name. Throws ValueError, which lists the names there are.
CONVKIT_API const ConvAlgorithm& conv_algorithm(std::string_view name);

/// row.prepare, also for an empty batch.
CONVKIT_API std::unique_ptr<ConvProgram> prepare(const ConvAlgorithm& row,
                                                 const ConvGeometry& geometry, Direction direction);

}  // namespace convkit::kernels
