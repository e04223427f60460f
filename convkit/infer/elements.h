#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "convkit/infer/operation.h"
#include "convkit/tensor/layout.h"

/// For the sources of infer only: elements of any type, wherever they stand.
///
/// Arithmetic is done in double for floating types (whose sums, products and quotients then round
/// to the bits of the type itself) and in int64 for all others; uint64 is taken as its bits. That
/// keeps operators to two bodies rather than thirteen. Strides are distances in elements.
namespace convkit::infer {

/// Visits every index of a box. `extents` are those of its axes, strides[k] how far operand k moves
/// along each. Calls `row` with where each operand stands, how many elements to go, and by how
/// much each moves from one to the next. Axes are reordered and merged so that operand 0 moves
/// forward in memory.
using Row = std::function<void(const int64_t* offsets, int64_t count, const int64_t* steps)>;
void for_each_row(const Integers& extents, const std::vector<Integers>& strides, const Row& row);

/// Where elements stand: a pointer to the element of index 0, and the strides.
struct Place {
  void* data;
  Integers strides;
};
struct ConstPlace {
  const void* data;
  Integers strides;
};
Place place_of(Tensor& tensor);
ConstPlace place_of(const Tensor& tensor);
/// The same, `count` elements of `item` bytes along a stride further.
const void* advance(const void* data, int64_t count, std::size_t item);
void* advance(void* data, int64_t count, std::size_t item);

/// target[index] = source[index] for every index of the box, elements of `item` bytes.
void copy(const Integers& extents, std::size_t item, const Place& target, const ConstPlace& source);

/// Strides with which a tensor of `shape` is read as one of `target`, to which it broadcasts: 0
/// along stretched axes.
Integers stretched_strides(const Shape& shape, const Shape& target);

/// `count` elements from `data[offset]` on, `step` apart, and back. Integers are taken modulo 2^64
/// and stored modulo their size; a bool is stored as whether it is not 0; doubles round, and
/// saturate where they become integers.
void load(DType dtype, const void* data, int64_t offset, int64_t step, int64_t count, double* to);
void load(DType dtype, const void* data, int64_t offset, int64_t step, int64_t count, int64_t* to);
void store(DType dtype, void* data, int64_t offset, int64_t step, int64_t count,
           const double* from);
void store(DType dtype, void* data, int64_t offset, int64_t step, int64_t count,
           const int64_t* from);

/// Every line of elements along one axis: `visit` gets the offset of its first element; they are
/// `line_stride` apart.
int64_t line_stride(const Shape& shape, std::size_t axis);
void for_each_line(const Shape& shape, std::size_t axis,
                   const std::function<void(int64_t offset)>& visit);

/// True when the type's numbers are done in double.
inline bool uses_reals(DType dtype) { return is_floating(dtype); }

}  // namespace convkit::infer
