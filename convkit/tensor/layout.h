#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "convkit/tensor/shape.h"

/// The only place that knows that logical order (N, C, D, H, W) is not memory order.
///
/// A tensor with dim() ≥ 3 keeps its axis 1, the channels, innermost in memory: (N, D, H, W, C),
/// also for convolution weights: (out, kD, kH, kW, in / groups). Rank 0, 1 and 2 are plain
/// row-major. There are no strides: every tensor is dense.
namespace convkit {

/// A shape seen as N × C × S, S the product of the spatial extents. Memory order is N, S, C.
struct LayoutView {
  int64_t batch;
  int64_t channels;
  int64_t spatial;
  friend bool operator==(const LayoutView&, const LayoutView&) = default;
};
/// dim() ≥ 3 only is split; fewer axes are N = numel, C = S = 1.
CONVKIT_API LayoutView layout_view(const Shape& shape);

/// True when the elements stand in memory in logical (row-major) order.
CONVKIT_API bool is_row_major(const Shape& shape);
/// True when a tensor of shape `from` becomes one of shape `to` without moving an element.
CONVKIT_API bool reshapes_in_place(const Shape& from, const Shape& to);

/// Distance in memory, in elements, between neighbours along each logical axis.
CONVKIT_API std::vector<int64_t> memory_strides(const Shape& shape);

/// Copies elements of `item` bytes between row-major order and memory order.
CONVKIT_API void row_major_to_memory(const Shape& shape, std::size_t item, const void* source,
                                     void* target);
CONVKIT_API void memory_to_row_major(const Shape& shape, std::size_t item, const void* source,
                                     void* target);

/// Copies the elements, in logical order the same, from the memory order of one shape to that of
/// another with as many.
CONVKIT_API void reshape_memory(const Shape& from, const Shape& to, std::size_t item,
                                const void* source, void* target);

/// target(logical) = source(logical permuted): axis i of the target is axis permutation[i] of the
/// source. Both are in memory order of their own shapes.
CONVKIT_API void permute_memory(const Shape& source_shape, std::span<const int64_t> permutation,
                                std::size_t item, const void* source, void* target);

}  // namespace convkit
