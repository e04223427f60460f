#pragma once

#include "convkit/base/export.h"

namespace convkit {

/// Which algorithms may compute a convolution. `fast`: all, also Winograd and FFT, whose rounding
/// errors are some times those of a plain sum (docs/design/convolution.md has the bounds). `exact`:
/// only those that add up the products of the definition.
enum class Exactness { fast, exact };

/// The setting of this thread's work: that of the innermost UseExactness, else that of the process,
/// which is `fast` unless set.
CONVKIT_API Exactness exactness();
CONVKIT_API void set_exactness(Exactness exactness);

/// While it lives, this thread's work uses `exactness` instead.
class CONVKIT_API UseExactness {
 public:
  explicit UseExactness(Exactness exactness);
  ~UseExactness();
  UseExactness(const UseExactness&) = delete;
  UseExactness& operator=(const UseExactness&) = delete;

 private:
  const Exactness* outer_;
  Exactness own_;
};

}  // namespace convkit
