#include "convkit/ops/arithmetic.h"

#include <gtest/gtest.h>

#include "tests/ops/gradients.h"
#include "tests/support/golden.h"
#include "tests/support/throws.h"

namespace convkit {
namespace {

using test::expect_close;
using test::expect_gradients;
using test::leaf;

// a op b element by element, by logical index.
template <class F>
Tensor by_index(const Tensor& a, const Tensor& b, F f) {
  const Shape shape = broadcast_shapes(a.shape(), b.shape(), "test");
  std::vector<double> values;
  std::vector<int64_t> index(static_cast<std::size_t>(shape.dim()), 0);
  const auto at = [&](const Tensor& t) {
    std::vector<int64_t> own;
    for (int64_t axis = 0; axis < t.dim(); ++axis) {
      const auto i = static_cast<std::size_t>(axis + shape.dim() - t.dim());
      own.push_back(t.size(axis) == 1 ? 0 : index[i]);
    }
    return t.at(own);
  };
  for (int64_t k = 0; k < shape.numel(); ++k) {
    values.push_back(f(at(a), at(b)));
    for (std::size_t axis = index.size(); axis-- > 0;) {
      if (++index[axis] < shape[static_cast<int64_t>(axis)]) break;
      index[axis] = 0;
    }
  }
  return from_values(values, shape).to(a.dtype());
}

const std::pair<Shape, Shape> kPairs[] = {
    {{2, 3, 4, 5}, {2, 3, 4, 5}},
    {{2, 3, 4, 5}, {}},
    {{}, {2, 3, 4, 5}},
    {{2, 3, 4, 5}, {3, 1, 1}},
    {{2, 3, 4, 5}, {5}},
    {{2, 3, 4, 5}, {4, 5}},
    {{2, 3, 4, 5}, {3, 4, 5}},
    {{2, 3, 4, 5}, {2, 1, 1, 5}},
    {{2, 3, 1, 1}, {1, 3, 4, 5}},
    {{2, 3, 4}, {4}},
    {{2, 3, 4}, {3, 4}},
    {{4, 1}, {1, 5}},
    {{1}, {6}},
    {{2, 1, 3, 1, 2}, {4, 1, 3, 2}},
    {{0, 3}, {3}},
};

TEST(Arithmetic, StretchesOperandsByTheirLogicalAxes) {
  for (const auto& [first, second] : kPairs) {
    const Tensor a = randn(first);
    const Tensor b = rand(second) + 0.5;
    const std::string shapes = message(first, " and ", second);
    // One rounding, and the same one, in double and then float: the results are equal.
    const auto same = [&](const Tensor& y, auto f) {
      expect_close(y, by_index(a, b, f), 0, 0x1p-23, shapes);
    };
    same(a + b, [](double x, double y) { return x + y; });
    same(a - b, [](double x, double y) { return x - y; });
    same(a * b, [](double x, double y) { return x * y; });
    same(a / b, [](double x, double y) { return x / y; });
  }
}

TEST(Arithmetic, GradientsAgreeWithDifferences) {
  uint64_t seed = 0;
  for (const auto& [first, second] : kPairs) {
    const std::vector<Tensor> in = {leaf(first, ++seed), leaf(second, ++seed)};
    expect_gradients([](const auto& t) { return t[0] + t[1]; }, in);
    expect_gradients([](const auto& t) { return t[0] - t[1]; }, in);
    expect_gradients([](const auto& t) { return t[0] * t[1]; }, in);
    expect_gradients([](const auto& t) { return t[0] / (t[1] * t[1] + 1.0); }, in);
  }
}

TEST(Arithmetic, TakesNumbersOnBothSides) {
  const Tensor x = from_values<float>({1, 2, 4}, {3});
  EXPECT_EQ((x + 1.0).to_vector<float>(), (std::vector<float>{2, 3, 5}));
  EXPECT_EQ((1.0 + x).to_vector<float>(), (std::vector<float>{2, 3, 5}));
  EXPECT_EQ((x - 1).to_vector<float>(), (std::vector<float>{0, 1, 3}));
  EXPECT_EQ((1 - x).to_vector<float>(), (std::vector<float>{0, -1, -3}));
  EXPECT_EQ((x * 2).to_vector<float>(), (std::vector<float>{2, 4, 8}));
  EXPECT_EQ((2 * x).to_vector<float>(), (std::vector<float>{2, 4, 8}));
  EXPECT_EQ((x / 2).to_vector<float>(), (std::vector<float>{0.5F, 1, 2}));
  EXPECT_EQ((4 / x).to_vector<float>(), (std::vector<float>{4, 2, 1}));
  EXPECT_EQ((-x).to_vector<float>(), (std::vector<float>{-1, -2, -4}));
  expect_gradients([](const auto& t) { return 2 - 3 / (t[0] * t[0] + 1) - (-t[0] - 1) / 2; },
                   {leaf({2, 3, 4}, 1)});
}

TEST(Arithmetic, AddInPlaceStretchesWhatIsAdded) {
  Tensor x = from_values<float>({1, 2, 3, 4}, {2, 2});
  EXPECT_EQ(&ops::add_(x, from_values<float>({10, 20}, {2})), &x);
  EXPECT_EQ(x.to_vector<float>(), (std::vector<float>{11, 22, 13, 24}));
  const auto through = [](const std::vector<Tensor>& t) {
    Tensor y = t[0] * 2.0;
    ops::add_(y, t[1]);
    return y * y;
  };
  expect_gradients(through, {leaf({2, 3, 4}, 1), leaf({2, 3, 4}, 2)});
  expect_gradients(through, {leaf({2, 3, 4}, 3), leaf({3, 1}, 4)});
}

TEST(Arithmetic, AddInPlaceOfItselfDoubles) {
  expect_gradients(
      [](const std::vector<Tensor>& t) {
        Tensor y = t[0] * 3.0;
        ops::add_(y, y);
        return y;
      },
      {leaf({5}, 1)});
}

TEST(Arithmetic, AddInPlaceRefusesWhatItCannotDo) {
  Tensor x = ones({3});
  EXPECT_ERROR(ops::add_(x, ones({2, 3})), ShapeError, "add_", "2×3", "use add()");
  EXPECT_ERROR(ops::add_(x, ones({4})), ShapeError, "add_", "3 and 4");
  EXPECT_ERROR(ops::add_(x, ones({3}, DType::float64)), DTypeError, "add_", "float64");
  x.set_requires_grad();
  EXPECT_ERROR(ops::add_(x, ones({3})), GradError, "add_", "leaf");
}

TEST(Arithmetic, FunctionsOfOneOperandHaveTheirGradients) {
  const std::vector<Tensor> in = {leaf({2, 3, 4}, 1)};
  expect_gradients([](const auto& t) { return ops::exp(t[0]); }, in);
  expect_gradients([](const auto& t) { return ops::log(t[0] * t[0] + 0.5); }, in);
  expect_gradients([](const auto& t) { return ops::sqrt(t[0] * t[0] + 0.5); }, in);
  expect_gradients([](const auto& t) { return ops::abs(t[0]); }, in);
  expect_gradients([](const auto& t) { return ops::neg(t[0]); }, in);
  expect_gradients([](const auto& t) { return ops::clamp(t[0], -0.5, 0.7); }, in);
}

TEST(Arithmetic, ClampPassesTheGradientOnItsBorders) {
  const Tensor x = from_values<float>({-2, -1, 0, 1, 2}, {5});
  EXPECT_EQ(ops::clamp(x, -1, 1).to_vector<float>(), (std::vector<float>{-1, -1, 0, 1, 1}));
  const Tensor grad =
      test::gradient_of([](const Tensor& t) { return ops::clamp(t, -1, 1); }, x, ones({5}));
  EXPECT_EQ(grad.to_vector<float>(), (std::vector<float>{0, 1, 1, 1, 0}));
  EXPECT_ERROR(ops::clamp(x, 2, 1), ValueError, "clamp", "min (2)", "max (1)");
}

TEST(Arithmetic, AbsHasNoSlopeAtZero) {
  const Tensor x = from_values<float>({-2, 0, 3}, {3});
  EXPECT_EQ(test::gradient_of(ops::abs, x, ones({3})).to_vector<float>(),
            (std::vector<float>{-1, 0, 1}));
}

TEST(Arithmetic, NamesShapesAndTypesThatDoNotFit) {
  EXPECT_ERROR(ones({2, 3}) + ones({4}), ShapeError, "add", "2×3", "4", "equal or 1");
  EXPECT_ERROR(ones({2, 3}) * ones({2}), ShapeError, "mul", "2×3 and 2");
  EXPECT_ERROR(ones({2}) - ones({2}, DType::float64), DTypeError, "sub", "float32", "float64");
  EXPECT_ERROR(arange(3, DType::int64) / ones({3}), DTypeError, "div", "first operand", "int64");
  EXPECT_ERROR(ones({3}) + arange(3, DType::int32), DTypeError, "add", "second operand", "int32");
}

}  // namespace
}  // namespace convkit
