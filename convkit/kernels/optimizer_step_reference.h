#pragma once

#include <algorithm>
#include <cmath>

#include "convkit/kernels/optimizer_step.h"

/// The formulas of optimizer_step.h element by element, as they are written there: the oracle of
/// the vector code.
namespace convkit::kernels::reference {

template <class T>
void sgd_step(const SgdStep& step, int64_t count, const T* gradient, T* parameter,
              T* momentum_buffer) {
  for (int64_t i = 0; i < count; ++i) {
    const double p = parameter[i];
    const double g = (step.maximize ? -1.0 : 1.0) * gradient[i] + step.weight_decay * p;
    double direction = g;
    if (momentum_buffer != nullptr) {
      const double b =
          step.first ? g : step.momentum * momentum_buffer[i] + (1 - step.dampening) * g;
      momentum_buffer[i] = static_cast<T>(b);
      direction = step.nesterov ? g + step.momentum * b : b;
    }
    parameter[i] = static_cast<T>(p - step.lr * direction);
  }
}

template <class T>
void adam_step(const AdamStep& step, int64_t count, const T* gradient, T* parameter,
               const AdamMoments<T>& moments) {
  for (int64_t i = 0; i < count; ++i) {
    const double p = step.shrink * parameter[i];
    const double g = (step.maximize ? -1.0 : 1.0) * gradient[i] + step.weight_decay * p;
    const double m = step.beta1 * moments.first[i] + (1 - step.beta1) * g;
    const double v = step.beta2 * moments.second[i] + (1 - step.beta2) * g * g;
    double w = v;
    if (moments.largest_second != nullptr) {
      w = std::max<double>(moments.largest_second[i], v);
      moments.largest_second[i] = static_cast<T>(w);
    }
    moments.first[i] = static_cast<T>(m);
    moments.second[i] = static_cast<T>(v);
    parameter[i] = static_cast<T>(p - step.step_size * m /
                                          (std::sqrt(w) / step.second_moment_scale + step.eps));
  }
}

}  // namespace convkit::kernels::reference
