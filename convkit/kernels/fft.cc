#include "convkit/kernels/fft.h"

#include <cmath>
#include <numbers>

#include "convkit/base/error.h"
#include "convkit/kernels/conv_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "convkit/kernels/fft.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace convkit::kernels {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
using Floats = hn::ScalableTag<float>;
using Vector = hn::Vec<Floats>;

struct Complex {
  Vector re;
  Vector im;
};

HWY_INLINE Complex operator+(const Complex& a, const Complex& b) {
  return {hn::Add(a.re, b.re), hn::Add(a.im, b.im)};
}
HWY_INLINE Complex operator-(const Complex& a, const Complex& b) {
  return {hn::Sub(a.re, b.re), hn::Sub(a.im, b.im)};
}
// a − i·b and a + i·b.
HWY_INLINE Complex minus_i(const Complex& a, const Complex& b) {
  return {hn::Add(a.re, b.im), hn::Sub(a.im, b.re)};
}
HWY_INLINE Complex plus_i(const Complex& a, const Complex& b) {
  return {hn::Sub(a.re, b.im), hn::Add(a.im, b.re)};
}
// a + factor · b, with a real factor.
HWY_INLINE Complex add_scaled(const Complex& a, float factor, const Complex& b) {
  const Vector f = hn::Set(Floats(), factor);
  return {hn::MulAdd(f, b.re, a.re), hn::MulAdd(f, b.im, a.im)};
}
HWY_INLINE Complex scaled(float factor, const Complex& a) {
  const Vector f = hn::Set(Floats(), factor);
  return {hn::Mul(f, a.re), hn::Mul(f, a.im)};
}
HWY_INLINE Complex times(const Complex& a, const float* twiddle) {
  const Floats d;
  const Vector re = hn::Set(d, twiddle[0]);
  const Vector im = hn::Set(d, twiddle[1]);
  return {hn::NegMulAdd(a.im, im, hn::Mul(a.re, re)), hn::MulAdd(a.im, re, hn::Mul(a.re, im))};
}

HWY_INLINE void Transform2(Complex (&a)[2]) {
  const Complex difference = a[0] - a[1];
  a[0] = a[0] + a[1];
  a[1] = difference;
}

HWY_INLINE void Transform3(Complex (&a)[3]) {
  const Complex sum = a[1] + a[2];
  const Complex turned = scaled(0.866025403784438647f, a[1] - a[2]);  // sin 60°
  const Complex middle = add_scaled(a[0], -0.5f, sum);
  a[0] = a[0] + sum;
  a[1] = minus_i(middle, turned);
  a[2] = plus_i(middle, turned);
}

HWY_INLINE void Transform4(Complex& a0, Complex& a1, Complex& a2, Complex& a3) {
  const Complex even_sum = a0 + a2;
  const Complex even_difference = a0 - a2;
  const Complex odd_sum = a1 + a3;
  const Complex odd_difference = a1 - a3;
  a0 = even_sum + odd_sum;
  a1 = minus_i(even_difference, odd_difference);
  a2 = even_sum - odd_sum;
  a3 = plus_i(even_difference, odd_difference);
}

HWY_INLINE void Transform5(Complex (&a)[5]) {
  constexpr float kCos72 = 0.309016994374947424f;
  constexpr float kCos144 = -0.809016994374947424f;
  constexpr float kSin72 = 0.951056516295153572f;
  constexpr float kSin144 = 0.587785252292473129f;
  const Complex outer = a[1] + a[4];
  const Complex inner = a[2] + a[3];
  const Complex outer_difference = a[1] - a[4];
  const Complex inner_difference = a[2] - a[3];
  const Complex middle1 = add_scaled(add_scaled(a[0], kCos72, outer), kCos144, inner);
  const Complex middle2 = add_scaled(add_scaled(a[0], kCos144, outer), kCos72, inner);
  const Complex turned1 = add_scaled(scaled(kSin72, outer_difference), kSin144, inner_difference);
  const Complex turned2 = add_scaled(scaled(kSin144, outer_difference), -kSin72, inner_difference);
  a[0] = a[0] + outer + inner;
  a[1] = minus_i(middle1, turned1);
  a[2] = minus_i(middle2, turned2);
  a[3] = plus_i(middle2, turned2);
  a[4] = plus_i(middle1, turned1);
}

HWY_INLINE void Transform8(Complex (&a)[8]) {
  constexpr float kHalfRoot = 0.707106781186547524f;
  Transform4(a[0], a[2], a[4], a[6]);
  Transform4(a[1], a[3], a[5], a[7]);
  const Complex e1 = a[2];
  const Complex e2 = a[4];
  const Complex e3 = a[6];
  // The odd half, times the eighth roots of unity.
  const Complex o1 = {hn::Add(a[3].re, a[3].im), hn::Sub(a[3].im, a[3].re)};
  const Complex o2 = a[5];
  const Complex o3 = {hn::Sub(a[7].im, a[7].re), hn::Add(a[7].re, a[7].im)};
  const Vector root = hn::Set(Floats(), kHalfRoot);
  const Complex e0 = a[0];
  const Complex o0 = a[1];
  a[0] = e0 + o0;
  a[4] = e0 - o0;
  a[1] = add_scaled(e1, kHalfRoot, o1);
  a[5] = add_scaled(e1, -kHalfRoot, o1);
  a[2] = minus_i(e2, o2);
  a[6] = plus_i(e2, o2);
  a[3] = {hn::MulAdd(root, o3.re, e3.re), hn::NegMulAdd(root, o3.im, e3.im)};
  a[7] = {hn::NegMulAdd(root, o3.re, e3.re), hn::MulAdd(root, o3.im, e3.im)};
}

template <int kRadix>
HWY_INLINE void TransformRadix(Complex (&a)[kRadix]) {
  if constexpr (kRadix == 2) Transform2(a);
  if constexpr (kRadix == 3) Transform3(a);
  if constexpr (kRadix == 4) Transform4(a[0], a[1], a[2], a[3]);
  if constexpr (kRadix == 5) Transform5(a);
  if constexpr (kRadix == 8) Transform8(a);
}

#if HWY_COMPILER_CLANG
#define CONVKIT_UNROLL _Pragma("unroll")
#else
#define CONVKIT_UNROLL _Pragma("GCC unroll 16")
#endif

// Where the parts of an element lie. The inverse is the forward transform with these exchanged:
// the transform of i·conj(z) is i·conj of the inverse transform of z.
struct Parts {
  int64_t re;
  int64_t im;
};

// Addresses of a butterfly: of its first element, and floats to the next one.
struct Butterfly {
  const float* from;
  int64_t from_step;
  float* to;
  int64_t to_step;
  const float* first_twiddle;
  int64_t first_twiddle_step;
};

template <int kRadix, bool kTwiddlesFirst, bool kTwiddles>
HWY_INLINE void RunButterfly(const Butterfly& job, const float* twiddles, Parts parts) {
  const Floats d;
  const float* const re = job.from + parts.re;
  const float* const im = job.from + parts.im;
  Complex a[kRadix];
  CONVKIT_UNROLL for (int i = 0; i < kRadix; ++i) {
    a[i] = {hn::LoadU(d, re + i * job.from_step), hn::LoadU(d, im + i * job.from_step)};
    if constexpr (kTwiddlesFirst)
      a[i] = times(a[i], job.first_twiddle + i * job.first_twiddle_step);
  }
  TransformRadix(a);
  float* const to_re = job.to + parts.re;
  float* const to_im = job.to + parts.im;
  CONVKIT_UNROLL for (int j = 0; j < kRadix; ++j) {
    if constexpr (kTwiddles)
      if (j > 0) a[j] = times(a[j], twiddles + 2 * (j - 1));
    hn::StoreU(a[j].re, d, to_re + j * job.to_step);
    hn::StoreU(a[j].im, d, to_im + j * job.to_step);
  }
}

// One pass. With m butterflies of radix R after s points are done, for p < m and q < s:
//   to[q + s·(R·p + j)] = w^(p·j) · Σ_i from[q + s·(p + m·i)] · exp(−2πi·ij/R).
template <int kRadix, bool kTwiddlesFirst>
void RunPass(const FftPlan::Pass& pass, const float* twiddles, const FftLine& line, Parts parts) {
  const int64_t s = pass.done;
  const int64_t m = pass.butterflies;
  Butterfly job{line.from,        s * m * line.from_step, line.to,
                s * line.to_step, line.twiddles,          s * m * line.twiddle_step};
  const auto next = [&] {
    job.from += line.from_step;
    job.to += line.to_step;
    if constexpr (kTwiddlesFirst) job.first_twiddle += line.twiddle_step;
  };
  for (int64_t q = 0; q < s; ++q, next())
    RunButterfly<kRadix, kTwiddlesFirst, false>(job, nullptr, parts);
  for (int64_t p = 1; p < m; ++p) {
    twiddles += 2 * (kRadix - 1);
    job.to += (kRadix - 1) * s * line.to_step;
    for (int64_t q = 0; q < s; ++q, next())
      RunButterfly<kRadix, kTwiddlesFirst, true>(job, twiddles, parts);
  }
}

// A butterfly of eight wants 16 registers for its elements alone.
#if HWY_TARGET == HWY_AVX3 || HWY_ARCH_ARM
constexpr int kMaxRadix = 8;
#else
constexpr int kMaxRadix = 4;
#endif

template <bool kTwiddlesFirst>
void RunPassOf(const FftPlan& plan, const FftPlan::Pass& pass, const FftLine& line, Parts parts) {
  const float* const twiddles = plan.twiddles.data() + pass.twiddles;
  switch (pass.radix) {
    case 1:
      return RunPass<1, kTwiddlesFirst>(pass, twiddles, line, parts);
    case 2:
      return RunPass<2, kTwiddlesFirst>(pass, twiddles, line, parts);
    case 3:
      return RunPass<3, kTwiddlesFirst>(pass, twiddles, line, parts);
    case 4:
      return RunPass<4, kTwiddlesFirst>(pass, twiddles, line, parts);
    case 5:
      return RunPass<5, kTwiddlesFirst>(pass, twiddles, line, parts);
    default:
      if constexpr (kMaxRadix == 8) RunPass<8, kTwiddlesFirst>(pass, twiddles, line, parts);
  }
}

void TransformLine(const FftPlan& plan, const FftLine& line, bool inverse, float* scratch) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(Floats()));
  const int64_t element = 2 * lanes;
  const Parts parts = inverse ? Parts{lanes, 0} : Parts{0, lanes};
  FftLine step = line;
  for (std::size_t i = 0; i < plan.passes.size(); ++i) {
    const bool last = i + 1 == plan.passes.size();
    step.to = last ? line.to : scratch + static_cast<int64_t>(i % 2) * element * plan.length;
    step.to_step = last ? line.to_step : element;
    if (i == 0 && line.twiddles != nullptr)
      RunPassOf<true>(plan, plan.passes[i], step, parts);
    else
      RunPassOf<false>(plan, plan.passes[i], step, parts);
    step.from = step.to;
    step.from_step = step.to_step;
  }
}

const FftKernels* Kernels() {
  static const FftKernels kernels = [] {
    FftKernels filled;
    filled.lanes = static_cast<int64_t>(hn::Lanes(Floats()));
    filled.max_radix = kMaxRadix;
    filled.transform = TransformLine;
    return filled;
  }();
  return &kernels;
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace convkit::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convkit::kernels {
namespace {

HWY_EXPORT(Kernels);

std::vector<int> radices(int64_t length) {
  std::vector<int> found;
  int twos = 0;
  for (; length % 2 == 0; length /= 2) ++twos;
  const bool eights = fft_kernels().max_radix >= 8;
  while (twos > 0) {
    // Fours first where eights alone do not fit, so that a two is needed only for 2 itself.
    const int bits = twos == 1 ? 1 : !eights ? (twos == 3 ? 1 : 2) : twos % 3 == 0 ? 3 : 2;
    found.push_back(1 << bits);
    twos -= bits;
  }
  for (const int odd : {3, 5})
    for (; length % odd == 0; length /= odd) found.push_back(odd);
  if (found.empty()) found.push_back(1);
  return found;
}

}  // namespace

const FftKernels& fft_kernels() { return *HWY_DYNAMIC_DISPATCH(Kernels)(); }

bool is_fft_length(int64_t length) {
  if (length < 1) return false;
  for (const int factor : {2, 3, 5})
    while (length % factor == 0) length /= factor;
  return length == 1;
}

int64_t fft_pass_count(int64_t length) {
  return length == 1 ? 0 : static_cast<int64_t>(radices(length).size());
}

FftPlan::FftPlan(int64_t points) : length(points) {
  CONVKIT_CHECK(is_fft_length(length), ValueError, "fft: length ", length, " is not 2^a·3^b·5^c");
  int64_t done = 1;
  for (const int radix : radices(length)) {
    const int64_t butterflies = length / (radix * done);
    passes.push_back({radix, butterflies, done, static_cast<int64_t>(twiddles.size())});
    for (int64_t p = 0; p < butterflies; ++p)
      for (int64_t j = 1; j < radix; ++j) {
        const double angle = -2.0 * std::numbers::pi * static_cast<double>(p * j) /
                             static_cast<double>(radix * butterflies);
        twiddles.push_back(static_cast<float>(std::cos(angle)));
        twiddles.push_back(static_cast<float>(std::sin(angle)));
      }
    done *= radix;
  }
}

}  // namespace convkit::kernels
#endif
