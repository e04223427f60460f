#pragma once

#include <cstdint>
#include <vector>

#include "convkit/kernels/conv_geometry.h"

/// Forward and backward-input are one computation: rows of outputs on a lattice, each a weighted
/// sum of inputs at the same offsets from the row's own place. Internal to kernels/.
namespace convkit::kernels {

/// One axis. Row r covers the `fold` outputs out_start + r·out_step + j (j < fold, as far as they
/// are below out_end), and reads the inputs in_start + r·in_step + offsets[i]; the weight between
/// the two is the kernel's tap tap(i, j), or zero where that is −1.
struct AxisLattice {
  int64_t rows = 0;
  int64_t fold = 1;
  int64_t in_start = 0;
  int64_t in_step = 1;
  int64_t out_start = 0;
  int64_t out_step = 1;
  int64_t out_end = 0;
  std::vector<int64_t> offsets;  ///< ascending; empty where outputs see no input at all
  std::vector<int64_t> taps;     ///< [offsets][fold]

  int64_t tap(int64_t offset_index, int64_t j) const {
    return taps[static_cast<std::size_t>(offset_index * fold + j)];
  }
};

/// The lattice of forward: rows of `fold` adjacent outputs.
AxisLattice forward_lattice(const ConvGeometry& geometry, int axis, int64_t fold);

/// The lattices of backward-input (whose "inputs" are dy and whose "outputs" are dx). With
/// fold = 1, one per residue of i + pad_lo modulo the stride, for only every stride-th dx sees the
/// same taps (each is a stride-1 correlation; residues that own no dx are left out). A fold that is
/// a multiple of the stride makes one lattice of all residues.
std::vector<AxisLattice> backward_lattices(const ConvGeometry& geometry, int axis, int64_t fold);

/// How many adjacent outputs along W a row should cover so that `columns` channels per output fill
/// vectors of `lanes`: few channels waste most of a vector, while folding pays for zeros between
/// the shifted copies of the kernel. Minimises vectors · offsets per output.
int64_t best_fold(const ConvGeometry& geometry, Direction direction, int64_t columns,
                  int64_t lanes);

}  // namespace convkit::kernels
