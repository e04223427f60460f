#pragma once

#include <cstdint>

#include "convkit/graph/graph.h"

/// Rewrites of a graph that leave its outputs what they are, up to rounding. Each returns how many
/// nodes it changed, and leaves a graph that verify() accepts. Inputs and outputs keep their names.
/// A node that has taken others in lists their operators in its attribute `fused`.
namespace convkit::infer {

/// All of them, in an order in which each finds what the ones before have made possible.
CONVKIT_API int64_t optimize(graph::Graph& graph);

/// Nodes that read constants only become constants, unless they would exceed `most_bytes`.
CONVKIT_API int64_t fold_constants(graph::Graph& graph, int64_t most_bytes = int64_t{1} << 26);

/// Identity, and Dropout outside of training: readers read the input.
CONVKIT_API int64_t remove_identities(graph::Graph& graph);

/// Transpose(Transpose(x)) is one Transpose, or none where nothing has moved.
CONVKIT_API int64_t merge_transposes(graph::Graph& graph);

/// Gemm and MatMul of a matrix and a constant one are convolutions without spatial axes
/// (Op::fused_conv), which the other passes then know how to extend.
CONVKIT_API int64_t gemm_to_conv(graph::Graph& graph);

/// y = a·x + b with constant a and b for each channel, be it BatchNormalization, Mul, Div, Add or
/// Sub, after a convolution or transposed convolution with constant weights: w ← a·w,
/// bias ← a·bias + b.
CONVKIT_API int64_t fold_affine(graph::Graph& graph);

/// Pad with zeros on spatial axes before a convolution becomes padding of that.
CONVKIT_API int64_t fold_pads(graph::Graph& graph);

/// Add, or Sum, of a convolution and something else: the convolution's residual (Op::fused_conv).
CONVKIT_API int64_t fuse_residuals(graph::Graph& graph);

/// Relu, and Clip with constant limits, after a convolution: its limits (Op::fused_conv).
CONVKIT_API int64_t fuse_activations(graph::Graph& graph);

}  // namespace convkit::infer
