#include "convkit/train/receptive_field.h"

#include <algorithm>

#include "convkit/base/conv_size.h"
#include "convkit/ops/conv_geometry.h"
#include "convkit/ops/pool.h"

namespace convkit::train {
namespace {

using autograd::Event;

// Of the last `axes` of the kernels' three.
std::vector<Window> conv_windows(const kernels::ConvGeometry& g, std::size_t axes) {
  std::vector<Window> windows;
  for (std::size_t a = kernels::kAxes - axes; a < kernels::kAxes; ++a)
    windows.push_back({.in = g.in[a],
                       .kernel = g.kernel[a],
                       .stride = g.stride[a],
                       .dilation = g.dilation[a],
                       .pad_lo = g.pad_lo[a],
                       .pad_hi = g.pad_hi[a],
                       .out = g.out[a]});
  return windows;
}

template <int Rank>
void set_kind(Window& w, const ops::MaxPoolParams<Rank>& params, std::size_t axis) {
  w.dilation = params.dilation[axis];
}
template <int Rank>
void set_kind(Window&, const ops::AvgPoolParams<Rank>&, std::size_t) {}

template <int Rank, template <int> class Params>
std::optional<std::vector<Window>> pool_windows(const Event& event) {
  const auto* params = std::any_cast<Params<Rank>>(&event.op.attributes);
  if (params == nullptr) return std::nullopt;
  std::vector<Window> windows(Rank);
  for (std::size_t axis = 0; axis < Rank; ++axis) {
    const int64_t logical = static_cast<int64_t>(axis) - Rank;  // also without a batch axis
    Window& w = windows[axis];
    w.in = event.inputs[0].size(logical);
    w.out = event.output.size(logical);
    w.kernel = params->kernel_size[axis];
    w.stride = ops::with_stride(*params).stride[axis];
    w.pad_lo = params->padding[axis];
    w.pad_hi = params->padding[axis];
    w.ceil_mode = params->ceil_mode;
    set_kind(w, *params, axis);
  }
  return windows;
}

// The windows of the first operation of the three ranks that takes such parameters.
template <template <int> class Params>
std::optional<std::vector<Window>> pool_windows_of_any_rank(const Event& event) {
  if (auto windows = pool_windows<1, Params>(event)) return windows;
  if (auto windows = pool_windows<2, Params>(event)) return windows;
  return pool_windows<3, Params>(event);
}

// An adaptive pool: output i takes the inputs from ⌊i·in/out⌋ to ⌈(i + 1)·in/out⌉.
std::vector<Window> adaptive_windows(const Event& event, int64_t axes) {
  std::vector<Window> windows;
  for (int64_t axis = -axes; axis < 0; ++axis) {
    Window w{.in = event.inputs[0].size(axis), .adaptive = true, .out = event.output.size(axis)};
    for (int64_t i = 0; i < w.out; ++i)
      w.kernel = std::max(w.kernel, ((i + 1) * w.in + w.out - 1) / w.out - i * w.in / w.out);
    w.stride = w.out > 0 ? std::max<int64_t>(w.in / w.out, 1) : 1;
    windows.push_back(w);
  }
  return windows;
}

// Every element of the output sees all positions of the input.
void cover(ReceptiveField& field) {
  for (std::size_t axis = 0; axis < field.size.size(); ++axis) {
    field.size[axis] += (field.extent[axis] - 1) * field.stride[axis];
    field.extent[axis] = 1;
  }
}

void slide(ReceptiveField& field, const std::vector<Window>& windows) {
  for (std::size_t axis = 0; axis < windows.size() && axis < field.size.size(); ++axis) {
    const Window& w = windows[axis];
    field.size[axis] += w.dilation * (w.kernel - 1) * field.stride[axis];
    field.stride[axis] *= w.stride;
    field.extent[axis] = w.out;
  }
}

}  // namespace

std::optional<std::vector<Window>> windows_of(const Event& event) {
  const std::string_view op = event.op.name;
  if (event.inputs.empty() || !event.inputs[0].defined()) return std::nullopt;
  if (const auto geometry = ops::conv_geometry(event))
    return conv_windows(*geometry, static_cast<std::size_t>(event.output.dim() - 2));
  if (op.starts_with("max_pool")) return pool_windows_of_any_rank<ops::MaxPoolParams>(event);
  if (op.starts_with("avg_pool")) return pool_windows_of_any_rank<ops::AvgPoolParams>(event);
  if (op.starts_with("adaptive_")) {
    const char digit = op[op.size() - 2];  // of "...pool2d"
    if (digit >= '1' && digit <= '3') return adaptive_windows(event, digit - '0');
  }
  return std::nullopt;
}

std::string explain(const Window& w) {
  if (w.adaptive) return message(w.out, " as asked for; each takes ", w.kernel, " of ", w.in);
  const int64_t top = w.in + w.pad_lo + w.pad_hi - kernel_span(w.kernel, w.dilation);
  std::string text =
      message(w.ceil_mode ? "ceil" : "floor", "((", w.in, " + ", w.pad_lo, " + ", w.pad_hi, " − ",
              w.dilation, "·(", w.kernel, " − 1) − 1) / ", w.stride, ") + 1 = ", w.out);
  // In ceil mode a last window that would begin in the padding at the end is left out.
  if (w.ceil_mode && (top + w.stride - 1) / w.stride + 1 != w.out)
    text += " (a window that begins in the padding is left out)";
  return text;
}

FieldTracker::FieldTracker(const Tensor& input) {
  const auto axes = static_cast<std::size_t>(std::max<int64_t>(input.dim() - 2, 0));
  ReceptiveField field{std::vector<int64_t>(axes, 1), std::vector<int64_t>(axes, 1), {}};
  for (std::size_t axis = 0; axis < axes; ++axis)
    field.extent.push_back(input.size(static_cast<int64_t>(axis) + 2));
  fields_[input.raw_data()] = std::move(field);
  seen_.push_back(input);
}

const ReceptiveField* FieldTracker::follow(const Event& event) {
  std::optional<ReceptiveField> field;
  for (const Tensor& input : event.inputs) {
    const auto known = input.defined() ? fields_.find(input.raw_data()) : fields_.end();
    if (known == fields_.end()) continue;
    if (!field) {
      field = known->second;
      continue;
    }
    for (std::size_t axis = 0; axis < field->size.size(); ++axis)
      field->size[axis] = std::max(field->size[axis], known->second.size[axis]);
  }
  if (!field) return nullptr;
  if (const auto windows = windows_of(event)) {
    slide(*field, *windows);
  } else if (std::string_view(event.op.name) == "linear") {
    cover(*field);
  } else if (event.output.dim() == static_cast<int64_t>(field->extent.size()) + 2) {
    // Padding and the like change the extents.
    for (std::size_t axis = 0; axis < field->extent.size(); ++axis)
      field->extent[axis] = event.output.size(static_cast<int64_t>(axis) + 2);
  }
  seen_.push_back(event.output);
  return &(fields_[event.output.raw_data()] = std::move(*field));
}

}  // namespace convkit::train
