#include "convkit/ops/pool.h"

#include <gtest/gtest.h>

#include <any>
#include <optional>
#include <vector>

#include "convkit/autograd/engine.h"
#include "convkit/autograd/gradcheck.h"
#include "convkit/autograd/record.h"
#include "convkit/ops/adaptive_pool.h"
#include "tests/support/golden.h"
#include "tests/support/on_threads.h"
#include "tests/support/throws.h"

namespace convkit::ops {
namespace {

using nlohmann::json;
using test::GoldenFile;

template <int Rank>
Extents<Rank> extents_of(const json& value) {
  Extents<Rank> extents(0);
  for (std::size_t axis = 0; axis < Rank; ++axis) {
    const json& one = value.is_array() ? value.at(axis) : value;
    extents[axis] = one.is_null() ? kKeepExtent : one.get<int64_t>();
  }
  return extents;
}

template <int Rank>
Tensor apply(const std::string& kind, const json& c, const Tensor& x) {
  if (kind == "adaptive_max_pool")
    return adaptive_max_pool<Rank>(x, {.output_size = extents_of<Rank>(c["output_size"])});
  if (kind == "adaptive_avg_pool")
    return adaptive_avg_pool<Rank>(x, {.output_size = extents_of<Rank>(c["output_size"])});
  if (kind == "max_pool")
    return max_pool<Rank>(x, {.kernel_size = extents_of<Rank>(c["kernel_size"]),
                              .stride = extents_of<Rank>(c["stride"]),
                              .padding = extents_of<Rank>(c["padding"]),
                              .dilation = extents_of<Rank>(c["dilation"]),
                              .ceil_mode = c["ceil_mode"]});
  AvgPoolParams<Rank> params{.kernel_size = extents_of<Rank>(c["kernel_size"]),
                             .stride = extents_of<Rank>(c["stride"]),
                             .padding = extents_of<Rank>(c["padding"]),
                             .ceil_mode = c["ceil_mode"],
                             .count_include_pad = c["count_include_pad"],
                             .divisor_override = std::nullopt};
  if (!c["divisor_override"].is_null())
    params.divisor_override = c["divisor_override"].get<int64_t>();
  return avg_pool<Rank>(x, params);
}

// |x| and |dy| are below 5. A maximum is exact and an average of k values errs by less than
// k + 2 units of 2^-24; a gradient sums at most k values of dy.
template <int Rank>
void expect_golden(const std::string& kind) {
  const GoldenFile golden("pool");
  const std::vector<json> cases = golden.cases_of(message(kind, Rank, "d"));
  EXPECT_GE(cases.size(), 7U);
  for (const json& c : cases) {
    const std::string name = c["name"];
    Tensor x = golden.tensor(c, "x").clone().set_requires_grad();
    const Tensor y = apply<Rank>(kind, c, x);
    const double allowed = 5 * (c["k"].get<double>() + 2.0) * 0x1p-24;
    const bool exact = kind == "max_pool" || kind == "adaptive_max_pool";
    test::expect_close(y, golden.tensor(c, "y"), exact ? 0.0 : allowed, 0.0, name + " y");
    if (!golden.has(c, "grad_y")) continue;
    autograd::backward(y, golden.tensor(c, "grad_y"));
    test::expect_close(x.grad(), golden.tensor(c, "grad_x"), allowed, 0.0, name + " dx");
    NoGradGuard no_grad;
    EXPECT_TRUE(bit_equal(apply<Rank>(kind, c, x), y)) << name << " without a tape";
  }
}

TEST(Pool, MaxAgreesWithPyTorch) {
  expect_golden<1>("max_pool");
  expect_golden<2>("max_pool");
  expect_golden<3>("max_pool");
}
TEST(Pool, AverageAgreesWithPyTorch) {
  expect_golden<1>("avg_pool");
  expect_golden<2>("avg_pool");
  expect_golden<3>("avg_pool");
}
TEST(Pool, AdaptiveAverageAgreesWithPyTorch) {
  expect_golden<1>("adaptive_avg_pool");
  expect_golden<2>("adaptive_avg_pool");
  expect_golden<3>("adaptive_avg_pool");
}
TEST(Pool, AdaptiveMaxAgreesWithPyTorch) {
  expect_golden<1>("adaptive_max_pool");
  expect_golden<2>("adaptive_max_pool");
  expect_golden<3>("adaptive_max_pool");
}

// Distinct values a whole unit apart, so that a small step changes no maximum.
Tensor shuffled(const Shape& shape) {
  std::vector<double> values(static_cast<std::size_t>(shape.numel()));
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<double>((i * 7919) % values.size()) - 11.0;
  return from_values(values, shape).set_requires_grad();
}

std::string check(const std::function<Tensor(const Tensor&)>& pool, const Shape& shape) {
  return autograd::gradcheck([&](const std::vector<Tensor>& in) { return pool(in[0]); },
                             {shuffled(shape)});
}

TEST(Pool, HasTheNumericalGradient) {
  const MaxPoolParams<1> max1{.kernel_size = 3, .stride = 2, .padding = 1, .dilation = 2};
  const MaxPoolParams<2> max2{.kernel_size = {2, 3}, .stride = 1, .padding = 1, .ceil_mode = true};
  const MaxPoolParams<3> max3{.kernel_size = 2, .stride = {1, 2, 2}};
  const AvgPoolParams<1> avg1{.kernel_size = 3, .stride = 2, .padding = 1, .ceil_mode = true};
  const AvgPoolParams<2> avg2{
      .kernel_size = {2, 3}, .stride = 1, .padding = 1, .count_include_pad = false};
  const AvgPoolParams<3> avg3{.kernel_size = 2, .divisor_override = 3};
  EXPECT_EQ(check([&](const Tensor& x) { return max_pool(x, max1); }, {2, 3, 9}), "");
  EXPECT_EQ(check([&](const Tensor& x) { return max_pool(x, max2); }, {2, 3, 4, 5}), "");
  EXPECT_EQ(check([&](const Tensor& x) { return max_pool(x, max3); }, {1, 2, 3, 4, 5}), "");
  EXPECT_EQ(check([&](const Tensor& x) { return max_pool(x, max2); }, {3, 4, 5}), "");
  EXPECT_EQ(check([&](const Tensor& x) { return avg_pool(x, avg1); }, {2, 3, 9}), "");
  EXPECT_EQ(check([&](const Tensor& x) { return avg_pool(x, avg2); }, {2, 3, 4, 5}), "");
  EXPECT_EQ(check([&](const Tensor& x) { return avg_pool(x, avg3); }, {1, 2, 3, 4, 5}), "");
  EXPECT_EQ(check(
                [](const Tensor& x) {
                  return adaptive_avg_pool2d(x, {2, 3});
                },
                {2, 3, 5, 4}),
            "");
  EXPECT_EQ(check(
                [](const Tensor& x) {
                  return adaptive_max_pool2d(x, {2, 3});
                },
                {2, 3, 5, 4}),
            "");
  EXPECT_EQ(check([](const Tensor& x) { return adaptive_avg_pool1d(x, 4); }, {3, 7}), "");
  EXPECT_EQ(check([](const Tensor& x) { return adaptive_max_pool3d(x, 1); }, {2, 2, 3, 2, 2}), "");
}

// One window of 17·17 = 289 taps per channel.
TEST(Pool, LearnsThroughWindowsOfMoreThan256Taps) {
  const Shape shape{2, 3, 17, 17};
  EXPECT_EQ(check([](const Tensor& x) { return adaptive_max_pool2d(x, 1); }, shape), "");
}

TEST(Pool, TakesTheKernelAsStrideByDefault) {
  const Tensor x = arange(12).reshaped({1, 1, 12});
  EXPECT_EQ(max_pool1d(x, {.kernel_size = 4}).to_vector<float>(), (std::vector<float>{3, 7, 11}));
  EXPECT_EQ(avg_pool1d(x, {.kernel_size = 4}).to_vector<float>(),
            (std::vector<float>{1.5, 5.5, 9.5}));
}

TEST(Pool, CeilModeStartsNoWindowInThePaddingAtTheEnd) {
  const Tensor x = zeros({1, 1, 5, 6});
  const MaxPoolParams<2> params{.kernel_size = 2, .stride = 2, .padding = 1, .ceil_mode = true};
  EXPECT_EQ(max_pool(x, params).shape(), (Shape{1, 1, 3, 4}));
  EXPECT_EQ(max_pool2d(x, {.kernel_size = 2, .stride = 2, .ceil_mode = true}).shape(),
            (Shape{1, 1, 3, 3}));
  EXPECT_EQ(max_pool2d(x, {.kernel_size = 2, .stride = 2}).shape(), (Shape{1, 1, 2, 3}));
}

TEST(Pool, PassesAnEmptyBatch) {
  Tensor x = zeros({0, 3, 4, 4}).set_requires_grad();
  const Tensor y = max_pool2d(x, {.kernel_size = 2});
  EXPECT_EQ(y.shape(), (Shape{0, 3, 2, 2}));
  autograd::backward(y, zeros(y.shape()));
  EXPECT_EQ(x.grad().shape(), x.shape());
  EXPECT_EQ(adaptive_avg_pool2d(x, 1).shape(), (Shape{0, 3, 1, 1}));
}

TEST(Pool, TellsTheTracerItsParametersWithTheStride) {
  struct Listener final : autograd::Tracer {
    void on_operation(const autograd::Event& event) override {
      name = event.op.name;
      params = std::any_cast<MaxPoolParams<2>>(event.op.attributes);
    }
    std::string name;
    MaxPoolParams<2> params;
  } listener;
  const autograd::TraceScope scope(listener);
  max_pool2d(zeros({1, 1, 6, 6}), {.kernel_size = {2, 3}});
  EXPECT_EQ(listener.name, "max_pool2d");
  EXPECT_EQ(listener.params.stride, (Extents<2>{2, 3}));
}

TEST(Pool, RefusesImpossibleWindows) {
  const Tensor x = zeros({1, 2, 4, 5});
  EXPECT_ERROR(max_pool2d(x, {}), ValueError, "max_pool2d: kernel_size is (0, 0)", "required");
  EXPECT_ERROR(avg_pool2d(x, {.kernel_size = {2, -1}}), ValueError, "avg_pool2d", "(2, -1)");
  EXPECT_ERROR(max_pool2d(x, {.kernel_size = 2, .stride = 0}), ValueError, "stride (0, 0)",
               "leave it out");
  EXPECT_ERROR(max_pool2d(x, {.kernel_size = 2, .dilation = 0}), ValueError, "dilation (0, 0)");
  EXPECT_ERROR(max_pool2d(x, {.kernel_size = 2, .padding = -1}), ValueError, "padding (-1, -1)");
  EXPECT_ERROR(max_pool2d(x, {.kernel_size = 3, .padding = {1, 2}}), ValueError, "padding (1, 2)",
               "more than half of kernel_size (3, 3)", "use padding ≤ 1");
  EXPECT_ERROR(avg_pool2d(x, {.kernel_size = 2, .divisor_override = 0}), ValueError,
               "divisor_override cannot be 0");
  EXPECT_ERROR(max_pool2d(x, {.kernel_size = 3, .padding = 1, .dilation = 4}), ShapeError,
               "spans 9 along the height", "only 6 (4 + 2·1)");
  EXPECT_ERROR(avg_pool2d(x, {.kernel_size = {2, 6}}), ShapeError, "kernel_size 6",
               "along the width", "only 5", "use a smaller kernel or a larger input");
  EXPECT_ERROR(max_pool2d(x, {.kernel_size = int64_t{1} << 62, .dilation = 4}), ValueError,
               "does not fit into 64 bits");
}

TEST(Pool, RefusesInputsThatAreNoImages) {
  EXPECT_ERROR(max_pool2d(Tensor(), {.kernel_size = 2}), ValueError, "undefined");
  EXPECT_ERROR(max_pool2d(zeros({4, 4}), {.kernel_size = 2}), ShapeError, "4×4 with 2 axes",
               "(N, C, H, W) or unbatched (C, H, W)");
  EXPECT_ERROR(avg_pool1d(zeros({1, 2, 0}), {.kernel_size = 2}), ShapeError, "1×2×0",
               "empty along its width");
  EXPECT_ERROR(max_pool2d(zeros({1, 2, 4, 4}, DType::int32), {.kernel_size = 2}), DTypeError,
               "int32", "to(DType::float32)");
  EXPECT_ERROR(adaptive_avg_pool3d(zeros({2, 4, 4}), 1), ShapeError, "adaptive_avg_pool3d",
               "(N, C, D, H, W)");
  EXPECT_ERROR(adaptive_avg_pool2d(zeros({2, 4, 4}), {2, 0}), ValueError, "output_size is (2, 0)",
               "-1 to keep");
  EXPECT_ERROR(adaptive_max_pool2d(zeros({2, 4, 4}), -2), ValueError, "(-2, -2)");
}

TEST(Pool, GivesTheSameBitsOnAnyNumberOfThreads) {
  const auto run = [](int threads) {
    const test::OnThreads use(threads);
    Generator generator(5);
    std::vector<Tensor> results;
    for (const int pool : {0, 1, 2}) {
      Tensor x = randn({3, 20, 45, 47}, generator).set_requires_grad();
      const Tensor y = pool == 0   ? max_pool2d(x, {.kernel_size = 3, .stride = 2, .padding = 1})
                       : pool == 1 ? avg_pool2d(x, {.kernel_size = 3, .stride = 1, .padding = 1})
                                   : adaptive_avg_pool2d(x, {7, 1});
      autograd::backward(y, randn(y.shape(), generator));
      results.push_back(y);
      results.push_back(x.grad());
    }
    return results;
  };
  const std::vector<Tensor> one = run(1);
  for (const int threads : {2, 3}) {
    const std::vector<Tensor> several = run(threads);
    for (std::size_t i = 0; i < one.size(); ++i) EXPECT_TRUE(bit_equal(one[i], several[i])) << i;
  }
}

}  // namespace
}  // namespace convkit::ops
