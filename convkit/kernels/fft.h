#pragma once

#include <cstdint>
#include <vector>

#include "convkit/base/export.h"

/// Discrete Fourier transforms whose elements are vectors: every lane is a signal of its own, so
/// that butterflies are whole vector operations and nothing is ever shuffled. Internal to kernels/.
namespace convkit::kernels {

/// How a transform of `length` is done: Stockham's method, whose passes alternate between two
/// buffers and leave natural order (Van Loan, Computational Frameworks for the FFT, 1992, §1.7).
struct FftPlan {
  /// `points` must satisfy is_fft_length; throws ValueError otherwise.
  explicit FftPlan(int64_t points);

  struct Pass {
    int radix;
    int64_t butterflies;  ///< m: length / (radix · done)
    int64_t done;         ///< s: the product of the radices of earlier passes
    int64_t twiddles;     ///< where this pass begins in `twiddles`
  };
  int64_t length;
  std::vector<Pass> passes;
  std::vector<float> twiddles;  ///< per pass [butterfly][1 … radix − 1]{re, im}
};

/// Whether a transform of this length exists: 2^a · 3^b · 5^c, at least 1.
CONVKIT_API bool is_fft_length(int64_t length);
/// The passes of a transform of that length, which is what its time is proportional to.
int64_t fft_pass_count(int64_t length);

/// Where the elements of a transform lie. An element is one vector of real parts, then one of
/// imaginary parts; steps are floats from one element to the next.
struct FftLine {
  const float* from;
  int64_t from_step;
  float* to;  ///< may be `from`
  int64_t to_step;
  /// {re, im} numbers, twiddle_step floats apart, by which the elements are multiplied first (the
  /// inverse: by their conjugates). Null: none.
  const float* twiddles = nullptr;
  int64_t twiddle_step = 0;
};

struct FftKernels {
  int64_t lanes = 1;  ///< floats in a vector
  int max_radix = 4;
  /// to[k] = Σ_n from[n] · exp(∓2πi·nk / length): minus forward, plus for the inverse, which is not
  /// divided by the length. `scratch` holds 4 · lanes · length floats.
  void (*transform)(const FftPlan& plan, const FftLine& line, bool inverse,
                    float* scratch) = nullptr;
};

/// Those of the instruction set in use (target.h).
CONVKIT_API const FftKernels& fft_kernels();

}  // namespace convkit::kernels
