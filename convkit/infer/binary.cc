#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "convkit/infer/elements.h"
#include "convkit/infer/operators.h"
#include "convkit/ops/arithmetic.h"

namespace convkit::infer {
namespace {

using graph::Op;

constexpr int64_t kBlock = 256;

// Integers wrap around, as in numpy: done on unsigned numbers.
template <class F>
int64_t wrapped(int64_t a, int64_t b, F f) {
  return static_cast<int64_t>(f(static_cast<uint64_t>(a), static_cast<uint64_t>(b)));
}

int64_t divided(int64_t a, int64_t b) {
  CONVKIT_CHECK(b != 0, ValueError, "an integer is divided by 0");
  return b == -1 ? static_cast<int64_t>(-static_cast<uint64_t>(a)) : a / b;
}

// The remainder with the sign of the divisor, as in Python.
int64_t floor_mod(int64_t a, int64_t b) {
  CONVKIT_CHECK(b != 0, ValueError, "an integer is divided by 0");
  if (b == -1) return 0;
  const int64_t rest = a % b;
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

int64_t integer_power(int64_t base, int64_t exponent) {
  if (exponent < 0) return base == 1 ? 1 : base == -1 ? (exponent % 2 == 0 ? 1 : -1) : 0;
  uint64_t result = 1;
  auto square = static_cast<uint64_t>(base);
  for (auto left = static_cast<uint64_t>(exponent); left != 0; left >>= 1) {
    if ((left & 1) != 0) result *= square;
    square *= square;
  }
  return static_cast<int64_t>(result);
}

double largest(double a, double b) { return std::isnan(a) || a > b ? a : b; }
double smallest(double a, double b) { return std::isnan(a) || a < b ? a : b; }

// What a function of two operands is on reals, on integers, and on 64-bit unsigned ones where their
// bits do not say it.
struct BinaryRow {
  Op op;
  double (*real)(double a, double b);
  int64_t (*integer)(int64_t a, int64_t b);
  uint64_t (*natural)(uint64_t a, uint64_t b) = nullptr;
  bool gives_bool = false;
};

// clang-format off
const BinaryRow kBinary[] = {
    {Op::add, [](double a, double b) { return a + b; },
     [](int64_t a, int64_t b) { return wrapped(a, b, [](uint64_t x, uint64_t y) { return x + y; }); }},
    {Op::sub, [](double a, double b) { return a - b; },
     [](int64_t a, int64_t b) { return wrapped(a, b, [](uint64_t x, uint64_t y) { return x - y; }); }},
    {Op::mul, [](double a, double b) { return a * b; },
     [](int64_t a, int64_t b) { return wrapped(a, b, [](uint64_t x, uint64_t y) { return x * y; }); }},
    {Op::div, [](double a, double b) { return a / b; }, divided,
     [](uint64_t a, uint64_t b) { CONVKIT_CHECK(b != 0, ValueError, "an integer is divided by 0"); return a / b; }},
    {Op::pow, [](double a, double b) { return std::pow(a, b); }, integer_power},
    {Op::mod, [](double a, double b) { return std::fmod(a, b); }, floor_mod,
     [](uint64_t a, uint64_t b) { CONVKIT_CHECK(b != 0, ValueError, "an integer is divided by 0"); return a % b; }},
    {Op::min, smallest, [](int64_t a, int64_t b) { return std::min(a, b); }, [](uint64_t a, uint64_t b) { return std::min(a, b); }},
    {Op::max, largest, [](int64_t a, int64_t b) { return std::max(a, b); }, [](uint64_t a, uint64_t b) { return std::max(a, b); }},
    {Op::equal, [](double a, double b) { return a == b ? 1.0 : 0.0; }, [](int64_t a, int64_t b) -> int64_t { return a == b ? 1 : 0; }, nullptr, true},
    {Op::greater, [](double a, double b) { return a > b ? 1.0 : 0.0; }, [](int64_t a, int64_t b) -> int64_t { return a > b ? 1 : 0; },
     [](uint64_t a, uint64_t b) -> uint64_t { return a > b ? 1 : 0; }, true},
    {Op::greater_or_equal, [](double a, double b) { return a >= b ? 1.0 : 0.0; }, [](int64_t a, int64_t b) -> int64_t { return a >= b ? 1 : 0; },
     [](uint64_t a, uint64_t b) -> uint64_t { return a >= b ? 1 : 0; }, true},
    {Op::less, [](double a, double b) { return a < b ? 1.0 : 0.0; }, [](int64_t a, int64_t b) -> int64_t { return a < b ? 1 : 0; },
     [](uint64_t a, uint64_t b) -> uint64_t { return a < b ? 1 : 0; }, true},
    {Op::less_or_equal, [](double a, double b) { return a <= b ? 1.0 : 0.0; }, [](int64_t a, int64_t b) -> int64_t { return a <= b ? 1 : 0; },
     [](uint64_t a, uint64_t b) -> uint64_t { return a <= b ? 1 : 0; }, true},
    {Op::logical_and, nullptr, [](int64_t a, int64_t b) -> int64_t { return a != 0 && b != 0 ? 1 : 0; }, nullptr, true},
    {Op::logical_or, nullptr, [](int64_t a, int64_t b) -> int64_t { return a != 0 || b != 0 ? 1 : 0; }, nullptr, true},
    {Op::logical_xor, nullptr, [](int64_t a, int64_t b) -> int64_t { return (a != 0) != (b != 0) ? 1 : 0; }, nullptr, true},
    {Op::bitwise_and, nullptr, [](int64_t a, int64_t b) { return a & b; }},
    {Op::bitwise_or, nullptr, [](int64_t a, int64_t b) { return a | b; }},
    {Op::bitwise_xor, nullptr, [](int64_t a, int64_t b) { return a ^ b; }},
};
// clang-format on

int64_t c_mod(int64_t a, int64_t b) {
  CONVKIT_CHECK(b != 0, ValueError, "an integer is divided by 0");
  return b == -1 ? 0 : a % b;
}
const BinaryRow kCMod = {Op::mod, [](double a, double b) { return std::fmod(a, b); }, c_mod};
uint64_t shifted_left(uint64_t a, uint64_t b) { return b > 63 ? 0 : a << b; }
uint64_t shifted_right(uint64_t a, uint64_t b) { return b > 63 ? 0 : a >> b; }
const BinaryRow kShiftLeft = {Op::bit_shift, nullptr,
                              [](int64_t a, int64_t b) { return wrapped(a, b, shifted_left); }};
const BinaryRow kShiftRight = {Op::bit_shift, nullptr,
                               [](int64_t a, int64_t b) { return wrapped(a, b, shifted_right); }};

const BinaryRow& row_of(const Call& call) {
  if (call.op() == Op::mod && call.flag("fmod")) return kCMod;
  if (call.op() == Op::bit_shift) {
    const std::string& direction = call.text("direction");
    CONVKIT_CHECK(direction == "LEFT" || direction == "RIGHT", ValueError, "direction is '",
                  direction, "'; it can be LEFT or RIGHT");
    return direction == "LEFT" ? kShiftLeft : kShiftRight;
  }
  const Op op = call.op() == Op::sum || call.op() == Op::mean ? Op::add : call.op();
  const auto* const row = std::find_if(std::begin(kBinary), std::end(kBinary),
                                       [&](const BinaryRow& r) { return r.op == op; });
  CONVKIT_CHECK(row != std::end(kBinary), ValueError, op, " is no function of two operands");
  return *row;
}

// y = f(a, b), stretched to one another, computed in `Number`.
template <class Number, class F>
Tensor combined(const Tensor& a, const Tensor& b, DType result, F f) {
  const Shape shape = broadcast_shapes(a.shape(), b.shape(), "the operands");
  Tensor y = make(shape, result);
  const Place to = place_of(y);
  std::array<Number, kBlock> left{};
  std::array<Number, kBlock> right{};
  for_each_row(
      shape.to_vector(),
      {to.strides, stretched_strides(a.shape(), shape), stretched_strides(b.shape(), shape)},
      [&](const int64_t* offsets, int64_t total, const int64_t* steps) {
        for (int64_t begin = 0; begin < total; begin += kBlock) {
          const int64_t count = std::min(kBlock, total - begin);
          load(a.dtype(), a.raw_data(), offsets[1] + begin * steps[1], steps[1], count,
               left.data());
          load(b.dtype(), b.raw_data(), offsets[2] + begin * steps[2], steps[2], count,
               right.data());
          for (int64_t i = 0; i < count; ++i) {
            const auto k = static_cast<std::size_t>(i);
            left[k] = f(left[k], right[k]);
          }
          store(result, to.data, offsets[0] + begin * steps[0], steps[0], count, left.data());
        }
      });
  return y;
}

Tensor apply(const BinaryRow& row, const Tensor& a, const Tensor& b) {
  const DType result = row.gives_bool ? DType::boolean : a.dtype();
  CONVKIT_CHECK(a.dtype() == b.dtype() || row.op == Op::pow, DTypeError, "the operands are ",
                a.dtype(), " and ", b.dtype(), "; they must have one type");
  if (uses_reals(a.dtype()) || uses_reals(b.dtype())) {
    CONVKIT_CHECK(row.real != nullptr, DTypeError, "the operands are ", a.dtype(),
                  ", but the operator takes integers or bools");
    // Where an integer is raised to a fraction, the fraction of the result is cut off.
    if (!uses_reals(result) && !row.gives_bool)
      return combined<double>(a, b, result,
                              [&](double x, double y) { return std::trunc(row.real(x, y)); });
    return combined<double>(a, b, result, row.real);
  }
  if (a.dtype() == DType::uint64 && row.natural != nullptr)
    return combined<int64_t>(a, b, result, [&](int64_t x, int64_t y) {
      return static_cast<int64_t>(row.natural(static_cast<uint64_t>(x), static_cast<uint64_t>(y)));
    });
  return combined<int64_t>(a, b, result, row.integer);
}

}  // namespace

Tensors run_binary(const Call& call) {
  const Tensor& a = call.input(0);
  const Tensor& b = call.input(1);
  if (a.dtype() == DType::float32 && b.dtype() == DType::float32) {
    if (call.op() == Op::add) return {ops::add(a, b)};
    if (call.op() == Op::sub) return {ops::sub(a, b)};
    if (call.op() == Op::mul) return {ops::mul(a, b)};
    if (call.op() == Op::div) return {ops::div(a, b)};
  }
  return {apply(row_of(call), a, b)};
}

Tensors run_variadic(const Call& call) {
  const BinaryRow& row = row_of(call);
  Tensor result = call.input(0);
  for (std::size_t i = 1; i < call.inputs.size(); ++i) result = apply(row, result, call.input(i));
  if (call.op() != Op::mean) return {result};
  need_floating(call, 0);
  const Tensor count = full({}, static_cast<double>(call.inputs.size()), result.dtype());
  return {
      combined<double>(result, count, result.dtype(), [](double a, double b) { return a / b; })};
}

Tensors run_where(const Call& call) {
  const Tensor& condition = call.input(0);
  const Tensor& a = call.input(1);
  const Tensor& b = call.input(2);
  CONVKIT_CHECK(condition.dtype() == DType::boolean, DTypeError, "the condition is ",
                condition.dtype(), ", but should be bool");
  CONVKIT_CHECK(a.dtype() == b.dtype(), DTypeError, "the operands are ", a.dtype(), " and ",
                b.dtype(), "; they must have one type");
  const Shape shape = broadcast_shapes(
      condition.shape(), broadcast_shapes(a.shape(), b.shape(), "the operands"), "the condition");
  Tensor y = make(shape, a.dtype());
  const Place to = place_of(y);
  const std::size_t item = item_size(a.dtype());
  const bool* chosen = condition.data<bool>();
  for_each_row(shape.to_vector(),
               {to.strides, stretched_strides(condition.shape(), shape),
                stretched_strides(a.shape(), shape), stretched_strides(b.shape(), shape)},
               [&](const int64_t* offsets, int64_t count, const int64_t* steps) {
                 for (int64_t i = 0; i < count; ++i) {
                   const bool first = chosen[offsets[1] + i * steps[1]];
                   const std::size_t k = first ? 2 : 3;
                   std::memcpy(advance(to.data, offsets[0] + i * steps[0], item),
                               advance((first ? a : b).raw_data(), offsets[k] + i * steps[k], item),
                               item);
                 }
               });
  return {y};
}

}  // namespace convkit::infer
