#include "convkit/tensor/tensor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "convkit/base/memory.h"
#include "convkit/base/thread_pool.h"
#include "tests/support/throws.h"

namespace convkit {
namespace {

using Floats = std::vector<float>;

TEST(Tensor, IsAHandleOnSharedElements) {
  Tensor a = zeros({2, 2});
  Tensor b = a;
  b.fill(3);
  EXPECT_EQ(a.at({1, 1}), 3);
  Tensor c = a.clone();
  c.fill(4);
  EXPECT_EQ(a.at({1, 1}), 3);
  EXPECT_EQ(a.detach().data<float>(), a.data<float>());
}

TEST(Tensor, ListsLogicalOrderAndKeepsChannelsInnermost) {
  const Floats values = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  const Tensor t = from_values(values, {1, 3, 2, 2});
  EXPECT_EQ(t.to_vector<float>(), values);
  EXPECT_EQ(Floats(t.data<float>(), t.data<float>() + 12),
            (Floats{0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11}));
  EXPECT_EQ(t.at({0, 2, 0, 1}), 9);
}

TEST(Tensor, OfRankZeroIsOneElement) {
  const Tensor t = full({}, 2.5);
  EXPECT_EQ(t.numel(), 1);
  EXPECT_EQ(t.item(), 2.5);
  EXPECT_EQ(t.at(std::vector<int64_t>{}), 2.5);
}

TEST(Tensor, MayBeEmpty) {
  const Tensor t = zeros({0, 3, 4, 4});
  EXPECT_EQ(t.numel(), 0);
  EXPECT_TRUE(t.to_vector<float>().empty());
  EXPECT_EQ(t.clone().shape(), t.shape());
  EXPECT_EQ(t.to(DType::float64).dtype(), DType::float64);
  EXPECT_EQ(t.reshaped({0}).shape(), Shape({0}));
  EXPECT_TRUE(all_finite(t));
  EXPECT_TRUE(bit_equal(t, t.clone()));
}

TEST(Tensor, IsAlignedAndGivesItsMemoryBack) {
  const std::size_t before = allocated_bytes();
  {
    const Tensor t = empty({3, 5});
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(t.data<float>()) % kAlignment, 0U);
    const Tensor view = t.reshaped({15});
    EXPECT_GT(allocated_bytes(), before);
  }
  EXPECT_EQ(allocated_bytes(), before);
}

TEST(Tensor, RefusesTheWrongElementType) {
  const Tensor t = zeros({2});
  EXPECT_ERROR(t.data<double>(), DTypeError, "float32", "read as float64", "to(DType::float64)");
  EXPECT_ERROR(t.to_vector<int64_t>(), DTypeError, "int64");
}

TEST(Tensor, RefusesToBeUsedUndefined) {
  const Tensor t;
  EXPECT_FALSE(t.defined());
  EXPECT_FALSE(t.requires_grad());
  EXPECT_ERROR(t.shape(), ValueError, "undefined", "never assigned");
  EXPECT_ERROR(t.numel(), ValueError, "undefined");
  EXPECT_ERROR(t.clone(), ValueError, "undefined");
  EXPECT_ERROR(t.data<float>(), ValueError, "undefined");
  EXPECT_ERROR(Tensor().set_requires_grad(), ValueError, "undefined");
  EXPECT_ERROR(Tensor().bump_version(), ValueError, "undefined");
}

TEST(Tensor, RefusesIndicesOutside) {
  const Tensor t = zeros({2, 3});
  EXPECT_ERROR(t.at({2, 0}), ShapeError, "at(2, 0)", "index 2 is outside axis 0", "2×3");
  EXPECT_ERROR(t.at({0, -1}), ShapeError, "index -1 is outside axis 1");
  EXPECT_ERROR(t.at({0}), ShapeError, "1 indices", "2×3");
  EXPECT_ERROR(t.item(), ShapeError, "one element", "2×3", "6");
}

TEST(Tensor, RefusesSizesBeyondMemory) {
  EXPECT_ERROR(empty({int64_t{1} << 31, int64_t{1} << 31}), ValueError, "bytes of a tensor");
  EXPECT_ERROR(empty({int64_t{1} << 40, int64_t{1} << 40}), ValueError, "number of elements");
}

TEST(FromValues, RefusesAnotherCount) {
  EXPECT_ERROR(from_values<float>({1, 2, 3}, {2, 2}), ShapeError, "3 values", "2×2", "4 elements");
}

TEST(Tensor, ReshapedRefusesAnotherCount) {
  EXPECT_ERROR(zeros({2, 3}).reshaped({5}), ShapeError, "2×3 has 6", "cannot become 5 with 5");
}

TEST(Tensor, CopyFromConvertsAndRefusesOtherShapes) {
  Tensor t = zeros({2, 3, 2});
  const Tensor source = from_values<int64_t>({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, {2, 3, 2});
  t.copy_from(source);
  EXPECT_EQ(t.at({1, 0, 1}), 8);
  EXPECT_EQ(t.dtype(), DType::float32);
  t.copy_from(t);
  EXPECT_EQ(t.at({1, 0, 1}), 8);
  EXPECT_ERROR(t.copy_from(zeros({2, 2, 3})), ShapeError, "2×3×2", "2×2×3");
}

TEST(Make, FillsEveryType) {
  for (const DType dtype : {DType::float32, DType::float64, DType::float16, DType::bfloat16,
                            DType::int8, DType::uint8, DType::int16, DType::uint16, DType::int32,
                            DType::uint32, DType::int64, DType::uint64, DType::boolean}) {
    EXPECT_EQ(ones({3, 2}, dtype).at({2, 1}), 1) << name_of(dtype);
    EXPECT_EQ(zeros({3, 2}, dtype).at({2, 1}), 0) << name_of(dtype);
    EXPECT_EQ(ones_like(zeros({2}, dtype)).dtype(), dtype);
  }
  EXPECT_EQ(full({70000}, 2.5).at({69999}), 2.5);
  EXPECT_EQ(arange(5, DType::int64).to_vector<int64_t>(), (std::vector<int64_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(arange(0).numel(), 0);
  EXPECT_ERROR(arange(-1), ValueError, "count (-1)");
}

TEST(Make, DrawsInLogicalOrderForEveryLayoutAndType) {
  Generator a(1);
  Generator b(1);
  EXPECT_EQ(rand({60}, a).to_vector<float>(), rand({3, 5, 4}, b).to_vector<float>());
  EXPECT_EQ(randn({60}, a).to_vector<float>(), randn({3, 5, 4}, b).to_vector<float>());
  for (const DType dtype : {DType::float64, DType::float16, DType::bfloat16}) {
    Generator g(2);
    const Tensor t = rand({2, 3, 4}, g, dtype);
    EXPECT_EQ(t.dtype(), dtype);
    EXPECT_NE(t.at({0, 0, 0}), t.at({0, 0, 1}));
  }
  EXPECT_ERROR(rand({2}, a, DType::int32), DTypeError, "int32");
}

TEST(Convert, RoundsAndSaturatesIntegers) {
  const Tensor t =
      from_values<double>({-1e30, -200.5, -1.5, -0.5, 0.5, 1.5, 2.5, 254.5, 300, 1e30, NAN}, {11});
  EXPECT_EQ(t.to(DType::uint8).to_vector<uint8_t>(),
            (std::vector<uint8_t>{0, 0, 0, 0, 0, 2, 2, 254, 255, 255, 0}));
  EXPECT_EQ(t.to(DType::int8).to_vector<int8_t>(),
            (std::vector<int8_t>{-128, -128, -2, 0, 0, 2, 2, 127, 127, 127, 0}));
  constexpr int64_t kLow = std::numeric_limits<int64_t>::min();
  constexpr int64_t kHigh = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(t.to(DType::int64).to_vector<int64_t>(),
            (std::vector<int64_t>{kLow, -200, -2, 0, 0, 2, 2, 254, 300, kHigh, 0}));
  EXPECT_EQ(full({1}, INFINITY, DType::float64).to(DType::uint64).to_vector<uint64_t>()[0],
            std::numeric_limits<uint64_t>::max());
}

TEST(Convert, SaturatesBetweenIntegersWithoutLosingDigits) {
  constexpr int64_t kOdd = (int64_t{1} << 60) + 1;  // not a double
  const Tensor t = from_values<int64_t>({kOdd, -1, 70000}, {3});
  EXPECT_EQ(t.to(DType::uint64).to_vector<uint64_t>(), (std::vector<uint64_t>{kOdd, 0, 70000}));
  EXPECT_EQ(t.to(DType::int16).to_vector<int16_t>(), (std::vector<int16_t>{32767, -1, 32767}));
  EXPECT_EQ(t.to(DType::uint32).to_vector<uint32_t>(),
            (std::vector<uint32_t>{4294967295U, 0, 70000}));
  const Tensor u = from_values<uint64_t>({std::numeric_limits<uint64_t>::max()}, {1});
  EXPECT_EQ(u.to(DType::int64).to_vector<int64_t>()[0], std::numeric_limits<int64_t>::max());
}

TEST(Convert, RoundsIntegersToFloatsOnce) {
  // Halfway between two floats plus one: by way of a double it would first become the tie.
  constexpr int64_t kValue = (int64_t{1} << 60) + (int64_t{1} << 36) + 1;
  EXPECT_EQ(from_values<int64_t>({kValue}, {1}).to(DType::float32).item(), 0x1p60 + 0x1p37);
}

TEST(Convert, MakesAndReadsBooleans) {
  const Tensor t = from_values<float>({0, -0.0F, 0.1F, NAN}, {4}).to(DType::boolean);
  EXPECT_EQ(t.to(DType::uint8).to_vector<uint8_t>(), (std::vector<uint8_t>{0, 0, 1, 1}));
  EXPECT_EQ(t.to(DType::float32).to_vector<float>(), (Floats{0, 0, 1, 1}));
}

TEST(Convert, GoesBetweenFloatingTypes) {
  const Tensor t = from_values<double>({1.0 / 3, 1e300, 65504, 1e-8}, {4});
  EXPECT_EQ(t.to(DType::float32).to_vector<float>(), (Floats{1.0F / 3, INFINITY, 65504, 1e-8F}));
  EXPECT_EQ(t.to(DType::float16).to(DType::float32).to_vector<float>(),
            (Floats{0.333251953125F, INFINITY, 65504, 0}));
  EXPECT_EQ(t.to(DType::bfloat16).at({0}), 0.333984375);
}

TEST(Convert, KeepsTheLayout) {
  const Tensor t = rand({2, 3, 4, 5});
  EXPECT_EQ(t.to(DType::float64).to(DType::float32).to_vector<float>(), t.to_vector<float>());
}

TEST(Convert, ToTheSameTypeSharesTheElements) {
  const Tensor t = zeros({2});
  EXPECT_EQ(t.to(DType::float32).data<float>(), t.data<float>());
}

TEST(Accumulate, AddsElementwise) {
  Tensor a = from_values<float>({1, 2}, {2});
  accumulate(a, from_values<float>({10, 20}, {2}));
  EXPECT_EQ(a.to_vector<float>(), (Floats{11, 22}));
  Tensor d = full({70000}, 1, DType::float64);
  accumulate(d, full({70000}, 0.5, DType::float64));
  EXPECT_EQ(d.at({69999}), 1.5);
  EXPECT_ERROR(accumulate(a, zeros({3})), ShapeError, "accumulate", "2 float32", "3 float32");
  EXPECT_ERROR(accumulate(a, zeros({2}, DType::float64)), ShapeError, "float64");
}

TEST(AllFinite, FindsASingleBadElementAnywhere) {
  for (const int64_t at : {0, 32767, 32768, 99999}) {
    for (const float bad : {NAN, INFINITY, -INFINITY}) {
      Tensor t = zeros({100000});
      EXPECT_TRUE(all_finite(t));
      t.mutable_data<float>()[at] = bad;
      EXPECT_FALSE(all_finite(t));
      EXPECT_FALSE(all_finite(t.to(DType::float16)));
    }
  }
  EXPECT_TRUE(all_finite(full({2}, std::numeric_limits<double>::max(), DType::float64)));
  EXPECT_TRUE(all_finite(zeros({2}, DType::int64)));
}

TEST(BitEqual, ComparesShapeTypeAndBits) {
  const Tensor a = from_values<float>({0, 1}, {2});
  EXPECT_TRUE(bit_equal(a, a.clone()));
  EXPECT_FALSE(bit_equal(a, from_values<float>({-0.0F, 1}, {2})));
  EXPECT_FALSE(bit_equal(a, from_values<float>({0, 1}, {1, 2})));
  EXPECT_FALSE(bit_equal(a, a.to(DType::float64)));
  EXPECT_TRUE(bit_equal(full({1}, NAN), full({1}, NAN)));
}

TEST(RequiresGrad, IsForFloatingLeaves) {
  Tensor t = zeros({2});
  EXPECT_FALSE(t.requires_grad());
  EXPECT_TRUE(t.is_leaf());
  EXPECT_TRUE(t.set_requires_grad().requires_grad());
  EXPECT_FALSE(t.set_requires_grad(false).requires_grad());
  Tensor labels = zeros({2}, DType::int64);
  EXPECT_ERROR(labels.set_requires_grad(), GradError, "int64");
  EXPECT_NO_THROW(labels.set_requires_grad(false));
}

TEST(SetGrad, RefusesWhatDoesNotFit) {
  Tensor t = zeros({2, 3});
  EXPECT_FALSE(t.grad().defined());
  t.set_grad(ones({2, 3}));
  EXPECT_EQ(t.grad().at({1, 2}), 1);
  t.zero_grad();
  EXPECT_FALSE(t.grad().defined());
  EXPECT_ERROR(t.set_grad(ones({3, 2})), ShapeError, "2×3", "3×2");
  EXPECT_ERROR(t.set_grad(ones({2, 3}, DType::float64)), DTypeError, "float32", "float64");
}

TEST(Print, IsPyTorchsNotation) {
  EXPECT_EQ(to_text(from_values<float>({1, 2.5F, -0.001F}, {3})),
            "tensor([1, 2.5, -0.001], shape=3)");
  EXPECT_EQ(to_text(full({}, 7, DType::int64)), "tensor(7, shape=scalar, dtype=int64)");
  EXPECT_EQ(to_text(from_values<float>({1, 2, 3, 4}, {2, 2})),
            "tensor([[1, 2],\n        [3, 4]], shape=2×2)");
  EXPECT_EQ(to_text(ones({2}, DType::boolean)), "tensor([True, True], shape=2, dtype=bool)");
  EXPECT_EQ(to_text(Tensor()), "tensor(undefined)");
  EXPECT_EQ(to_text(zeros({1}).set_requires_grad()), "tensor([0], shape=1, requires_grad=True)");
  EXPECT_EQ(to_text(zeros({2, 0})), "tensor([], shape=2×0)");
  EXPECT_EQ(to_text(zeros({int64_t{1} << 40, 0})), "tensor([], shape=1099511627776×0)");
}

TEST(Print, ShowsLogicalOrder) {
  EXPECT_EQ(to_text(arange(8).reshaped({1, 2, 2, 2})),
            "tensor([[[[0, 1],\n          [2, 3]],\n         [[4, 5],\n          [6, 7]]]], "
            "shape=1×2×2×2)");
}

TEST(Print, WritesIntegersExactly) {
  EXPECT_EQ(to_text(from_values<uint64_t>({std::numeric_limits<uint64_t>::max()}, {1})),
            "tensor([18446744073709551615], shape=1, dtype=uint64)");
  EXPECT_EQ(to_text(from_values<int64_t>({(int64_t{1} << 60) + 1}, {1})),
            "tensor([1152921504606846977], shape=1, dtype=int64)");
}

TEST(Print, AbridgesLargeTensors) {
  const std::string text = to_text(arange(2000, DType::int64));
  EXPECT_EQ(text, "tensor([0, 1, 2, ..., 1997, 1998, 1999], shape=2000, dtype=int64)");
  EXPECT_LT(to_text(zeros({50, 50, 50})).size(), 2000U);
  EXPECT_EQ(to_text(arange(1000, DType::int64)).find("..."), std::string::npos);
}

TEST(Tensor, FillGivesTheSameBitsForAnyNumberOfThreads) {
  for (const int threads : {1, 2, 3}) {
    ThreadPool pool(threads);
    const UseThreadPool use(pool);
    const Tensor t = full({100001}, 0.1);
    for (const float value : t.to_vector<float>()) ASSERT_EQ(value, 0.1F);
  }
}

}  // namespace
}  // namespace convkit
