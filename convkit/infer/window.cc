#include "convkit/infer/window.h"

#include <algorithm>

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

}  // namespace convkit::infer
