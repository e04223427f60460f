#include "convkit/infer/steps/step.h"

namespace convkit::infer {

using graph::Op;

Maker maker_of(Op op) {
  switch (op) {
    case Op::conv:
    case Op::fused_conv:
      return make_conv;
    case Op::conv_transpose:
      return make_conv_transpose;
    case Op::max_pool:
    case Op::average_pool:
      return make_pool;
    case Op::global_max_pool:
    case Op::global_average_pool:
      return make_global_pool;
    case Op::reduce_mean:
    case Op::reduce_sum:
      return make_reduce;
    case Op::clip:
      return make_clip;
    case Op::prelu:
      return make_prelu;
    case Op::add:
    case Op::sub:
    case Op::mul:
    case Op::div:
    case Op::sum:
      return make_binary;
    case Op::batch_normalization:
      return make_batch_norm;
    case Op::softmax:
    case Op::log_softmax:
      return make_softmax;
    case Op::concat:
      return make_concat;
    case Op::reshape:
    case Op::flatten:
    case Op::squeeze:
    case Op::unsqueeze:
      return make_reshape;
    case Op::transpose:
      return make_transpose;
    case Op::slice:
      return make_slice;
    case Op::resize:
      return make_resize;
    case Op::pad:
      return make_pad;
    case Op::depth_to_space:
    case Op::space_to_depth:
      return make_depth_to_space;
    case Op::instance_normalization:
      return make_instance_norm;
    case Op::layer_normalization:
      return make_layer_norm;
    case Op::group_normalization:
      return make_group_norm;
    case Op::lrn:
      return make_lrn;
    case Op::matmul:
      return make_matmul;
    default:
      return make_unary;  // which knows what it does not know
  }
}

}  // namespace convkit::infer
