#pragma once

#include <memory>

#include "convkit/base/export.h"
#include "convkit/kernels/conv_geometry.h"
#include "convkit/kernels/conv_program.h"

/// The oracle: the formulas of conv_geometry.h as loops, for float and double. Sums are taken in
/// double. Never what runs where speed is wanted. Outputs are overwritten.
namespace convkit::kernels {

/// y from x, w and bias (which may be null).
template <class T>
void reference_forward(const ConvGeometry& geometry, const T* x, const T* w, const T* bias, T* y);

/// dx[n, i, c] = Σ dy[n, o, co] · w[co, k, c] over all (o, k, co) that touch x[n, i, c] in forward.
template <class T>
void reference_backward_input(const ConvGeometry& geometry, const T* dy, const T* w, T* dx);

/// dw[co, k, c] = Σ_{n, o} dy[n, o, co] · x[n, o·stride − pad_lo + k·dilation, c].
template <class T>
void reference_backward_weight(const ConvGeometry& geometry, const T* x, const T* dy, T* dw);

#define CONVKIT_DECLARE_REFERENCE(T)                                                          \
  extern template CONVKIT_API void reference_forward(const ConvGeometry&, const T*, const T*, \
                                                     const T*, T*);                           \
  extern template CONVKIT_API void reference_backward_input(const ConvGeometry&, const T*,    \
                                                            const T*, T*);                    \
  extern template CONVKIT_API void reference_backward_weight(const ConvGeometry&, const T*,   \
                                                             const T*, T*);
CONVKIT_DECLARE_REFERENCE(float)
CONVKIT_DECLARE_REFERENCE(double)
#undef CONVKIT_DECLARE_REFERENCE

/// The row of conv_algorithm.h.
std::unique_ptr<ConvProgram> prepare_reference(const ConvGeometry& geometry, Direction direction);

}  // namespace convkit::kernels
