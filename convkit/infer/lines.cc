// Operators that look at the elements along one axis at a time.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "convkit/infer/elements.h"
#include "convkit/infer/operators.h"

namespace convkit::infer {
namespace {

using graph::Op;

// y and x have one shape: f rewrites each line in place.
template <class Number, class F>
Tensor rewritten(const Tensor& x, int64_t along, F f) {
  const std::size_t axis = normal_axis(along, x.dim());
  Tensor y = make(x.shape(), x.dtype());
  const int64_t stride = line_stride(x.shape(), axis);
  std::vector<Number> line(static_cast<std::size_t>(x.shape().begin()[axis]));
  for_each_line(x.shape(), axis, [&](int64_t offset) {
    load(x.dtype(), x.raw_data(), offset, stride, std::ssize(line), line.data());
    f(line);
    store(y.dtype(), y.raw_mutable_data(), offset, stride, std::ssize(line), line.data());
  });
  return y;
}

void softmax(Op op, std::vector<double>& line) {
  const auto largest = std::max_element(line.begin(), line.end());
  if (op == Op::hardmax) {
    const auto first = largest - line.begin();
    std::fill(line.begin(), line.end(), 0.0);
    line[static_cast<std::size_t>(first)] = 1;
    return;
  }
  const double shift = *largest;
  double sum = 0;
  for (const double x : line) sum += std::exp(x - shift);
  for (double& x : line)
    x = op == Op::softmax ? std::exp(x - shift) / sum : x - shift - std::log(sum);
}

// True when a stands before b among the largest (or smallest) elements. NaN counts as the largest.
bool comes_first(double a, double b, bool largest) {
  if (std::isnan(a) || std::isnan(b))
    return largest ? std::isnan(a) && !std::isnan(b) : std::isnan(b) && !std::isnan(a);
  return largest ? a > b : a < b;
}

// The values of integers by which they are compared.
std::vector<double> load_keys(const Tensor& x, int64_t offset, int64_t stride, int64_t count) {
  std::vector<double> line(static_cast<std::size_t>(count));
  load(x.dtype(), x.raw_data(), offset, stride, count, line.data());
  return line;
}

}  // namespace

Tensors run_softmax(const Call& call) {
  need_floating(call, 0);
  return {rewritten<double>(call.input(0), call.integer("axis"),
                            [&](std::vector<double>& line) { softmax(call.op(), line); })};
}

Tensors run_lp_normalization(const Call& call) {
  need_floating(call, 0);
  const int64_t p = call.integer("p");
  CONVKIT_CHECK(p == 1 || p == 2, ValueError, "p (", p, ") can be 1 or 2");
  return {rewritten<double>(call.input(0), call.integer("axis"), [&](std::vector<double>& line) {
    double sum = 0;
    for (const double x : line) sum += p == 1 ? std::abs(x) : x * x;
    const double norm = p == 1 ? sum : std::sqrt(sum);
    for (double& x : line) x = norm == 0 ? 0 : x / norm;
  })};
}

Tensors run_cumulative_sum(const Call& call) {
  const Tensor& x = call.input(0);
  const int64_t axis = integer_of(call.input(1), "axis");
  const bool exclusive = call.flag("exclusive");
  const bool reverse = call.flag("reverse");
  const auto accumulate = [&](auto& line) {
    if (reverse) std::reverse(line.begin(), line.end());
    typename std::remove_cvref_t<decltype(line)>::value_type sum = 0;
    for (auto& value : line) {
      const auto before = sum;
      if constexpr (std::is_same_v<decltype(sum), int64_t>) {
        sum = static_cast<int64_t>(static_cast<uint64_t>(sum) + static_cast<uint64_t>(value));
      } else {
        sum += value;
      }
      value = exclusive ? before : sum;
    }
    if (reverse) std::reverse(line.begin(), line.end());
  };
  if (uses_reals(x.dtype())) return {rewritten<double>(x, axis, accumulate)};
  return {rewritten<int64_t>(x, axis, accumulate)};
}

Tensors run_arg(const Call& call) {
  const Tensor& x = call.input(0);
  const std::size_t axis = normal_axis(call.integer("axis"), x.dim());
  const int64_t extent = x.shape().begin()[axis];
  CONVKIT_CHECK(extent > 0, ShapeError, "axis ", static_cast<int64_t>(axis), " of the input ",
                x.shape(), " is empty");
  const bool largest = call.op() == Op::arg_max;
  const bool last = call.flag("select_last_index");
  const Shape kept = x.shape().with(static_cast<int64_t>(axis), 1);
  Tensor y = make(kept, DType::int64);
  const int64_t stride = line_stride(x.shape(), axis);
  Integers box = kept.to_vector();
  for_each_row(box, {memory_strides(kept), memory_strides(x.shape())},
               [&](const int64_t* offsets, int64_t count, const int64_t* steps) {
                 for (int64_t i = 0; i < count; ++i) {
                   const auto line = load_keys(x, offsets[1] + i * steps[1], stride, extent);
                   std::size_t best = 0;
                   for (std::size_t k = 1; k < line.size(); ++k)
                     if (comes_first(line[k], line[best], largest) ||
                         (last && !comes_first(line[best], line[k], largest)))
                       best = k;
                   y.mutable_data<int64_t>()[offsets[0] + i * steps[0]] =
                       static_cast<int64_t>(best);
                 }
               });
  if (call.flag("keepdims")) return {y};
  return {y.reshaped(kept.without(static_cast<int64_t>(axis)))};
}

Tensors run_top_k(const Call& call) {
  const Tensor& x = call.input(0);
  const std::size_t axis = normal_axis(call.integer("axis"), x.dim());
  const int64_t extent = x.shape().begin()[axis];
  const int64_t k = integer_of(call.input(1), "k");
  CONVKIT_CHECK(k >= 0 && k <= extent, ValueError, "k (", k, ") is not between 0 and ", extent,
                ", the elements along axis ", static_cast<int64_t>(axis));
  const bool largest = call.flag("largest");
  const Shape shape = x.shape().with(static_cast<int64_t>(axis), k);
  Tensor values = make(shape, x.dtype());
  Tensor places = make(shape, DType::int64);
  const int64_t from = line_stride(x.shape(), axis);
  const int64_t to = line_stride(shape, axis);
  Integers box = shape.to_vector();
  box[axis] = k == 0 ? 0 : 1;
  const std::size_t item = item_size(x.dtype());
  for_each_row(box, {memory_strides(shape), memory_strides(x.shape())},
               [&](const int64_t* offsets, int64_t count, const int64_t* steps) {
                 for (int64_t i = 0; i < count; ++i) {
                   const int64_t read = offsets[1] + i * steps[1];
                   const int64_t write = offsets[0] + i * steps[0];
                   const auto line = load_keys(x, read, from, extent);
                   Integers order(line.size());
                   std::iota(order.begin(), order.end(), int64_t{0});
                   std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
                     return comes_first(line[static_cast<std::size_t>(a)],
                                        line[static_cast<std::size_t>(b)], largest);
                   });
                   order.resize(static_cast<std::size_t>(k));
                   for (int64_t r = 0; r < k; ++r) {
                     const int64_t place = order[static_cast<std::size_t>(r)];
                     places.mutable_data<int64_t>()[write + r * to] = place;
                     copy({1}, item,
                          {advance(values.raw_mutable_data(), write + r * to, item), {0}},
                          {advance(x.raw_data(), read + place * from, item), {0}});
                   }
                 }
               });
  return {values, places};
}

}  // namespace convkit::infer
