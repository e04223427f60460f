#pragma once

#include <cstdint>

#include "convkit/base/export.h"

/// Layer normalisation (Ba, Kiros and Hinton 2016) of rows that are dense in memory.
namespace convkit::kernels {

/// y[r, i] = (x[r, i] − mean_r) / √(variance_r + epsilon) · scale[i] + shift[i] for r < rows and
/// i < length, with the mean and the biased variance of row r. `scale` and `shift` may be null: 1
/// and 0. y may be x.
CONVKIT_API void layer_norm_rows(int64_t rows, int64_t length, double epsilon, const float* x,
                                 const float* scale, const float* shift, float* y);

}  // namespace convkit::kernels
