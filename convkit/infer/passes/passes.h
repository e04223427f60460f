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

/// Functions that exporters write out in their parts are one node again: Gelu as x·(1 +
/// erf(x/√2))/2, Swish as x·Sigmoid(x), HardSwish as x·Clip(x + 3, 0, 6)/6 or x·HardSigmoid(x),
/// Mish as x·tanh(Softplus(x)); Pow(x, 2) is Mul(x, x).
CONVKIT_API int64_t fuse_functions(graph::Graph& graph);

/// (x − mean(x)) / √(mean((x − mean(x))²) + eps) · scale + bias over the last axis is
/// LayerNormalization. Finds squares as fuse_functions() leaves them.
CONVKIT_API int64_t fuse_layer_norm(graph::Graph& graph);

/// A Transpose changes places with what alone reads it: functions of single elements, arithmetic
/// with a constant, LayerNormalization over the last axis (which gets the attribute `single_axis`
/// and another `axis`), MatMul over what were channels (which becomes a convolution of one tap).
/// Nets that go to channels-last and back (ConvNeXt) have their transpositions side by side then,
/// where merge_transposes() ends them.
CONVKIT_API int64_t sink_transposes(graph::Graph& graph);

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

/// What follows a convolution (Op::fused_conv): Relu, and Clip with constant limits, become its
/// limits; any other function of single elements that is a kernel, its last act.
CONVKIT_API int64_t fuse_activations(graph::Graph& graph);

}  // namespace convkit::infer
