#include "convkit/autograd/gradcheck.h"

#include <gtest/gtest.h>

#include "tests/autograd/toy_ops.h"
#include "tests/support/throws.h"

namespace convkit::autograd {
namespace {

Tensor input(const Shape& shape, uint64_t seed) {
  Generator generator(seed);
  Tensor t = randn(shape, generator, DType::float64);
  t.set_requires_grad();
  return t;
}

TEST(Gradcheck, AcceptsRightGradients) {
  const auto function = [](const std::vector<Tensor>& x) {
    return toy::add(toy::mul(toy::exp(x[0]), x[1]), toy::mul(x[0], x[0]));
  };
  EXPECT_EQ(gradcheck(function, {input({2, 3, 2}, 1), input({2, 3, 2}, 2)}), "");
}

TEST(Gradcheck, FindsAWrongGradientAndSaysWhere) {
  const auto wrong = [](const std::vector<Tensor>& x) {
    return record("square", {x[0], x[1]},
                  toy::make(x[1], [&](int64_t i) { return toy::get(x[1], i) * toy::get(x[1], i); }),
                  [x = Saved(x[1])](const Tensor& g, Needs) -> Gradients {
                    return {Tensor(), toy::make(g, [&](int64_t i) {
                              const double factor = i == 3 ? 2.001 : 2;
                              return factor * toy::get(g, i) * toy::get(x.get(), i);
                            })};
                  });
  };
  const std::string complaint = gradcheck(wrong, {zeros({1}), input({5}, 3)});
  EXPECT_NE(complaint.find("input 1 (5), element 3"), std::string::npos) << complaint;
}

TEST(Gradcheck, FindsAMissingGradientAndNaN) {
  const auto missing = [](const std::vector<Tensor>& x) {
    return record("id", {x[0]}, x[0].clone(),
                  [](const Tensor&, Needs) -> Gradients { return {Tensor()}; });
  };
  EXPECT_NE(gradcheck(missing, {input({2}, 1)}), "");
  const auto nan = [](const std::vector<Tensor>& x) {
    return record("id", {x[0]}, x[0].clone(), [](const Tensor& g, Needs) -> Gradients {
      return {full(g.shape(), std::nan(""), DType::float64)};
    });
  };
  EXPECT_NE(gradcheck(nan, {input({2}, 1)}), "");
}

TEST(Gradcheck, ForgetsGradientsFromBefore) {
  Tensor x = input({3}, 1);
  x.set_grad(ones({3}, DType::float64));
  const auto function = [](const std::vector<Tensor>& in) { return toy::exp(in[0]); };
  EXPECT_EQ(gradcheck(function, {x}), "");
}

TEST(Gradcheck, WantsFloat64) {
  Tensor x = zeros({2});
  x.set_requires_grad();
  const auto function = [](const std::vector<Tensor>& in) { return toy::exp(in[0]); };
  EXPECT_ERROR(gradcheck(function, {x}), DTypeError, "float64", "not float32");
}

}  // namespace
}  // namespace convkit::autograd
