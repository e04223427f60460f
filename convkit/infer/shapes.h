#pragma once

#include <vector>

#include "convkit/base/export.h"
#include "convkit/graph/graph.h"

/// The shapes of a net's values before there is an input.
namespace convkit::infer {

/// The types of all values of a verified graph, by number, as far as they follow from those of its
/// inputs. Open extents of the inputs are symbols: those with a name keep it; else the first axis
/// is N, and the axes behind the channels are L, or H and W, or D, H and W. Extents that depend on
/// one symbol are written as a formula, the name of the Dim: `H`, `⌈H/2⌉`, `2·⌊(H + 1)/4⌋`, `3·N +
/// 1`; others without a name.
///
/// What operators make of shapes is written down once, where they run. So the shapes are computed
/// for some forty sets of extents, and a formula is one that all of these agree with, fractions up
/// to 1/32. Where an operator refuses all of a set, such as sizes that are no multiple of 32, that
/// set says nothing.
CONVKIT_API std::vector<graph::ValueType> infer_types(const graph::Graph& graph);

}  // namespace convkit::infer
