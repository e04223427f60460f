#pragma once

#include "convkit/kernels/conv_geometry.h"

/// Which axes of a convolution Winograd's tiles lie along. Internal to kernels/.
namespace convkit::kernels {

/// Pixels from neighbour to neighbour in memory.
struct WinogradSteps {
  int64_t h;
  int64_t w;
};

/// A convolution as one whose three taps lie along W (or along H and W), and where its pixels are:
/// the H and W of `geometry` need not be the tensor's.
struct WinogradAxes {
  ConvGeometry geometry;
  WinogradSteps in;
  WinogradSteps out;
};

/// Kernels of k×3×1 have H and W exchanged. Those of 3×1×1 have D as W, and H·W as H, where these
/// are not padded. All others stay as they are. Weights are the same in memory.
WinogradAxes winograd_axes(const ConvGeometry& geometry);

}  // namespace convkit::kernels
