#include "convkit/graph/lower.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

#include "convkit/ops/activation.h"
#include "convkit/ops/arithmetic.h"
#include "convkit/ops/batch_norm.h"
#include "convkit/ops/reduce.h"
#include "convkit/ops/softmax.h"

namespace convkit::graph {
namespace {

// Attributes are float32 in files.
double as_float(double value) { return double{static_cast<float>(value)}; }

template <Op kOp>
ValueId unary(Lowering& l) {
  return l.node(kOp, {l.input(0)});
}

template <Op kOp>
ValueId binary(Lowering& l) {
  return l.node(kOp, {l.input(0), l.input(1)});
}

ValueId linear(Lowering& l) {
  const bool has_bias = l.input(2) != kNoValue;
  if (l.shape(0).dim() == 2) {
    std::vector<ValueId> inputs = {l.input(0), l.input(1)};
    if (has_bias) inputs.push_back(l.input(2));
    return l.node(Op::gemm, std::move(inputs),
                  {{"alpha", 1.0}, {"beta", 1.0}, {"transA", int64_t{0}}, {"transB", int64_t{1}}});
  }
  const ValueId weight = l.before("weight_transposed", Op::transpose, {l.input(1)},
                                  Attributes{{"perm", std::vector<int64_t>{1, 0}}});
  if (!has_bias) return l.node(Op::matmul, {l.input(0), weight});
  const ValueId product = l.before("product", Op::matmul, {l.input(0), weight});
  return l.node(Op::add, {product, l.input(2)});
}

Attributes batch_norm_attributes(const ops::BatchNormParams& p) {
  if (p.training)
    throw Refusal{
        "it takes the statistics of the batch, which are no part of the net; let it keep running "
        "ones (track_running_stats)"};
  return {{"epsilon", as_float(p.eps)}, {"momentum", as_float(0.9)}, {"training_mode", int64_t{0}}};
}

std::vector<ValueId> batch_norm_inputs(Lowering& l) {
  const Shape channels{l.shape(0)[1]};
  const DType dtype = l.inputs[0].dtype;
  const ValueId weight =
      l.input(1) != kNoValue ? l.input(1) : l.constant("ones", ones(channels, dtype));
  const ValueId bias =
      l.input(2) != kNoValue ? l.input(2) : l.constant("zeros", zeros(channels, dtype));
  return {l.input(0), weight, bias, l.input(3), l.input(4)};
}

ValueId batch_norm(Lowering& l) {
  Attributes attributes = batch_norm_attributes(l.params<ops::BatchNormParams>());
  return l.node(Op::batch_normalization, batch_norm_inputs(l), std::move(attributes));
}

ValueId batch_norm_relu(Lowering& l) {
  Attributes attributes = batch_norm_attributes(l.params<ops::BatchNormParams>());
  ValueId y =
      l.before("norm", Op::batch_normalization, batch_norm_inputs(l), std::move(attributes));
  if (l.input(5) != kNoValue) y = l.before("sum", Op::add, {y, l.input(5)});
  return l.node(Op::relu, {y});
}

template <int Rank>
ValueId batch_norm_relu_max_pool_of(Lowering& l) {
  const auto& p = l.params<ops::BatchNormPoolParams<Rank>>();
  const ValueId y = l.before("norm", Op::batch_normalization, batch_norm_inputs(l),
                             batch_norm_attributes(p.norm));
  return lower_max_pool_of<Rank>(l, l.before("relu", Op::relu, {y}), p.pool);
}

ValueId batch_norm_relu_max_pool(Lowering& l) {
  if (l.rank() == 1) return batch_norm_relu_max_pool_of<1>(l);
  if (l.rank() == 2) return batch_norm_relu_max_pool_of<2>(l);
  return batch_norm_relu_max_pool_of<3>(l);
}

ValueId clip(Lowering& l, double min, double max) {
  std::vector<ValueId> inputs = {l.input(0)};
  const bool has_max = max != std::numeric_limits<double>::infinity();
  if (min != -std::numeric_limits<double>::infinity()) {
    inputs.push_back(l.number("min", min));
  } else if (has_max) {
    inputs.push_back(kNoValue);
  }
  if (has_max) inputs.push_back(l.number("max", max));
  return l.node(Op::clip, std::move(inputs));
}

ValueId clamp(Lowering& l) {
  const auto& p = l.params<ops::ClampParams>();
  return clip(l, p.min, p.max);
}

ValueId relu6(Lowering& l) { return clip(l, 0, 6); }

ValueId leaky_relu(Lowering& l) {
  return l.node(Op::leaky_relu, {l.input(0)},
                Attributes{{"alpha", as_float(l.params<ops::LeakyReluParams>().negative_slope)}});
}

// One weight per channel stands before the spatial axes.
ValueId prelu(Lowering& l) {
  ValueId slope = l.input(1);
  if (l.shape(1).numel() > 1 && l.shape(0).dim() > 2) {
    std::vector<int64_t> axes;
    for (int64_t axis = 2; axis < l.shape(0).dim(); ++axis) axes.push_back(axis - 1);
    slope = l.before("slope", Op::unsqueeze, {slope, l.list("slope_axes", axes)});
  }
  return l.node(Op::prelu, {l.input(0), slope});
}

ValueId gelu(Lowering& l) {
  const bool by_tanh = l.params<ops::GeluParams>().approximate == ops::GeluApproximation::tanh;
  return l.node(Op::gelu, {l.input(0)},
                Attributes{{"approximate", std::string(by_tanh ? "tanh" : "none")}});
}

ValueId elu(Lowering& l) {
  return l.node(Op::elu, {l.input(0)},
                Attributes{{"alpha", as_float(l.params<ops::EluParams>().alpha)}});
}

ValueId selu(Lowering& l) {
  return l.node(
      Op::selu, {l.input(0)},
      Attributes{{"alpha", as_float(ops::kSeluAlpha)}, {"gamma", as_float(ops::kSeluScale)}});
}

// ONNX knows Mish from operator set 18 on only.
ValueId mish(Lowering& l) {
  const ValueId softplus = l.before("softplus", Op::softplus, {l.input(0)});
  const ValueId gate = l.before("gate", Op::tanh, {softplus});
  return l.node(Op::mul, {l.input(0), gate});
}

ValueId silu(Lowering& l) {
  const ValueId gate = l.before("gate", Op::sigmoid, {l.input(0)});
  return l.node(Op::mul, {l.input(0), gate});
}

ValueId hardsigmoid(Lowering& l) {
  return l.node(Op::hard_sigmoid, {l.input(0)}, {{"alpha", as_float(1.0 / 6)}, {"beta", 0.5}});
}

template <Op kOp>
ValueId softmax(Lowering& l) {
  return l.node(kOp, {l.input(0)}, Attributes{{"axis", l.params<ops::SoftmaxParams>().dim}});
}

template <Op kOp>
ValueId reduction(Lowering& l) {
  const auto& p = l.params<ops::ReduceParams>();
  return l.node(kOp, {l.input(0), l.list("axes", p.dims)},
                {{"keepdims", int64_t{p.keepdim ? 1 : 0}}, {"noop_with_empty_axes", int64_t{0}}});
}

constexpr std::string_view kLoss =
    "a loss is no part of the net that runs; leave it out of the module";
constexpr std::string_view kRandom =
    "it draws random numbers in evaluation mode too; use nn::Dropout, which passes on its input";

// In ascending order of names.
constexpr LowerRow kRows[] = {
    {"abs", unary<Op::abs>},
    {"adaptive_avg_pool1d", lower_adaptive_avg_pool<1>},
    {"adaptive_avg_pool2d", lower_adaptive_avg_pool<2>},
    {"adaptive_avg_pool3d", lower_adaptive_avg_pool<3>},
    {"adaptive_max_pool1d", lower_adaptive_max_pool<1>},
    {"adaptive_max_pool2d", lower_adaptive_max_pool<2>},
    {"adaptive_max_pool3d", lower_adaptive_max_pool<3>},
    {"add", binary<Op::add>},
    {"add_", binary<Op::add>},
    {"avg_pool1d", lower_avg_pool<1>},
    {"avg_pool2d", lower_avg_pool<2>},
    {"avg_pool3d", lower_avg_pool<3>},
    {"batch_norm", batch_norm},
    {"batch_norm_relu", batch_norm_relu},
    {"batch_norm_relu_max_pool", batch_norm_relu_max_pool},
    {"binary_cross_entropy_with_logits", nullptr, kLoss},
    {"clamp", clamp},
    {"concat", lower_concat},
    {"conv1d", lower_conv<1>},
    {"conv2d", lower_conv<2>},
    {"conv3d", lower_conv<3>},
    {"cross_entropy", nullptr, kLoss},
    {"div", binary<Op::div>},
    {"dropout", nullptr, kRandom},
    {"dropout1d", nullptr, kRandom},
    {"dropout2d", nullptr, kRandom},
    {"dropout3d", nullptr, kRandom},
    {"elu", elu},
    {"exp", unary<Op::exp>},
    {"flatten", lower_reshape, "", true},
    {"gelu", gelu},
    {"hardsigmoid", hardsigmoid},
    {"hardswish", unary<Op::hard_swish>},
    {"l1_loss", nullptr, kLoss},
    {"leaky_relu", leaky_relu},
    {"linear", linear},
    {"log", unary<Op::log>},
    {"log_softmax", softmax<Op::log_softmax>},
    {"max_pool1d", lower_max_pool<1>},
    {"max_pool2d", lower_max_pool<2>},
    {"max_pool3d", lower_max_pool<3>},
    {"mean", reduction<Op::reduce_mean>},
    {"mish", mish},
    {"mse_loss", nullptr, kLoss},
    {"mul", binary<Op::mul>},
    {"neg", unary<Op::neg>},
    {"nll_loss", nullptr, kLoss},
    {"pad", lower_pad, "", true},
    {"permute", lower_permute},
    {"prelu", prelu},
    {"relu", unary<Op::relu>},
    {"relu6", relu6},
    {"relu_", unary<Op::relu>},
    {"reshape", lower_reshape, "", true},
    {"selu", selu},
    {"sigmoid", unary<Op::sigmoid>},
    {"silu", silu},
    {"slice", lower_slice},
    {"smooth_l1_loss", nullptr, kLoss},
    {"softmax", softmax<Op::softmax>},
    {"softplus", unary<Op::softplus>},
    {"sqrt", unary<Op::sqrt>},
    {"squeeze", lower_reshape, "", true},
    {"sub", binary<Op::sub>},
    {"sum", reduction<Op::reduce_sum>},
    {"tanh", unary<Op::tanh>},
    {"unsqueeze", lower_reshape, "", true},
};

}  // namespace

ValueId Lowering::constant(std::string_view what, const Tensor& tensor) {
  return graph.add_constant(message(name, ".", what), tensor);
}

ValueId Lowering::number(std::string_view what, double value) {
  return constant(what, full({}, value, inputs[0].dtype));
}

ValueId Lowering::list(std::string_view what, const std::vector<int64_t>& values) {
  return constant(what, from_values(values, {std::ssize(values)}));
}

ValueId Lowering::before(std::string_view what, Op node_op, std::vector<ValueId> node_inputs,
                         Attributes attributes) {
  return graph.add_node(node_op, message(name, ".", what), std::move(node_inputs),
                        std::move(attributes));
}

ValueId Lowering::node(Op node_op, std::vector<ValueId> node_inputs, Attributes attributes) {
  return graph.add_node(node_op, name, std::move(node_inputs), std::move(attributes));
}

const LowerRow* find_lower_row(std::string_view op) {
  const auto* const found =
      std::lower_bound(std::begin(kRows), std::end(kRows), op,
                       [](const LowerRow& row, std::string_view key) { return row.op < key; });
  return found != std::end(kRows) && found->op == op ? found : nullptr;
}

std::vector<std::string_view> lowered_operations() {
  std::vector<std::string_view> names;
  for (const LowerRow& row : kRows)
    if (row.lower != nullptr) names.push_back(row.op);
  return names;
}

}  // namespace convkit::graph
