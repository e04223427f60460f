#pragma once

#include "convkit/base/conv_size.h"
#include "convkit/base/extents.h"
#include "convkit/tensor/tensor.h"

namespace convkit {

/// Padding by name: none at all, or as much as keeps the output ceil(in / stride) long.
enum class Padding { valid, same };

/// What stands outside the borders: zeros, the interior mirrored at the border element (reflect),
/// the border element repeated (replicate), or the opposite side (circular).
enum class PaddingMode { zeros, reflect, replicate, circular };
CONVKIT_API std::string_view to_text(PaddingMode mode);

/// Padding of each spatial axis: `1`, `{1, 2}`, `Padding::same`, or different at the two ends:
/// `ConvPadding<2>::ends({0, 1}, {1, 2})` (before, after), as ONNX writes it.
template <int Rank>
struct ConvPadding {
  Extents<Rank> lo = 0;
  Extents<Rank> hi = 0;
  bool same = false;  ///< lo and hi follow from the input

  constexpr ConvPadding(int64_t all = 0)  // NOLINT(google-explicit-constructor)
      : lo(all), hi(all) {}
  ConvPadding(std::initializer_list<int64_t> each)  // NOLINT(google-explicit-constructor)
      : lo(each), hi(each) {}
  ConvPadding(const Extents<Rank>& each) : lo(each), hi(each) {}          // NOLINT
  constexpr ConvPadding(Padding named) : same(named == Padding::same) {}  // NOLINT

  static ConvPadding ends(const Extents<Rank>& before, const Extents<Rank>& after) {
    ConvPadding padding;
    padding.lo = before;
    padding.hi = after;
    return padding;
  }
  friend constexpr bool operator==(const ConvPadding&, const ConvPadding&) = default;
};

namespace ops {

/// Parameters of a convolution over Rank spatial axes, in the order of torch.nn.functional.conv2d.
template <int Rank>
struct ConvParams {
  Extents<Rank> stride = 1;
  ConvPadding<Rank> padding = 0;
  Extents<Rank> dilation = 1;
  int64_t groups = 1;
};

/// y[n, o, p] = bias[o] + Σ_{i, k} weight[o, i, k] · x[n, g(o)·I + i, p·stride + k·dilation − pad]
///
/// (cross-correlation, as in PyTorch) with x: (N, C, spatial...) or unbatched (C, spatial...),
/// weight: (O, I = C / groups, kernel...), bias: (O) or undefined, g(o) the group of o, and
/// y: (N, O, conv_output_size(...)...). x is 0 outside its borders. Recorded; float32 runs on the
/// fast kernels, float64 on the reference. Throws ShapeError, ValueError or DTypeError in words.
template <int Rank>
CONVKIT_API Tensor conv(const Tensor& x, const Tensor& weight, const Tensor& bias = Tensor(),
                        const ConvParams<Rank>& params = {});

inline Tensor conv1d(const Tensor& x, const Tensor& weight, const Tensor& bias = Tensor(),
                     const ConvParams<1>& params = {}) {
  return conv<1>(x, weight, bias, params);
}
inline Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias = Tensor(),
                     const ConvParams<2>& params = {}) {
  return conv<2>(x, weight, bias, params);
}
inline Tensor conv3d(const Tensor& x, const Tensor& weight, const Tensor& bias = Tensor(),
                     const ConvParams<3>& params = {}) {
  return conv<3>(x, weight, bias, params);
}

}  // namespace ops
}  // namespace convkit
