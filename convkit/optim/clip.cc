#include "convkit/optim/clip.h"

#include <algorithm>
#include <cmath>

#include "convkit/base/thread_pool.h"

namespace convkit::optim {
namespace {

constexpr int64_t kElementsPerTask = 1 << 15;

enum class Norm { kOne, kTwo, kGeneral, kLargest };

Norm kind_of(double p) {
  if (std::isinf(p)) return Norm::kLargest;
  if (p == 1) return Norm::kOne;
  return p == 2 ? Norm::kTwo : Norm::kGeneral;
}

// A chain of dependent additions would wait for each one, so eight sums run side by side.
template <class T, class Map>
double sum_of(const T* values, int64_t count, Map map) {
  constexpr int64_t kLanes = 8;
  double sums[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (int64_t lane = 0; lane < kLanes; ++lane)
      sums[lane] += map(static_cast<double>(values[i + lane]));
  for (; i < count; ++i) sums[0] += map(static_cast<double>(values[i]));
  double sum = 0;
  for (const double part : sums) sum += part;
  return sum;
}

// Unlike std::max, keeps a NaN once it has met one.
double larger(double a, double b) { return b > a || std::isnan(b) ? b : a; }

template <class T>
double part_of(const T* values, int64_t count, Norm norm, double p) {
  switch (norm) {
    case Norm::kOne:
      return sum_of(values, count, [](double v) { return std::abs(v); });
    case Norm::kTwo:
      return sum_of(values, count, [](double v) { return v * v; });
    case Norm::kGeneral:
      return sum_of(values, count, [p](double v) { return std::pow(std::abs(v), p); });
    case Norm::kLargest:
      break;
  }
  double largest = 0;
  for (int64_t i = 0; i < count; ++i)
    largest = larger(largest, std::abs(static_cast<double>(values[i])));
  return largest;
}

// Calls `run(pointer, begin, end)` on all threads for pieces of a gradient.
template <class Run>
void for_pieces(Tensor grad, Run run) {
  const auto as = [&]<class T>(T) {
    T* data = grad.mutable_data<T>();
    parallel_ranges(grad.numel(), kElementsPerTask,
                    [&](int64_t begin, int64_t end) { run(data, begin, end); });
  };
  if (grad.dtype() == DType::float64) {
    as(double{});
  } else {
    as(float{});
  }
}

void combine(double& total, double part, Norm norm) {
  total = norm == Norm::kLargest ? larger(total, part) : total + part;
}

}  // namespace

double clip_grad_norm_(std::span<const Tensor> params, double max_norm,
                       const ClipGradNormOptions& options) {
  const double p = options.norm_type;
  CONVKIT_CHECK(max_norm >= 0, ValueError, "clip_grad_norm_: max_norm (", max_norm,
                ") must not be negative");
  CONVKIT_CHECK(p > 0, ValueError, "clip_grad_norm_: norm_type (", p,
                ") must be above 0, e.g. 2 or infinity");
  const Norm norm = kind_of(p);
  double total = 0;
  for (const Tensor& param : params) {
    const Tensor& grad = param.grad();
    if (!grad.defined() || grad.numel() == 0) continue;
    std::vector<double> parts(
        static_cast<std::size_t>((grad.numel() + kElementsPerTask - 1) / kElementsPerTask));
    for_pieces(grad, [&](const auto* data, int64_t begin, int64_t end) {
      parts[static_cast<std::size_t>(begin / kElementsPerTask)] =
          part_of(data + begin, end - begin, norm, p);
    });
    for (const double part : parts) combine(total, part, norm);
  }
  if (norm == Norm::kTwo) total = std::sqrt(total);
  if (norm == Norm::kGeneral) total = std::pow(total, 1 / p);
  CONVKIT_CHECK(!options.error_if_nonfinite || std::isfinite(total), NotFiniteError,
                "clip_grad_norm_: the norm of the gradients is ", total,
                ", so they cannot be clipped; lower the learning rate, or pass"
                " error_if_nonfinite = false to go on");
  const double scale = max_norm / (total + 1e-6);
  if (scale >= 1) return total;
  for (const Tensor& param : params) {
    if (!param.grad().defined()) continue;
    Tensor grad = param.grad();
    for_pieces(grad, [scale](auto* data, int64_t begin, int64_t end) {
      using T = std::remove_pointer_t<decltype(data)>;
      for (int64_t i = begin; i < end; ++i) data[i] *= static_cast<T>(scale);
    });
    grad.bump_version();
  }
  return total;
}

void clip_grad_value_(std::span<const Tensor> params, double clip_value) {
  CONVKIT_CHECK(clip_value >= 0, ValueError, "clip_grad_value_: clip_value (", clip_value,
                ") must not be negative");
  for (const Tensor& param : params) {
    if (!param.grad().defined()) continue;
    Tensor grad = param.grad();
    for_pieces(grad, [clip_value](auto* data, int64_t begin, int64_t end) {
      using T = std::remove_pointer_t<decltype(data)>;
      const T limit = static_cast<T>(clip_value);
      for (int64_t i = begin; i < end; ++i) data[i] = std::clamp(data[i], -limit, limit);
    });
    grad.bump_version();
  }
}

}  // namespace convkit::optim
