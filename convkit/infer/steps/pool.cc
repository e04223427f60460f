#include "convkit/kernels/pool.h"

#include <utility>

#include "convkit/infer/steps/step.h"
#include "convkit/infer/window.h"

namespace convkit::infer {
namespace {

class PoolStep final : public Step {
 public:
  PoolStep(kernels::PoolGeometry geometry, bool is_max)
      : geometry_(std::move(geometry)), is_max_(is_max) {}

  void run(std::span<const float* const> inputs, float* output) const override {
    if (is_max_) {
      kernels::max_pool_forward(geometry_, inputs[0], output, {});
    } else {
      kernels::avg_pool_forward(geometry_, inputs[0], output);
    }
  }
  Algorithm algorithm() const override { return {"pool", "", 0}; }
  bool takes_pitch(int) const override { return true; }
  void set_pitch(int operand, int64_t floats) override {
    (operand == kOutput ? geometry_.out_pitch : geometry_.in_pitch) = floats;
  }

 private:
  kernels::PoolGeometry geometry_;
  bool is_max_;
};

bool takes(const Facts& x) {
  return x.is_float() && x.shape.dim() >= 3 && x.shape.dim() <= 2 + kernels::kAxes;
}

// Neighbours along the last axis, if windows are of nothing else and stand side by side; or 0.
int64_t neighbours_of(const Windows& windows) {
  const std::size_t last = windows.axes() - 1;
  for (std::size_t axis = 0; axis <= last; ++axis)
    if (windows.kernel[axis] != windows.stride[axis] || windows.dilation[axis] != 1 ||
        windows.pad_lo[axis] != 0 || windows.out[axis] * windows.kernel[axis] > windows.in[axis] ||
        (axis < last && windows.kernel[axis] != 1))
      return 0;
  return windows.kernel[last];
}

}  // namespace

std::optional<Native> make_pool(const Request& request) {
  const Facts& x = request.input(0);
  const bool is_max = request.node.op == graph::Op::max_pool;
  if (!takes(x)) return std::nullopt;
  const Windows windows =
      windows_of(request.call(), x.shape, request.call().integers("kernel_shape"));
  Integers extents = {x.shape[0], x.shape[1]};
  extents.insert(extents.end(), windows.out.begin(), windows.out.end());
  const Shape output(extents);
  if (output.numel() == 0) return std::nullopt;
  // Before the windows are listed: a file may ask for any number of them.
  need_room(output, DType::float32);
  const bool count_pad = !is_max && request.call().flag("count_include_pad");
  Native native{std::make_unique<PoolStep>(pool_geometry(windows, x.shape, count_pad), is_max),
                output};
  if (is_max) native.max_pool = neighbours_of(windows);
  return native;
}

std::optional<Native> make_global_pool(const Request& request) {
  const Facts& x = request.input(0);
  if (!takes(x)) return std::nullopt;
  kernels::PoolGeometry geometry;
  geometry.batch = x.shape[0];
  geometry.channels = x.shape[1];
  Integers extents(static_cast<std::size_t>(x.shape.dim()), 1);
  extents[0] = x.shape[0];
  extents[1] = x.shape[1];
  for (int axis = 0; axis < kernels::kAxes; ++axis) {
    const int64_t logical = axis - kernels::kAxes + x.shape.dim();
    const int64_t in = logical < 2 ? 1 : x.shape[logical];
    geometry.axes[static_cast<std::size_t>(axis)] = kernels::adaptive_axis(in, 1);
  }
  const bool is_max = request.node.op == graph::Op::global_max_pool;
  return Native{std::make_unique<PoolStep>(std::move(geometry), is_max), Shape(extents)};
}

}  // namespace convkit::infer
