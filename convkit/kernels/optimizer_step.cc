#include "convkit/kernels/optimizer_step.h"

// Targets between the baseline and AVX2 would only make the library larger.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "convkit/kernels/optimizer_step.cc"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace convkit::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Calls `at(tag, i)` for whole vectors and then for the elements that are left, one by one.
template <class T, class At>
HWY_INLINE void for_each_vector(int64_t count, const At& at) {
  const hn::ScalableTag<T> wide;
  const hn::CappedTag<T, 1> single;
  const auto lanes = static_cast<int64_t>(hn::Lanes(wide));
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) at(wide, i);
  for (; i < count; ++i) at(single, i);
}

template <class T>
HWY_INLINE void sgd(const SgdStep& step, int64_t count, const T* HWY_RESTRICT gradient,
                    T* HWY_RESTRICT parameter, T* HWY_RESTRICT buffer) {
  const T sign = step.maximize ? T{-1} : T{1};
  const T decay = static_cast<T>(step.weight_decay);
  const T momentum = static_cast<T>(step.momentum);
  const T fresh = static_cast<T>(1 - step.dampening);
  const T rate = static_cast<T>(step.lr);
  const bool first = step.first;
  const bool nesterov = step.nesterov;
  for_each_vector<T>(count, [=](auto d, int64_t i) HWY_ATTR {
    const auto p = hn::LoadU(d, parameter + i);
    auto g = hn::Mul(hn::Set(d, sign), hn::LoadU(d, gradient + i));
    if (decay != 0) g = hn::MulAdd(hn::Set(d, decay), p, g);
    auto direction = g;
    if (buffer != nullptr) {
      auto b = g;
      if (!first) {
        const auto kept = hn::Mul(hn::Set(d, momentum), hn::LoadU(d, buffer + i));
        b = hn::MulAdd(hn::Set(d, fresh), g, kept);
      }
      hn::StoreU(b, d, buffer + i);
      direction = nesterov ? hn::MulAdd(hn::Set(d, momentum), b, g) : b;
    }
    hn::StoreU(hn::NegMulAdd(hn::Set(d, rate), direction, p), d, parameter + i);
  });
}

template <class T>
HWY_INLINE void adam(const AdamStep& step, int64_t count, const T* HWY_RESTRICT gradient,
                     T* HWY_RESTRICT parameter, const AdamMoments<T>& moments) {
  T* HWY_RESTRICT first = moments.first;
  T* HWY_RESTRICT second = moments.second;
  T* HWY_RESTRICT largest = moments.largest_second;
  const T sign = step.maximize ? T{-1} : T{1};
  const T decay = static_cast<T>(step.weight_decay);
  const T shrink = static_cast<T>(step.shrink);
  const T beta1 = static_cast<T>(step.beta1);
  const T beta2 = static_cast<T>(step.beta2);
  const T fresh1 = static_cast<T>(1 - step.beta1);
  const T fresh2 = static_cast<T>(1 - step.beta2);
  const T scale = static_cast<T>(1 / step.second_moment_scale);
  const T eps = static_cast<T>(step.eps);
  const T size = static_cast<T>(step.step_size);
  for_each_vector<T>(count, [=](auto d, int64_t i) HWY_ATTR {
    const auto p = hn::Mul(hn::Set(d, shrink), hn::LoadU(d, parameter + i));
    auto g = hn::Mul(hn::Set(d, sign), hn::LoadU(d, gradient + i));
    if (decay != 0) g = hn::MulAdd(hn::Set(d, decay), p, g);
    const auto kept1 = hn::Mul(hn::Set(d, beta1), hn::LoadU(d, first + i));
    const auto m = hn::MulAdd(hn::Set(d, fresh1), g, kept1);
    const auto kept2 = hn::Mul(hn::Set(d, beta2), hn::LoadU(d, second + i));
    const auto v = hn::MulAdd(hn::Mul(hn::Set(d, fresh2), g), g, kept2);
    hn::StoreU(m, d, first + i);
    hn::StoreU(v, d, second + i);
    auto w = v;
    if (largest != nullptr) {
      w = hn::Max(hn::LoadU(d, largest + i), v);
      hn::StoreU(w, d, largest + i);
    }
    const auto spread = hn::MulAdd(hn::Sqrt(w), hn::Set(d, scale), hn::Set(d, eps));
    const auto change = hn::Div(hn::Mul(hn::Set(d, size), m), spread);
    hn::StoreU(hn::Sub(p, change), d, parameter + i);
  });
}

void sgd_float(const SgdStep& step, int64_t count, const float* gradient, float* parameter,
               float* buffer) {
  sgd(step, count, gradient, parameter, buffer);
}
void sgd_double(const SgdStep& step, int64_t count, const double* gradient, double* parameter,
                double* buffer) {
  sgd(step, count, gradient, parameter, buffer);
}
void adam_float(const AdamStep& step, int64_t count, const float* gradient, float* parameter,
                const AdamMoments<float>& moments) {
  adam(step, count, gradient, parameter, moments);
}
void adam_double(const AdamStep& step, int64_t count, const double* gradient, double* parameter,
                 const AdamMoments<double>& moments) {
  adam(step, count, gradient, parameter, moments);
}

}  // namespace convkit::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convkit::kernels {
HWY_EXPORT(sgd_float);
HWY_EXPORT(sgd_double);
HWY_EXPORT(adam_float);
HWY_EXPORT(adam_double);

void sgd_step(const SgdStep& step, int64_t count, const float* gradient, float* parameter,
              float* momentum_buffer) {
  HWY_DYNAMIC_DISPATCH(sgd_float)(step, count, gradient, parameter, momentum_buffer);
}
void sgd_step(const SgdStep& step, int64_t count, const double* gradient, double* parameter,
              double* momentum_buffer) {
  HWY_DYNAMIC_DISPATCH(sgd_double)(step, count, gradient, parameter, momentum_buffer);
}
void adam_step(const AdamStep& step, int64_t count, const float* gradient, float* parameter,
               const AdamMoments<float>& moments) {
  HWY_DYNAMIC_DISPATCH(adam_float)(step, count, gradient, parameter, moments);
}
void adam_step(const AdamStep& step, int64_t count, const double* gradient, double* parameter,
               const AdamMoments<double>& moments) {
  HWY_DYNAMIC_DISPATCH(adam_double)(step, count, gradient, parameter, moments);
}

}  // namespace convkit::kernels
#endif  // HWY_ONCE
