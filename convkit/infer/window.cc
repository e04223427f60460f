#include "convkit/infer/window.h"

#include <algorithm>

#include "convkit/base/checked.h"
#include "convkit/base/conv_size.h"

namespace convkit::infer {
namespace {

// ONNX lists all pads before, then all after.
void set_pads(const Call& call, Windows& w) {
  const Integers& pads = call.integers("pads");
  if (pads.empty()) return;
  CONVKIT_CHECK(pads.size() == 2 * w.axes(), ShapeError, "pads ", pads, " has ", pads.size(),
                " numbers, but ", w.axes(), " spatial axes need ", 2 * w.axes());
  for (std::size_t i = 0; i < w.axes(); ++i) {
    w.pad_lo[i] = pads[i];
    w.pad_hi[i] = pads[i + w.axes()];
    for (const int64_t pad : {w.pad_lo[i], w.pad_hi[i]})
      CONVKIT_CHECK(pad >= 0 && pad <= kMaxWindow, ValueError, "pads ", pads,
                    " has numbers outside 0 to ", kMaxWindow);
  }
}

// A window's taps inside the input, and how many stand inside the padded input.
kernels::PoolWindow window_at(const Windows& w, std::size_t axis, int64_t position,
                              bool count_pad) {
  const int64_t first = position * w.stride[axis] - w.pad_lo[axis];
  const int64_t step = w.dilation[axis];
  // How many of the taps come before `bound`.
  const auto before = [&](int64_t bound) {
    const int64_t taps = first >= bound ? 0 : (bound - first + step - 1) / step;
    return std::min(taps, w.kernel[axis]);
  };
  const int64_t outside = before(0);
  const int64_t count = std::max<int64_t>(before(w.in[axis]) - outside, 0);
  const int64_t divisor = count_pad ? before(w.in[axis] + w.pad_hi[axis]) : count;
  return {.begin = count == 0 ? 0 : first + outside * step,
          .count = count,
          .divisor = divisor,
          .share = divisor == 0 ? 0 : 1 / static_cast<double>(divisor)};
}

}  // namespace

void need_positive(const Integers& list, const char* what) {
  for (const int64_t number : list)
    CONVKIT_CHECK(number >= 1 && number <= kMaxWindow, ValueError, what, " ", list,
                  " has numbers outside 1 to ", kMaxWindow);
}

Windows windows_of(const Call& call, const Shape& input, const Integers& kernel) {
  const int64_t axes = input.dim() - 2;
  CONVKIT_CHECK(axes >= 1, ShapeError, "the input has the shape ", input,
                "; it needs a batch, channels and at least one spatial axis");
  CONVKIT_CHECK(std::ssize(kernel) == axes, ShapeError, "the kernel ", kernel, " has ",
                kernel.size(), " axes, but the input ", input, " has ", axes, " spatial ones");
  Windows w;
  w.in.assign(input.begin() + 2, input.end());
  w.kernel = kernel;
  w.stride = call.integers("strides", axes, 1);
  w.dilation = call.integers("dilations", axes, 1);
  need_positive(w.kernel, "the kernel");
  need_positive(w.stride, "strides");
  need_positive(w.dilation, "dilations");
  w.pad_lo.assign(w.axes(), 0);
  w.pad_hi.assign(w.axes(), 0);
  set_pads(call, w);
  const std::string& auto_pad = call.text("auto_pad");
  const bool same = auto_pad != "NOTSET";
  const bool ceil_mode = call.node.attributes.has("ceil_mode") && call.flag("ceil_mode");
  for (std::size_t i = 0; i < w.axes(); ++i) {
    CONVKIT_CHECK(w.in[i] <= kMaxWindow, ShapeError, "the input ", input, " is too long");
    if (same) {
      const SamePadding pads = same_padding(w.in[i], w.kernel[i], w.stride[i], w.dilation[i]);
      w.pad_lo[i] = auto_pad == "SAME_LOWER" ? pads.hi : pads.lo;
      w.pad_hi[i] = auto_pad == "SAME_LOWER" ? pads.lo : pads.hi;
    }
    int64_t out = conv_output_size(w.in[i], w.kernel[i], w.stride[i], w.pad_lo[i], w.pad_hi[i],
                                   w.dilation[i]);
    const int64_t rest = w.in[i] + w.pad_lo[i] + w.pad_hi[i] -
                         kernel_span(w.kernel[i], w.dilation[i]) - (out - 1) * w.stride[i];
    // One window more, unless it would start in the padding at the end.
    if (ceil_mode && out >= 1 && rest > 0 && out * w.stride[i] < w.in[i] + w.pad_lo[i]) ++out;
    CONVKIT_CHECK(out >= 1 || w.in[i] == 0, ShapeError, "kernel ", w.kernel[i], " with dilation ",
                  w.dilation[i], " spans ", kernel_span(w.kernel[i], w.dilation[i]),
                  " along spatial axis ", i, ", but the padded input is only ",
                  w.in[i] + w.pad_lo[i] + w.pad_hi[i], " (", w.in[i], " + ", w.pad_lo[i], " + ",
                  w.pad_hi[i], ")");
    w.out.push_back(std::max<int64_t>(out, 0));
  }
  return w;
}

Windows transposed_windows(const Call& call, const Shape& input, const Integers& kernel) {
  const int64_t axes = input.dim() - 2;
  // What the convolution would read is what is computed here.
  Windows windows;
  windows.out.assign(input.begin() + 2, input.end());
  windows.kernel = kernel;
  windows.stride = call.integers("strides", axes, 1);
  windows.dilation = call.integers("dilations", axes, 1);
  const Integers extra = call.integers("output_padding", axes, 0);
  const Integers& pads = call.integers("pads");
  Integers told = call.integers("output_shape");
  if (std::ssize(told) == axes + 2) told.erase(told.begin(), told.begin() + 2);
  need_positive(windows.kernel, "the kernel");
  need_positive(windows.stride, "strides");
  need_positive(windows.dilation, "dilations");
  CONVKIT_CHECK(pads.empty() || std::ssize(pads) == 2 * axes, ShapeError, "pads ", pads, " has ",
                pads.size(), " numbers, but ", axes, " spatial axes need ", 2 * axes);
  CONVKIT_CHECK(told.empty() || std::ssize(told) == axes, ShapeError, "output_shape ", told,
                " has ", told.size(), " numbers, but ", axes, " are needed");
  const std::string& auto_pad = call.text("auto_pad");
  for (std::size_t i = 0; i < static_cast<std::size_t>(axes); ++i) {
    const int64_t span = kernel_span(kernel[i], windows.dilation[i]);
    CONVKIT_CHECK(extra[i] >= 0 && extra[i] <= kMaxWindow, ValueError, "output_padding ", extra,
                  " has numbers outside 0 to ", kMaxWindow);
    CONVKIT_CHECK(windows.out[i] >= 1 && windows.out[i] <= kMaxWindow, ShapeError, "the input ",
                  input, " is empty or too long");
    const int64_t full = windows.stride[i] * (windows.out[i] - 1) + span;
    int64_t lo = pads.empty() ? 0 : pads[i];
    const int64_t hi = pads.empty() ? 0 : pads[i + static_cast<std::size_t>(axes)];
    for (const int64_t pad : {lo, hi})
      CONVKIT_CHECK(pad >= -kMaxWindow && pad <= kMaxWindow, ValueError, "pads ", pads,
                    " has numbers that are too large");
    int64_t size = full + extra[i] - lo - hi;
    if (auto_pad != "NOTSET" || !told.empty()) {
      size = told.empty() ? windows.out[i] * windows.stride[i] : told[i];
      // What is missing, rather than too much, is missing at the end.
      const int64_t total = std::max<int64_t>(0, full + extra[i] - size);
      const int64_t half = total / 2;
      // The odd one stands at the end for SAME_UPPER, else at the start.
      lo = auto_pad == "SAME_UPPER" ? half : total - half;
    }
    CONVKIT_CHECK(size >= 1 && size <= kMaxWindow, ShapeError, "the output would have ", size,
                  " elements along spatial axis ", i);
    windows.in.push_back(size);
    windows.pad_lo.push_back(lo);
    windows.pad_hi.push_back(full - size - lo);
  }
  return windows;
}

kernels::ConvGeometry conv_geometry(const Windows& w, int64_t batch, int64_t in_channels,
                                    int64_t out_channels, int64_t groups) {
  kernels::ConvGeometry g;
  g.batch = batch;
  g.in_channels = in_channels;
  g.out_channels = out_channels;
  g.groups = groups;
  for (std::size_t i = 0; i < w.axes(); ++i) {
    const std::size_t axis = kernels::kAxes - w.axes() + i;
    g.in[axis] = w.in[i];
    g.out[axis] = w.out[i];
    g.kernel[axis] = w.kernel[i];
    g.stride[axis] = w.stride[i];
    g.dilation[axis] = w.dilation[i];
    g.pad_lo[axis] = w.pad_lo[i];
    g.pad_hi[axis] = w.pad_hi[i];
  }
  return g;
}

kernels::PoolGeometry pool_geometry(const Windows& w, const Shape& x, bool count_pad) {
  kernels::PoolGeometry g;
  g.batch = x[0];
  g.channels = x[1];
  // A window takes more than the element it gives.
  constexpr int64_t kNumbers = sizeof(kernels::PoolWindow) / sizeof(double);
  int64_t windows = 0;
  for (const int64_t out : w.out) windows = checked_add(windows, out);
  need_room({checked_mul(windows, kNumbers)}, DType::float64);
  const std::size_t missing = kernels::kAxes - w.axes();
  for (std::size_t i = 0; i < static_cast<std::size_t>(kernels::kAxes); ++i) {
    kernels::PoolAxis& axis = g.axes[i];
    if (i < missing) {
      axis.windows.push_back({.begin = 0, .count = 1, .divisor = 1, .share = 1});
      continue;
    }
    axis.in = w.in[i - missing];
    axis.step = w.dilation[i - missing];
    for (int64_t o = 0; o < w.out[i - missing]; ++o)
      axis.windows.push_back(window_at(w, i - missing, o, count_pad));
  }
  return g;
}

}  // namespace convkit::infer
