#pragma once

#include "convkit/base/export.h"

namespace convkit {

/// Which algorithms may compute a convolution. `fast`: all, also Winograd and FFT, whose rounding
/// errors are some times those of a plain sum (docs/design/convolution.md has the bounds). `exact`:
/// only those that add up the products of the definition.
enum class Exactness { fast, exact };

/// The setting of this process; `fast` unless set. Changing it while another thread computes
/// affects the layers that thread has not begun.
CONVKIT_API Exactness exactness();
CONVKIT_API void set_exactness(Exactness exactness);

}  // namespace convkit
