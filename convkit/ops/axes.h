#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "convkit/kernels/elementwise.h"
#include "convkit/kernels/reduce.h"
#include "convkit/tensor/tensor.h"

/// For the sources of ops only: a tensor's memory seen along some of its axes.
namespace convkit::ops {

/// One logical axis as kernels see it: [outer][extent][inner] in memory order. All extents must be
/// ≥ 1; axis may be negative.
kernels::AxisGeometry axis_geometry(const Shape& shape, int64_t axis);

/// The logical axes of a tensor of that rank in memory order, outermost first.
std::vector<int64_t> memory_order(int64_t rank);

/// `shape` with leading axes of extent 1 up to `rank`.
Shape with_leading_ones(const Shape& shape, int64_t rank);

/// y = a op b, stretched to `shape` (which broadcast_shapes gave). Not recorded.
Tensor broadcast_binary(kernels::BinaryOp op, const Tensor& a, const Tensor& b, const Shape& shape);
/// self ← self op other, `other` stretched to self's shape. Not recorded.
void broadcast_binary_(kernels::BinaryOp op, Tensor& self, const Tensor& other);

/// scale · Σ over the given axes (distinct, normalised), which stay with extent 1. Not recorded.
Tensor sum_over(const Tensor& x, std::span<const int64_t> axes, double scale = 1);
/// The gradient of stretching `shape` to x's shape: sums over the stretched axes. Not recorded.
Tensor sum_to_shape(const Tensor& x, const Shape& shape);

}  // namespace convkit::ops
