#pragma once

#include <vector>

#include "convkit/graph/graph.h"
#include "convkit/infer/draft.h"

/// For the sources of infer only.
namespace convkit::infer {

/// What nets do to groups of channels between two Reshapes becomes one step, which stands where the
/// last of the three stood: a Transpose that mixes the groups of each position (ShuffleNet; Zhang
/// et al. 2018), an InstanceNormalization over each group of a picture, which is how exporters
/// write GroupNormalization for older operator sets. `drafts` are in the order in which they run,
/// `facts` those of each value.
std::vector<Draft> join_channel_groups(std::vector<Draft> drafts, const std::vector<Facts>& facts,
                                       const graph::Graph& graph);

}  // namespace convkit::infer
