#pragma once

#include <cstdint>

/// What `scatter` (conv_scatter.h) does to stretches of memory. Internal to kernels/.
namespace convkit::kernels {

/// One stretch to be added to another: floats beyond a position's contributions and sums.
struct ScatterLine {
  int64_t from;
  int64_t to;
};

/// A position: where its contributions are, and the sums that they belong to.
struct ScatterPlace {
  const float* contributions;
  float* sums;
  const ScatterLine* lines;
  int64_t line_count;
};

/// For each place and each of its lines: sums[to + i] += contributions[from + i], i < length. Sums
/// must be readable and writable for whole vectors; what lies behind `length` keeps its value.
void scatter_add(const ScatterPlace* places, int64_t count, int64_t length);

/// out[i] = min(max(sums[i] + bias[i] + residual[i], low), high) for i < count; NaN stays NaN.
/// `bias` and `residual` may be null, `residual` may be `out`.
struct ScatterResult {
  const float* sums;
  const float* bias;
  const float* residual;
  bool clamps;
  float low;
  float high;
};
void scatter_store(const ScatterResult& result, int64_t count, float* out);

}  // namespace convkit::kernels
