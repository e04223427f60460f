#include "convkit/kernels/conv_lattice.h"

#include <algorithm>
#include <utility>

#include "convkit/base/checked.h"
#include "convkit/base/conv_size.h"

namespace convkit::kernels {
namespace {

// Fills offsets and taps from `offset_of(j, k)`, which returns {exists, offset}.
template <class OffsetOf>
void fill_taps(AxisLattice& lattice, int64_t kernel, OffsetOf&& offset_of) {
  for (int64_t j = 0; j < lattice.fold; ++j)
    for (int64_t k = 0; k < kernel; ++k)
      if (const auto [exists, offset] = offset_of(j, k); exists) lattice.offsets.push_back(offset);
  std::sort(lattice.offsets.begin(), lattice.offsets.end());
  lattice.offsets.erase(std::unique(lattice.offsets.begin(), lattice.offsets.end()),
                        lattice.offsets.end());
  lattice.taps.assign(lattice.offsets.size() * static_cast<std::size_t>(lattice.fold), -1);
  for (int64_t j = 0; j < lattice.fold; ++j)
    for (int64_t k = 0; k < kernel; ++k)
      if (const auto [exists, offset] = offset_of(j, k); exists) {
        const auto index =
            std::lower_bound(lattice.offsets.begin(), lattice.offsets.end(), offset) -
            lattice.offsets.begin();
        lattice.taps[static_cast<std::size_t>(index * lattice.fold + j)] = k;
      }
}

// The residues of i + pad_lo modulo the stride, i counting dx, ascending. A stride may be longer
// than anything that is to be listed.
std::vector<int64_t> residues_of(const ConvGeometry& g, int axis) {
  const int64_t stride = g.stride[axis];
  std::vector<int64_t> residues;
  for (int64_t i = 0; i < std::min(stride, g.in[axis]); ++i) {
    const int64_t place = i + g.pad_lo[axis];
    residues.push_back(place - floor_div(place, stride) * stride);
  }
  std::sort(residues.begin(), residues.end());
  return residues;
}

}  // namespace

AxisLattice forward_lattice(const ConvGeometry& g, int axis, int64_t fold) {
  AxisLattice lattice;
  lattice.rows = ceil_div(g.out[axis], fold);
  lattice.fold = fold;
  lattice.in_start = -g.pad_lo[axis];
  lattice.in_step = g.stride[axis] * fold;
  lattice.out_step = fold;
  lattice.out_end = g.out[axis];
  fill_taps(lattice, g.kernel[axis], [&](int64_t j, int64_t k) {
    return std::pair(true, j * g.stride[axis] + k * g.dilation[axis]);
  });
  return lattice;
}

std::vector<AxisLattice> backward_lattices(const ConvGeometry& g, int axis, int64_t fold) {
  const int64_t stride = g.stride[axis];
  const int64_t pad = g.pad_lo[axis];
  std::vector<AxisLattice> lattices;
  if (fold > 1) {
    AxisLattice lattice;
    lattice.rows = ceil_div(g.in[axis], fold);
    lattice.fold = fold;
    lattice.in_step = fold / stride;
    lattice.out_step = fold;
    lattice.out_end = g.in[axis];
    fill_taps(lattice, g.kernel[axis], [&](int64_t j, int64_t k) {
      const int64_t scaled = j + pad - k * g.dilation[axis];
      return std::pair(floor_div(scaled, stride) * stride == scaled, floor_div(scaled, stride));
    });
    lattices.push_back(std::move(lattice));
    return lattices;
  }
  for (const int64_t residue : residues_of(g, axis)) {
    // dx at i = stride·q + residue − pad reads dy at q + (residue − k·dilation) / stride.
    const int64_t first = -floor_div(residue - pad, stride);
    const int64_t last = floor_div(g.in[axis] - 1 + pad - residue, stride);
    if (last < first) continue;
    AxisLattice lattice;
    lattice.rows = last - first + 1;
    lattice.in_start = first;
    lattice.out_start = stride * first + residue - pad;
    lattice.out_step = stride;
    lattice.out_end = g.in[axis];
    fill_taps(lattice, g.kernel[axis], [&](int64_t, int64_t k) {
      const int64_t scaled = residue - k * g.dilation[axis];
      return std::pair(floor_div(scaled, stride) * stride == scaled, floor_div(scaled, stride));
    });
    lattices.push_back(std::move(lattice));
  }
  return lattices;
}

int64_t best_fold(const ConvGeometry& g, Direction direction, int64_t columns, int64_t lanes) {
  const int axis = kAxes - 1;
  // Folded outputs must lie side by side in memory, which other groups' channels would prevent;
  // and with gaps between the taps too few of the shifted copies share an input.
  if (g.groups != 1 || columns >= lanes || g.dilation[axis] != 1) return 1;
  const bool forward = direction == Direction::forward;
  const int64_t kernel = g.kernel[axis];
  const int64_t stride = g.stride[axis];
  const int64_t unit = forward ? 1 : stride;
  const int64_t extent = forward ? g.out[axis] : g.in[axis];
  const auto offsets = [&](int64_t fold) {
    if (forward) return std::min(fold * kernel, (fold - 1) * stride + kernel);
    return floor_div(fold - 1 + g.pad_lo[axis], stride) +
           floor_div(kernel - 1 - g.pad_lo[axis], stride) + 1;
  };
  int64_t best = 1;
  // Unfolded, backward-input meets every tap once per `stride` outputs.
  double best_cost = static_cast<double>(kernel) / static_cast<double>(unit);
  for (int64_t fold = std::max<int64_t>(unit, 2); fold * columns <= 4 * lanes && fold <= extent;
       fold += unit) {
    const double cost = static_cast<double>(ceil_div(fold * columns, lanes) * offsets(fold)) /
                        static_cast<double>(fold);
    if (cost < 0.95 * best_cost) {
      best = fold;
      best_cost = cost;
    }
  }
  return best;
}

}  // namespace convkit::kernels
