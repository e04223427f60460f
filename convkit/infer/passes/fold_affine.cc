#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "convkit/base/thread_pool.h"
#include "convkit/infer/passes/passes.h"
#include "convkit/infer/passes/rewrite.h"
#include "convkit/tensor/deferred.h"

namespace convkit::infer {
namespace {

using graph::Node;
using graph::Op;
using graph::ValueId;

// y = scale[c] · x + shift[c].
struct Affine {
  std::vector<double> scale;
  std::vector<double> shift;
};

// One number per channel of a constant that broadcasts over (N, C, spatial...) of `rank` axes.
std::optional<std::vector<double>> per_channel(const Tensor* tensor, int64_t channels,
                                               int64_t rank) {
  if (tensor == nullptr || !is_floating(tensor->dtype()) || tensor->dim() > rank)
    return std::nullopt;
  for (int64_t axis = 0; axis < tensor->dim(); ++axis) {
    const bool is_channel = axis + rank - tensor->dim() == 1;
    const int64_t extent = tensor->size(axis);
    if (extent != 1 && (!is_channel || extent != channels)) return std::nullopt;
  }
  std::vector<double> numbers = tensor->to(DType::float64).to_vector<double>();
  if (numbers.size() == 1) numbers.resize(static_cast<std::size_t>(channels), numbers[0]);
  return numbers;
}

std::optional<Affine> batch_norm(const Rewriter& rewriter, const Node& node, int64_t channels) {
  if (node.attributes.flag("training_mode")) return std::nullopt;
  for (const std::size_t i : {std::size_t{1}, std::size_t{2}})
    if (node.output(i) != graph::kNoValue) return std::nullopt;
  std::vector<double> numbers[4];
  for (std::size_t i = 0; i < 4; ++i) {
    const Tensor* tensor = rewriter.constant(node.input(i + 1));
    if (tensor == nullptr || tensor->numel() != channels || !is_floating(tensor->dtype()))
      return std::nullopt;
    numbers[i] = tensor->to(DType::float64).to_vector<double>();
  }
  const auto& [weight, bias, mean, variance] = numbers;
  Affine affine;
  const double epsilon = node.attributes.number("epsilon");
  for (std::size_t c = 0; c < weight.size(); ++c) {
    affine.scale.push_back(weight[c] / std::sqrt(variance[c] + epsilon));
    affine.shift.push_back(bias[c] - affine.scale[c] * mean[c]);
  }
  return affine;
}

std::optional<Affine> arithmetic(const Rewriter& rewriter, const Node& node, std::size_t x,
                                 int64_t channels, int64_t rank) {
  const auto numbers = per_channel(rewriter.constant(node.inputs[1 - x]), channels, rank);
  if (!numbers) return std::nullopt;
  const std::vector<double> ones(numbers->size(), 1.0);
  const std::vector<double> zeros(numbers->size(), 0.0);
  std::vector<double> changed = *numbers;
  switch (node.op) {
    case Op::mul:
      return Affine{*numbers, zeros};
    case Op::add:
      return Affine{ones, *numbers};
    case Op::sub:
      if (x == 1) return Affine{std::vector<double>(numbers->size(), -1.0), *numbers};
      for (double& number : changed) number = -number;
      return Affine{ones, changed};
    case Op::div:
      if (x == 1) return std::nullopt;
      for (double& number : changed) number = 1 / number;
      return Affine{changed, zeros};
    default:
      return std::nullopt;
  }
}

// The weight (out, in / groups, kernel) of a convolution: an output channel's numbers follow each
// other in memory. Scaled when it is read, and read again rather than held twice.
class ScaledRows final : public TensorSource {
 public:
  ScaledRows(Tensor weight, std::vector<double> scale)
      : weight_(std::move(weight)), scale_(std::move(scale)) {}

  void read_rows(int64_t first, int64_t count, void* target) const override {
    auto* const w = static_cast<float*>(target);
    const int64_t block = weight_.numel() / weight_.size(0);
    if (const auto source = source_of(weight_)) {
      source->read_rows(first, count, target);
    } else {
      std::copy_n(weight_.data<float>() + first * block, count * block, w);
    }
    parallel_for(count, [&](int64_t row) {
      const double scale = scale_[static_cast<std::size_t>(first + row)];
      for (float& number : std::span(w + row * block, static_cast<std::size_t>(block)))
        number = static_cast<float>(number * scale);
    });
  }

  bool holds_memory() const override {
    const auto source = source_of(weight_);
    return source == nullptr || source->holds_memory();
  }

 private:
  Tensor weight_;
  std::vector<double> scale_;
};

Tensor scaled_conv(const Tensor& weight, std::vector<double> scale) {
  return deferred(weight.shape(), DType::float32,
                  std::make_shared<ScaledRows>(weight, std::move(scale)));
}

// The weight (in, out / groups, kernel) of a transposed one: the channels of a group are innermost.
Tensor scaled_transpose(const Tensor& weight, const std::vector<double>& scale, int64_t groups) {
  Tensor result = weight.clone();
  auto* w = result.mutable_data<float>();
  const int64_t inner = weight.size(1);
  const int64_t group_in = weight.size(0) / groups;
  const int64_t block = weight.numel() / weight.size(0);
  for (int64_t i = 0; i < weight.numel(); ++i) {
    const int64_t channel = i / block / group_in * inner + i % inner;
    w[i] = static_cast<float>(w[i] * scale[static_cast<std::size_t>(channel)]);
  }
  return result;
}

// Takes the affine function of `consumer` into the convolution before its input x.
bool fold(Rewriter& rewriter, Node& consumer, std::size_t x) {
  const Node* conv = rewriter.sole_producer(consumer.inputs[x]);
  if (conv == nullptr) return false;
  const bool is_transpose = conv->op == Op::conv_transpose;
  if (!is_transpose && !is_plain_conv(*conv)) return false;
  const Tensor* weight = rewriter.constant(conv->inputs[1]);
  if (weight == nullptr || weight->dtype() != DType::float32 || weight->dim() < 2 ||
      weight->numel() == 0 || !rewriter.has_room_for(*weight))
    return false;
  // A transposed one has no other bound on how many it takes in.
  const auto* noted = conv->attributes.find("fused");
  if (noted != nullptr && std::get<std::vector<std::string>>(*noted).size() >= kMostFused)
    return false;
  const int64_t groups = conv->attributes.integer("group");
  if (groups < 1 || weight->size(0) % groups != 0) return false;
  const int64_t channels = is_transpose ? weight->size(1) * groups : weight->size(0);
  const Tensor* old_bias = rewriter.constant(conv->input(2));
  if (conv->input(2) != graph::kNoValue &&
      (old_bias == nullptr || old_bias->numel() != channels || old_bias->dtype() != DType::float32))
    return false;
  const std::optional<Affine> affine =
      consumer.op == Op::batch_normalization
          ? batch_norm(rewriter, consumer, channels)
          : arithmetic(rewriter, consumer, x, channels, weight->dim());
  if (!affine) return false;

  Tensor bias({channels}, DType::float32);
  for (std::size_t c = 0; c < affine->scale.size(); ++c) {
    const double old = old_bias == nullptr ? 0 : old_bias->data<float>()[c];
    bias.mutable_data<float>()[c] = static_cast<float>(affine->scale[c] * old + affine->shift[c]);
  }
  Node fused = *conv;
  const std::string name = fused.name;
  const Tensor scaled = is_transpose ? scaled_transpose(*weight, affine->scale, groups)
                                     : scaled_conv(*weight, affine->scale);
  fused.inputs.resize(3, graph::kNoValue);
  fused.inputs[1] = rewriter.add_constant(name + ".weight", scaled);
  fused.inputs[2] = rewriter.add_constant(name + ".bias", bias);
  note_fused(fused, consumer.op);
  rewriter.take_over(consumer, std::move(fused));
  return true;
}

}  // namespace

int64_t fold_affine(graph::Graph& graph) {
  Rewriter rewriter(graph);
  for (std::size_t n = 0; n < rewriter.size(); ++n) {
    Node& node = rewriter.node(n);
    if (node.op == Op::batch_normalization) {
      fold(rewriter, node, 0);
    } else if (node.op >= Op::add && node.op <= Op::div) {
      if (!fold(rewriter, node, 0)) fold(rewriter, node, 1);
    }
  }
  return rewriter.finish();
}

}  // namespace convkit::infer
