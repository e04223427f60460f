#include "convkit/kernels/winograd_axes.h"

#include <utility>

namespace convkit::kernels {

WinogradAxes winograd_axes(const ConvGeometry& geometry) {
  ConvGeometry g = geometry;
  const int64_t in_plane = g.in[1] * g.in[2];
  const int64_t out_plane = g.out[1] * g.out[2];
  if (g.kernel[2] == 1 && g.kernel[1] == 3) {
    for (Extents* extents :
         {&g.in, &g.out, &g.kernel, &g.stride, &g.dilation, &g.pad_lo, &g.pad_hi})
      std::swap((*extents)[1], (*extents)[2]);
    return {g, {1, geometry.in[2]}, {1, geometry.out[2]}};
  }
  const bool is_flat = g.stride[1] == 1 && g.stride[2] == 1 && g.pad_lo[1] == 0 &&
                       g.pad_lo[2] == 0 && g.pad_hi[1] == 0 && g.pad_hi[2] == 0;
  if (g.kernel == Extents{3, 1, 1} && is_flat) {
    const auto turn = [](Extents& extents, int64_t plane) { extents = {1, plane, extents[0]}; };
    turn(g.in, in_plane);
    turn(g.out, out_plane);
    for (Extents* ones : {&g.kernel, &g.stride, &g.dilation}) turn(*ones, 1);
    for (Extents* pads : {&g.pad_lo, &g.pad_hi}) *pads = {0, 0, (*pads)[0]};
    return {g, {1, in_plane}, {1, out_plane}};
  }
  return {g, {g.in[2], 1}, {g.out[2], 1}};
}

}  // namespace convkit::kernels
