#include "convkit/ops/shape.h"

#include <gtest/gtest.h>

#include "convkit/autograd/record.h"
#include "tests/ops/gradients.h"
#include "tests/support/golden.h"
#include "tests/support/throws.h"

namespace convkit {
namespace {

using test::expect_close;
using test::expect_gradients;
using test::leaf;

std::vector<float> counted(int64_t count) { return arange(count).to_vector<float>(); }

TEST(ShapeOps, ReshapeKeepsTheLogicalOrder) {
  const Tensor x = arange(120).reshaped({2, 3, 4, 5});
  for (const std::vector<int64_t>& shape :
       std::vector<std::vector<int64_t>>{{120}, {6, 20}, {2, 12, 5}, {5, 4, 3, 2}, {2, 3, 20}}) {
    const Tensor y = ops::reshape(x, shape);
    EXPECT_EQ(y.shape(), Shape(shape));
    EXPECT_EQ(y.to_vector<float>(), counted(120));
  }
}

TEST(ShapeOps, ReshapeWorksOutOneExtent) {
  const Tensor x = ones({2, 3, 4});
  EXPECT_EQ(ops::reshape(x, {-1, 4}).shape(), Shape({6, 4}));
  EXPECT_EQ(ops::reshape(x, {-1}).shape(), Shape({24}));
  EXPECT_EQ(ops::reshape(empty({0, 3}), {-1, 3}).shape(), Shape({0, 3}));
}

TEST(ShapeOps, ReshapeNamesWhatDoesNotFit) {
  const Tensor x = ones({2, 3, 4});
  EXPECT_ERROR(ops::reshape(x, {5, 5}), ShapeError, "2×3×4", "24", "5×5", "25");
  EXPECT_ERROR(ops::reshape(x, {-1, 5}), ShapeError, "24", "(-1, 5)", "do not divide");
  EXPECT_ERROR(ops::reshape(x, {-1, -1}), ShapeError, "more than one -1");
  EXPECT_ERROR(ops::reshape(x, {-2, 12}), ShapeError, "negative");
}

TEST(ShapeOps, FlattenAgreesWithPyTorch) {
  const test::GoldenFile golden("linear");
  for (const nlohmann::json& entry : golden.cases_of("flatten")) {
    const std::string name = entry.at("name");
    Tensor x = golden.tensor(entry, "x").clone();
    x.set_requires_grad();
    const Tensor y = ops::flatten(x, entry.at("start_dim"), entry.at("end_dim"));
    expect_close(y, golden.tensor(entry, "y"), 0, 0, name + " y");
    autograd::backward(y, golden.tensor(entry, "grad_y"));
    expect_close(x.grad(), golden.tensor(entry, "grad_x"), 0, 0, name + " grad_x");
  }
  EXPECT_ERROR(ops::flatten(ones({2, 3, 4}), 2, 1), ShapeError, "start_dim (2)", "end_dim (1)");
}

TEST(ShapeOps, SqueezeAndUnsqueezeDropAndMakeAxesOfOne) {
  const Tensor x = arange(6).reshaped({1, 2, 1, 3});
  EXPECT_EQ(ops::squeeze(x).shape(), Shape({2, 3}));
  EXPECT_EQ(ops::squeeze(x, 0).shape(), Shape({2, 1, 3}));
  EXPECT_EQ(ops::squeeze(x, 1).shape(), x.shape());
  EXPECT_EQ(ops::squeeze(x, -2).shape(), Shape({1, 2, 3}));
  EXPECT_EQ(ops::unsqueeze(x, 2).shape(), Shape({1, 2, 1, 1, 3}));
  EXPECT_EQ(ops::unsqueeze(x, -1).shape(), Shape({1, 2, 1, 3, 1}));
  EXPECT_EQ(ops::squeeze(x).to_vector<float>(), counted(6));
  EXPECT_EQ(ops::unsqueeze(arange(24).reshaped({2, 3, 4}), 1).to_vector<float>(), counted(24));
  EXPECT_ERROR(ops::squeeze(x, 4), ShapeError, "axis 4");
  EXPECT_ERROR(ops::unsqueeze(x, 6), ShapeError, "axis 6");
}

TEST(ShapeOps, PermuteMovesAxes) {
  const Tensor x = arange(24).reshaped({2, 3, 4});
  const Tensor y = ops::permute(x, {2, 0, 1});
  EXPECT_EQ(y.shape(), Shape({4, 2, 3}));
  for (int64_t i = 0; i < 2; ++i)
    for (int64_t j = 0; j < 3; ++j)
      for (int64_t k = 0; k < 4; ++k) EXPECT_EQ(y.at({k, i, j}), x.at({i, j, k}));
  EXPECT_EQ(ops::transpose(x, 0, -1).shape(), Shape({4, 3, 2}));
  EXPECT_EQ(ops::transpose(x, 0, -1).at({3, 2, 1}), x.at({1, 2, 3}));
  EXPECT_ERROR(ops::permute(x, {0, 1}), ShapeError, "permute", "2 axes", "has 3");
  EXPECT_ERROR(ops::permute(x, {0, 1, 1}), ShapeError, "axis 1 twice");
}

TEST(ShapeOps, ConcatJoinsAlongAnyAxis) {
  for (int64_t dim = -4; dim < 4; ++dim) {
    const Shape shape{2, 3, 4, 5};
    const int64_t axis = dim < 0 ? dim + 4 : dim;
    const Tensor a = randn(shape);
    const Tensor b = randn(shape.with(axis, 1));
    const Tensor c = randn(shape.with(axis, 0));
    const Tensor y = ops::concat({a, b, c, a}, dim);
    const int64_t n = shape[axis];
    EXPECT_EQ(y.shape(), shape.with(axis, 2 * n + 1));
    EXPECT_TRUE(bit_equal(ops::slice(y, dim, 0, n), a)) << dim;
    EXPECT_TRUE(bit_equal(ops::slice(y, dim, n, n + 1), b)) << dim;
    EXPECT_TRUE(bit_equal(ops::slice(y, dim, n + 1), a)) << dim;
  }
  const Tensor labels = ops::concat({arange(2, DType::int64), arange(3, DType::int64)});
  EXPECT_EQ(labels.to_vector<int64_t>(), (std::vector<int64_t>{0, 1, 0, 1, 2}));
}

TEST(ShapeOps, ConcatNamesTensorsThatDoNotFit) {
  EXPECT_ERROR(ops::concat({ones({2, 3}), ones({2, 4})}, 0), ShapeError, "axis 0", "2×3",
               "tensor 1 is 2×4");
  EXPECT_ERROR(ops::concat({ones({2, 3}), ones({2})}, 0), ShapeError, "tensor 1 is 2");
  EXPECT_ERROR(ops::concat({ones({2}), ones({2}, DType::float64)}, 0), DTypeError, "float64");
  EXPECT_ERROR(ops::concat(std::span<const Tensor>(), 0), ValueError, "at least one");
}

TEST(ShapeOps, SliceFollowsPython) {
  const Tensor x = arange(10);
  const auto cut = [&](int64_t start, int64_t stop, int64_t step = 1) {
    return ops::slice(x, 0, start, stop, step).to_vector<float>();
  };
  EXPECT_EQ(cut(2, 5), (std::vector<float>{2, 3, 4}));
  EXPECT_EQ(cut(-3, 100), (std::vector<float>{7, 8, 9}));
  EXPECT_EQ(cut(0, -8), (std::vector<float>{0, 1}));
  EXPECT_EQ(cut(1, 10, 4), (std::vector<float>{1, 5, 9}));
  EXPECT_EQ(cut(0, 9, 3), (std::vector<float>{0, 3, 6}));
  EXPECT_EQ(cut(7, 3).size(), 0U);
  EXPECT_EQ(cut(20, 30).size(), 0U);
  EXPECT_ERROR(ops::slice(x, 0, 0, 5, 0), ValueError, "step (0)");
  EXPECT_ERROR(ops::slice(x, 1, 0, 5), ShapeError, "axis 1");
}

TEST(ShapeOps, SelectTakesOneIndex) {
  const Tensor x = arange(24).reshaped({2, 3, 4});
  EXPECT_EQ(ops::select(x, 1, 2).shape(), Shape({2, 4}));
  EXPECT_EQ(ops::select(x, 1, -1).to_vector<float>(),
            (std::vector<float>{8, 9, 10, 11, 20, 21, 22, 23}));
  EXPECT_ERROR(ops::select(x, 1, 3), ShapeError, "index 3", "axis 1", "2×3×4");
}

TEST(ShapeOps, GradientsAgreeWithDifferences) {
  const std::vector<Tensor> in = {leaf({2, 3, 4, 2}, 1)};
  expect_gradients([](const auto& t) { return ops::reshape(t[0], {4, -1}); }, in);
  expect_gradients([](const auto& t) { return ops::reshape(t[0], {2, 4, 3, 2}); }, in);
  expect_gradients([](const auto& t) { return ops::flatten(t[0], 1); }, in);
  expect_gradients([](const auto& t) { return ops::unsqueeze(t[0], 1); }, in);
  expect_gradients([](const auto& t) { return ops::squeeze(t[0], 1); }, {leaf({2, 1, 3, 2}, 2)});
  expect_gradients([](const auto& t) { return ops::squeeze(t[0]); }, {leaf({1, 3, 1, 2}, 3)});
  expect_gradients([](const auto& t) { return ops::permute(t[0], {3, 1, 0, 2}); }, in);
  expect_gradients([](const auto& t) { return ops::transpose(t[0], 1, 2); }, in);
  for (int64_t dim = 0; dim < 4; ++dim) {
    expect_gradients([=](const auto& t) { return ops::slice(t[0], dim, 1); }, in);
    expect_gradients([=](const auto& t) { return ops::slice(t[0], dim, 0, INT64_MAX, 2); }, in);
    expect_gradients([=](const auto& t) { return ops::select(t[0], dim, 1); }, in);
    expect_gradients(
        [=](const auto& t) {
          return ops::concat({t[0], t[1], t[0]}, dim);
        },
        {in[0], leaf(Shape{2, 3, 4, 2}.with(dim, 1), 2)});
  }
}

TEST(ShapeOps, AViewsMemoryCannotBeChangedUnderTheTape) {
  Tensor x = ones({2, 2}).set_requires_grad();
  const Tensor y = ops::reshape(x, {4});
  EXPECT_EQ(y.raw_data(), x.raw_data());  // no copy was made
  Tensor z = y;
  EXPECT_ERROR(autograd::check_in_place("relu_", z), GradError, "shares its memory");
}

}  // namespace
}  // namespace convkit
