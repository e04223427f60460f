#include "convkit/tensor/shape.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/support/throws.h"

namespace convkit {
namespace {

TEST(Shape, KnowsRankExtentsAndElements) {
  const Shape shape = {2, 3, 4};
  EXPECT_EQ(shape.dim(), 3);
  EXPECT_EQ(shape.numel(), 24);
  EXPECT_EQ(shape[0], 2);
  EXPECT_EQ(shape[-1], 4);
  EXPECT_EQ(shape[-3], 2);
  EXPECT_EQ(shape.to_vector(), (std::vector<int64_t>{2, 3, 4}));
  EXPECT_EQ(Shape().dim(), 0);
  EXPECT_EQ(Shape().numel(), 1);
  EXPECT_EQ(Shape({3, 0, 5}).numel(), 0);
}

TEST(Shape, RefusesAxesThatDoNotExist) {
  const Shape shape = {2, 3};
  EXPECT_ERROR(shape[2], ShapeError, "axis 2", "2×3", "2 axes");
  EXPECT_ERROR(shape[-3], ShapeError, "axis -3");
  EXPECT_ERROR(Shape()[0], ShapeError, "axis 0", "scalar");
}

TEST(Shape, RefusesNegativeExtentsAndTooManyAxes) {
  EXPECT_ERROR((Shape{2, -1}), ShapeError, "(2, -1)", "negative");
  EXPECT_NO_THROW((Shape{1, 1, 1, 1, 1, 1, 1, 1}));
  EXPECT_ERROR((Shape{1, 1, 1, 1, 1, 1, 1, 1, 1}), ShapeError, "at most 8 axes", "not 9");
}

TEST(Shape, RefusesMoreElementsThanFitIn64Bits) {
  const int64_t large = int64_t{1} << 32;
  EXPECT_ERROR(Shape({large, large}).numel(), ValueError, "number of elements", "4294967296");
  EXPECT_EQ(Shape({large, 0, 3}).numel(), 0);
  // As in numpy: the strides of an empty tensor are products of its other extents.
  EXPECT_ERROR(Shape({large, 0, large, large}).numel(), ValueError, "number of elements");
}

TEST(Shape, GivesChangedCopies) {
  const Shape shape = {2, 3, 4};
  EXPECT_EQ(shape.with(1, 7), Shape({2, 7, 4}));
  EXPECT_EQ(shape.with(-1, 7), Shape({2, 3, 7}));
  EXPECT_EQ(shape.with_inserted(0, 9), Shape({9, 2, 3, 4}));
  EXPECT_EQ(shape.with_inserted(3, 9), Shape({2, 3, 4, 9}));
  EXPECT_EQ(shape.with_inserted(-1, 9), Shape({2, 3, 4, 9}));
  EXPECT_EQ(shape.with_inserted(-2, 9), Shape({2, 3, 9, 4}));
  EXPECT_EQ(shape.without(0), Shape({3, 4}));
  EXPECT_EQ(shape.without(-1), Shape({2, 3}));
  EXPECT_EQ(shape, Shape({2, 3, 4}));
  EXPECT_ERROR(shape.with(3, 1), ShapeError, "axis 3");
  EXPECT_ERROR(shape.with_inserted(4, 1), ShapeError, "axis 4", "2×3×4");
  EXPECT_ERROR(shape.with_inserted(-5, 1), ShapeError, "axis -5");
  EXPECT_ERROR(shape.without(3), ShapeError, "axis 3");
}

TEST(Shape, ComparesRankAndExtents) {
  EXPECT_NE(Shape({2, 3}), Shape({3, 2}));
  EXPECT_NE(Shape({2}), Shape({2, 1}));
  EXPECT_EQ(Shape(), Shape(std::vector<int64_t>{}));
}

TEST(Shape, IsWrittenWithCrosses) {
  EXPECT_EQ(to_text(Shape({2, 3, 32})), "2×3×32");
  EXPECT_EQ(to_text(Shape({5})), "5");
  EXPECT_EQ(to_text(Shape()), "scalar");
}

TEST(BroadcastShapes, FollowsNumPysRule) {
  EXPECT_EQ(broadcast_shapes({2, 3}, {2, 3}, "add"), Shape({2, 3}));
  EXPECT_EQ(broadcast_shapes({2, 3}, {3}, "add"), Shape({2, 3}));
  EXPECT_EQ(broadcast_shapes({5, 1, 4}, {3, 1}, "add"), Shape({5, 3, 4}));
  EXPECT_EQ(broadcast_shapes({}, {2, 2}, "add"), Shape({2, 2}));
  EXPECT_EQ(broadcast_shapes({1}, {0}, "add"), Shape({0}));
  EXPECT_EQ(broadcast_shapes({2, 0}, {1, 1}, "add"), Shape({2, 0}));
}

TEST(BroadcastShapes, NamesTheAxisThatDoesNotFit) {
  EXPECT_ERROR(broadcast_shapes({2, 3, 4}, {5, 4}, "mul"), ShapeError, "mul", "2×3×4", "5×4",
               "axis 1 has 3 and 5", "equal or 1");
  EXPECT_ERROR(broadcast_shapes({2}, {0}, "add"), ShapeError, "axis 0 has 2 and 0");
}

}  // namespace
}  // namespace convkit
