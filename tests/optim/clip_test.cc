#include "convkit/optim/clip.h"

#include <gtest/gtest.h>

#include <cmath>

#include "convkit/base/thread_pool.h"
#include "tests/support/throws.h"

namespace convkit::optim {
namespace {

Tensor with_gradient(const std::vector<float>& values) {
  Tensor p = zeros({static_cast<int64_t>(values.size())});
  p.set_grad(from_values(values, p.shape()));
  return p;
}

TEST(ClipGradNorm, TakesAllGradientsAsOneVector) {
  const std::vector<Tensor> params = {with_gradient({3}), zeros({5}), with_gradient({0, 4})};
  EXPECT_EQ(clip_grad_norm_(params, 2.5), 5);
  // PyTorch's factor is 2.5 / (5 + 1e-6); it and the product are rounded.
  EXPECT_NEAR(params[0].grad().item(), 3 * 2.5 / (5 + 1e-6), 1.5 * 0x1p-23);
  EXPECT_NEAR(params[2].grad().at({1}), 4 * 2.5 / (5 + 1e-6), 2 * 0x1p-23);
  EXPECT_FALSE(params[1].grad().defined());
}

TEST(ClipGradNorm, LeavesShortGradientsAlone) {
  const std::vector<Tensor> params = {with_gradient({3, -4})};
  EXPECT_EQ(clip_grad_norm_(params, 5.1), 5);
  EXPECT_EQ(params[0].grad().to_vector<float>(), (std::vector<float>{3, -4}));
}

TEST(ClipGradNorm, GivesTheSameBitsForAnyNumberOfThreads) {
  Generator generator(3);
  const Tensor grad = randn({100003}, generator);
  std::vector<double> norms;
  std::vector<Tensor> clipped;
  for (const int threads : {1, 2, 3}) {
    ThreadPool pool(threads);
    const UseThreadPool use(pool);
    Tensor p = zeros({100003});
    p.set_grad(grad.clone());
    norms.push_back(clip_grad_norm_(std::vector<Tensor>{p}, 1));
    clipped.push_back(p.grad());
  }
  EXPECT_EQ(norms[0], norms[1]);
  EXPECT_EQ(norms[0], norms[2]);
  EXPECT_TRUE(bit_equal(clipped[0], clipped[1]));
  EXPECT_TRUE(bit_equal(clipped[0], clipped[2]));
  double squares = 0;
  for (const float g : grad.to_vector<float>()) squares += static_cast<double>(g) * g;
  // Two orders of 100003 additions in double, of terms of one sign.
  EXPECT_NEAR(norms[0], std::sqrt(squares), std::sqrt(squares) * 1e5 * 0x1p-53);
}

TEST(ClipGradNorm, HasNoOverflowInTheSquares) {
  const std::vector<Tensor> params = {with_gradient({3e30F, 4e30F})};
  EXPECT_NEAR(clip_grad_norm_(params, 5), 5e30, 5e30 * 0x1p-23);
  // Rounded: both gradients, the factor and the product.
  EXPECT_NEAR(params[0].grad().at({0}), 3, 3 * 0x1p-22);
}

TEST(ClipGradNorm, MakesAnErrorOfANormThatIsNotFinite) {
  for (const float bad : {INFINITY, NAN}) {
    for (const double type : {1.0, 2.0, 3.0, static_cast<double>(INFINITY)}) {
      const std::vector<Tensor> params = {with_gradient({1, bad, 2})};
      EXPECT_ERROR(clip_grad_norm_(params, 1, {.norm_type = type, .error_if_nonfinite = true}),
                   NotFiniteError, "lower the learning rate");
      EXPECT_EQ(params[0].grad().at({0}), 1) << "nothing is scaled before the error";
      const double norm = clip_grad_norm_(params, 1, {.norm_type = type});
      EXPECT_FALSE(std::isfinite(norm)) << type;
    }
  }
}

TEST(ClipGradNorm, RefusesOptionsOutOfRange) {
  EXPECT_ERROR(clip_grad_norm_({}, -1), ValueError, "max_norm (-1)");
  EXPECT_ERROR(clip_grad_norm_({}, 1, {.norm_type = 0}), ValueError, "norm_type (0)");
  EXPECT_ERROR(clip_grad_norm_({}, NAN), ValueError, "max_norm");
}

TEST(ClipGradNorm, OfNothingIsZero) { EXPECT_EQ(clip_grad_norm_({}, 1), 0); }

TEST(ClipGradValue, ClampsAndKeepsNaN) {
  const std::vector<Tensor> params = {with_gradient({-3, 0.25F, 7, NAN}), zeros({2})};
  clip_grad_value_(params, 0.5);
  const std::vector<float> grad = params[0].grad().to_vector<float>();
  EXPECT_EQ(grad[0], -0.5F);
  EXPECT_EQ(grad[1], 0.25F);
  EXPECT_EQ(grad[2], 0.5F);
  EXPECT_TRUE(std::isnan(grad[3]));
  EXPECT_ERROR(clip_grad_value_(params, -0.1), ValueError, "clip_value (-0.1)");
}

}  // namespace
}  // namespace convkit::optim
