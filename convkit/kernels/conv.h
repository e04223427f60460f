#pragma once

#include <cstdint>

#include "convkit/base/export.h"
#include "convkit/kernels/conv_geometry.h"
#include "convkit/kernels/conv_program.h"

/// Convolution and its gradients on plain pointers. Memory layout and formulas: conv_geometry.h.
/// All outputs are overwritten, never accumulated. The same bits come out whatever the number of
/// threads. `geometry` is checked (validate: ShapeError); pointers must hold the counts it names,
/// need no alignment, and outputs must not overlap inputs. An empty batch gives an empty result,
/// and zeros for the weight gradient.
///
/// NaN and infinity reach the results whose definition multiplies them. Where they meet padding it
/// counts as zeros or as nothing, so a weight (or, in backward-weight, a dy) that is not finite may
/// also make NaN of results for which it only meets padding. Algorithms that are not exact spread
/// them to neighbours (conv_algorithm.h).
///
/// For float the planner of conv_planner.h picks the algorithm; double always runs the reference
/// (it serves numerical gradient checks, not speed).
namespace convkit::kernels {

/// y = conv(x, w) + bias; `bias` may be null.
CONVKIT_API void conv_forward(const ConvGeometry& geometry, const float* x, const float* w,
                              const float* bias, float* y);
CONVKIT_API void conv_forward(const ConvGeometry& geometry, const double* x, const double* w,
                              const double* bias, double* y);

/// The same with a residual and limits: y = min(max(conv(x, w) + bias + residual, low), high).
CONVKIT_API void conv_forward(const ConvGeometry& geometry, const float* x, const float* w,
                              const ConvEpilogue& epilogue, float* y);

/// dx = the gradient of Σ y·dy with respect to x.
CONVKIT_API void conv_backward_input(const ConvGeometry& geometry, const float* dy, const float* w,
                                     float* dx);
CONVKIT_API void conv_backward_input(const ConvGeometry& geometry, const double* dy,
                                     const double* w, double* dx);

/// dw = the gradient of Σ y·dy with respect to w.
CONVKIT_API void conv_backward_weight(const ConvGeometry& geometry, const float* x, const float* dy,
                                      float* dw);
CONVKIT_API void conv_backward_weight(const ConvGeometry& geometry, const double* x,
                                      const double* dy, double* dw);

/// sums[c] = Σ_r x[r·channels + c]: the gradient of a bias, with r over batch and positions.
/// float rows are added in blocks, the blocks in double.
CONVKIT_API void channel_sums(const float* x, int64_t rows, int64_t channels, float* sums);
CONVKIT_API void channel_sums(const double* x, int64_t rows, int64_t channels, double* sums);

}  // namespace convkit::kernels
