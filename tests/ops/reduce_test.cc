#include "convkit/ops/reduce.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "convkit/ops/arithmetic.h"
#include "tests/ops/gradients.h"
#include "tests/support/golden.h"
#include "tests/support/throws.h"

namespace convkit {
namespace {

using test::expect_close;
using test::expect_gradients;
using test::leaf;

// Σ over `dims` by logical index, axes kept with extent 1.
Tensor sum_by_index(const Tensor& x, const std::vector<int64_t>& dims) {
  Shape shape = x.shape();
  for (const int64_t dim : dims) shape = shape.with(dim, 1);
  std::vector<double> sums(static_cast<std::size_t>(shape.numel()), 0);
  std::vector<int64_t> index(static_cast<std::size_t>(x.dim()), 0);
  for (int64_t k = 0; k < x.numel(); ++k) {
    int64_t place = 0;
    for (int64_t axis = 0; axis < x.dim(); ++axis)
      place = place * shape[axis] + (shape[axis] == 1 ? 0 : index[static_cast<std::size_t>(axis)]);
    sums[static_cast<std::size_t>(place)] += x.at(index);
    for (std::size_t axis = index.size(); axis-- > 0;) {
      if (++index[axis] < x.size(static_cast<int64_t>(axis))) break;
      index[axis] = 0;
    }
  }
  return from_values(sums, shape).to(x.dtype());
}

TEST(Reduce, SumsOverAnyAxes) {
  const Tensor x = randn({2, 3, 4, 5});
  for (int mask = 1; mask < 16; ++mask) {
    std::vector<int64_t> dims;
    for (int64_t axis = 0; axis < 4; ++axis)
      if ((mask >> axis & 1) != 0) dims.push_back(axis);
    const Tensor expected = sum_by_index(x, dims);
    // At most 120 terms below 4, each in at most 33 roundings.
    const double absolute = 120 * 4 * 34 * 0x1p-24;
    expect_close(ops::sum(x, dims, true), expected, absolute, 0, message("sum over ", dims));
    const Tensor flat = ops::sum(x, dims);
    EXPECT_EQ(flat.dim(), 4 - static_cast<int64_t>(dims.size()));
    expect_close(flat, expected.reshaped(flat.shape()), absolute, 0, message("sum over ", dims));
    std::reverse(dims.begin(), dims.end());
    for (int64_t& dim : dims) dim -= 4;
    EXPECT_TRUE(bit_equal(ops::sum(x, dims), flat));
  }
}

TEST(Reduce, WithoutAxesTakesAll) {
  const Tensor x = arange(10).reshaped({2, 5});
  EXPECT_EQ(ops::sum(x).item(), 45);
  EXPECT_EQ(ops::sum(x).dim(), 0);
  EXPECT_EQ(ops::mean(x).item(), 4.5);
  EXPECT_EQ(ops::mean(x, {}, true).shape(), Shape({1, 1}));
  EXPECT_EQ(ops::sum(full({}, 7)).item(), 7);
}

TEST(Reduce, MeanDividesByWhatItTakesIn) {
  const Tensor x = arange(24).reshaped({2, 3, 4});
  EXPECT_EQ(ops::mean(x, {1, 2}).to_vector<float>(), (std::vector<float>{5.5F, 17.5F}));
  EXPECT_EQ(ops::mean(x, {2}).shape(), Shape({2, 3}));
}

TEST(Reduce, OfNothingIsZeroOrNan) {
  EXPECT_EQ(ops::sum(empty({0, 3})).item(), 0);
  EXPECT_EQ(ops::sum(empty({0, 3}), {0}).to_vector<float>(), (std::vector<float>{0, 0, 0}));
  EXPECT_TRUE(std::isnan(ops::mean(empty({0, 3})).item()));
  EXPECT_EQ(ops::sum(empty({0, 3}), {1}).shape(), Shape({0}));
}

TEST(Reduce, GradientsAgreeWithDifferences) {
  const std::vector<std::vector<int64_t>> cases = {{}, {0}, {1}, {2, 3}, {0, 2}, {1, 3}, {-1}};
  for (const std::vector<int64_t>& dims : cases) {
    for (const bool keepdim : {false, true}) {
      expect_gradients([&](const auto& t) { return ops::sum(t[0] * t[0], dims, keepdim); },
                       {leaf({2, 3, 4, 2}, 1)});
      expect_gradients([&](const auto& t) { return ops::mean(t[0] * t[0], dims, keepdim); },
                       {leaf({2, 3, 4, 2}, 2)});
    }
  }
}

TEST(Reduce, ArgmaxCountsAlongAnyLogicalAxis) {
  const Tensor x =
      from_values<float>({1, 5, 2, /**/ 7, 0, 9, /**/ 3, 3, 1, /**/ 4, 8, 8}, {2, 2, 3});
  EXPECT_EQ(ops::argmax(x, 2).to_vector<int64_t>(), (std::vector<int64_t>{1, 2, 0, 1}));
  EXPECT_EQ(ops::argmax(x, 1).to_vector<int64_t>(), (std::vector<int64_t>{1, 0, 1, 1, 1, 1}));
  EXPECT_EQ(ops::argmax(x, 0).to_vector<int64_t>(), (std::vector<int64_t>{1, 0, 0, 0, 1, 0}));
  EXPECT_EQ(ops::argmax(x, -1, true).shape(), Shape({2, 2, 1}));
}

TEST(Reduce, NamesWhatIsWrong) {
  const Tensor x = ones({2, 3});
  EXPECT_ERROR(ops::sum(x, {2}), ShapeError, "axis 2", "2×3");
  EXPECT_ERROR(ops::mean(x, {0, -2}), ShapeError, "mean", "axis 0", "twice");
  EXPECT_ERROR(ops::sum(arange(3, DType::int64)), DTypeError, "sum", "int64");
  EXPECT_ERROR(ops::argmax(empty({2, 0}), 1), ShapeError, "argmax", "axis 1", "empty");
  EXPECT_ERROR(ops::argmax(x, 5), ShapeError, "axis 5");
}

}  // namespace
}  // namespace convkit
