#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "convkit/base/export.h"

/// The kernels' view of a convolution: three spatial axes, plain numbers, one memory layout.
namespace convkit::kernels {

inline constexpr int kAxes = 3;  ///< D, H, W; lower ranks have leading extents of 1.
using Extents = std::array<int64_t, kAxes>;

/// A convolution of channels-last tensors (all float, dense, W·C innermost):
///
///   y[n, o, co] = bias[co] + Σ_{k, c} x[n, o·stride − pad_lo + k·dilation, g·C/groups + c]
///                                     · w[co, k, c]
///
/// with o and k running over the three axes, c over the in_channels / groups inputs of the group g
/// that co belongs to, and x = 0 outside of [0, in). In memory:
///
///   x, dx   [batch][in D][in H][in W][in_channels]
///   y, dy   [batch][out D][out H][out W][out_channels]
///   w, dw   [out_channels][kernel D][kernel H][kernel W][in_channels / groups]
///   bias    [out_channels]
struct ConvGeometry {
  int64_t batch = 1;  ///< may be 0: then there is nothing to compute, and dw is 0
  int64_t in_channels = 1;
  int64_t out_channels = 1;
  int64_t groups = 1;
  Extents in = {1, 1, 1};
  Extents out = {1, 1, 1};
  Extents kernel = {1, 1, 1};
  Extents stride = {1, 1, 1};
  Extents dilation = {1, 1, 1};
  Extents pad_lo = {0, 0, 0};  ///< zeros before the first element; negative crops
  Extents pad_hi = {0, 0, 0};  ///< zeros after the last element; negative crops

  bool operator==(const ConvGeometry&) const = default;

  int64_t group_in() const { return in_channels / groups; }
  int64_t group_out() const { return out_channels / groups; }
};

/// Whose values a convolution kernel computes.
enum class Direction { forward, backward_input, backward_weight };
inline constexpr std::array<Direction, 3> kDirections = {
    Direction::forward, Direction::backward_input, Direction::backward_weight};
CONVKIT_API const char* name(Direction direction);

/// Throws ShapeError, in words, unless every number is in its range, groups divide both channel
/// counts, `out` is conv_output_size of the rest on every axis, and all sizes fit into 63 bits.
CONVKIT_API void validate(const ConvGeometry& geometry);

/// `geometry` with `out` computed from the other fields (conv_output_size on every axis).
CONVKIT_API ConvGeometry with_output_size(ConvGeometry geometry);

/// Numbers of elements; throw ValueError when they leave int64.
CONVKIT_API int64_t input_count(const ConvGeometry& geometry);
CONVKIT_API int64_t output_count(const ConvGeometry& geometry);
CONVKIT_API int64_t weight_count(const ConvGeometry& geometry);
/// Multiply-adds of one direction, those with padding included (the field's convention).
CONVKIT_API int64_t macs(const ConvGeometry& geometry);

/// For hashed containers: equal geometries have equal hashes.
CONVKIT_API std::size_t hash(const ConvGeometry& geometry);

/// The problem in benchdnn's notation, e.g. `g4mb1ic64ih56oc64oh56kh3ph1`: groups, batch, channels,
/// then per axis input, output, kernel, stride (if not 1), pad before, dilation − 1 (if not 0). The
/// D axis is left out when trivial, H too for a 1-D problem, and W when it equals H.
CONVKIT_API std::string to_string(const ConvGeometry& geometry);

/// Reads that notation. Extents not given are those of the next axis to the left (d → h → w), a
/// problem with only `w` is 1-D, strides default to 1, dilations and pads to 0; pad_hi is whatever
/// gives the output size named. Throws ValueError for text that is not a problem.
CONVKIT_API ConvGeometry parse_problem(std::string_view text);

}  // namespace convkit::kernels
