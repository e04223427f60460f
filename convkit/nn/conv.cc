#include "convkit/nn/conv.h"

#include <algorithm>

#include "convkit/nn/init.h"
#include "convkit/ops/pad.h"

namespace convkit::nn {
namespace {

template <int Rank>
void check(const ConvOptions<Rank>& o) {
  const std::string layer = message("Conv", Rank, "d");
  CONVKIT_CHECK(o.in_channels >= 1, ValueError, layer, ": in_channels is ", o.in_channels,
                "; it is required and at least 1");
  CONVKIT_CHECK(o.out_channels >= 1, ValueError, layer, ": out_channels is ", o.out_channels,
                "; it is required and at least 1");
  CONVKIT_CHECK(o.groups >= 1, ValueError, layer, ": groups (", o.groups, ") must be at least 1");
  CONVKIT_CHECK(o.in_channels % o.groups == 0, ShapeError, layer, ": in_channels (", o.in_channels,
                ") must be divisible by groups (", o.groups, ")");
  CONVKIT_CHECK(o.out_channels % o.groups == 0, ShapeError, layer, ": out_channels (",
                o.out_channels, ") must be divisible by groups (", o.groups, ")");
  for (std::size_t axis = 0; axis < Rank; ++axis) {
    CONVKIT_CHECK(o.kernel_size[axis] >= 1, ValueError, layer, ": kernel_size is ", o.kernel_size,
                  "; it is required and at least 1 on every axis");
    CONVKIT_CHECK(o.stride[axis] >= 1, ValueError, layer, ": stride ", o.stride,
                  " must be at least 1 on every axis");
    CONVKIT_CHECK(o.dilation[axis] >= 1, ValueError, layer, ": dilation ", o.dilation,
                  " must be at least 1 on every axis");
    CONVKIT_CHECK(o.padding.lo[axis] >= 0 && o.padding.hi[axis] >= 0, ValueError, layer,
                  ": padding ", o.padding.lo, " before and ", o.padding.hi,
                  " after cannot be negative");
    const int64_t largest = std::max({o.kernel_size[axis], o.stride[axis], o.dilation[axis],
                                      o.padding.lo[axis], o.padding.hi[axis]});
    CONVKIT_CHECK(largest <= kMaxWindow, ValueError, layer, ": ", largest,
                  " is more than kernel size, stride, dilation and padding may be: ", kMaxWindow);
  }
}

template <int Rank>
Shape weight_shape(const ConvOptions<Rank>& o) {
  std::vector<int64_t> extents = {o.out_channels, o.in_channels / o.groups};
  extents.insert(extents.end(), o.kernel_size.values.begin(), o.kernel_size.values.end());
  return extents;
}

// Modes other than zeros extend the input first and convolve without padding.
template <int Rank>
Tensor extended(const Tensor& x, const ConvOptions<Rank>& o) {
  const bool batched = x.dim() == Rank + 2;
  ops::PadParams params{.lo = {}, .hi = {}, .mode = o.padding_mode};
  for (std::size_t axis = 0; axis < Rank; ++axis) {
    SamePadding ends{o.padding.lo[axis], o.padding.hi[axis]};
    if (o.padding.same) {
      const int64_t in = x.size(static_cast<int64_t>(axis) + (batched ? 2 : 1));
      ends = same_padding(in, o.kernel_size[axis], o.stride[axis], o.dilation[axis]);
    }
    params.lo.push_back(ends.lo);
    params.hi.push_back(ends.hi);
  }
  return ops::pad(x, params);
}

}  // namespace

template <int Rank>
Conv<Rank>::Conv(const ConvOptions<Rank>& o) : options(o) {
  check(o);
  weight = empty(weight_shape(o));
  if (o.bias) bias = empty({o.out_channels});
  init::conv_default_init(weight, bias);
}

template <int Rank>
Tensor Conv<Rank>::operator()(const Tensor& x) const {
  const Scope scope(path);
  ops::ConvParams<Rank> params{.stride = options.stride,
                               .padding = options.padding,
                               .dilation = options.dilation,
                               .groups = options.groups};
  const bool has_rank = x.defined() && (x.dim() == Rank + 1 || x.dim() == Rank + 2);
  if (options.padding_mode == PaddingMode::zeros || !has_rank)
    return ops::conv<Rank>(x, weight, bias, params);
  params.padding = 0;
  return ops::conv<Rank>(extended(x, options), weight, bias, params);
}

template <int Rank>
std::string Conv<Rank>::describe() const {
  const ConvOptions<Rank>& o = options;
  std::string text = message("Conv", Rank, "d(", o.in_channels, ", ", o.out_channels,
                             ", kernel_size=", o.kernel_size, ", stride=", o.stride);
  if (o.padding.same) {
    text += ", padding=same";
  } else if (!(o.padding == ConvPadding<Rank>(0))) {
    text += message(", padding=", o.padding.lo);
    if (!(o.padding.lo == o.padding.hi)) text += message("…", o.padding.hi);
  }
  if (!(o.dilation == Extents<Rank>(1))) text += message(", dilation=", o.dilation);
  if (o.groups != 1) text += message(", groups=", o.groups);
  if (!o.bias) text += ", bias=False";
  if (o.padding_mode != PaddingMode::zeros) text += message(", padding_mode=", o.padding_mode);
  return text + ")";
}

template struct Conv<1>;
template struct Conv<2>;
template struct Conv<3>;

}  // namespace convkit::nn
