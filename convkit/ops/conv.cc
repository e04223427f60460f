#include "convkit/ops/conv.h"

#include <algorithm>

#include "convkit/ops/conv_geometry.h"
#include "convkit/ops/conv_gradients.h"
#include "convkit/ops/dispatch.h"
#include "convkit/ops/shape.h"

namespace convkit {

std::string_view to_text(PaddingMode mode) {
  switch (mode) {
    case PaddingMode::reflect:
      return "reflect";
    case PaddingMode::replicate:
      return "replicate";
    case PaddingMode::circular:
      return "circular";
    case PaddingMode::zeros:
      break;
  }
  return "zeros";
}

namespace ops {
namespace {

using kernels::ConvGeometry;

constexpr const char* kAxisNames[] = {"depth", "height", "width"};

// The places of a rank's axes among the kernels' three: the last ones.
template <int Rank>
constexpr std::size_t kernel_axis(std::size_t axis) {
  return axis + static_cast<std::size_t>(kernels::kAxes - Rank);
}

template <int Rank>
std::string name_of_op() {
  return message("conv", Rank, "d");
}

void check_types(const std::string& op, const Tensor& x, const Tensor& weight, const Tensor& bias) {
  CONVKIT_CHECK(x.dtype() == DType::float32 || x.dtype() == DType::float64, DTypeError, op,
                ": the input is ", x.dtype(),
                "; convolutions take float32 (or float64): convert it"
                " with to(DType::float32)");
  CONVKIT_CHECK(weight.dtype() == x.dtype(), DTypeError, op, ": the input is ", x.dtype(),
                " but the weight is ", weight.dtype(), "; convert one of them with to()");
  CONVKIT_CHECK(!bias.defined() || bias.dtype() == x.dtype(), DTypeError, op, ": the input is ",
                x.dtype(), " but the bias is ", bias.dtype(), "; convert one of them with to()");
}

template <int Rank>
void check_channels(const std::string& op, const Tensor& x, const Tensor& weight,
                    const Tensor& bias, int64_t groups) {
  CONVKIT_CHECK(weight.dim() == Rank + 2, ShapeError, op, ": the weight is ", weight.shape(),
                " with ", weight.dim(), " axes; it must be (out_channels, in_channels / groups, ",
                Rank == 1   ? "kernel"
                : Rank == 2 ? "kernel height, width"
                            : "kernel depth, height, width",
                ") with ", Rank + 2, " axes");
  CONVKIT_CHECK(groups >= 1, ValueError, op, ": groups (", groups, ") must be at least 1");
  const int64_t out_channels = weight.size(0);
  const int64_t in_channels = weight.size(1) * groups;
  CONVKIT_CHECK(x.size(1) == in_channels, ShapeError, op, ": the input ", x.shape(), " has ",
                x.size(1), " channels, but the weight ", weight.shape(), " with groups = ", groups,
                " takes ", weight.size(1), " · ", groups, " = ", in_channels);
  CONVKIT_CHECK(out_channels >= 1 && in_channels >= 1, ShapeError, op, ": the weight is ",
                weight.shape(), "; it needs at least one channel on each side");
  CONVKIT_CHECK(out_channels % groups == 0, ShapeError, op, ": out_channels (", out_channels,
                ") must be divisible by groups (", groups, ")");
  CONVKIT_CHECK(!bias.defined() || (bias.dim() == 1 && bias.size(0) == out_channels), ShapeError,
                op, ": the bias is ", bias.defined() ? to_text(bias.shape()) : std::string(),
                "; it must have one value per output channel: ", out_channels);
}

template <int Rank>
ConvGeometry geometry_of(const std::string& op, const Tensor& x, const Tensor& weight,
                         const ConvParams<Rank>& params) {
  ConvGeometry g;
  g.batch = x.size(0);
  g.in_channels = x.size(1);
  g.out_channels = weight.size(0);
  g.groups = params.groups;
  for (std::size_t axis = 0; axis < Rank; ++axis) {
    const std::size_t a = kernel_axis<Rank>(axis);
    const char* const axis_name = kAxisNames[a];
    const auto logical = static_cast<int64_t>(axis) + 2;
    g.in[a] = x.size(logical);
    g.kernel[a] = weight.size(logical);
    g.stride[a] = params.stride[axis];
    g.dilation[a] = params.dilation[axis];
    CONVKIT_CHECK(g.in[a] >= 1, ShapeError, op, ": the input ", x.shape(), " is empty along its ",
                  axis_name);
    CONVKIT_CHECK(g.kernel[a] >= 1, ShapeError, op, ": the kernel is empty along its ", axis_name,
                  " (weight ", weight.shape(), "); kernel_size must be at least 1");
    CONVKIT_CHECK(g.stride[a] >= 1, ValueError, op, ": stride ", params.stride,
                  " must be at least 1 on every axis");
    CONVKIT_CHECK(g.dilation[a] >= 1, ValueError, op, ": dilation ", params.dilation,
                  " must be at least 1 on every axis");
    const int64_t largest = std::max({g.kernel[a], g.stride[a], g.dilation[a],
                                      params.padding.lo[axis], params.padding.hi[axis]});
    CONVKIT_CHECK(largest <= kMaxWindow, ValueError, op, ": ", largest,
                  " is more than kernel size, stride, dilation and padding may be: ", kMaxWindow);
    if (params.padding.same) {
      const SamePadding same = same_padding(g.in[a], g.kernel[a], g.stride[a], g.dilation[a]);
      g.pad_lo[a] = same.lo;
      g.pad_hi[a] = same.hi;
    } else {
      g.pad_lo[a] = params.padding.lo[axis];
      g.pad_hi[a] = params.padding.hi[axis];
      CONVKIT_CHECK(g.pad_lo[a] >= 0 && g.pad_hi[a] >= 0, ValueError, op, ": padding (",
                    g.pad_lo[a], " before, ", g.pad_hi[a], " after the ", axis_name,
                    ") cannot be negative; crop the input with ops::pad instead");
    }
    g.out[a] = conv_output_size(g.in[a], g.kernel[a], g.stride[a], g.pad_lo[a], g.pad_hi[a],
                                g.dilation[a]);
    const int64_t padded = g.in[a] + g.pad_lo[a] + g.pad_hi[a];
    const int64_t span = kernel_span(g.kernel[a], g.dilation[a]);
    CONVKIT_CHECK(g.out[a] >= 1, ShapeError, op, ": kernel ", g.kernel[a], " with dilation ",
                  g.dilation[a], " spans ", span, " along the ", axis_name,
                  ", but the padded input is only ", padded, " (", g.in[a], " + ", g.pad_lo[a],
                  " + ", g.pad_hi[a], "); use padding ≥ ", (span - g.in[a] + 1) / 2,
                  ", a smaller kernel, or a larger input");
  }
  return g;
}

template <int Rank>
std::optional<ConvGeometry> geometry_of(const autograd::Event& event) {
  const auto* const params = std::any_cast<ConvParams<Rank>>(&event.op.attributes);
  if (params == nullptr) return std::nullopt;
  return geometry_of<Rank>(event.op.name, event.inputs[0], event.inputs[1], *params);
}

template <int Rank>
Shape output_shape(const ConvGeometry& g) {
  std::vector<int64_t> extents = {g.batch, g.out_channels};
  for (std::size_t axis = 0; axis < Rank; ++axis) extents.push_back(g.out[kernel_axis<Rank>(axis)]);
  return extents;
}

}  // namespace

std::optional<ConvGeometry> conv_geometry(const autograd::Event& event) {
  if (auto geometry = geometry_of<1>(event)) return geometry;
  if (auto geometry = geometry_of<2>(event)) return geometry;
  return geometry_of<3>(event);
}

template <int Rank>
Tensor conv(const Tensor& x, const Tensor& weight, const Tensor& bias,
            const ConvParams<Rank>& params) {
  const std::string op = name_of_op<Rank>();
  CONVKIT_CHECK(x.defined() && weight.defined(), ValueError, op, ": the ",
                x.defined() ? "weight" : "input", " is undefined (never assigned)");
  if (x.dim() == Rank + 1) return squeeze(conv<Rank>(unsqueeze(x, 0), weight, bias, params), 0);
  CONVKIT_CHECK(x.dim() == Rank + 2, ShapeError, op, ": the input is ", x.shape(), " with ",
                x.dim(), " axes; it must be (N, C, ",
                Rank == 1   ? "L"
                : Rank == 2 ? "H, W"
                            : "D, H, W",
                ") or unbatched (C, ",
                Rank == 1   ? "L"
                : Rank == 2 ? "H, W"
                            : "D, H, W",
                ")");
  check_types(op, x, weight, bias);
  check_channels<Rank>(op, x, weight, bias, params.groups);
  const ConvGeometry g = geometry_of<Rank>(op, x, weight, params);
  Tensor y = empty(output_shape<Rank>(g), x.dtype());
  with_float_type(x, [&]<class T>() {
    kernels::conv_forward(g, x.data<T>(), weight.data<T>(),
                          bias.defined() ? bias.data<T>() : nullptr, y.mutable_data<T>());
  });
  const auto backward = [g, x = autograd::Saved(x), weight = autograd::Saved(weight)](
                            const Tensor& dy, autograd::Needs needs) {
    return with_float_type(
        dy, [&]<class T>() { return conv_gradients<T>(g, x.get(), weight.get(), dy, needs); });
  };
  constexpr const char* kNames[] = {"conv1d", "conv2d", "conv3d"};
  return autograd::record({kNames[Rank - 1], params}, {x, weight, bias}, y, backward);
}

template Tensor conv<1>(const Tensor&, const Tensor&, const Tensor&, const ConvParams<1>&);
template Tensor conv<2>(const Tensor&, const Tensor&, const Tensor&, const ConvParams<2>&);
template Tensor conv<3>(const Tensor&, const Tensor&, const Tensor&, const ConvParams<3>&);

}  // namespace ops
}  // namespace convkit
