#pragma once

#include <span>
#include <vector>

#include "convkit/tensor/tensor.h"

/// Functions that move or rename elements without changing them, as PyTorch's. The order of
/// elements is always the logical one, row-major (N, C, H, W), whatever the memory holds. Any
/// element type; recorded for floating ones. Axes may count from the end; one that does not exist
/// is a ShapeError. Results may share memory with the input.
namespace convkit::ops {

/// Attributes for a tracer: axes are normalised, and sizes worked out.
struct ReshapeParams {
  Shape shape;
};
struct PermuteParams {
  std::vector<int64_t> dims;
};
struct ConcatParams {
  int64_t dim;
};
struct SliceParams {
  int64_t dim;
  int64_t start;
  int64_t stop;
  int64_t step;
};

/// The same elements in logical order under another shape; one extent may be −1 and follows from
/// the others. Throws ShapeError when the number of elements differs.
CONVKIT_API Tensor reshape(const Tensor& x, const std::vector<int64_t>& shape);

/// Axes start_dim … end_dim become one: flatten(x, 1) turns (N, C, H, W) into (N, C·H·W). A scalar
/// becomes (1). Throws ShapeError if start_dim comes after end_dim.
CONVKIT_API Tensor flatten(const Tensor& x, int64_t start_dim = 0, int64_t end_dim = -1);

/// Axis `dim` of extent 1 goes (nothing happens when it is longer); without `dim`, all such axes.
CONVKIT_API Tensor squeeze(const Tensor& x, int64_t dim);
CONVKIT_API Tensor squeeze(const Tensor& x);
/// A new axis of extent 1 that becomes axis `dim` of the result.
CONVKIT_API Tensor unsqueeze(const Tensor& x, int64_t dim);

/// Axis i of the result is axis dims[i] of x. Throws ShapeError unless dims names each axis once.
CONVKIT_API Tensor permute(const Tensor& x, const std::vector<int64_t>& dims);
/// Swaps two axes.
CONVKIT_API Tensor transpose(const Tensor& x, int64_t dim0, int64_t dim1);

/// The tensors one after the other along axis `dim`, on which alone their shapes may differ; all of
/// one type. At least one.
CONVKIT_API Tensor concat(std::span<const Tensor> tensors, int64_t dim = 0);
inline Tensor concat(std::initializer_list<Tensor> tensors, int64_t dim = 0) {
  return concat(std::span<const Tensor>(tensors.begin(), tensors.size()), dim);
}

/// Elements start, start + step, … before `stop` along axis `dim`, as x[start:stop:step] in Python:
/// negative positions count from the end, positions beyond the ends are clipped. step ≥ 1
/// (ValueError).
CONVKIT_API Tensor slice(const Tensor& x, int64_t dim, int64_t start, int64_t stop = INT64_MAX,
                         int64_t step = 1);
/// The elements at `index` of axis `dim`, which goes. Throws ShapeError for an index outside.
CONVKIT_API Tensor select(const Tensor& x, int64_t dim, int64_t index);

}  // namespace convkit::ops
