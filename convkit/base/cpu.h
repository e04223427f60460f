#pragma once

#include <string>

#include "convkit/base/export.h"

namespace convkit {

/// The processor's model as the system calls it, "AMD EPYC 9654" say; "unknown" where it does not
/// say.
CONVKIT_API std::string cpu_model();

}  // namespace convkit
