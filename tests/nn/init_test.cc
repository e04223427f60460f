#include "convkit/nn/init.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "convkit/base/thread_pool.h"
#include "tests/support/golden.h"
#include "tests/support/throws.h"

namespace convkit::nn::init {
namespace {

using nlohmann::json;
using test::GoldenFile;

const GoldenFile& golden() {
  static const GoldenFile file("init");
  return file;
}

using Draw = std::function<Tensor(Tensor, Generator&)>;

// The values of as many draws as make at least 4000 of them.
std::vector<double> many_draws(const Shape& shape, const Draw& draw, uint64_t seed) {
  std::vector<double> values;
  Generator generator(seed);
  while (values.size() < 4000) {
    const Tensor tensor = draw(zeros(shape), generator);
    EXPECT_EQ(tensor.shape(), shape);
    for (const float value : tensor.to_vector<float>()) values.push_back(value);
  }
  return values;
}

double normal_cdf(double z) { return 0.5 * std::erfc(-z / std::sqrt(2.0)); }

// The distribution function that a case describes.
double cdf(const json& d, double x) {
  if (d.at("distribution") == "uniform")
    return std::clamp(
        (x - d.at("low").get<double>()) / (d.at("high").get<double>() - d.at("low").get<double>()),
        0.0, 1.0);
  const double mean = d.at("mean");
  const double std = d.at("std");
  const double p = normal_cdf((x - mean) / std);
  if (d.at("distribution") == "normal") return p;
  const double low = normal_cdf((d.at("low").get<double>() - mean) / std);
  const double high = normal_cdf((d.at("high").get<double>() - mean) / std);
  return std::clamp((p - low) / (high - low), 0.0, 1.0);
}

// Bounds, and Kolmogorov and Smirnov's statistic: √n·D is above 2.5 once in 130,000 samples.
void expect_distribution(const json& d, std::vector<double> values) {
  if (d.contains("low")) {
    const double slack = 0x1p-23 * std::max(std::abs(d.at("low").get<double>()),
                                            std::abs(d.at("high").get<double>()));
    for (const double value : values) {
      ASSERT_GE(value, d.at("low").get<double>() - slack);
      ASSERT_LE(value, d.at("high").get<double>() + slack);
    }
  }
  std::sort(values.begin(), values.end());
  const auto n = static_cast<double>(values.size());
  double distance = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double expected = cdf(d, values[i]);
    distance = std::max({distance, std::abs(expected - static_cast<double>(i) / n),
                         std::abs(expected - static_cast<double>(i + 1) / n)});
  }
  EXPECT_LT(std::sqrt(n) * distance, 2.5);
}

void expect_draws(const std::string& op, const std::function<Draw(const json&)>& make) {
  uint64_t seed = 1;
  for (const json& c : golden().cases_of(op)) {
    SCOPED_TRACE(c.at("name"));
    expect_distribution(c, many_draws(Shape(test::int_list(c.at("shape"))), make(c), ++seed));
  }
}

Nonlinearity nonlinearity_of(const std::string& name) {
  if (name == "linear") return Nonlinearity::linear;
  if (name == "conv2d") return Nonlinearity::conv;
  if (name == "sigmoid") return Nonlinearity::sigmoid;
  if (name == "tanh") return Nonlinearity::tanh;
  if (name == "relu") return Nonlinearity::relu;
  if (name == "leaky_relu") return Nonlinearity::leaky_relu;
  if (name == "selu") return Nonlinearity::selu;
  throw std::runtime_error("unknown nonlinearity " + name);
}

KaimingOptions kaiming_of(const json& c) {
  return {.a = c.at("a"),
          .mode = c.at("mode") == "fan_in" ? FanMode::fan_in : FanMode::fan_out,
          .nonlinearity = nonlinearity_of(c.at("nonlinearity"))};
}

TEST(InitGolden, UniformHasPyTorchsDistribution) {
  expect_draws("uniform_", [](const json& c) -> Draw {
    return [&c](Tensor t, Generator& g) { return uniform_(t, c.at("a"), c.at("b"), g); };
  });
}

TEST(InitGolden, NormalHasPyTorchsDistribution) {
  expect_draws("normal_", [](const json& c) -> Draw {
    return [&c](Tensor t, Generator& g) { return normal_(t, c.at("mean"), c.at("std"), g); };
  });
}

TEST(InitGolden, TruncNormalHasPyTorchsDistribution) {
  expect_draws("trunc_normal_", [](const json& c) -> Draw {
    return [&c](Tensor t, Generator& g) {
      return trunc_normal_(
          t, {.mean = c.at("mean"), .std = c.at("std"), .a = c.at("a"), .b = c.at("b")}, g);
    };
  });
}

TEST(InitGolden, XavierHasPyTorchsDistribution) {
  expect_draws("xavier_uniform_", [](const json& c) -> Draw {
    return [&c](Tensor t, Generator& g) { return xavier_uniform_(t, c.at("gain"), g); };
  });
  expect_draws("xavier_normal_", [](const json& c) -> Draw {
    return [&c](Tensor t, Generator& g) { return xavier_normal_(t, c.at("gain"), g); };
  });
}

TEST(InitGolden, KaimingHasPyTorchsDistribution) {
  expect_draws("kaiming_uniform_", [](const json& c) -> Draw {
    return [&c](Tensor t, Generator& g) { return kaiming_uniform_(t, kaiming_of(c), g); };
  });
  expect_draws("kaiming_normal_", [](const json& c) -> Draw {
    return [&c](Tensor t, Generator& g) { return kaiming_normal_(t, kaiming_of(c), g); };
  });
}

TEST(InitGolden, FansArePyTorchs) {
  for (const json& c : golden().cases()) {
    if (!c.contains("fan_in")) continue;
    const Fans fans = calculate_fans(Shape(test::int_list(c.at("shape"))));
    EXPECT_EQ(fans.fan_in, c.at("fan_in").get<int64_t>()) << c.at("name");
    if (c.contains("fan_out")) {
      EXPECT_EQ(fans.fan_out, c.at("fan_out").get<int64_t>()) << c.at("name");
    }
  }
}

TEST(InitGolden, ConstantFillsEveryElement) {
  for (const json& c : golden().cases_of("constant_")) {
    const Tensor tensor = constant_(empty(Shape(test::int_list(c.at("shape")))), c.at("val"));
    for (const float value : tensor.to_vector<float>()) ASSERT_EQ(value, c.at("value"));
  }
}

TEST(InitGolden, GainsArePyTorchs) {
  for (const json& c : golden().cases_of("calculate_gain")) {
    const Nonlinearity nonlinearity = nonlinearity_of(c.at("nonlinearity"));
    const double gain = c.contains("param") ? calculate_gain(nonlinearity, c.at("param"))
                                            : calculate_gain(nonlinearity);
    EXPECT_DOUBLE_EQ(gain, c.at("gain").get<double>()) << c.at("name");
  }
}

TEST(InitGolden, DefaultsOfConvolutionsAndLinearArePyTorchs) {
  int64_t checked = 0;
  uint64_t seed = 0;
  for (const json& c : golden().cases_of("reset_parameters")) {
    const std::string module = c.at("module");
    if (module.substr(0, 4) != "Conv" && module != "Linear") continue;
    SCOPED_TRACE(c.at("name"));
    const Shape shape(test::int_list(c.at("shape")));
    const auto both = [&](bool want_bias) -> Draw {
      return [&, want_bias](Tensor, Generator& g) {
        Tensor weight = zeros(shape);
        Tensor bias = c.at("bias").is_null() ? Tensor() : zeros({shape[0]});
        conv_default_init(weight, bias, g);
        return want_bias ? bias : weight;
      };
    };
    expect_distribution(c.at("weight"), many_draws(shape, both(false), ++seed));
    if (!c.at("bias").is_null())
      expect_distribution(c.at("bias"), many_draws({shape[0]}, both(true), ++seed));
    ++checked;
  }
  EXPECT_GE(checked, 19);
}

// Rows (or columns, the fewer) must have the inner products gain²·δ.
void expect_orthogonal(const Tensor& tensor, double gain) {
  const int64_t rows = tensor.size(0);
  const int64_t columns = tensor.numel() / rows;
  const std::vector<float> m = tensor.to_vector<float>();
  const bool tall = rows > columns;
  const int64_t count = std::min(rows, columns);
  const auto at = [&](int64_t vector, int64_t i) {
    return static_cast<double>(
        m[static_cast<std::size_t>(tall ? i * columns + vector : vector * columns + i)]);
  };
  for (int64_t a = 0; a < count; ++a) {
    for (int64_t b = 0; b <= a; ++b) {
      double product = 0;
      for (int64_t i = 0; i < std::max(rows, columns); ++i) product += at(a, i) * at(b, i);
      // Each element was rounded to float32: Σ|x||y|·2·2⁻²⁴ ≤ gain²·2⁻²³.
      ASSERT_NEAR(product, a == b ? gain * gain : 0, gain * gain * 0x1p-22) << a << ", " << b;
    }
  }
}

TEST(InitGolden, OrthogonalIsOrthogonal) {
  for (const json& c : golden().cases_of("orthogonal_")) {
    SCOPED_TRACE(c.at("name"));
    Generator generator(7);
    const Tensor tensor =
        orthogonal_(empty(Shape(test::int_list(c.at("shape")))), c.at("gain"), generator);
    expect_orthogonal(tensor, c.at("gain"));
  }
}

TEST(Orthogonal, StaysOrthogonalForLargeSquareMatrices) {
  Generator generator(8);
  expect_orthogonal(orthogonal_(empty({150, 150}), 1, generator), 1);
}

TEST(Orthogonal, IsUniformlyDistributed) {
  // Haar measure on O(2): the first row is a uniform angle, so the mean of every element is 0 and
  // of its square 1/2; the sign of the determinant is fair.
  Generator generator(9);
  double mean = 0;
  double square = 0;
  int positive = 0;
  constexpr int kDraws = 4000;
  for (int i = 0; i < kDraws; ++i) {
    const Tensor q = orthogonal_(empty({2, 2}, DType::float64), 1, generator);
    mean += q.at({1, 0}) / kDraws;
    square += q.at({1, 0}) * q.at({1, 0}) / kDraws;
    positive += q.at({0, 0}) * q.at({1, 1}) - q.at({0, 1}) * q.at({1, 0}) > 0 ? 1 : 0;
  }
  EXPECT_NEAR(mean, 0, 6 * std::sqrt(0.5 / kDraws));
  EXPECT_NEAR(square, 0.5, 6 * std::sqrt(0.125 / kDraws));
  EXPECT_NEAR(positive, kDraws / 2.0, 6 * std::sqrt(kDraws / 4.0));
}

TEST(Init, DrawsInLogicalOrderWhateverTheLayout) {
  const std::vector<Draw> draws = {
      [](Tensor t, Generator& g) { return uniform_(t, -1, 1, g); },
      [](Tensor t, Generator& g) { return normal_(t, 0, 1, g); },
      [](Tensor t, Generator& g) { return trunc_normal_(t, {}, g); },
  };
  for (const Draw& draw : draws) {
    Generator a(5);
    Generator b(5);
    const Tensor flat = draw(empty({3 * 4 * 5 * 2}), a);
    const Tensor image = draw(empty({3, 4, 5, 2}), b);
    EXPECT_EQ(flat.to_vector<float>(), image.to_vector<float>());
    EXPECT_EQ(a.position(), b.position());
  }
}

TEST(Init, GivesTheSameBitsForAnyNumberOfThreads) {
  std::vector<Tensor> drawn;
  for (const int threads : {1, 2, 3}) {
    ThreadPool pool(threads);
    const UseThreadPool use(pool);
    Generator g(11);
    drawn.push_back(kaiming_normal_(empty({70, 33, 3, 3}), {.mode = FanMode::fan_out}, g));
    drawn.push_back(uniform_(empty({50001}), -1, 1, g));
    drawn.push_back(orthogonal_(empty({64, 80}), 1, g));
  }
  for (std::size_t i = 3; i < drawn.size(); ++i)
    EXPECT_TRUE(bit_equal(drawn[i], drawn[i % 3])) << i;
}

TEST(Init, UsesTheDefaultGeneratorWhenNoneIsGiven) {
  manual_seed(3);
  const Tensor a = normal_(empty({10}));
  const Tensor b = normal_(empty({10}));
  manual_seed(3);
  EXPECT_TRUE(bit_equal(normal_(empty({10})), a));
  EXPECT_FALSE(bit_equal(a, b));
}

TEST(Init, WorksOnParametersInPlace) {
  Tensor weight = zeros({4, 3, 3, 3});
  weight.set_requires_grad();
  const float* memory = weight.data<float>();
  const Tensor same = kaiming_uniform_(weight);
  EXPECT_EQ(same.impl(), weight.impl());
  EXPECT_EQ(weight.data<float>(), memory);
  EXPECT_TRUE(weight.is_leaf());
  EXPECT_TRUE(weight.requires_grad());
}

TEST(Init, FillsDoublesWithTheirOwnPrecision) {
  Generator g(4);
  const Tensor tensor = uniform_(empty({100}, DType::float64), 0, 1, g);
  int64_t finer = 0;
  for (const double value : tensor.to_vector<double>())
    finer += value != static_cast<double>(static_cast<float>(value)) ? 1 : 0;
  EXPECT_GT(finer, 90);
}

TEST(TruncNormal, IsExactFarOutInTheTail) {
  Generator g(6);
  // Between 8 and 8.5 deviations, on both sides, the density falls by e⁻⁴ and the mean excess is
  // 0.1140 (by numerical integration); its deviation there is 0.1 at most.
  for (const double sign : {1.0, -1.0}) {
    const double a = sign > 0 ? 8 : -8.5;
    const Tensor t = trunc_normal_(empty({20000}, DType::float64), {.a = a, .b = a + 0.5}, g);
    double mean = 0;
    for (const double value : t.to_vector<double>()) {
      ASSERT_GE(std::abs(value), 8);
      ASSERT_LE(std::abs(value), 8.5);
      mean += (std::abs(value) - 8) / 20000;
    }
    double mass = 0;
    double moment = 0;
    for (int i = 0; i < 5000; ++i) {
      const double x = (i + 0.5) * 1e-4;
      const double density = std::exp(-((8 + x) * (8 + x) - 64) / 2);
      mass += density;
      moment += x * density;
    }
    EXPECT_NEAR(mean, moment / mass, 6 * 0.12 / std::sqrt(20000.0));
  }
}

TEST(Dirac, PassesChannelsOn) {
  for (const Shape& shape : {Shape{4, 3, 3}, Shape{4, 6, 5, 2}, Shape{2, 2, 3, 3, 1}}) {
    const Tensor t = dirac_(empty(shape));
    double sum = 0;
    for (const float value : t.to_vector<float>()) sum += value;
    EXPECT_EQ(sum, static_cast<double>(std::min(shape[0], shape[1])));
    for (int64_t i = 0; i < std::min(shape[0], shape[1]); ++i) {
      std::vector<int64_t> index = {i, i};
      for (int64_t axis = 2; axis < shape.dim(); ++axis) index.push_back(shape[axis] / 2);
      EXPECT_EQ(t.at(index), 1);
    }
  }
}

TEST(Dirac, RepeatsInEveryGroup) {
  const Tensor t = dirac_(empty({6, 2, 3}), 3);
  for (int64_t o = 0; o < 6; ++o)
    for (int64_t i = 0; i < 2; ++i) EXPECT_EQ(t.at({o, i, 1}), o % 2 == i ? 1 : 0);
  EXPECT_ERROR(dirac_(empty({4, 2})), ShapeError, "4×2", "3 to 5 axes");
  EXPECT_ERROR(dirac_(empty({4, 2, 3}), 3), ValueError, "groups (3)", "output channels (4)");
}

TEST(Eye, IsTheIdentity) {
  for (const DType dtype : {DType::float32, DType::float64, DType::float16, DType::int32}) {
    const Tensor t = eye_(empty({2, 3}, dtype));
    for (int64_t r = 0; r < 2; ++r)
      for (int64_t c = 0; c < 3; ++c) EXPECT_EQ(t.at({r, c}), r == c ? 1 : 0);
  }
  EXPECT_ERROR(eye_(empty({2, 2, 2})), ShapeError, "2×2×2", "two axes");
}

TEST(Init, LeavesEmptyTensorsAlone) {
  EXPECT_NO_THROW(kaiming_uniform_(empty({0, 3, 3})));
  EXPECT_NO_THROW(kaiming_normal_(empty({3, 0})));
  EXPECT_NO_THROW(orthogonal_(empty({0, 3})));
  EXPECT_NO_THROW(dirac_(empty({2, 2, 0})));
}

TEST(Init, RefusesWhatCannotBeInitialised) {
  EXPECT_ERROR(kaiming_uniform_(empty({3})), ShapeError, "shape 3", "fan_in", "two axes");
  EXPECT_ERROR(xavier_normal_(empty({})), ShapeError, "scalar", "two axes");
  EXPECT_ERROR(orthogonal_(empty({3})), ShapeError, "no matrix");
  EXPECT_ERROR(normal_(empty({3}, DType::int64)), DTypeError, "normal_", "int64");
  EXPECT_ERROR(uniform_(empty({3}), 1, 0), ValueError, "a (1)", "b (0)");
  EXPECT_ERROR(normal_(empty({3}), 0, -1), ValueError, "std (-1)");
  EXPECT_ERROR(trunc_normal_(empty({3}), {.a = 2, .b = 2}), ValueError, "a (2) must be below b");
  EXPECT_ERROR(trunc_normal_(empty({3}), {.std = 0}), ValueError, "std (0)");
  EXPECT_ERROR(uniform_(Tensor()), ValueError, "undefined");
}

}  // namespace
}  // namespace convkit::nn::init
