#include "convkit/autograd/gradcheck.h"

#include <cmath>

#include "convkit/autograd/engine.h"
#include "convkit/autograd/record.h"

namespace convkit::autograd {
namespace {

double weighted_sum(const Tensor& output, const Tensor& weights) {
  const double* y = output.data<double>();
  const double* r = weights.data<double>();
  double sum = 0;
  for (int64_t i = 0; i < output.numel(); ++i) sum += y[i] * r[i];
  return sum;
}

}  // namespace

std::string gradcheck(const std::function<Tensor(const std::vector<Tensor>&)>& function,
                      std::vector<Tensor> inputs, const GradcheckOptions& options) {
  for (const Tensor& input : inputs)
    CONVKIT_CHECK(!input.requires_grad() || input.dtype() == DType::float64, DTypeError,
                  "gradcheck: inputs that require gradients must be float64, not ", input.dtype());
  for (Tensor& input : inputs)
    if (input.requires_grad()) input.zero_grad();
  Generator generator(options.seed, 77);
  const Tensor output = function(inputs);
  const Tensor weights = randn(output.shape(), generator, DType::float64);
  backward(output, weights);

  double worst = 0;
  std::string complaint;
  const NoGradGuard no_grad;
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    if (!inputs[k].requires_grad()) continue;
    double* x = inputs[k].mutable_data<double>();
    const Tensor grad = inputs[k].grad().defined() ? inputs[k].grad() : zeros_like(inputs[k]);
    const double* analytic = grad.data<double>();
    for (int64_t i = 0; i < inputs[k].numel(); ++i) {
      const double kept = x[i];
      x[i] = kept + options.step;
      const double above = weighted_sum(function(inputs), weights);
      x[i] = kept - options.step;
      const double below = weighted_sum(function(inputs), weights);
      x[i] = kept;
      const double numerical = (above - below) / (2 * options.step);
      const double excess = std::abs(numerical - analytic[i]) -
                            (options.absolute + options.relative * std::abs(numerical));
      if (!(excess <= 0) && !(excess <= worst)) {
        worst = excess;
        complaint =
            message("input ", k, " (", inputs[k].shape(), "), element ", i,
                    " in memory order: tape says ", analytic[i], ", differences say ", numerical);
      }
    }
  }
  return complaint;
}

}  // namespace convkit::autograd
