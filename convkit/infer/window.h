#pragma once

#include "convkit/infer/operation.h"
#include "convkit/kernels/conv_geometry.h"
#include "convkit/kernels/pool.h"

/// For the sources of infer only: windows that slide over the spatial axes of (N, C, spatial...).
namespace convkit::infer {

/// Where the windows of a convolution or a pool lie: one number per spatial axis, in the order of
/// the axes.
struct Windows {
  Integers in;
  Integers out;
  Integers kernel;
  Integers stride;
  Integers dilation;
  Integers pad_lo;
  Integers pad_hi;

  std::size_t axes() const { return in.size(); }
};

/// The windows of a node with ONNX's attributes strides, dilations, pads, auto_pad and (pools)
/// ceil_mode over an input of that shape. Throws ShapeError or ValueError, in words, where they
/// make no sense or leave no output.
Windows windows_of(const Call& call, const Shape& input, const Integers& kernel);

/// Those of the convolution whose transpose a node computes: its output is the node's input, of
/// that shape, and its input the node's output. Errors as above.
Windows transposed_windows(const Call& call, const Shape& input, const Integers& kernel);

/// The same for the kernels, which have three axes: a lower rank's are the last ones.
kernels::ConvGeometry conv_geometry(const Windows& windows, int64_t batch, int64_t in_channels,
                                    int64_t out_channels, int64_t groups);
/// Of a pool over an input of shape `x`. With count_pad, an average counts the taps in the padding.
kernels::PoolGeometry pool_geometry(const Windows& windows, const Shape& x, bool count_pad);

/// Throws ValueError unless every number of the list is between 1 and kMaxWindow.
void need_positive(const Integers& list, const char* what);

}  // namespace convkit::infer
