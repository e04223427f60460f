#include "convkit/nn/batch_norm.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "convkit/autograd/engine.h"
#include "convkit/nn/functions.h"
#include "tests/support/golden.h"
#include "tests/support/throws.h"

namespace convkit::nn {
namespace {

using nlohmann::json;
using test::GoldenFile;

double largest(const Tensor& tensor) {
  double most = 0.0;
  if (tensor.defined())
    for (const float value : tensor.to_vector<float>())
      most = std::max(most, std::abs(static_cast<double>(value)));
  return most;
}

/// Magnitudes that the rounding errors of one step are proportional to.
struct Magnitudes {
  double gain = 0.0;  ///< max |weight| / √(variance + eps)
  double xhat = 0.0;  ///< max |x̂|
};

Magnitudes magnitudes(const Tensor& x, const Tensor& weight, const Tensor& mean,
                      const Tensor& variance, double eps) {
  Magnitudes m;
  const std::vector<float> values = x.to_vector<float>();
  const auto channels = static_cast<std::size_t>(x.size(1));
  const std::size_t spatial = values.size() / static_cast<std::size_t>(x.size(0)) / channels;
  for (std::size_t c = 0; c < channels; ++c) {
    std::vector<double> own;
    for (std::size_t i = 0; i < values.size(); ++i)
      if (i / spatial % channels == c) own.push_back(static_cast<double>(values[i]));
    double center = 0.0;
    double squares = 0.0;
    for (const double v : own) center += v / static_cast<double>(own.size());
    for (const double v : own) squares += (v - center) * (v - center);
    double spread = squares / static_cast<double>(own.size());
    if (mean.defined()) {
      center = mean.at({static_cast<int64_t>(c)});
      spread = variance.at({static_cast<int64_t>(c)});
    }
    const double invstd = 1.0 / std::sqrt(spread + eps);
    m.gain = std::max(m.gain, invstd * (weight.defined() ? largest(weight) : 1.0));
    for (const double v : own) m.xhat = std::max(m.xhat, std::abs(v - center) * invstd);
  }
  return m;
}

template <int Rank>
BatchNorm<Rank> module_of(const GoldenFile& golden, const json& c) {
  BatchNormOptions options{.num_features = c["num_features"],
                           .eps = c["eps"],
                           .momentum = std::nullopt,
                           .affine = c["affine"],
                           .track_running_stats = c["track_running_stats"]};
  if (!c["momentum"].is_null()) options.momentum = c["momentum"].get<double>();
  BatchNorm<Rank> norm(options);
  StateDict state;
  for (const auto& [name, tensor] : state_dict(norm))
    state.emplace_back(name, golden.tensor(c, name));
  load_state_dict(norm, state);
  return norm;
}

// With u = 2^-24: these cases have at most 700 values per channel and 33 channels, of which the
// kernels add no more than 19 one after the other in float32. So a mean errs by less than 20·u
// deviations and a variance by less than 24·u of itself (see tests/kernels/batch_norm_test.cc);
// running statistics are rounded once more per step, of which there are at most five.
template <int Rank>
void expect_steps(const GoldenFile& golden, const json& c) {
  constexpr double kU = 0x1p-24;
  const std::string name = c["name"];
  BatchNorm<Rank> norm = module_of<Rank>(golden, c);
  const auto steps = c["steps"].get<std::vector<std::string>>();
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const std::string step = "_" + std::to_string(i);
    norm.training = steps[i] == "train";
    const bool running = !norm.training && norm.options.track_running_stats;
    Tensor x = golden.tensor(c, "x" + step).clone().set_requires_grad();
    const Tensor dy = golden.tensor(c, "grad_y" + step);
    const Magnitudes m = magnitudes(x, norm.weight, running ? norm.running_mean : Tensor(),
                                    running ? norm.running_var : Tensor(), norm.options.eps);
    zero_grad(norm);
    const Tensor y = norm(x);
    autograd::backward(y, dy);

    const double from_mean = running ? 5 * kU * m.gain * largest(norm.running_mean) : 0.0;
    const double size =
        largest(golden.tensor(c, "y" + step)) + largest(norm.weight) + largest(norm.bias) + 1.0;
    test::expect_close(y, golden.tensor(c, "y" + step), 20 * kU * size + from_mean, 16 * kU,
                       message(name, " y", step));
    // dx sums three terms of at most gain·|dy|·(1, 1, |x̂|), each with the errors above.
    test::expect_close(x.grad(), golden.tensor(c, "grad_x" + step),
                       48 * kU * m.gain * largest(dy) * (2.0 + m.xhat), 0.0,
                       message(name, " dx", step));
    const double sum = c["k"].get<double>() * largest(dy);
    if (norm.weight.defined()) {
      test::expect_close(norm.weight.grad(), golden.tensor(c, "grad_weight" + step),
                         kU * sum * (36 * m.xhat + 20) + sum * from_mean, 16 * kU,
                         message(name, " dw", step));
      test::expect_close(norm.bias.grad(), golden.tensor(c, "grad_bias" + step), 36 * kU * sum, kU,
                         message(name, " db", step));
    }
    if (norm.options.track_running_stats) {
      const double extent = largest(x);
      test::expect_close(norm.running_mean, golden.tensor(c, "running_mean" + step),
                         24 * kU * extent, 5 * kU, message(name, " running_mean", step));
      test::expect_close(norm.running_var, golden.tensor(c, "running_var" + step), 0x1p-100,
                         32 * kU, message(name, " running_var", step));
      EXPECT_EQ(norm.num_batches_tracked.item(),
                golden.tensor(c, "num_batches_tracked" + step).item())
          << name << step;
    }
  }
}

template <int Rank>
void expect_golden() {
  const GoldenFile golden("norm");
  const std::vector<json> cases = golden.cases_of(message("batch_norm", Rank, "d"));
  EXPECT_GE(cases.size(), 15U);
  for (const json& c : cases) expect_steps<Rank>(golden, c);
}

TEST(BatchNormLayer, AgreesWithPyTorchInOneDimension) { expect_golden<1>(); }
TEST(BatchNormLayer, AgreesWithPyTorchInTwoDimensions) { expect_golden<2>(); }
TEST(BatchNormLayer, AgreesWithPyTorchInThreeDimensions) { expect_golden<3>(); }

TEST(BatchNormLayer, StartsAsPyTorchDoes) {
  BatchNorm2d norm(3);
  const StateDict state = state_dict(norm);
  const char* const names[] = {"weight", "bias", "running_mean", "running_var",
                               "num_batches_tracked"};
  const double values[] = {1, 0, 0, 1, 0};
  ASSERT_EQ(state.size(), 5U);
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(state[i].first, names[i]);
    EXPECT_EQ(state[i].second.shape(), i < 4 ? Shape({3}) : Shape());
    EXPECT_EQ(state[i].second.dtype(), i < 4 ? DType::float32 : DType::int64);
    EXPECT_EQ(state[i].second.to(DType::float64).to_vector<double>(),
              std::vector<double>(i < 4 ? 3 : 1, values[i]));
  }
  EXPECT_EQ(parameters(norm).size(), 2U);
  EXPECT_TRUE(norm.weight.requires_grad());
}

TEST(BatchNormLayer, LeavesOutWhatItsOptionsSwitchOff) {
  BatchNorm2d norm({.num_features = 3, .affine = false, .track_running_stats = false});
  EXPECT_TRUE(state_dict(norm).empty());
}

TEST(BatchNormLayer, ResetsItsRunningStatistics) {
  BatchNorm1d norm(3);
  norm(randn({8, 3}));
  EXPECT_EQ(norm.num_batches_tracked.item(), 1.0);
  norm.reset_running_stats();
  EXPECT_EQ(norm.num_batches_tracked.item(), 0.0);
  EXPECT_EQ(norm.running_mean.to_vector<float>(), (std::vector<float>{0, 0, 0}));
  EXPECT_EQ(norm.running_var.to_vector<float>(), (std::vector<float>{1, 1, 1}));
}

TEST(BatchNormLayer, DescribesItselfAsPyTorchDoes) {
  EXPECT_EQ(BatchNorm2d(64).describe(), "BatchNorm2d(64, eps=1e-05, momentum=0.1)");
  EXPECT_EQ(BatchNorm1d({.num_features = 2,
                         .eps = 0.001,
                         .momentum = std::nullopt,
                         .affine = false,
                         .track_running_stats = false})
                .describe(),
            "BatchNorm1d(2, eps=0.001, momentum=None, affine=False, track_running_stats=False)");
}

TEST(BatchNormLayer, RefusesAMissingNumFeatures) {
  EXPECT_ERROR(BatchNorm3d(BatchNormOptions{}), ValueError, "BatchNorm3d", "num_features is 0",
               "required");
}

TEST(BatchNormLayer, RefusesInputsThatDoNotFitAndNamesItsPath) {
  BatchNorm2d norm(5);
  norm.path = "layer1.0.bn1";
  EXPECT_ERROR(norm(zeros({2, 4, 3, 3})), ShapeError, "layer1.0.bn1: BatchNorm2d",
               "2×4×3×3 has 4 channels", "num_features is 5");
  EXPECT_ERROR(norm(zeros({2, 5})), ShapeError, "2×5 with 2 axes", "(N, C, H, W)");
  EXPECT_ERROR(norm(Tensor()), ValueError, "undefined");
  EXPECT_ERROR(norm(zeros({1, 5, 1, 1})), ValueError, "layer1.0.bn1: batch_norm",
               "more than 1 value per channel");
  EXPECT_EQ(norm.num_batches_tracked.item(), 0.0);
  EXPECT_ERROR(BatchNorm1d(5)(zeros({2, 5, 3, 3})), ShapeError, "(N, C) or (N, C, L)");
}

}  // namespace
}  // namespace convkit::nn
