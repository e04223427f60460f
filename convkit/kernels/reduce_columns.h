#pragma once

#include <cstdint>

#include "convkit/base/export.h"

namespace convkit::kernels {

/// sums[c] = Σ_r x[r·channels + c]: floats are added over at most 64 rows, then in double. Memory
/// needs no alignment. The same bits come out whatever the number of threads; 0 for no rows.
template <class T>
void column_sums(const T* x, int64_t rows, int64_t channels, T* sums);
extern template CONVKIT_API void column_sums(const float*, int64_t, int64_t, float*);
extern template CONVKIT_API void column_sums(const double*, int64_t, int64_t, double*);

}  // namespace convkit::kernels
