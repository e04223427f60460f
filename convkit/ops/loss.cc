#include "convkit/ops/loss.h"

#include <cmath>
#include <vector>

#include "convkit/autograd/record.h"
#include "convkit/base/thread_pool.h"
#include "convkit/ops/axes.h"
#include "convkit/ops/dispatch.h"

/// The losses of single elements; those over classes are in cross_entropy.cc.
namespace convkit::ops {
namespace {

constexpr int64_t kElementsPerTask = 1 << 14;

// A loss of elements is a struct with value(i, x, t) and its derivatives dx(i, x, t), dt(i, x, t),
// where i is the element's place in memory.
struct SquaredError {
  template <class T>
  T value(int64_t, T x, T t) const {
    return (x - t) * (x - t);
  }
  template <class T>
  T dx(int64_t, T x, T t) const {
    return 2 * (x - t);
  }
  template <class T>
  T dt(int64_t, T x, T t) const {
    return 2 * (t - x);
  }
};

struct SmoothAbsolute {
  double beta;
  template <class T>
  T value(int64_t, T x, T t) const {
    const T d = std::abs(x - t);
    const auto b = static_cast<T>(beta);
    return d < b ? d * d / (2 * b) : d - b / 2;
  }
  template <class T>
  T dx(int64_t, T x, T t) const {
    const T d = x - t;
    const auto b = static_cast<T>(beta);
    if (std::abs(d) < b) return d / b;
    return d > 0 ? T{1} : d < 0 ? T{-1} : d;  // 0 stays 0, NaN stays NaN
  }
  template <class T>
  T dt(int64_t i, T x, T t) const {
    return -dx(i, x, t);
  }
};

// log(1 + e^−x), for any x.
template <class T>
T softplus_of_negative(T x) {
  return std::log1p(std::exp(-std::abs(x))) + (x < 0 ? -x : T{0});
}

// Weights are stretched to x, or absent.
struct BinaryCrossEntropy {
  BinaryCrossEntropy(const Tensor& weight, const Tensor& pos_weight)
      : weight_(weight),
        pos_weight_(pos_weight),
        w_(weight.defined() ? weight.raw_data() : nullptr),
        v_(pos_weight.defined() ? pos_weight.raw_data() : nullptr) {}
  // l = w·((1 − t)·x + (1 + (v − 1)·t)·log(1 + e^−x))
  template <class T>
  T value(int64_t i, T x, T t) const {
    const T v = at<T>(v_, i);
    return at<T>(w_, i) * ((1 - t) * x + (1 + (v - 1) * t) * softplus_of_negative(x));
  }
  template <class T>
  T dx(int64_t i, T x, T t) const {
    const T v = at<T>(v_, i);
    const T e = std::exp(-std::abs(x));
    const T sigmoid_of_negative = x < 0 ? 1 / (1 + e) : e / (1 + e);
    return at<T>(w_, i) * ((1 - t) - (1 + (v - 1) * t) * sigmoid_of_negative);
  }
  template <class T>
  T dt(int64_t i, T x, T) const {
    const T v = at<T>(v_, i);
    return at<T>(w_, i) * ((v - 1) * softplus_of_negative(x) - x);
  }

 private:
  template <class T>
  static T at(const void* weights, int64_t i) {
    return weights == nullptr ? T{1} : static_cast<const T*>(weights)[i];
  }
  Tensor weight_;
  Tensor pos_weight_;
  const void* w_;
  const void* v_;
};

template <class T, class Loss>
Tensor forward(const Loss& loss, const Tensor& x, const Tensor& target, Reduction reduction) {
  const T* const from = x.data<T>();
  const T* const wanted = target.data<T>();
  const int64_t count = x.numel();
  if (reduction == Reduction::none) {
    Tensor y = empty_like(x);
    T* const into = y.mutable_data<T>();
    parallel_ranges(count, kElementsPerTask, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) into[i] = loss.value(i, from[i], wanted[i]);
    });
    return y;
  }
  std::vector<double> sums(static_cast<std::size_t>(count / kElementsPerTask + 1));
  parallel_ranges(count, kElementsPerTask, [&](int64_t begin, int64_t end) {
    double sum = 0;
    for (int64_t i = begin; i < end; ++i)
      sum += static_cast<double>(loss.value(i, from[i], wanted[i]));
    sums[static_cast<std::size_t>(begin / kElementsPerTask)] = sum;
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  if (reduction == Reduction::mean) total /= static_cast<double>(count);
  return full({}, total, x.dtype());
}

template <class T, class Loss>
autograd::Gradients backward(const Loss& loss, const Tensor& x, const Tensor& target,
                             const Tensor& dy, Reduction reduction, autograd::Needs needs) {
  autograd::Gradients grads(2);
  for (std::size_t input = 0; input < 2; ++input) {
    if (!needs[input]) continue;
    grads[input] = empty_like(x);
    const T* const from = x.data<T>();
    const T* const wanted = target.data<T>();
    const T* const flowing = dy.data<T>();
    T* const into = grads[input].mutable_data<T>();
    const bool single = reduction != Reduction::none;
    const T scale = reduction == Reduction::mean ? 1 / static_cast<T>(x.numel()) : T{1};
    parallel_ranges(x.numel(), kElementsPerTask, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const T slope =
            input == 0 ? loss.dx(i, from[i], wanted[i]) : loss.dt(i, from[i], wanted[i]);
        into[i] = slope * flowing[single ? 0 : i] * scale;
      }
    });
  }
  return grads;
}

void check(const char* name, const Tensor& x, const Tensor& target) {
  check_floating(name, x);
  check_same_type(name, x, target, "the target");
  CONVKIT_CHECK(x.shape() == target.shape(), ShapeError, name, ": the input is ", x.shape(),
                ", but the target is ", target.shape(),
                "; they must have one shape: reshape the target");
}

template <class Loss>
Tensor loss_of_elements(const autograd::Op& op, const Loss& loss, const Tensor& x,
                        const Tensor& target, Reduction reduction) {
  const Tensor y =
      with_float_type(x, [&]<class T>() { return forward<T>(loss, x, target, reduction); });
  return autograd::record(op, {x, target}, y,
                          [=, x = autograd::Saved(x), target = autograd::Saved(target)](
                              const Tensor& dy, autograd::Needs needs) {
                            return with_float_type(dy, [&]<class T>() {
                              return backward<T>(loss, x.get(), target.get(), dy, reduction, needs);
                            });
                          });
}

Tensor stretched(const char* what, const Tensor& weight, const Tensor& x) {
  if (!weight.defined()) return weight;
  constexpr const char* kName = "binary_cross_entropy_with_logits";
  check_same_type(kName, x, weight, what);
  CONVKIT_CHECK(!weight.requires_grad(), GradError, kName, ": ", what,
                " is a constant and cannot require a gradient; detach() it");
  CONVKIT_CHECK(broadcast_shapes(x.shape(), weight.shape(), kName) == x.shape(), ShapeError, kName,
                ": ", what, " is ", weight.shape(), ", which does not stretch to the input's ",
                x.shape());
  return broadcast_binary(kernels::BinaryOp::mul, weight, full({}, 1, x.dtype()), x.shape());
}

}  // namespace

Tensor mse_loss(const Tensor& x, const Tensor& target, Reduction reduction) {
  check("mse_loss", x, target);
  return loss_of_elements({"mse_loss", LossParams{reduction}}, SquaredError(), x, target,
                          reduction);
}

Tensor l1_loss(const Tensor& x, const Tensor& target, Reduction reduction) {
  check("l1_loss", x, target);
  return loss_of_elements({"l1_loss", LossParams{reduction}}, SmoothAbsolute{0}, x, target,
                          reduction);
}

Tensor smooth_l1_loss(const Tensor& x, const Tensor& target, const SmoothL1Params& params) {
  check("smooth_l1_loss", x, target);
  CONVKIT_CHECK(params.beta >= 0, ValueError, "smooth_l1_loss: beta (", params.beta,
                ") cannot be negative");
  return loss_of_elements({"smooth_l1_loss", params}, SmoothAbsolute{params.beta}, x, target,
                          params.reduction);
}

Tensor binary_cross_entropy_with_logits(const Tensor& x, const Tensor& target,
                                        const BceWithLogitsParams& params) {
  constexpr const char* kName = "binary_cross_entropy_with_logits";
  check(kName, x, target);
  const BinaryCrossEntropy loss(stretched("weight", params.weight, x),
                                stretched("pos_weight", params.pos_weight, x));
  return loss_of_elements({kName, params}, loss, x, target, params.reduction);
}

}  // namespace convkit::ops
