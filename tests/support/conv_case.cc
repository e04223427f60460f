#include "tests/support/conv_case.h"

#include <cmath>

#include "convkit/autograd/engine.h"
#include "convkit/nn/conv.h"

namespace convkit::test {
namespace {

template <int Rank>
Extents<Rank> extents(const nlohmann::json& value) {
  Extents<Rank> result;
  for (std::size_t i = 0; i < Rank; ++i) result[i] = value.at(i).get<int64_t>();
  return result;
}

template <int Rank>
ConvPadding<Rank> padding(const nlohmann::json& c) {
  const nlohmann::json& given = c.at("padding");
  if (given.is_string()) {
    return given.get<std::string>() == "same" ? Padding::same : Padding::valid;
  }
  if (given.is_array()) return extents<Rank>(given);
  return ConvPadding<Rank>::ends(extents<Rank>(c.at("pad_lo")), extents<Rank>(c.at("pad_hi")));
}

PaddingMode mode(const std::string& name) {
  for (const PaddingMode m :
       {PaddingMode::zeros, PaddingMode::reflect, PaddingMode::replicate, PaddingMode::circular})
    if (to_text(m) == name) return m;
  throw ValueError(message("no padding mode '", name, "'"));
}

struct Comparison {
  ConvCaseResult result;

  void compare(const Tensor& actual, const Tensor& expected, double terms, double scale,
               const char* what) {
    if (actual.shape() != expected.shape()) {
      result = {INFINITY, message(what, " is ", actual.shape(), ", not ", expected.shape())};
      return;
    }
    const double bound = (terms + 2) * 0x1p-24 * scale;
    const std::vector<float> a = actual.to_vector<float>();
    const std::vector<float> e = expected.to_vector<float>();
    for (std::size_t i = 0; i < a.size(); ++i) {
      const double error = std::abs(static_cast<double>(a[i]) - static_cast<double>(e[i]));
      double ratio = error == 0 ? 0 : error / bound;
      if (std::isnan(ratio)) ratio = INFINITY;  // else a later, finite one would replace it
      if (!(ratio <= result.worst))
        result = {ratio, message(what, "[", i, "] = ", a[i], ", PyTorch ", e[i])};
    }
  }
};

template <int Rank>
ConvCaseResult run(const GoldenFile& golden, const nlohmann::json& c) {
  nn::Conv<Rank> layer({.in_channels = c.at("in_channels"),
                        .out_channels = c.at("out_channels"),
                        .kernel_size = extents<Rank>(c.at("kernel_size")),
                        .stride = extents<Rank>(c.at("stride")),
                        .padding = padding<Rank>(c),
                        .dilation = extents<Rank>(c.at("dilation")),
                        .groups = c.at("groups"),
                        .bias = c.at("bias"),
                        .padding_mode = mode(c.at("padding_mode"))});
  layer.weight.copy_from(golden.tensor(c, "weight"));
  if (layer.bias.defined()) layer.bias.copy_from(golden.tensor(c, "bias"));
  Tensor x = golden.tensor(c, "x").clone();
  x.set_requires_grad();
  const Tensor y = layer(x);
  Comparison comparison;
  comparison.compare(y, golden.tensor(c, "y"), c.at("k"), c.at("scale_y"), "y");
  if (y.shape() != golden.tensor(c, "grad_y").shape()) return comparison.result;
  autograd::backward(y, golden.tensor(c, "grad_y"));
  comparison.compare(x.grad(), golden.tensor(c, "grad_x"), c.at("k_grad_x"), c.at("scale_grad_x"),
                     "grad_x");
  comparison.compare(layer.weight.grad(), golden.tensor(c, "grad_weight"), c.at("k_grad_weight"),
                     c.at("scale_grad_weight"), "grad_weight");
  if (layer.bias.defined()) {
    comparison.compare(layer.bias.grad(), golden.tensor(c, "grad_bias"), c.at("k_grad_bias"),
                       c.at("scale_grad_bias"), "grad_bias");
  }
  return comparison.result;
}

}  // namespace

ConvCaseResult run_conv_case(const GoldenFile& golden, const nlohmann::json& c) {
  switch (c.at("rank").get<int>()) {
    case 1:
      return run<1>(golden, c);
    case 2:
      return run<2>(golden, c);
    default:
      return run<3>(golden, c);
  }
}

}  // namespace convkit::test
