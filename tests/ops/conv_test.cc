#include "convkit/ops/conv.h"

#include <gtest/gtest.h>

#include "convkit/autograd/engine.h"
#include "convkit/autograd/gradcheck.h"
#include "tests/support/on_threads.h"
#include "tests/support/throws.h"

namespace convkit::ops {
namespace {

template <int Rank>
void check_gradients(const Shape& x, const Shape& weight, const ConvParams<Rank>& params) {
  Generator generator(5);
  Tensor input = randn(x, generator, DType::float64);
  Tensor kernel = randn(weight, generator, DType::float64);
  Tensor bias = randn({weight[0]}, generator, DType::float64);
  for (Tensor* leaf : {&input, &kernel, &bias}) leaf->set_requires_grad();
  EXPECT_EQ(
      autograd::gradcheck(
          [&](const std::vector<Tensor>& in) { return conv<Rank>(in[0], in[1], in[2], params); },
          {input, kernel, bias}),
      "");
}

TEST(ConvOp, GradientsAgreeWithDifferences) {
  check_gradients<1>({2, 3, 9}, {4, 3, 3}, {.stride = 2, .padding = 1});
  check_gradients<1>({2, 4, 11}, {6, 2, 4}, {.padding = Padding::same, .dilation = 2, .groups = 2});
  check_gradients<2>({2, 3, 5, 6}, {2, 3, 3, 2}, {.stride = {1, 2}, .padding = {2, 0}});
  check_gradients<2>({1, 4, 5, 5}, {4, 1, 3, 3}, {.padding = 1, .groups = 4});
  check_gradients<3>({1, 2, 3, 4, 5}, {3, 2, 2, 3, 2}, {.padding = 1, .dilation = {1, 1, 2}});
}

TEST(ConvOp, TakesUnbatchedInput) {
  Generator generator(6);
  Tensor x = randn({3, 5, 6}, generator);
  const Tensor w = randn({4, 3, 3, 3}, generator);
  x.set_requires_grad();
  const Tensor y = conv2d(x, w);
  EXPECT_EQ(y.shape(), Shape({4, 3, 4}));
  EXPECT_EQ(y.to_vector<float>(), conv2d(x.reshaped({1, 3, 5, 6}), w).to_vector<float>());
  autograd::backward(y, ones({4, 3, 4}));
  EXPECT_EQ(x.grad().shape(), x.shape());
}

TEST(ConvOp, GivesTheSameBitsOnAnyNumberOfThreads) {
  Generator generator(7);
  Tensor x = randn({3, 8, 13, 17}, generator);
  Tensor w = randn({24, 8, 3, 3}, generator);
  Tensor b = randn({24}, generator);
  std::vector<Tensor> results;
  for (const int threads : {1, 2, 3}) {
    const test::OnThreads use(threads);
    for (Tensor* leaf : {&x, &w, &b}) {
      leaf->set_requires_grad();
      leaf->zero_grad();
    }
    const Tensor y = conv2d(x, w, b, {.stride = 2, .padding = 1});
    autograd::backward(y, y.detach());
    if (results.empty()) {
      results = {y, x.grad(), w.grad(), b.grad()};
      continue;
    }
    const std::vector<Tensor> now = {y, x.grad(), w.grad(), b.grad()};
    for (std::size_t i = 0; i < now.size(); ++i)
      EXPECT_TRUE(bit_equal(results[i], now[i])) << "result " << i << ", " << threads << " threads";
  }
}

TEST(ConvOp, RefusesTensorsThatDoNotBelongTogether) {
  EXPECT_ERROR(conv2d(zeros({1, 3, 8, 8}), zeros({4, 3, 3, 3}), {}, {.dilation = INT64_MAX}),
               ValueError, "9223372036854775807 is more than", "dilation", "2147483647");
  EXPECT_ERROR(conv2d(zeros({1, 3, 8, 8}), zeros({4, 3, 3})), ShapeError, "weight is 4×3×3",
               "4 axes");
  EXPECT_ERROR(conv2d(zeros({1, 3, 8, 8}), zeros({4, 3, 3, 3}), zeros({3})), ShapeError,
               "bias is 3", "4");
  EXPECT_ERROR(conv2d(zeros({1, 4, 8, 8}), zeros({3, 2, 3, 3}), {}, {.groups = 2}), ShapeError,
               "out_channels (3) must be divisible by groups (2)");
  EXPECT_ERROR(conv2d(zeros({1, 3, 8, 8}), zeros({4, 3, 0, 3})), ShapeError, "kernel is empty");
  EXPECT_ERROR(conv2d(zeros({1, 3, 8, 8}), zeros({4, 3, 3, 3}), {}, {.stride = 0}), ValueError,
               "stride (0, 0)");
}

}  // namespace
}  // namespace convkit::ops
