#include "convkit/infer/operators.h"

#include <iterator>

namespace convkit::infer {
namespace {

using graph::Op;

// Consecutive operators from `first` to `last` that one function computes.
struct Range {
  Op first;
  Op last;
  Function function;
};

constexpr Range kTable[] = {
    {Op::conv, Op::conv, run_conv},
    {Op::conv_transpose, Op::conv_transpose, run_conv_transpose},
    {Op::gemm, Op::gemm, run_gemm},
    {Op::matmul, Op::matmul, run_matmul},
    {Op::einsum, Op::einsum, run_einsum},
    {Op::fused_conv, Op::fused_conv, run_fused_conv},
    {Op::batch_normalization, Op::batch_normalization, run_batch_normalization},
    {Op::instance_normalization, Op::instance_normalization, run_instance_normalization},
    {Op::layer_normalization, Op::layer_normalization, run_layer_normalization},
    {Op::group_normalization, Op::group_normalization, run_group_normalization},
    {Op::mean_variance_normalization, Op::mean_variance_normalization,
     run_mean_variance_normalization},
    {Op::lp_normalization, Op::lp_normalization, run_lp_normalization},
    {Op::lrn, Op::lrn, run_lrn},
    {Op::max_pool, Op::max_pool, run_max_pool},
    {Op::average_pool, Op::lp_pool, run_average_pool},
    {Op::global_max_pool, Op::global_lp_pool, run_global_pool},
    {Op::relu, Op::leaky_relu, run_unary},
    {Op::prelu, Op::prelu, run_prelu},
    {Op::thresholded_relu, Op::thresholded_relu, run_unary},
    {Op::clip, Op::clip, run_clip},
    {Op::sigmoid, Op::shrink, run_unary},
    {Op::softmax, Op::hardmax, run_softmax},
    {Op::dropout, Op::dropout, run_dropout},
    {Op::abs, Op::bitwise_not, run_unary},
    {Op::identity, Op::identity, [](const Call& call) { return Tensors{call.input(0)}; }},
    {Op::add, Op::mod, run_binary},
    {Op::min, Op::mean, run_variadic},
    {Op::equal, Op::bit_shift, run_binary},
    {Op::where, Op::where, run_where},
    {Op::reduce_sum, Op::reduce_sum_square, run_reduce},
    {Op::arg_max, Op::arg_min, run_arg},
    {Op::cumulative_sum, Op::cumulative_sum, run_cumulative_sum},
    {Op::top_k, Op::top_k, run_top_k},
    {Op::shape, Op::size, run_shape},
    {Op::reshape, Op::reshape, run_reshape},
    {Op::flatten, Op::flatten, run_flatten},
    {Op::squeeze, Op::squeeze, run_squeeze},
    {Op::unsqueeze, Op::unsqueeze, run_unsqueeze},
    {Op::transpose, Op::transpose, run_transpose},
    {Op::expand, Op::expand, run_expand},
    {Op::tile, Op::tile, run_tile},
    {Op::concat, Op::concat, run_concat},
    {Op::split, Op::split, run_split},
    {Op::slice, Op::slice, run_slice},
    {Op::pad, Op::pad, run_pad},
    {Op::depth_to_space, Op::depth_to_space, run_depth_to_space},
    {Op::space_to_depth, Op::space_to_depth, run_space_to_depth},
    {Op::reverse_sequence, Op::reverse_sequence, run_reverse_sequence},
    {Op::trilu, Op::trilu, run_trilu},
    {Op::resize, Op::resize, run_resize},
    {Op::grid_sample, Op::grid_sample, run_grid_sample},
    {Op::gather, Op::gather, run_gather},
    {Op::gather_elements, Op::gather_elements, run_gather_elements},
    {Op::gather_nd, Op::gather_nd, run_gather_nd},
    {Op::scatter_elements, Op::scatter_elements, run_scatter_elements},
    {Op::scatter_nd, Op::scatter_nd, run_scatter_nd},
    {Op::one_hot, Op::one_hot, run_one_hot},
    {Op::non_zero, Op::non_zero, run_non_zero},
    {Op::compress, Op::compress, run_compress},
    {Op::non_max_suppression, Op::non_max_suppression, run_non_max_suppression},
    {Op::constant_of_shape, Op::constant_of_shape, run_constant_of_shape},
    {Op::range, Op::range, run_range},
    {Op::eye_like, Op::eye_like, run_eye_like},
    {Op::cast, Op::cast_like, run_cast},
    {Op::quantize_linear, Op::quantize_linear, run_quantize},
    {Op::dequantize_linear, Op::dequantize_linear, run_dequantize},
    {Op::conditional, Op::conditional, nullptr},
};

// Every operator stands in the table, once and in order.
consteval bool is_complete() {
  int next = 0;
  for (const Range& range : kTable) {
    if (static_cast<int>(range.first) != next || range.last < range.first) return false;
    next = static_cast<int>(range.last) + 1;
  }
  return next == static_cast<int>(Op::conditional) + 1;
}
static_assert(is_complete(), "one function per operator");

}  // namespace

Function function_of(Op op) {
  for (const Range& range : kTable)
    if (op <= range.last) return range.function;
  return nullptr;
}

}  // namespace convkit::infer
