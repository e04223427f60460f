#include "convkit/kernels/elementwise.h"

#include <cmath>
#include <limits>
#include <utility>

#include "convkit/base/thread_pool.h"
#include "convkit/infer/elements.h"
#include "convkit/infer/kernel_function.h"
#include "convkit/infer/real_function.h"
#include "convkit/infer/steps/step.h"

namespace convkit::infer {
namespace {

using graph::Op;
using kernels::BinaryOp;
using kernels::Broadcast;
using kernels::UnaryOp;
using kernels::UnaryParams;

class UnaryStep final : public Step {
 public:
  UnaryStep(UnaryOp op, UnaryParams params, const Shape& shape)
      : op_(op),
        params_(params),
        count_(shape.numel()),
        channels_(shape.dim() < 2 ? count_ : shape[1]),
        x_pitch_(channels_),
        y_pitch_(channels_) {}
  void run(std::span<const float* const> inputs, float* output) const override {
    if (x_pitch_ == channels_ && y_pitch_ == channels_)
      return kernels::unary_forward(op_, params_, count_, inputs[0], output);
    constexpr int64_t kFloatsPerTask = 1 << 14;
    parallel_ranges(count_ / channels_, std::max<int64_t>(1, kFloatsPerTask / channels_),
                    [&](int64_t begin, int64_t end) {
                      for (int64_t row = begin; row < end; ++row)
                        kernels::unary_forward(op_, params_, channels_, inputs[0] + row * x_pitch_,
                                               output + row * y_pitch_);
                    });
  }
  bool takes_pitch(int) const override { return true; }
  void set_pitch(int operand, int64_t floats) override {
    (operand == kOutput ? y_pitch_ : x_pitch_) = floats;
  }

 private:
  UnaryOp op_;
  UnaryParams params_;
  int64_t count_;
  int64_t channels_;
  int64_t x_pitch_;
  int64_t y_pitch_;
};

// Functions without a kernel, in double.
class MapStep final : public Step {
 public:
  MapStep(RealFunction function, int64_t count) : function_(function), count_(count) {}
  void run(std::span<const float* const> inputs, float* output) const override {
    constexpr int64_t kElementsPerTask = 1 << 11;
    const float* x = inputs[0];
    parallel_ranges(count_, kElementsPerTask, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) output[i] = static_cast<float>(function_(x[i]));
    });
  }

 private:
  RealFunction function_;
  int64_t count_;
};

class PreluStep final : public Step {
 public:
  PreluStep(int64_t rows, Tensor slopes) : rows_(rows), slopes_(std::move(slopes)) {}
  void run(std::span<const float* const> inputs, float* output) const override {
    kernels::prelu_forward(rows_, slopes_.numel(), inputs[0], slopes_.data<float>(), output);
  }

 private:
  int64_t rows_;
  Tensor slopes_;
};

class BinaryStep final : public Step {
 public:
  // A constant operand is held here, in the layout that the result's rank wants.
  BinaryStep(BinaryOp op, const Broadcast& broadcast, Tensor a, Tensor b)
      : op_(op), broadcast_(broadcast), a_(std::move(a)), b_(std::move(b)) {}
  void run(std::span<const float* const> inputs, float* output) const override {
    kernels::binary(op_, broadcast_, a_.defined() ? a_.data<float>() : inputs[0],
                    b_.defined() ? b_.data<float>() : inputs[1], output);
  }

 private:
  BinaryOp op_;
  Broadcast broadcast_;
  Tensor a_;
  Tensor b_;
};

Native unary(const Request& request, UnaryOp op, UnaryParams params = {}) {
  const Shape& shape = request.input(0).shape;
  return {std::make_unique<UnaryStep>(op, params, shape), shape, 0};
}

std::optional<Native> map(const Request& request) {
  const auto function = real_function(request.call());
  if (!function) return std::nullopt;
  const Shape& shape = request.input(0).shape;
  return Native{std::make_unique<MapStep>(*function, shape.numel()), shape, 0};
}

// x to a constant power.
std::optional<Native> power(const Request& request) {
  const Facts& exponent = request.input(1);
  if (!exponent.constant.defined() || exponent.shape.numel() != 1 ||
      exponent.shape.dim() > request.input(0).shape.dim())
    return std::nullopt;
  const RealFunction function{
      [](double x, const RealFunction::Parameters& p) { return std::pow(x, p[0]); },
      {exponent.constant.item()}};
  const Shape& shape = request.input(0).shape;
  return Native{std::make_unique<MapStep>(function, shape.numel()), shape, 0};
}

// An operand with leading axes of extent 1, whose layout in memory is then that of the result.
Tensor with_rank(const Tensor& tensor, int64_t rank) {
  Shape shape = tensor.shape();
  while (shape.dim() < rank) shape = shape.with_inserted(0, 1);
  return tensor.reshaped(shape);
}

}  // namespace

std::optional<Broadcast> broadcast_of(const Shape& a, const Shape& b, const Shape& y) {
  const Integers a_strides = stretched_strides(a, y);
  const Integers b_strides = stretched_strides(b, y);
  const auto rank = static_cast<std::size_t>(y.dim());
  if (rank > Broadcast::kMaxAxes) return std::nullopt;
  Broadcast axes;
  axes.axes = static_cast<int>(rank);
  for (std::size_t i = 0; i < rank; ++i) {
    // The channels are innermost in memory.
    const std::size_t logical = rank < 3 || i == 0 ? i : i + 1 == rank ? 1 : i + 1;
    axes.extents[i] = y.begin()[logical];
    axes.a_strides[i] = a_strides[logical];
    axes.b_strides[i] = b_strides[logical];
  }
  axes = kernels::make_broadcast(axes);
  if (axes.axes == 0) return axes;
  const auto inner = static_cast<std::size_t>(axes.axes - 1);
  if (axes.a_strides[inner] > 1 || axes.b_strides[inner] > 1) return std::nullopt;
  return axes;
}

std::optional<Native> make_unary(const Request& request) {
  if (request.inputs.empty() || !request.given(0) || !request.input(0).is_float())
    return std::nullopt;
  if (const auto function = kernel_function(request.node))
    return unary(request, function->op, function->params);
  return request.node.op == Op::pow ? power(request) : map(request);
}

std::optional<Native> make_clip(const Request& request) {
  if (!request.input(0).is_float()) return std::nullopt;
  UnaryParams limits{-std::numeric_limits<double>::infinity(),
                     std::numeric_limits<double>::infinity()};
  const auto set = [&](std::size_t i, double& limit) {
    if (!request.given(i)) return true;
    const Tensor& constant = request.input(i).constant;
    if (!constant.defined() || constant.numel() != 1) return false;
    limit = constant.item();
    return true;
  };
  if (!set(1, limits.a) || !set(2, limits.b)) return std::nullopt;
  return unary(request, UnaryOp::clamp, limits);
}

std::optional<Native> make_prelu(const Request& request) {
  const Facts& x = request.input(0);
  const Facts& slope = request.input(1);
  if (!x.is_float() || !slope.is_float() || !slope.constant.defined() || x.shape.dim() < 2)
    return std::nullopt;
  const int64_t channels = x.shape[1];
  // (C, 1, 1), or one for all.
  const int64_t place = slope.shape.dim() - x.shape.dim() + 1;
  const bool is_channel =
      place >= 0 && slope.shape[place] == channels && slope.shape.numel() == channels;
  if (!is_channel && slope.shape.numel() != 1) return std::nullopt;
  Tensor slopes({channels}, DType::float32);
  for (int64_t c = 0; c < channels; ++c)
    slopes.mutable_data<float>()[c] = slope.constant.data<float>()[is_channel ? c : 0];
  return Native{std::make_unique<PreluStep>(x.shape.numel() / channels, std::move(slopes)),
                x.shape};
}

std::optional<Native> make_binary(const Request& request) {
  if (request.inputs.size() != 2) return std::nullopt;
  const Facts& a = request.input(0);
  const Facts& b = request.input(1);
  if (!a.is_float() || !b.is_float()) return std::nullopt;
  const Shape output = broadcast_shapes(a.shape, b.shape, "operands");
  const auto held = [&](const Facts& facts) {
    return facts.constant.defined() ? with_rank(facts.constant, output.dim()) : Tensor();
  };
  Tensor held_a = held(a);
  Tensor held_b = held(b);
  const auto broadcast = broadcast_of(held_a.defined() ? held_a.shape() : a.shape,
                                      held_b.defined() ? held_b.shape() : b.shape, output);
  if (!broadcast) return std::nullopt;
  const auto op = [&] {
    switch (request.node.op) {
      case Op::sub:
        return BinaryOp::sub;
      case Op::mul:
        return BinaryOp::mul;
      case Op::div:
        return BinaryOp::div;
      default:
        return BinaryOp::add;
    }
  }();
  // Only an operand in the result's own layout and extents can give its memory.
  const int overwrites = a.shape == output && !held_a.defined()   ? 0
                         : b.shape == output && !held_b.defined() ? 1
                                                                  : -1;
  return Native{std::make_unique<BinaryStep>(op, *broadcast, std::move(held_a), std::move(held_b)),
                output, overwrites};
}

}  // namespace convkit::infer
