#pragma once

#include "convkit/infer/operation.h"

/// For the sources of infer only: the functions that compute nodes, by kind. Each has the meaning
/// of its operator in graph/operator.h; what they are called with comes from files, so that they
/// check all of it. Errors are ShapeError, DTypeError and ValueError in words.
namespace convkit::infer {

/// The function of an operator; Op::conditional has none, as the interpreter runs its branches.
Function function_of(graph::Op op);

// linear.cc
Tensors run_conv(const Call& call);
Tensors run_conv_transpose(const Call& call);
Tensors run_gemm(const Call& call);
Tensors run_matmul(const Call& call);
Tensors run_einsum(const Call& call);
Tensors run_fused_conv(const Call& call);
/// a · b over the last two axes, the others broadcast, as numpy.matmul; also for vectors.
Tensor matmul(const Tensor& a, const Tensor& b);

// normalization.cc
Tensors run_batch_normalization(const Call& call);
Tensors run_instance_normalization(const Call& call);
Tensors run_layer_normalization(const Call& call);
Tensors run_group_normalization(const Call& call);
Tensors run_mean_variance_normalization(const Call& call);
Tensors run_lp_normalization(const Call& call);
Tensors run_lrn(const Call& call);

// pool.cc
Tensors run_max_pool(const Call& call);
Tensors run_average_pool(const Call& call);  ///< also LpPool
Tensors run_global_pool(const Call& call);   ///< max, average and Lp

// elementwise.cc, binary.cc
Tensors run_unary(const Call& call);  ///< activations without further inputs as well
Tensors run_clip(const Call& call);
Tensors run_prelu(const Call& call);
Tensors run_dropout(const Call& call);
Tensors run_cast(const Call& call);  ///< and CastLike
Tensors run_quantize(const Call& call);
Tensors run_dequantize(const Call& call);
Tensors run_binary(const Call& call);
Tensors run_variadic(const Call& call);  ///< Min, Max, Sum, Mean
Tensors run_where(const Call& call);
/// x converted as ONNX's Cast does: fractions are cut off, integers wrap around.
Tensor cast(const Tensor& x, DType dtype);

// reduce.cc, lines.cc
Tensors run_reduce(const Call& call);
Tensors run_softmax(const Call& call);  ///< and LogSoftmax, Hardmax
Tensors run_arg(const Call& call);      ///< ArgMax, ArgMin
Tensors run_cumulative_sum(const Call& call);
Tensors run_top_k(const Call& call);

// shape.cc
Tensors run_shape(const Call& call);  ///< and Size
Tensors run_reshape(const Call& call);
Tensors run_flatten(const Call& call);
Tensors run_squeeze(const Call& call);
Tensors run_unsqueeze(const Call& call);
Tensors run_constant_of_shape(const Call& call);
Tensors run_range(const Call& call);
Tensors run_eye_like(const Call& call);

// movement.cc
Tensors run_transpose(const Call& call);
Tensors run_expand(const Call& call);
Tensors run_tile(const Call& call);
Tensors run_concat(const Call& call);
Tensors run_split(const Call& call);
Tensors run_slice(const Call& call);
Tensors run_pad(const Call& call);
Tensors run_depth_to_space(const Call& call);
Tensors run_space_to_depth(const Call& call);
Tensors run_reverse_sequence(const Call& call);
Tensors run_trilu(const Call& call);
/// Elements start, start + step, ... (`count` of them) along an axis; step may be negative.
Tensor slice(const Tensor& x, std::size_t axis, int64_t start, int64_t count, int64_t step);

// resize.cc, grid_sample.cc
Tensors run_resize(const Call& call);
Tensors run_grid_sample(const Call& call);

// indices.cc
Tensors run_gather(const Call& call);
Tensors run_gather_elements(const Call& call);
Tensors run_gather_nd(const Call& call);
Tensors run_scatter_elements(const Call& call);
Tensors run_scatter_nd(const Call& call);
Tensors run_one_hot(const Call& call);
Tensors run_non_zero(const Call& call);
Tensors run_compress(const Call& call);
// detection.cc
Tensors run_non_max_suppression(const Call& call);

}  // namespace convkit::infer
