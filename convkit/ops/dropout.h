#pragma once

#include "convkit/base/random.h"
#include "convkit/tensor/tensor.h"

namespace convkit::ops {

/// Attributes of dropout for a tracer.
struct DropoutParams {
  double p;
  bool whole_channels;
};

/// While training, each element becomes 0 with probability p, and x / (1 − p) otherwise, so that
/// the expectation stays (Srivastava et al. 2014). Otherwise, and for p = 0, x itself comes back.
///
/// The mask depends on the generator's state alone, not on the threads; each call that draws moves
/// the generator on. Recorded. Throws ValueError unless 0 ≤ p ≤ 1, DTypeError unless floating.
CONVKIT_API Tensor dropout(const Tensor& x, double p = 0.5, bool training = true,
                           Generator& generator = default_generator());

/// The same for whole channels of (N, C, spatial...) or unbatched (C, spatial...), with one, two or
/// three spatial axes. Throws ShapeError for another rank.
CONVKIT_API Tensor dropout1d(const Tensor& x, double p = 0.5, bool training = true,
                             Generator& generator = default_generator());
CONVKIT_API Tensor dropout2d(const Tensor& x, double p = 0.5, bool training = true,
                             Generator& generator = default_generator());
CONVKIT_API Tensor dropout3d(const Tensor& x, double p = 0.5, bool training = true,
                             Generator& generator = default_generator());

}  // namespace convkit::ops
