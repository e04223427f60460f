#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "convkit/base/export.h"

/// What a node computes.
///
/// The operators are ONNX's, with the names, inputs, outputs, attributes and meaning that they have
/// in its newest operator set (https://onnx.ai/onnx/operators). Whoever makes a graph brings older
/// forms into this one: an attribute that has become an input is an input, and every attribute
/// with a default is written out. Passes and executors thus know one form of each.
///
/// One is convkit's own, made by passes only: FusedConv(x, w, bias?, residual?), with Conv's
/// attributes and the numbers `low` and `high`, is
///
///     min(max(Conv(x, w, bias) + residual, low), high)
///
/// where the residual broadcasts as in Add. x may also be a matrix (N, C) and w one (M, C): a
/// convolution without spatial axes, x · wᵀ + bias.
namespace convkit::graph {

/// In the order of the table in operator.cc, which says the rest.
enum class Op : uint8_t {
  // Linear
  conv,
  conv_transpose,
  gemm,
  matmul,
  einsum,
  fused_conv,
  // Normalisation
  batch_normalization,
  instance_normalization,
  layer_normalization,
  group_normalization,
  mean_variance_normalization,
  lp_normalization,
  lrn,
  // Pools
  max_pool,
  average_pool,
  lp_pool,
  global_max_pool,
  global_average_pool,
  global_lp_pool,
  // Activations
  relu,
  leaky_relu,
  prelu,
  thresholded_relu,
  clip,
  sigmoid,
  hard_sigmoid,
  hard_swish,
  swish,
  tanh,
  elu,
  selu,
  celu,
  softplus,
  softsign,
  gelu,
  mish,
  shrink,
  softmax,
  log_softmax,
  hardmax,
  dropout,
  // One operand, by elements
  abs,
  neg,
  exp,
  log,
  sqrt,
  reciprocal,
  erf,
  sign,
  floor,
  ceil,
  round,
  sin,
  cos,
  tan,
  asin,
  acos,
  atan,
  sinh,
  cosh,
  asinh,
  acosh,
  atanh,
  is_nan,
  is_inf,
  logical_not,
  bitwise_not,
  identity,
  // Several operands, by elements, broadcast
  add,
  sub,
  mul,
  div,
  pow,
  mod,
  min,
  max,
  sum,
  mean,
  equal,
  greater,
  greater_or_equal,
  less,
  less_or_equal,
  logical_and,
  logical_or,
  logical_xor,
  bitwise_and,
  bitwise_or,
  bitwise_xor,
  bit_shift,
  where,
  // Reductions
  reduce_sum,
  reduce_mean,
  reduce_max,
  reduce_min,
  reduce_prod,
  reduce_l1,
  reduce_l2,
  reduce_log_sum,
  reduce_log_sum_exp,
  reduce_sum_square,
  arg_max,
  arg_min,
  cumulative_sum,
  top_k,
  // Shapes and movement
  shape,
  size,
  reshape,
  flatten,
  squeeze,
  unsqueeze,
  transpose,
  expand,
  tile,
  concat,
  split,
  slice,
  pad,
  depth_to_space,
  space_to_depth,
  reverse_sequence,
  trilu,
  // Resampling
  resize,
  grid_sample,
  // Indices
  gather,
  gather_elements,
  gather_nd,
  scatter_elements,
  scatter_nd,
  one_hot,
  non_zero,
  compress,
  non_max_suppression,
  // Making values
  constant_of_shape,
  range,
  eye_like,
  cast,
  cast_like,
  quantize_linear,
  dequantize_linear,
  // Control
  conditional,
};

/// The facts that every user of a graph may rely on, and verify() checks.
struct OpInfo {
  std::string_view name;   ///< ONNX's
  int8_t min_inputs;       ///< inputs that must be given
  int8_t max_inputs;       ///< kAnyNumber: no limit
  int8_t min_outputs = 1;  ///< outputs that must be named
  int8_t max_outputs = 1;
};
inline constexpr int8_t kAnyNumber = -1;

/// The row of an operator.
CONVKIT_API const OpInfo& info(Op op);
/// How many operators there are; they are numbered from 0.
CONVKIT_API int operator_count();
/// The operator of that name, if there is one.
CONVKIT_API std::optional<Op> find_operator(std::string_view name);
inline std::string_view name_of(Op op) { return info(op).name; }
inline std::string_view to_text(Op op) { return name_of(op); }

}  // namespace convkit::graph
