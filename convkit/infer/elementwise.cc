#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <random>

#include "convkit/infer/elements.h"
#include "convkit/infer/operators.h"
#include "convkit/infer/real_function.h"
#include "convkit/ops/activation.h"
#include "convkit/tensor/convert.h"

namespace convkit::infer {
namespace {

using graph::Op;

constexpr int64_t kBlock = 256;
constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Up to two numbers of a node's attributes.
using Parameters = RealFunction::Parameters;

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
// log(1 + e^x) without overflow.
double softplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }
double clamp01(double x) { return x < 0 ? 0 : x > 1 ? 1 : x; }

// What a function of one operand is on reals, and on integers where it is defined there.
struct UnaryRow {
  Op op;
  double (*real)(double x, const Parameters& p);
  int64_t (*integer)(int64_t x, bool is_unsigned) = nullptr;
  std::array<const char*, 2> parameters = {nullptr, nullptr};
  bool gives_bool = false;
};

// clang-format off
const UnaryRow kUnary[] = {
    {Op::relu, [](double x, const Parameters&) { return x < 0 ? 0 : x; },
     [](int64_t x, bool is_unsigned) { return x < 0 && !is_unsigned ? 0 : x; }},
    {Op::leaky_relu, [](double x, const Parameters& p) { return x < 0 ? p[0] * x : x; }, nullptr, {"alpha"}},
    {Op::thresholded_relu, [](double x, const Parameters& p) { return x > p[0] || std::isnan(x) ? x : 0; }, nullptr, {"alpha"}},
    {Op::sigmoid, [](double x, const Parameters&) { return sigmoid(x); }},
    {Op::hard_sigmoid, [](double x, const Parameters& p) { return clamp01(p[0] * x + p[1]); }, nullptr, {"alpha", "beta"}},
    {Op::hard_swish, [](double x, const Parameters&) { return x * clamp01(x / 6 + 0.5); }},
    {Op::swish, [](double x, const Parameters& p) { return x * sigmoid(p[0] * x); }, nullptr, {"alpha"}},
    {Op::tanh, [](double x, const Parameters&) { return std::tanh(x); }},
    {Op::elu, [](double x, const Parameters& p) { return x < 0 ? p[0] * std::expm1(x) : x; }, nullptr, {"alpha"}},
    {Op::selu, [](double x, const Parameters& p) { return p[1] * (x <= 0 ? p[0] * std::expm1(x) : x); }, nullptr, {"alpha", "gamma"}},
    {Op::celu, [](double x, const Parameters& p) { return x <= 0 ? p[0] * std::expm1(x / p[0]) : x; }, nullptr, {"alpha"}},
    {Op::softplus, [](double x, const Parameters&) { return softplus(x); }},
    {Op::softsign, [](double x, const Parameters&) { return x / (1 + std::abs(x)); }},
    {Op::mish, [](double x, const Parameters&) { return x * std::tanh(softplus(x)); }},
    {Op::shrink, [](double x, const Parameters& p) { return x < -p[0] ? x + p[1] : x > p[0] ? x - p[1] : std::isnan(x) ? x : 0; }, nullptr, {"lambd", "bias"}},
    {Op::abs, [](double x, const Parameters&) { return std::abs(x); },
     [](int64_t x, bool is_unsigned) { return x < 0 && !is_unsigned ? static_cast<int64_t>(-static_cast<uint64_t>(x)) : x; }},
    {Op::neg, [](double x, const Parameters&) { return -x; },
     [](int64_t x, bool) { return static_cast<int64_t>(-static_cast<uint64_t>(x)); }},
    {Op::exp, [](double x, const Parameters&) { return std::exp(x); }},
    {Op::log, [](double x, const Parameters&) { return std::log(x); }},
    {Op::sqrt, [](double x, const Parameters&) { return std::sqrt(x); }},
    {Op::reciprocal, [](double x, const Parameters&) { return 1 / x; }},
    {Op::erf, [](double x, const Parameters&) { return std::erf(x); }},
    {Op::sign, [](double x, const Parameters&) { return x > 0 ? 1 : x < 0 ? -1 : x; },
     [](int64_t x, bool is_unsigned) -> int64_t { return x == 0 ? 0 : x < 0 && !is_unsigned ? -1 : 1; }},
    {Op::floor, [](double x, const Parameters&) { return std::floor(x); }},
    {Op::ceil, [](double x, const Parameters&) { return std::ceil(x); }},
    {Op::round, [](double x, const Parameters&) { return std::nearbyint(x); }},
    {Op::sin, [](double x, const Parameters&) { return std::sin(x); }},
    {Op::cos, [](double x, const Parameters&) { return std::cos(x); }},
    {Op::tan, [](double x, const Parameters&) { return std::tan(x); }},
    {Op::asin, [](double x, const Parameters&) { return std::asin(x); }},
    {Op::acos, [](double x, const Parameters&) { return std::acos(x); }},
    {Op::atan, [](double x, const Parameters&) { return std::atan(x); }},
    {Op::sinh, [](double x, const Parameters&) { return std::sinh(x); }},
    {Op::cosh, [](double x, const Parameters&) { return std::cosh(x); }},
    {Op::asinh, [](double x, const Parameters&) { return std::asinh(x); }},
    {Op::acosh, [](double x, const Parameters&) { return std::acosh(x); }},
    {Op::atanh, [](double x, const Parameters&) { return std::atanh(x); }},
    {Op::is_nan, [](double x, const Parameters&) { return std::isnan(x) ? 1.0 : 0.0; }, nullptr, {}, true},
    {Op::is_inf, [](double x, const Parameters& p) { return (x == kInfinity && p[0] != 0) || (x == -kInfinity && p[1] != 0) ? 1.0 : 0.0; }, nullptr, {"detect_positive", "detect_negative"}, true},
    {Op::logical_not, nullptr, [](int64_t x, bool) -> int64_t { return x == 0 ? 1 : 0; }},
    {Op::bitwise_not, nullptr, [](int64_t x, bool) { return ~x; }},
};
// clang-format on

double gelu(double x, const Parameters& p) {
  if (p[0] == 0) return 0.5 * x * (1 + std::erf(x / std::numbers::sqrt2));
  const double inner = std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x);
  return 0.5 * x * (1 + std::tanh(inner));
}

const UnaryRow* row_of(Op op) {
  const auto* const row = std::find_if(std::begin(kUnary), std::end(kUnary),
                                       [&](const UnaryRow& r) { return r.op == op; });
  return row == std::end(kUnary) ? nullptr : row;
}

// Both tensors have one shape, and so one order in memory.
template <class Number, class F>
Tensor mapped(const Tensor& x, DType result, F f) {
  Tensor y = make(x.shape(), result);
  std::array<Number, kBlock> block{};
  for (int64_t begin = 0; begin < x.numel(); begin += kBlock) {
    const int64_t count = std::min(kBlock, x.numel() - begin);
    load(x.dtype(), x.raw_data(), begin, 1, count, block.data());
    for (int64_t i = 0; i < count; ++i) {
      auto& value = block[static_cast<std::size_t>(i)];
      value = f(value);
    }
    store(result, y.raw_mutable_data(), begin, 1, count, block.data());
  }
  return y;
}

double parameter(const Call& call, const char* name) {
  const graph::AttributeValue* value = call.node.attributes.find(name);
  if (value != nullptr && std::holds_alternative<int64_t>(*value))
    return static_cast<double>(std::get<int64_t>(*value));
  return call.number(name);
}

Parameters parameters_of(const Call& call, const UnaryRow& row) {
  Parameters parameters{};
  for (std::size_t i = 0; i < parameters.size(); ++i)
    if (row.parameters[i] != nullptr) parameters[i] = parameter(call, row.parameters[i]);
  return parameters;
}

// One scale or zero point for all, or one per index of an axis, read for every element of `shape`.
Integers parameter_strides(const Tensor& values, const Shape& shape, int64_t axis,
                           const char* what) {
  Integers strides(static_cast<std::size_t>(shape.dim()), 0);
  if (values.numel() == 1) return strides;
  const std::size_t place = normal_axis(axis, shape.dim());
  CONVKIT_CHECK(values.dim() == 1 && values.numel() == shape.begin()[place], ShapeError, what,
                " has the shape ", values.shape(), ", but axis ", axis, " of the input has ",
                shape.begin()[place], " elements");
  strides[place] = 1;
  return strides;
}

// y = f(x, scale, zero) by elements.
template <class F>
Tensors with_scale(const Call& call, DType result, F f) {
  const Tensor& x = call.input(0);
  const Tensor& scale = call.input(1);
  const int64_t axis = call.integer("axis");
  const Tensor zero = call.has(2) ? call.input(2) : zeros({}, DType::int32);
  Tensor y = make(x.shape(), result);
  const Place to = place_of(y);
  for_each_row(x.shape().to_vector(),
               {to.strides, memory_strides(x.shape()),
                parameter_strides(scale, x.shape(), axis, "the scale"),
                parameter_strides(zero, x.shape(), axis, "the zero point")},
               [&](const int64_t* offsets, int64_t count, const int64_t* steps) {
                 for (int64_t i = 0; i < count; ++i) {
                   double value = 0;
                   double by = 0;
                   double shift = 0;
                   load(x.dtype(), x.raw_data(), offsets[1] + i * steps[1], 1, 1, &value);
                   load(scale.dtype(), scale.raw_data(), offsets[2] + i * steps[2], 1, 1, &by);
                   load(zero.dtype(), zero.raw_data(), offsets[3] + i * steps[3], 1, 1, &shift);
                   value = f(value, by, shift);
                   store(result, to.data, offsets[0] + i * steps[0], 1, 1, &value);
                 }
               });
  return {y};
}

}  // namespace

std::optional<RealFunction> real_function(const Call& call) {
  if (call.op() == Op::gelu) {
    const std::string& mode = call.text("approximate");
    CONVKIT_CHECK(mode == "none" || mode == "tanh", ValueError, "approximate is '", mode,
                  "'; it can be none or tanh");
    return RealFunction{gelu, {mode == "tanh" ? 1.0 : 0.0, 0}};
  }
  const UnaryRow* const row = row_of(call.op());
  if (row == nullptr || row->real == nullptr || row->gives_bool) return std::nullopt;
  return RealFunction{row->real, parameters_of(call, *row)};
}

Tensors run_unary(const Call& call) {
  const Tensor& x = call.input(0);
  if (call.op() == Op::relu && x.dtype() == DType::float32) return {ops::relu(x)};
  const UnaryRow* const row = row_of(call.op());
  if (uses_reals(x.dtype())) {
    if (const auto function = real_function(call)) return {mapped<double>(x, x.dtype(), *function)};
    CONVKIT_CHECK(row != nullptr && row->gives_bool, DTypeError, "the input is ", x.dtype(),
                  ", but the operator takes integers or bools");
    return {mapped<double>(x, DType::boolean, RealFunction{row->real, parameters_of(call, *row)})};
  }
  CONVKIT_CHECK(row != nullptr && row->integer != nullptr, DTypeError, "the input is ", x.dtype(),
                ", but the operator takes floating types");
  const bool is_unsigned = x.dtype() == DType::uint64;
  return {mapped<int64_t>(x, x.dtype(),
                          [&](int64_t value) { return row->integer(value, is_unsigned); })};
}

Tensors run_clip(const Call& call) {
  const Tensor& x = call.input(0);
  if (uses_reals(x.dtype())) {
    const double low = call.has(1) ? call.input(1).item() : -kInfinity;
    const double high = call.has(2) ? call.input(2).item() : kInfinity;
    return {mapped<double>(x, x.dtype(), [&](double value) {
      const double raised = value < low ? low : value;
      return raised > high ? high : raised;
    })};
  }
  const bool is_unsigned = x.dtype() == DType::uint64;
  const auto less = [&](int64_t a, int64_t b) {
    return is_unsigned ? static_cast<uint64_t>(a) < static_cast<uint64_t>(b) : a < b;
  };
  const auto bound = [&](std::size_t i, const char* what, int64_t otherwise) {
    if (!call.has(i)) return otherwise;
    if (!is_unsigned) return integer_of(call.input(i), what);
    CONVKIT_CHECK(call.input(i).numel() == 1, ShapeError, what, " should be one number");
    return static_cast<int64_t>(*call.input(i).to(DType::uint64).data<uint64_t>());
  };
  const int64_t low = bound(1, "min", is_unsigned ? 0 : -kMost - 1);
  const int64_t high = bound(2, "max", is_unsigned ? -1 : kMost);
  return {mapped<int64_t>(x, x.dtype(), [&](int64_t value) {
    const int64_t raised = less(value, low) ? low : value;
    return less(high, raised) ? high : raised;
  })};
}

Tensors run_prelu(const Call& call) {
  const Tensor& x = call.input(0);
  const Tensor& slope = call.input(1);
  CONVKIT_CHECK(broadcast_shapes(x.shape(), slope.shape(), "PRelu") == x.shape(), ShapeError,
                "the slope's shape ", slope.shape(), " does not stretch to the input's, ",
                x.shape());
  Tensor y = make(x.shape(), x.dtype());
  const bool is_unsigned = x.dtype() == DType::uint64;
  for_each_row(x.shape().to_vector(),
               {memory_strides(x.shape()), stretched_strides(slope.shape(), x.shape())},
               [&](const int64_t* offsets, int64_t count, const int64_t* steps) {
                 for (int64_t i = 0; i < count; ++i) {
                   const int64_t at = offsets[0] + i * steps[0];
                   const int64_t slope_at = offsets[1] + i * steps[1];
                   if (uses_reals(x.dtype())) {
                     double value = 0;
                     double by = 0;
                     load(x.dtype(), x.raw_data(), at, 1, 1, &value);
                     load(slope.dtype(), slope.raw_data(), slope_at, 1, 1, &by);
                     if (value < 0) value *= by;
                     store(x.dtype(), y.raw_mutable_data(), at, 1, 1, &value);
                   } else {
                     int64_t value = 0;
                     int64_t by = 0;
                     load(x.dtype(), x.raw_data(), at, 1, 1, &value);
                     load(slope.dtype(), slope.raw_data(), slope_at, 1, 1, &by);
                     if (value < 0 && !is_unsigned)
                       value = static_cast<int64_t>(static_cast<uint64_t>(value) *
                                                    static_cast<uint64_t>(by));
                     store(x.dtype(), y.raw_mutable_data(), at, 1, 1, &value);
                   }
                 }
               });
  return {y};
}

Tensors run_dropout(const Call& call) {
  const Tensor& x = call.input(0);
  need_floating(call, 0);
  const double ratio = call.has(1) ? call.input(1).item() : 0.5;
  const bool training = call.has(2) && call.input(2).item() != 0;
  CONVKIT_CHECK(ratio >= 0 && ratio < 1, ValueError, "the ratio ", ratio, " is not in [0, 1)");
  Tensor mask = make(x.shape(), DType::boolean);
  if (!training || ratio == 0) {
    mask.fill(1);
    return {x, mask};
  }
  // The definition leaves the random numbers open; these are those of its conformance tests: 53-bit
  // numbers of a Mersenne Twister, in logical order.
  std::mt19937 generator(static_cast<uint32_t>(call.integer("seed")));
  std::vector<uint8_t> kept(static_cast<std::size_t>(x.numel()));
  for (uint8_t& keep : kept) {
    const uint32_t high = generator() >> 5;
    const uint32_t low = generator() >> 6;
    keep = (high * 0x1p26 + low) / 0x1p53 >= ratio ? 1 : 0;
  }
  row_major_to_memory(x.shape(), 1, kept.data(), mask.raw_mutable_data());
  Tensor y = make(x.shape(), x.dtype());
  const auto* keep = static_cast<const uint8_t*>(mask.raw_data());
  for (int64_t i = 0; i < x.numel(); ++i) {
    double value = 0;
    load(x.dtype(), x.raw_data(), i, 1, 1, &value);
    value *= keep[i] / (1 - ratio);
    store(x.dtype(), y.raw_mutable_data(), i, 1, 1, &value);
  }
  return {y, mask};
}

Tensor cast(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype) return x;
  const bool from_real = uses_reals(x.dtype());
  if (from_real && !uses_reals(dtype) && dtype != DType::boolean)
    return mapped<double>(x, dtype, [](double value) { return std::trunc(value); });
  if (!from_real && !uses_reals(dtype))
    return mapped<int64_t>(x, dtype, [](int64_t value) { return value; });
  return x.to(dtype);
}

Tensors run_cast(const Call& call) {
  const Tensor& x = call.input(0);
  if (call.op() == Op::cast_like) return {cast(x, call.input(1).dtype())};
  return {cast(x, static_cast<DType>(call.integer("to")))};
}

Tensors run_quantize(const Call& call) {
  DType result = DType::uint8;
  if (call.node.attributes.has("dtype")) result = static_cast<DType>(call.integer("dtype"));
  if (call.has(2)) result = call.input(2).dtype();
  // The quotient of floats is a float: what is halfway then goes to the even number.
  const bool is_double = call.input(0).dtype() == DType::float64;
  return with_scale(call, result, [=](double x, double scale, double zero) {
    const double quotient = x / scale;
    return std::nearbyint(is_double ? quotient : static_cast<float>(quotient)) + zero;
  });
}

Tensors run_dequantize(const Call& call) {
  DType result = call.input(1).dtype();
  if (call.node.attributes.has("dtype")) result = static_cast<DType>(call.integer("dtype"));
  return with_scale(call, result,
                    [](double x, double scale, double zero) { return (x - zero) * scale; });
}

}  // namespace convkit::infer
