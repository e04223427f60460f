#pragma once

#include <vector>

#include "convkit/graph/graph.h"
#include "convkit/infer/draft.h"

/// For the sources of infer only.
namespace convkit::infer {

/// Reshape, Transpose and Reshape that mix the groups of channels of each position (ShuffleNet;
/// Zhang et al. 2018) become one step, which stands where the last of them stood. `drafts` are in
/// the order in which they run, `facts` those of each value.
std::vector<Draft> join_shuffles(std::vector<Draft> drafts, const std::vector<Facts>& facts,
                                 const graph::Graph& graph);

}  // namespace convkit::infer
