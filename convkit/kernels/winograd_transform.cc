#include "convkit/kernels/winograd_transform.h"

#include <cstddef>

#include "convkit/kernels/conv_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "convkit/kernels/winograd_transform.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
//
#include "convkit/kernels/conv_vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace convkit::kernels {
namespace HWY_NAMESPACE {

// One axis of each transform.

HWY_INLINE Vector Times(float factor, Vector v) { return hn::Mul(hn::Set(Floats(), factor), v); }
HWY_INLINE Vector PlusTimes(Vector sum, float factor, Vector v) {
  return hn::MulAdd(hn::Set(Floats(), factor), v, sum);
}

// An axis that is not transformed.
struct Whole {
  static constexpr int kIn = 1, kOut = 1, kTaps = 1;
  static constexpr bool kShortens = false;
  static HWY_INLINE void Input(const Vector (&x)[1], Vector (&v)[1]) { v[0] = x[0]; }
  static HWY_INLINE void Output(const Vector (&m)[1], Vector (&y)[1]) { y[0] = m[0]; }
  static HWY_INLINE void Weight(const Vector (&w)[1], Vector (&u)[1]) { u[0] = w[0]; }
  static HWY_INLINE void Slope(const Vector (&dy)[1], Vector (&v)[1]) { v[0] = dy[0]; }
  static HWY_INLINE void Gradient(const Vector (&m)[1], Vector (&dw)[1]) { dw[0] = m[0]; }
};

// F(2, 3) at the points 0, 1, −1, ∞.
struct Two {
  static constexpr int kIn = 4, kOut = 2, kTaps = 3;
  static constexpr bool kShortens = false;
  static HWY_INLINE void Input(const Vector (&x)[4], Vector (&v)[4]) {
    v[0] = hn::Sub(x[2], x[0]);
    v[1] = hn::Add(x[2], x[1]);
    v[2] = hn::Sub(x[2], x[1]);
    v[3] = hn::Sub(x[3], x[1]);
  }
  static HWY_INLINE void Output(const Vector (&m)[4], Vector (&y)[2]) {
    y[0] = hn::Add(m[0], hn::Add(m[1], m[2]));
    y[1] = hn::Add(hn::Sub(m[1], m[2]), m[3]);
  }
  static HWY_INLINE void Weight(const Vector (&w)[3], Vector (&u)[4]) {
    const Vector even = Times(0.5f, hn::Add(w[0], w[2]));
    u[0] = hn::Neg(w[0]);
    u[1] = PlusTimes(even, 0.5f, w[1]);
    u[2] = PlusTimes(even, -0.5f, w[1]);
    u[3] = w[2];
  }
  static HWY_INLINE void Slope(const Vector (&dy)[2], Vector (&v)[4]) {
    v[0] = hn::Neg(dy[0]);
    v[1] = Times(0.5f, hn::Add(dy[0], dy[1]));
    v[2] = Times(0.5f, hn::Sub(dy[0], dy[1]));
    v[3] = dy[1];
  }
  static HWY_INLINE void Gradient(const Vector (&m)[4], Vector (&dw)[3]) {
    const Vector even = hn::Add(m[1], m[2]);
    dw[0] = hn::Add(m[0], even);
    dw[1] = hn::Sub(m[1], m[2]);
    dw[2] = hn::Add(even, m[3]);
  }
};

// scale · (w0 ± point·w1 + point²·w2), in as few steps as there are.
HWY_INLINE void Powers(double scale, double point, const Vector (&w)[3], Vector& plus,
                       Vector& minus) {
  const Vector even = PlusTimes(Times(static_cast<float>(scale), w[0]),
                                static_cast<float>(scale * point * point), w[2]);
  const Vector odd = Times(static_cast<float>(scale * point), w[1]);
  plus = hn::Add(even, odd);
  minus = hn::Sub(even, odd);
}
HWY_INLINE void Pair(double scale, Vector even, Vector odd, Vector& plus, Vector& minus) {
  const Vector factor = hn::Set(Floats(), static_cast<float>(scale));
  plus = hn::Mul(factor, hn::Add(even, odd));
  minus = hn::Mul(factor, hn::Sub(even, odd));
}

// F(4, 3) at the points 0, a, −a, b, −b, ∞. With N(t) = t (t² − a²) (t² − b²), row p of Bᵀ holds
// the coefficients of N(t) / (t − p), row p of G the powers of p over N'(p).
struct Four {
  static constexpr int kIn = 6, kOut = 4, kTaps = 3;
  static constexpr bool kShortens = true;
  static constexpr float kA = 0.75f, kB = 1.5f;
  static constexpr float kFinite[] = {0.0f, kA, -kA, kB, -kB};
  static constexpr float kA2 = kA * kA, kB2 = kB * kB;
  static constexpr float kSum = kA2 + kB2, kProduct = kA2 * kB2;
  static constexpr double kScaleA = 1.0 / (2.0 * kA2 * (kA2 - kB2));  // 1 / N'(±a)
  static constexpr double kScaleB = 1.0 / (2.0 * kB2 * (kB2 - kA2));
  static constexpr double kScale0 = 1.0 / kProduct;

  static HWY_INLINE void Input(const Vector (&x)[6], Vector (&v)[6]) {
    v[0] = PlusTimes(PlusTimes(x[4], -kSum, x[2]), kProduct, x[0]);
    const Vector even_a = PlusTimes(x[4], -kB2, x[2]);
    const Vector odd_a = PlusTimes(x[3], -kB2, x[1]);
    v[1] = PlusTimes(even_a, kA, odd_a);
    v[2] = PlusTimes(even_a, -kA, odd_a);
    const Vector even_b = PlusTimes(x[4], -kA2, x[2]);
    const Vector odd_b = PlusTimes(x[3], -kA2, x[1]);
    v[3] = PlusTimes(even_b, kB, odd_b);
    v[4] = PlusTimes(even_b, -kB, odd_b);
    v[5] = PlusTimes(PlusTimes(x[5], -kSum, x[3]), kProduct, x[1]);
  }
  static HWY_INLINE void Output(const Vector (&m)[6], Vector (&y)[4]) {
    const Vector even_a = hn::Add(m[1], m[2]);
    const Vector odd_a = hn::Sub(m[1], m[2]);
    const Vector even_b = hn::Add(m[3], m[4]);
    const Vector odd_b = hn::Sub(m[3], m[4]);
    y[0] = hn::Add(m[0], hn::Add(even_a, even_b));
    y[1] = PlusTimes(Times(kA, odd_a), kB, odd_b);
    y[2] = PlusTimes(Times(kA2, even_a), kB2, even_b);
    y[3] = PlusTimes(PlusTimes(m[5], kA * kA2, odd_a), kB * kB2, odd_b);
  }
  static HWY_INLINE void Weight(const Vector (&w)[3], Vector (&u)[6]) {
    u[0] = Times(kScale0, w[0]);
    Powers(kScaleA, kA, w, u[1], u[2]);
    Powers(kScaleB, kB, w, u[3], u[4]);
    u[5] = w[2];
  }
  static HWY_INLINE void Slope(const Vector (&dy)[4], Vector (&v)[6]) {
    v[0] = Times(kScale0, dy[0]);
    Pair(kScaleA, PlusTimes(dy[0], kA2, dy[2]), Times(kA, PlusTimes(dy[1], kA2, dy[3])), v[1],
         v[2]);
    Pair(kScaleB, PlusTimes(dy[0], kB2, dy[2]), Times(kB, PlusTimes(dy[1], kB2, dy[3])), v[3],
         v[4]);
    v[5] = dy[3];
  }
  static HWY_INLINE void Gradient(const Vector (&m)[6], Vector (&dw)[3]) {
    const Vector even_a = hn::Add(m[1], m[2]);
    const Vector even_b = hn::Add(m[3], m[4]);
    dw[0] = hn::Add(m[0], hn::Add(even_a, even_b));
    dw[1] = PlusTimes(Times(kA, hn::Sub(m[1], m[2])), kB, hn::Sub(m[3], m[4]));
    dw[2] = PlusTimes(PlusTimes(m[5], kA2, even_a), kB2, even_b);
  }
};

// Bᵀ of the shorter tiles: row[outputs][point][input] (winograd_transform.h).
template <class Axis>
struct ShortRows {
  float row[Axis::kOut][Axis::kIn][Axis::kIn] = {};

  constexpr ShortRows() {
    for (int outputs = 1; outputs < Axis::kOut; ++outputs) {
      const int finite = outputs + 1;
      for (int p = 0; p < finite; ++p) {
        double scale = 1.0;
        for (int left_out = finite; left_out < Axis::kIn - 1; ++left_out)
          scale *= double{Axis::kFinite[p]} - double{Axis::kFinite[left_out]};
        Product(finite, p, scale, row[outputs][p]);
      }
      Product(finite, -1, 1.0, row[outputs][Axis::kIn - 1]);
    }
  }

 private:
  // The coefficients of scale · Π over the first points but `without` of (t − point).
  static constexpr void Product(int points, int without, double scale, float (&to)[Axis::kIn]) {
    double sum[Axis::kIn] = {scale};
    int degree = 0;
    for (int p = 0; p < points; ++p) {
      if (p == without) continue;
      ++degree;
      for (int i = degree; i >= 0; --i)
        sum[i] = (i > 0 ? sum[i - 1] : 0.0) - double{Axis::kFinite[p]} * sum[i];
    }
    for (int i = 0; i <= degree; ++i) to[i] = static_cast<float>(sum[i]);
  }
};

// One axis of each transform, of a shorter tile. Points that it leaves out get zeros.
template <class Axis, int kOutputs>
struct Short {
  static constexpr int kIn = Axis::kIn, kLast = Axis::kIn - 1;

  static HWY_INLINE void Input(const Vector (&x)[kIn], Vector (&v)[kIn]) {
    static constexpr ShortRows<Axis> kRows;
    CONVKIT_UNROLL for (int p = 0; p < kIn; ++p) {
      v[p] = hn::Zero(Floats());
      CONVKIT_UNROLL for (int i = 0; i < kOutputs + 2; ++i) {
        const float factor = kRows.row[kOutputs][p][i];
        if (factor != 0.0f) v[p] = PlusTimes(v[p], factor, x[i]);
      }
    }
  }
  static HWY_INLINE void Output(const Vector (&m)[kIn], Vector (&y)[Axis::kOut]) {
    Vector finite[kIn];
    CONVKIT_UNROLL for (int p = 0; p < kIn; ++p) finite[p] =
        p <= kOutputs ? m[p] : hn::Zero(Floats());
    Axis::Output(finite, y);
    y[kOutputs - 1] = hn::Add(y[kOutputs - 1], m[kLast]);
  }
  static HWY_INLINE void Slope(const Vector (&dy)[Axis::kOut], Vector (&v)[kIn]) {
    Axis::Slope(dy, v);
    v[kLast] = dy[kOutputs - 1];
  }
};

// One axis of a transform, of a tile that has so many outputs along it. Whether `kShort` is known
// beforehand.
template <bool kShort, class Axis>
struct Along {
  int outputs;

  // Calls call(axis) with the Axis, or a Short of it.
  template <int kOutputs = 1, class Call>
  HWY_INLINE void With(Call&& call) const {
    if constexpr (kShort && Axis::kShortens && kOutputs < Axis::kOut) {
      if (outputs == kOutputs)
        call(Short<Axis, kOutputs>());
      else
        With<kOutputs + 1>(call);
    } else {
      call(Axis());
    }
  }
  template <class From, class To>
  HWY_INLINE void Input(const From& x, To& v) const {
    With([&](auto axis) CONVKIT_INLINE_LAMBDA { axis.Input(x, v); });
  }
  template <class From, class To>
  HWY_INLINE void Output(const From& m, To& y) const {
    With([&](auto axis) CONVKIT_INLINE_LAMBDA { axis.Output(m, y); });
  }
  template <class From, class To>
  HWY_INLINE void Slope(const From& dy, To& v) const {
    With([&](auto axis) CONVKIT_INLINE_LAMBDA { axis.Slope(dy, v); });
  }
};

// Applies `along_h` to the columns, then `along_w` to the rows of a matrix of vectors; load(i, j)
// gives an element, store(i, j, v) takes one. What lies between stays in the first-level cache: it
// is more than the registers hold. Code that is seldom run is not repeated for each line.
template <bool kSeldom, int kFromH, int kFromW, int kToH, int kToW, class Load, class AlongH,
          class AlongW, class Store>
HWY_INLINE void Transform(Load&& load, AlongH&& along_h, AlongW&& along_w, Store&& store) {
  const Floats d;
  constexpr size_t kMost = HWY_MAX_BYTES / sizeof(float);
  HWY_ALIGN float between[static_cast<size_t>(kToH * kFromW) * kMost];
  const size_t lanes = hn::Lanes(d);
  const auto column = [&](int j) CONVKIT_INLINE_LAMBDA {
    Vector from[kFromH];
    Vector to[kToH];
    CONVKIT_UNROLL for (int i = 0; i < kFromH; ++i) from[i] = load(i, j);
    along_h(from, to);
    CONVKIT_UNROLL for (int i = 0; i < kToH; ++i)
        hn::Store(to[i], d, between + static_cast<size_t>(i * kFromW + j) * lanes);
  };
  const auto row = [&](int i) CONVKIT_INLINE_LAMBDA {
    Vector from[kFromW];
    Vector to[kToW];
    CONVKIT_UNROLL for (int j = 0; j < kFromW; ++j) from[j] =
        hn::Load(d, between + static_cast<size_t>(i * kFromW + j) * lanes);
    along_w(from, to);
    CONVKIT_UNROLL for (int j = 0; j < kToW; ++j) store(i, j, to[j]);
  };
  if constexpr (kSeldom) {
    for (int j = 0; j < kFromW; ++j) column(j);
    for (int i = 0; i < kToH; ++i) row(i);
  } else {
    CONVKIT_UNROLL for (int j = 0; j < kFromW; ++j) column(j);
    CONVKIT_UNROLL for (int i = 0; i < kToH; ++i) row(i);
  }
}

template <class H, class W>
struct Kernels {
  static constexpr bool kShortens = H::kShortens || W::kShortens;
  static bool IsShort(const WinogradSize& size) {
    return (H::kShortens && size.rows < H::kOut) || (W::kShortens && size.columns < W::kOut);
  }

  static void Input(const float* const* pixels, int64_t channels, const WinogradSize& size,
                    float* to, int64_t point_step) {
    if constexpr (kShortens)
      if (IsShort(size)) return InputAs<true>(pixels, channels, size, to, point_step);
    InputAs<false>(pixels, channels, size, to, point_step);
  }
  static void Output(const float* m, int64_t point_step, int64_t channels,
                     const WinogradEpilogue& epilogue, const WinogradOutput& place, float* to) {
    if constexpr (kShortens)
      if (IsShort(place.size)) return OutputAs<true>(m, point_step, channels, epilogue, place, to);
    OutputAs<false>(m, point_step, channels, epilogue, place, to);
  }
  static void Slope(const float* const* pixels, int64_t channels, const WinogradSize& size,
                    float* to, int64_t point_step) {
    if constexpr (kShortens)
      if (IsShort(size)) return SlopeAs<true>(pixels, channels, size, to, point_step);
    SlopeAs<false>(pixels, channels, size, to, point_step);
  }

  template <bool kShort>
  static void InputAs(const float* const* pixels, int64_t channels, const WinogradSize& size,
                      float* to, int64_t point_step) {
    const Floats d;
    const auto lanes = static_cast<int64_t>(hn::Lanes(d));
    for (int64_t c = 0; c < channels; c += lanes)
      Transform<kShort, H::kIn, W::kIn, H::kIn, W::kIn>(
          [&](int i, int j) CONVKIT_INLINE_LAMBDA {
            return LoadFirst(d, pixels[i * W::kIn + j] + c, channels - c);
          },
          [&](const auto& from, auto& v)
              CONVKIT_INLINE_LAMBDA { Along<kShort, H>{size.rows}.Input(from, v); },
          [&](const auto& from, auto& v)
              CONVKIT_INLINE_LAMBDA { Along<kShort, W>{size.columns}.Input(from, v); },
          [&](int i, int j, Vector v)
              CONVKIT_INLINE_LAMBDA { hn::StoreU(v, d, to + (i * W::kIn + j) * point_step + c); });
  }

  template <bool kShort>
  static void OutputAs(const float* m, int64_t point_step, int64_t channels,
                       const WinogradEpilogue& epilogue, const WinogradOutput& place, float* to) {
    const Floats d;
    const auto lanes = static_cast<int64_t>(hn::Lanes(d));
    for (int64_t c = 0; c < channels; c += lanes) {
      const int64_t left = channels - c;
      const Vector bias =
          epilogue.bias != nullptr ? LoadFirst(d, epilogue.bias + c, left) : hn::Zero(d);
      Transform<kShort, H::kIn, W::kIn, H::kOut, W::kOut>(
          [&](int i, int j)
              CONVKIT_INLINE_LAMBDA { return hn::LoadU(d, m + (i * W::kIn + j) * point_step + c); },
          [&](const auto& from, auto& y)
              CONVKIT_INLINE_LAMBDA { Along<kShort, H>{place.size.rows}.Output(from, y); },
          [&](const auto& from, auto& y)
              CONVKIT_INLINE_LAMBDA { Along<kShort, W>{place.size.columns}.Output(from, y); },
          [&](int i, int j, Vector y) CONVKIT_INLINE_LAMBDA {
            if (i >= place.size.rows || j >= place.size.columns) return;
            const int64_t at = place.offset + i * place.row_step + j * place.pixel_step + c;
            y = hn::Add(y, bias);
            if (epilogue.residual != nullptr)
              y = hn::Add(y, LoadFirst(d, epilogue.residual + at, left));
            if (epilogue.clamps) y = Clamp(d, y, epilogue.low, epilogue.high);
#if HWY_TARGET == HWY_AVX3  // whose vectors are lines
            if (epilogue.streams && left >= lanes) return hn::Stream(y, d, to + at);
#endif
            StoreFirst(y, d, to + at, left);
          });
    }
  }

  static void Weight(const WinogradTaps& w, float* to, int64_t channel_step, int64_t point_step) {
    const Floats d;
    const auto lanes = static_cast<int64_t>(hn::Lanes(d));
    constexpr int kTaps = H::kTaps * W::kTaps;
    const int64_t step = w.flip ? -w.tap_step : w.tap_step;
    const float* const first = w.data + (w.flip ? (kTaps - 1) * w.tap_step : 0);
    for (int64_t k = 0; k < w.channels; ++k)
      for (int64_t c = 0; c < w.columns; c += lanes) {
        const float* const from = first + k * w.channel_step + c;
        float* const out = to + k * channel_step + c;
        // So few numbers that they may stay in registers.
        Vector between[H::kIn][W::kTaps];
        CONVKIT_UNROLL for (int j = 0; j < W::kTaps; ++j) {
          Vector taps[H::kTaps];
          Vector u[H::kIn];
          CONVKIT_UNROLL for (int i = 0; i < H::kTaps; ++i) taps[i] =
              hn::LoadU(d, from + (i * W::kTaps + j) * step);
          H::Weight(taps, u);
          CONVKIT_UNROLL for (int i = 0; i < H::kIn; ++i) between[i][j] = u[i];
        }
        CONVKIT_UNROLL for (int i = 0; i < H::kIn; ++i) {
          Vector u[W::kIn];
          W::Weight(between[i], u);
          CONVKIT_UNROLL for (int j = 0; j < W::kIn; ++j)
              hn::StoreU(u[j], d, out + (i * W::kIn + j) * point_step);
        }
      }
  }

  template <bool kShort>
  static void SlopeAs(const float* const* pixels, int64_t channels, const WinogradSize& size,
                      float* to, int64_t point_step) {
    const Floats d;
    const auto lanes = static_cast<int64_t>(hn::Lanes(d));
    for (int64_t c = 0; c < channels; c += lanes)
      Transform<kShort, H::kOut, W::kOut, H::kIn, W::kIn>(
          [&](int i, int j) CONVKIT_INLINE_LAMBDA {
            return LoadFirst(d, pixels[i * W::kOut + j] + c, channels - c);
          },
          [&](const auto& from, auto& v)
              CONVKIT_INLINE_LAMBDA { Along<kShort, H>{size.rows}.Slope(from, v); },
          [&](const auto& from, auto& v)
              CONVKIT_INLINE_LAMBDA { Along<kShort, W>{size.columns}.Slope(from, v); },
          [&](int i, int j, Vector v)
              CONVKIT_INLINE_LAMBDA { hn::StoreU(v, d, to + (i * W::kIn + j) * point_step + c); });
  }

  static void Gradient(const float* m, int64_t point_step, int64_t channels, float* dw,
                       int64_t tap_step) {
    const Floats d;
    const auto lanes = static_cast<int64_t>(hn::Lanes(d));
    for (int64_t c = 0; c < channels; c += lanes)
      Transform<false, H::kIn, W::kIn, H::kTaps, W::kTaps>(
          [&](int i, int j)
              CONVKIT_INLINE_LAMBDA { return hn::LoadU(d, m + (i * W::kIn + j) * point_step + c); },
          [](const auto& from, auto& y) CONVKIT_INLINE_LAMBDA { H::Gradient(from, y); },
          [](const auto& from, auto& y) CONVKIT_INLINE_LAMBDA { W::Gradient(from, y); },
          [&](int i, int j, Vector y) CONVKIT_INLINE_LAMBDA {
            StoreFirst(y, d, dw + (i * W::kTaps + j) * tap_step + c, channels - c);
          });
  }

  static constexpr WinogradKernels Table() {
    return {.tile = {H::kOut, W::kOut, H::kTaps, W::kTaps},
            .shortens = kShortens,
            .input = Input,
            .output = Output,
            .weight = Weight,
            .slope = Slope,
            .gradient = Gradient};
  }
};

const WinogradKernels* AllKernels() {
  static constexpr WinogradKernels kAll[] = {
      Kernels<Four, Four>::Table(), Kernels<Two, Two>::Table(), Kernels<Whole, Four>::Table()};
  return kAll;
}

}  // namespace HWY_NAMESPACE
}  // namespace convkit::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convkit::kernels {
namespace {
HWY_EXPORT(AllKernels);
}
const WinogradKernels& winograd_kernels(WinogradVariant variant) {
  return HWY_DYNAMIC_DISPATCH(AllKernels)()[static_cast<int>(variant)];
}
}  // namespace convkit::kernels
#endif
