#pragma once

#include <string>
#include <vector>

#include "convkit/graph/graph.h"

/// Inputs for a net whose file leaves extents open.
namespace convkit::cli {

/// Random inputs for a net: standard normal numbers, and zeros for integers. An open first extent
/// is `batch`; `shape`, such as 1x3x224x224, is that of the first input where given. Throws
/// UsageError where another extent is open.
std::vector<Tensor> random_inputs(const std::vector<graph::Value>& inputs, int64_t batch,
                                  const std::string& shape);

/// 1x3x224x224 as a shape; throws UsageError, naming --input, for anything else.
Shape parse_shape(const std::string& text);

}  // namespace convkit::cli
