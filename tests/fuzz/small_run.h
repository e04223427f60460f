#pragma once

#include "convkit/graph/graph.h"

namespace convkit::fuzz {

/// Makes a session of the net and runs it on inputs of a few elements, within two megabytes beyond
/// what is in use. A net may ask for much work, which is no fault: one whose convolutions would
/// take long is planned but not run.
void run_small(const graph::Graph& net);

}  // namespace convkit::fuzz
