#include <algorithm>
#include <cmath>
#include <limits>

#include "convkit/infer/elements.h"
#include "convkit/infer/operators.h"
#include "convkit/infer/reduce.h"

namespace convkit::infer {
namespace {

using graph::Op;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// How a reduction begins, takes in an element, and ends.
struct Reduction {
  Op op;
  double start;
  double (*take)(double sum, double x);
  double (*end)(double sum, double count) = nullptr;
};

double add(double sum, double x) { return sum + x; }

const Reduction kReductions[] = {
    {Op::reduce_sum, 0, add},
    {Op::reduce_mean, 0, add, [](double sum, double count) { return sum / count; }},
    {Op::reduce_max, -kInfinity,
     [](double sum, double x) { return std::isnan(x) || x > sum ? x : sum; }},
    {Op::reduce_min, kInfinity,
     [](double sum, double x) { return std::isnan(x) || x < sum ? x : sum; }},
    {Op::reduce_prod, 1, [](double sum, double x) { return sum * x; }},
    {Op::reduce_l1, 0, [](double sum, double x) { return sum + std::abs(x); }},
    {Op::reduce_l2, 0, [](double sum, double x) { return sum + x * x; },
     [](double sum, double) { return std::sqrt(sum); }},
    {Op::reduce_log_sum, 0, add, [](double sum, double) { return std::log(sum); }},
    {Op::reduce_sum_square, 0, [](double sum, double x) { return sum + x * x; }},
};

// The strides of a result with extents of 1 on the reduced axes, as x's indices walk it.
Integers reduced_strides(const Shape& kept) {
  Integers strides = memory_strides(kept);
  for (std::size_t i = 0; i < strides.size(); ++i)
    if (kept.begin()[i] == 1) strides[i] = 0;
  return strides;
}

Shape kept_shape(const Shape& shape, const std::vector<bool>& reduced) {
  Integers extents = shape.to_vector();
  for (std::size_t i = 0; i < extents.size(); ++i)
    if (reduced[i]) extents[i] = 1;
  return Shape(extents);
}

template <class Number>
Tensor folded(const Tensor& x, const Shape& kept, Number start,
              const std::function<Number(Number, Number)>& take) {
  constexpr DType kType = std::is_same_v<Number, double> ? DType::float64 : DType::int64;
  Tensor result = make(kept, kType);
  auto* sums = static_cast<Number*>(result.raw_mutable_data());
  std::fill_n(sums, result.numel(), start);
  std::vector<Number> row;
  for_each_row(x.shape().to_vector(), {memory_strides(x.shape()), reduced_strides(kept)},
               [&](const int64_t* offsets, int64_t count, const int64_t* steps) {
                 row.resize(static_cast<std::size_t>(count));
                 load(x.dtype(), x.raw_data(), offsets[0], steps[0], count, row.data());
                 for (int64_t i = 0; i < count; ++i) {
                   Number& sum = sums[offsets[1] + i * steps[1]];
                   sum = take(sum, row[static_cast<std::size_t>(i)]);
                 }
               });
  return result;
}

// Integers are added up and multiplied modulo 2^64.
Tensor folded_integers(const Tensor& x, const Shape& kept, Op op, double count) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  const bool is_natural = x.dtype() == DType::uint64;
  const auto less = [=](int64_t a, int64_t b) {
    return is_natural ? static_cast<uint64_t>(a) < static_cast<uint64_t>(b) : a < b;
  };
  const auto sum = [](int64_t a, int64_t b) {
    return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
  };
  const auto product = [](int64_t a, int64_t b) {
    return static_cast<int64_t>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
  };
  switch (op) {
    case Op::reduce_max:
      return folded<int64_t>(x, kept, is_natural ? 0 : -kMost - 1,
                             [&](int64_t a, int64_t b) { return less(a, b) ? b : a; });
    case Op::reduce_min:
      return folded<int64_t>(x, kept, is_natural ? -1 : kMost,
                             [&](int64_t a, int64_t b) { return less(b, a) ? b : a; });
    case Op::reduce_prod:
      return folded<int64_t>(x, kept, 1, product);
    case Op::reduce_l1:
      return folded<int64_t>(x, kept, 0, [&](int64_t a, int64_t b) {
        return sum(a, b < 0 && !is_natural ? product(b, -1) : b);
      });
    case Op::reduce_sum_square:
      return folded<int64_t>(x, kept, 0,
                             [&](int64_t a, int64_t b) { return sum(a, product(b, b)); });
    case Op::reduce_sum:
      return folded<int64_t>(x, kept, 0, sum);
    case Op::reduce_mean: {
      Tensor sums = folded<int64_t>(x, kept, 0, sum);
      CONVKIT_CHECK(count > 0, ValueError, "the mean of no integers");
      for (int64_t i = 0; i < sums.numel(); ++i)
        sums.mutable_data<int64_t>()[i] /= static_cast<int64_t>(count);
      return sums;
    }
    default:
      throw DTypeError(message("the input is ", x.dtype(), "; the operator takes floating types"));
  }
}

// Where |x| is large, e^x overflows: the largest is taken out first.
Tensor log_sum_exp(const Tensor& x, const Shape& kept) {
  const Tensor largest = folded<double>(
      x, kept, -kInfinity, [](double a, double b) { return std::isnan(b) || b > a ? b : a; });
  Tensor shifts = largest.clone();
  double* shift = shifts.mutable_data<double>();
  for (int64_t i = 0; i < shifts.numel(); ++i)
    if (!std::isfinite(shift[i])) shift[i] = 0;
  Tensor shifted = make(x.shape(), DType::float64);
  for_each_row(x.shape().to_vector(), {memory_strides(x.shape()), reduced_strides(kept)},
               [&](const int64_t* offsets, int64_t count, const int64_t* steps) {
                 for (int64_t i = 0; i < count; ++i) {
                   const int64_t at = offsets[0] + i * steps[0];
                   double value = 0;
                   load(x.dtype(), x.raw_data(), at, 1, 1, &value);
                   shifted.mutable_data<double>()[at] =
                       std::exp(value - shift[offsets[1] + i * steps[1]]);
                 }
               });
  Tensor sums = folded<double>(shifted, kept, 0, add);
  double* sum = sums.mutable_data<double>();
  for (int64_t i = 0; i < sums.numel(); ++i) sum[i] = std::log(sum[i]) + shift[i];
  return sums;
}

}  // namespace

Tensor reduce(Op op, const Tensor& x, const std::vector<bool>& reduced) {
  const Shape kept = kept_shape(x.shape(), reduced);
  double count = 1;
  for (std::size_t i = 0; i < reduced.size(); ++i)
    if (reduced[i]) count *= static_cast<double>(x.shape().begin()[i]);
  const bool real = uses_reals(x.dtype());
  const bool ends_in_real =
      op == Op::reduce_l2 || op == Op::reduce_log_sum || op == Op::reduce_log_sum_exp;
  if (!real && !ends_in_real) return cast(folded_integers(x, kept, op, count), x.dtype());
  if (op == Op::reduce_log_sum_exp) return cast(log_sum_exp(x, kept), x.dtype());
  const auto* const row = std::find_if(std::begin(kReductions), std::end(kReductions),
                                       [&](const Reduction& r) { return r.op == op; });
  CONVKIT_CHECK(row != std::end(kReductions), ValueError, op, " is no reduction");
  Tensor sums = folded<double>(x, kept, row->start, row->take);
  if (row->end != nullptr) {
    double* sum = sums.mutable_data<double>();
    for (int64_t i = 0; i < sums.numel(); ++i) sum[i] = row->end(sum[i], count);
  }
  return cast(sums, x.dtype());
}

Tensors run_reduce(const Call& call) {
  const Tensor& x = call.input(0);
  const Integers axes = call.has(1) ? integers_of(call.input(1), "axes") : Integers{};
  std::vector<bool> reduced(static_cast<std::size_t>(x.dim()), axes.empty());
  if (axes.empty() && call.flag("noop_with_empty_axes")) reduced.assign(reduced.size(), false);
  for (const int64_t axis : axes) reduced[normal_axis(axis, x.dim())] = true;
  const Tensor y = reduce(call.op(), x, reduced);
  if (call.flag("keepdims")) return {y};
  Integers left;
  for (std::size_t i = 0; i < reduced.size(); ++i)
    if (!reduced[i]) left.push_back(x.shape().begin()[i]);
  return {y.reshaped(Shape(left))};
}

}  // namespace convkit::infer
