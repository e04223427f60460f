#pragma once

#include <vector>

#include "convkit/infer/operation.h"

namespace convkit::infer {

/// One of the operators Reduce... over the axes that `reduced` marks, which stay with extent 1; of
/// x's type. Sums of floating types are taken in double. For the sources of infer only.
Tensor reduce(graph::Op op, const Tensor& x, const std::vector<bool>& reduced);

}  // namespace convkit::infer
