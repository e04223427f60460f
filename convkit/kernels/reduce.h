#pragma once

#include <cstdint>

#include "convkit/base/export.h"

/// Reductions over one axis of a dense array seen as [outer][extent][inner], on plain pointers.
/// Every sum has one order, which depends on these three numbers alone.
namespace convkit::kernels {

struct AxisGeometry {
  int64_t outer = 1;
  int64_t extent = 1;
  int64_t inner = 1;
};

/// y[o, i] = scale · Σ_k x[o, k, i]. Elements are added in short blocks, the blocks in double. An
/// empty axis gives 0.
template <class T>
CONVKIT_API void sum_axis(const AxisGeometry& geometry, double scale, const T* x, T* y);

/// y[o, i] = the first k for which x[o, k, i] is largest; NaN counts as the largest. extent ≥ 1.
template <class T>
CONVKIT_API void argmax_axis(const AxisGeometry& geometry, const T* x, int64_t* y);

#define CONVKIT_DECLARE_REDUCE(T)                                                       \
  extern template CONVKIT_API void sum_axis(const AxisGeometry&, double, const T*, T*); \
  extern template CONVKIT_API void argmax_axis(const AxisGeometry&, const T*, int64_t*);
CONVKIT_DECLARE_REDUCE(float)
CONVKIT_DECLARE_REDUCE(double)
#undef CONVKIT_DECLARE_REDUCE

}  // namespace convkit::kernels
