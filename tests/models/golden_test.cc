#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <string_view>

#include "convkit/autograd/engine.h"
#include "convkit/autograd/record.h"
#include "convkit/base/exactness.h"
#include "convkit/models/m5.h"
#include "convkit/models/r3d.h"
#include "convkit/models/resnet.h"
#include "convkit/ops/loss.h"
#include "tests/support/formula_weights.h"
#include "tests/support/golden.h"

namespace convkit::models {
namespace {

// The values are PyTorch's in float64, rounded to float32; float64 here differs from it by the
// rounding errors of some dozen layers. PyTorch's own float32 run lies `float32_error` from
// them. A sum in another order errs as much in another direction; over the thousands of numbers
// compared, the worst may be some times larger. Below one unit in the last place there is nothing
// to ask for.
constexpr double kTimesPyTorchsError = 8;
constexpr double kLastPlace = 0x1p-23;
constexpr double kRounded = 0x1p-24;
constexpr double kFloat64Error = 1e-9;
// What one activation adds to a gradient that sums over thousands, when a rounding error moves it
// across a ReLU's zero: to all the gradients before that ReLU. Allowed to those alone, and only
// where the run in float64 shows that it happened (crossed_before).
constexpr double kOneActivation = 1e-3;

double largest(const Tensor& tensor) {
  double result = 0;
  for (const double v : tensor.to(DType::float64).to_vector<double>())
    result = std::max(result, std::abs(v));
  return result;
}

class Comparison {
 public:
  Comparison(const test::GoldenFile& golden, const nlohmann::json& c, DType dtype)
      : golden_(golden), c_(c), dtype_(dtype) {}

  void tensor(const std::string& role, const Tensor& actual) {
    const Tensor& expected = golden_.tensor(c_, role);
    const double scale = role == "loss" ? std::abs(expected.item()) : largest(expected);
    test::expect_close(actual.to(DType::float64), expected.to(DType::float64),
                       allowed(role) * scale, kRounded,
                       c_.at("name").get<std::string>() + " " + role);
  }

  // One norm, sum, largest element and 16 samples per named tensor, each against its own scale. The
  // first `loose` tensors at most may be off by kOneActivation instead.
  void summaries(const std::string& prefix, const std::vector<Tensor>& tensors,
                 std::size_t loose = 0) {
    const std::vector<float> norms = values(prefix + "_norm");
    const std::vector<float> sums = values(prefix + "_sum");
    const std::vector<float> tops = values(prefix + "_largest");
    const std::vector<float> samples = values(prefix + "_samples");
    ASSERT_EQ(norms.size(), tensors.size());
    const double norm_floor = *std::max_element(norms.begin(), norms.end()) / 100;
    const double top_floor = *std::max_element(tops.begin(), tops.end()) / 100;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      const std::vector<double> v = tensors[i].to(DType::float64).to_vector<double>();
      double squares = 0;
      double sum = 0;
      for (const double element : v) {
        squares += element * element;
        sum += element;
      }
      const double norm_scale = std::max<double>(norms[i], norm_floor);
      const double top_scale = std::max<double>(tops[i], top_floor);
      const std::string what =
          c_.at("name").get<std::string>() + " " + prefix + " " + std::to_string(i);
      const auto near = [&](double actual, double expected, const char* kind, double scale) {
        const double strict = allowed(prefix + kind);
        EXPECT_NEAR(actual, expected,
                    (i < loose ? std::max(strict, kOneActivation) : strict) * scale +
                        kRounded * std::abs(expected))
            << what << kind;
      };
      near(std::sqrt(squares), norms[i], "_norm", norm_scale);
      near(sum, sums[i], "_sum",
           norm_scale * (i < loose ? std::sqrt(static_cast<double>(v.size())) : 1));
      near(largest(tensors[i]), tops[i], "_largest", top_scale);
      for (std::size_t j = 0; j < 16; ++j)
        near(v[j * v.size() / 16], samples[i * 16 + j], "_samples", top_scale);
    }
  }

  void norms(const std::string& prefix, const std::vector<Tensor>& tensors) {
    const std::vector<float> norms = values(prefix + "_norm");
    ASSERT_EQ(norms.size(), tensors.size());
    const double floor = *std::max_element(norms.begin(), norms.end()) / 100;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      double squares = 0;
      for (const float element : tensors[i].to_vector<float>())
        squares += static_cast<double>(element) * static_cast<double>(element);
      EXPECT_NEAR(std::sqrt(squares), norms[i], 1e-3 * std::max<double>(norms[i], floor))
          << c_.at("name").get<std::string>() << " " << prefix << " " << i;
    }
  }

 private:
  double allowed(const std::string& role) const {
    if (dtype_ == DType::float64) return kFloat64Error;
    return std::max(c_.at("float32_error").at(role).get<double>(), kLastPlace) *
           kTimesPyTorchsError;
  }
  std::vector<float> values(const std::string& role) const {
    return golden_.tensor(c_, role).to_vector<float>();
  }

  const test::GoldenFile& golden_;
  const nlohmann::json& c_;
  DType dtype_;
};

template <class Net>
void to_dtype(Net& net, DType dtype) {
  nn::for_each_tensor(net, [&](const std::string&, Tensor& tensor, bool is_parameter) {
    if (!is_floating(tensor.dtype())) return;
    tensor = tensor.detach().to(dtype);
    if (is_parameter) tensor.set_requires_grad();
  });
}

struct Arithmetic {
  Exactness exactness = Exactness::exact;
  DType dtype = DType::float32;
};

Tensor input_of(const nlohmann::json& c, DType dtype) {
  return test::formula_tensor("input", Shape(test::int_list(c.at("input_shape")))).to(dtype);
}

// Which activations each ReLU of a training step lets pass, and how many tensors that collect a
// gradient were read before it.
class ReluSigns : public autograd::Tracer {
 public:
  struct Relu {
    std::size_t parameters;
    std::vector<bool> passes;
  };

  void on_operation(const autograd::Event& event) override {
    for (const Tensor& input : event.inputs)
      if (input.requires_grad() && input.is_leaf()) parameters_.insert(input.raw_data());
    if (!std::string_view(event.op.name).starts_with("relu")) return;
    Relu relu = {parameters_.size(), {}};
    for (const double v : event.output.detach().to(DType::float64).to_vector<double>())
      relu.passes.push_back(v > 0);
    relus.push_back(std::move(relu));
  }

  std::vector<Relu> relus;

 private:
  std::set<const void*> parameters_;
};

template <class Net>
std::vector<ReluSigns::Relu> relu_signs(const nlohmann::json& c, Net net, DType dtype) {
  const UseExactness use(Exactness::exact);
  test::fill_by_formula(net);
  to_dtype(net, dtype);
  nn::train(net);
  ReluSigns signs;
  const autograd::TraceScope scope(signs);
  (void)net(input_of(c, dtype));
  return std::move(signs.relus);
}

// The parameters that are read before the last ReLU where an activation passes in float32 and not
// in float64, or the reverse; 0 if there is none.
template <class Make>
std::size_t crossed_before(const nlohmann::json& c, Make&& make) {
  const auto single = relu_signs(c, make(), DType::float32);
  const auto both = relu_signs(c, make(), DType::float64);
  EXPECT_EQ(single.size(), both.size());
  std::size_t last = 0;
  for (std::size_t i = 0; i < std::min(single.size(), both.size()); ++i)
    if (single[i].passes != both[i].passes) last = both[i].parameters;
  return last;
}

// The net's keys and shapes are torchvision's; outputs, loss, gradients and buffers PyTorch's.
//
// Winograd's larger errors stay within the same bounds but for the gradients of early layers: there
// an activation that a rounding error moves across a ReLU's zero counts, as one of thousands, so
// that only the norms of gradients are compared, to a thousandth.
template <class Net>
void expect_like_pytorch(const test::GoldenFile& golden, const nlohmann::json& c, Net net,
                         const Arithmetic& arithmetic, std::size_t crossed) {
  const UseExactness use(arithmetic.exactness);
  nlohmann::json keys;
  for (const auto& [key, tensor] : nn::state_dict(net)) keys[key] = tensor.shape().to_vector();
  ASSERT_EQ(keys, c.at("state_dict"));

  test::fill_by_formula(net);
  to_dtype(net, arithmetic.dtype);
  const Tensor x = input_of(c, arithmetic.dtype);
  Comparison compare(golden, c, arithmetic.dtype);
  nn::eval(net);
  {
    const NoGradGuard no_grad;
    compare.tensor("y_eval", net(x));
  }
  nn::train(net);
  const Tensor y = net(x);
  compare.tensor("y_train", y);
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < x.size(0); ++i) labels.push_back(i % c.at("classes").get<int64_t>());
  const Tensor loss = ops::cross_entropy(y, from_values(labels, {x.size(0)}));
  compare.tensor("loss", loss);
  if (!c.at("parameters").empty()) {
    loss.backward();
    std::vector<Tensor> gradients;
    for (const auto& [key, parameter] : nn::named_parameters(net))
      gradients.push_back(parameter.grad());
    if (arithmetic.exactness == Exactness::exact)
      compare.summaries("grad", gradients, crossed);
    else
      compare.norms("grad", gradients);
  }
  std::vector<Tensor> buffers;
  for (const auto& [key, tensor] : nn::state_dict(net))
    if (key.find("running_") != std::string::npos) buffers.push_back(tensor);
  compare.summaries("buffer", buffers);
}

template <class Make>
void expect_like_pytorch(const std::string& name, Make&& make) {
  const test::GoldenFile golden("nets");
  const nlohmann::json& c = golden.find_case(name);
  const std::size_t crossed = c.at("parameters").empty() ? 0 : crossed_before(c, make);
  testing::Test::RecordProperty("parameters_before_a_crossing", static_cast<int>(crossed));
  expect_like_pytorch(golden, c, make(), {.dtype = DType::float64}, 0);
  expect_like_pytorch(golden, c, make(), {.exactness = Exactness::exact}, crossed);
  expect_like_pytorch(golden, c, make(), {.exactness = Exactness::fast}, 0);
}

TEST(ResNet18, ComputesWhatTorchvisionComputes) {
  expect_like_pytorch("resnet18", [] { return resnet18<2>({.num_classes = 10}); });
}
TEST(ResNet50, ComputesWhatTorchvisionComputes) {
  expect_like_pytorch("resnet50", [] { return resnet50<2>({.num_classes = 10}); });
}
TEST(R3D18, ComputesWhatTorchvisionComputes) {
  expect_like_pytorch("r3d_18", [] { return r3d_18({.num_classes = 10}); });
}
TEST(M5, ComputesWhatPyTorchComputes) {
  expect_like_pytorch("m5", [] { return M5({.num_classes = 10}); });
}

}  // namespace
}  // namespace convkit::models
