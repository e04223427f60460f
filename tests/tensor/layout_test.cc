#include "convkit/tensor/layout.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "convkit/base/memory.h"
#include "convkit/base/thread_pool.h"
#include "convkit/tensor/tensor.h"

namespace convkit {
namespace {

const std::vector<Shape> kShapes = {{},
                                    {1},
                                    {7},
                                    {3, 4},
                                    {1, 1, 1},
                                    {2, 3, 4},
                                    {4, 1, 9},
                                    {4, 9, 1},
                                    {0, 3, 4},
                                    {2, 0, 4},
                                    {2, 3, 0},
                                    {2, 3, 5, 7},
                                    {1, 64, 8, 8},
                                    {3, 33, 35, 2},
                                    {2, 3, 2, 4, 5},
                                    {2, 70, 1, 1, 40},
                                    {2, 2, 2, 2, 2, 3},
                                    {5, 100, 67}};

// Every logical index of a shape, in row-major order.
std::vector<std::vector<int64_t>> all_indices(const Shape& shape) {
  std::vector<std::vector<int64_t>> indices;
  std::vector<int64_t> index(static_cast<std::size_t>(shape.dim()), 0);
  for (int64_t i = 0; i < shape.numel(); ++i) {
    indices.push_back(index);
    for (std::size_t axis = index.size(); axis-- > 0;) {
      if (++index[axis] < shape[static_cast<int64_t>(axis)]) break;
      index[axis] = 0;
    }
  }
  return indices;
}

// The definition: dim() ≥ 3 has axis 1 innermost, behind it the spatial axes, outermost axis 0.
int64_t memory_offset(const Shape& shape, const std::vector<int64_t>& index) {
  std::vector<std::size_t> order(index.size());
  std::iota(order.begin(), order.end(), 0);
  if (shape.dim() >= 3) std::rotate(order.begin() + 1, order.begin() + 2, order.end());
  int64_t offset = 0;
  for (const std::size_t axis : order)
    offset = offset * shape[static_cast<int64_t>(axis)] + index[axis];
  return offset;
}

template <class T>
std::vector<T> counting(const Shape& shape) {
  std::vector<T> values(static_cast<std::size_t>(shape.numel()));
  std::iota(values.begin(), values.end(), T{1});
  return values;
}

TEST(Layout, StridesDescribeTheDefinition) {
  for (const Shape& shape : kShapes) {
    const std::vector<int64_t> strides = memory_strides(shape);
    ASSERT_EQ(static_cast<int64_t>(strides.size()), shape.dim());
    for (const std::vector<int64_t>& index : all_indices(shape)) {
      const int64_t offset =
          std::inner_product(index.begin(), index.end(), strides.begin(), int64_t{0});
      ASSERT_EQ(offset, memory_offset(shape, index)) << to_text(shape);
    }
  }
}

template <class T>
void expect_conversions() {
  for (const Shape& shape : kShapes) {
    const std::vector<T> row_major = counting<T>(shape);
    std::vector<T> memory(row_major.size());
    row_major_to_memory(shape, sizeof(T), row_major.data(), memory.data());
    std::size_t i = 0;
    for (const std::vector<int64_t>& index : all_indices(shape))
      ASSERT_EQ(memory[static_cast<std::size_t>(memory_offset(shape, index))], row_major[i++])
          << to_text(shape);
    std::vector<T> back(row_major.size());
    memory_to_row_major(shape, sizeof(T), memory.data(), back.data());
    EXPECT_EQ(back, row_major) << to_text(shape);
  }
}

TEST(Layout, ConvertsEveryItemSizeThereAndBack) {
  expect_conversions<uint8_t>();
  expect_conversions<uint16_t>();
  expect_conversions<float>();
  expect_conversions<double>();
}

TEST(Layout, ViewSplitsRanksFromThreeOn) {
  EXPECT_EQ(layout_view({2, 3, 4, 5}), (LayoutView{2, 3, 20}));
  EXPECT_EQ(layout_view({2, 3, 4}), (LayoutView{2, 3, 4}));
  EXPECT_EQ(layout_view({2, 3}), (LayoutView{6, 1, 1}));
  EXPECT_EQ(layout_view({}), (LayoutView{1, 1, 1}));
}

TEST(Layout, KnowsWhereMemoryOrderIsLogicalOrder) {
  for (const Shape& shape : kShapes) {
    bool same = true;
    int64_t i = 0;
    for (const std::vector<int64_t>& index : all_indices(shape))
      same = same && memory_offset(shape, index) == i++;
    // is_row_major may miss an empty or lucky shape, but must never claim what is not so.
    if (is_row_major(shape)) {
      EXPECT_TRUE(same) << to_text(shape);
    }
  }
  EXPECT_TRUE(is_row_major({2, 1, 5, 5}));
  EXPECT_TRUE(is_row_major({2, 5, 1, 1}));
  EXPECT_TRUE(is_row_major({2, 3}));
  EXPECT_FALSE(is_row_major({2, 3, 4}));
}

TEST(Layout, ReshapesInPlaceOnlyWhenNoElementMoves) {
  const std::vector<Shape> shapes = {{24},         {2, 12},   {2, 3, 4},  {2, 3, 2, 2},
                                     {2, 3, 4, 1}, {4, 3, 2}, {24, 1, 1}, {2, 12, 1, 1},
                                     {1, 24, 1},   {2, 2, 6}, {6, 4},     {1, 2, 12}};
  for (const Shape& from : shapes) {
    for (const Shape& to : shapes) {
      const Tensor source = from_values(counting<float>(from), from);
      const Tensor result = source.reshaped(to);
      EXPECT_EQ(result.shape(), to);
      EXPECT_EQ(result.to_vector<float>(), source.to_vector<float>())
          << to_text(from) << " -> " << to_text(to);
      EXPECT_EQ(result.data<float>() == source.data<float>(), reshapes_in_place(from, to));
    }
  }
}

// Axes cut alike, others that have no common cut, extents larger than a tile, several tasks.
TEST(ReshapeMemory, KeepsTheLogicalOrder) {
  const std::vector<std::vector<Shape>> groups = {
      {{2, 12, 20, 30},
       {2, 3, 4, 600},
       {2, 3, 4, 20, 30},
       {24, 20, 30},
       {2, 600, 12},
       {14400},
       {16, 45, 20},
       {2, 50, 12, 12}},
      {{1, 255, 40, 40}, {1, 3, 85, 40, 40}, {3, 85, 1600}, {1, 1600, 255}},
      {{7, 10, 9}, {5, 14, 9}, {70, 3, 3}, {2, 5, 63}}};
  for (const std::vector<Shape>& shapes : groups)
    for (const Shape& from : shapes) {
      const std::vector<float> logical = counting<float>(from);
      std::vector<float> source(logical.size());
      row_major_to_memory(from, sizeof(float), logical.data(), source.data());
      for (const Shape& to : shapes) {
        std::vector<float> target(logical.size());
        reshape_memory(from, to, sizeof(float), source.data(), target.data());
        std::vector<float> back(logical.size());
        memory_to_row_major(to, sizeof(float), target.data(), back.data());
        EXPECT_EQ(back, logical) << to_text(from) << " -> " << to_text(to);
      }
    }
}

TEST(PermuteMemory, MovesEveryElementWhereThePermutationSays) {
  for (const Shape& shape : {Shape{}, Shape{5}, Shape{2, 3}, Shape{2, 3, 4}, Shape{2, 3, 4, 5},
                             Shape{3, 1, 2, 2, 4}, Shape{2, 0, 3}, Shape{2, 35, 3, 66}}) {
    std::vector<int64_t> permutation(static_cast<std::size_t>(shape.dim()));
    std::iota(permutation.begin(), permutation.end(), 0);
    const Tensor source = from_values(counting<double>(shape), shape);
    do {
      std::vector<int64_t> extents;
      extents.reserve(permutation.size());
      for (const int64_t axis : permutation) extents.push_back(shape[axis]);
      Tensor target = zeros(Shape(extents), DType::float64);
      permute_memory(shape, permutation, sizeof(double), source.raw_data(),
                     target.raw_mutable_data());
      for (const std::vector<int64_t>& index : all_indices(target.shape())) {
        std::vector<int64_t> at(index.size());
        for (std::size_t i = 0; i < index.size(); ++i)
          at[static_cast<std::size_t>(permutation[i])] = index[i];
        ASSERT_EQ(target.at(index), source.at(at)) << to_text(shape);
      }
    } while (std::next_permutation(permutation.begin(), permutation.end()));
  }
}

}  // namespace
}  // namespace convkit
