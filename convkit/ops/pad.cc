#include "convkit/ops/pad.h"

#include <algorithm>
#include <numeric>

#include "convkit/autograd/record.h"
#include "convkit/base/conv_size.h"
#include "convkit/base/thread_pool.h"
#include "convkit/ops/axes.h"
#include "convkit/ops/dispatch.h"

namespace convkit::ops {
namespace {

constexpr int64_t kNowhere = -1;

// Where on an axis of `extent` elements position j of the padded axis comes from.
int64_t source_of(PaddingMode mode, int64_t j, int64_t extent) {
  if (j >= 0 && j < extent) return j;
  switch (mode) {
    case PaddingMode::zeros:
      break;
    case PaddingMode::reflect:
      return j < 0 ? -j : 2 * (extent - 1) - j;
    case PaddingMode::replicate:
      return j < 0 ? 0 : extent - 1;
    case PaddingMode::circular:
      return j < 0 ? j + extent : j - extent;
  }
  return kNowhere;
}

void check_axis(const Tensor& x, const PadParams& p, int64_t axis, int64_t lo, int64_t hi) {
  const int64_t n = x.size(axis);
  const int64_t most = std::max(lo, hi);
  CONVKIT_CHECK(most <= kMaxWindow && std::min(lo, hi) >= -kMaxWindow, ValueError, "pad: (", lo,
                ", ", hi, ") along axis ", axis,
                " is beyond what can be padded or cropped: ", kMaxWindow);
  CONVKIT_CHECK(n + lo + hi >= 0, ShapeError, "pad: axis ", axis, " of ", x.shape(), " has ", n,
                " elements, of which ", lo, " and ", hi, " would leave ", n + lo + hi,
                "; crop less");
  if (most <= 0) return;
  CONVKIT_CHECK(p.mode != PaddingMode::reflect || most < n, ShapeError, "pad: reflect padding (",
                lo, ", ", hi, ") of axis ", axis, " of ", x.shape(), " must be less than its ", n,
                " elements; use less padding or another mode");
  CONVKIT_CHECK(p.mode != PaddingMode::circular || most <= n, ShapeError, "pad: circular padding (",
                lo, ", ", hi, ") of axis ", axis, " of ", x.shape(), " must not exceed its ", n,
                " elements; it would wrap around more than once");
  CONVKIT_CHECK(p.mode != PaddingMode::replicate || n > 0, ShapeError, "pad: axis ", axis, " of ",
                x.shape(), " is empty, so there is no border element to replicate");
}

// The plan: the axes in memory order down to the innermost padded one, each with its map of
// sources; what lies inside of it moves in runs.
struct Plan {
  Shape from;
  Shape to;
  std::vector<std::vector<int64_t>> maps;
  std::vector<int64_t> strides;  ///< of the source along each mapped axis, in elements
  int64_t run = 1;
  bool outermost_is_whole = false;  ///< the first mapped axis is not padded
};

Plan make_plan(const Tensor& x, const PadParams& p) {
  CONVKIT_CHECK(p.lo.size() == p.hi.size(), ValueError, "pad: lo ", p.lo, " and hi ", p.hi,
                " must name the same axes");
  const auto padded = static_cast<int64_t>(p.lo.size());
  CONVKIT_CHECK(padded <= x.dim(), ValueError, "pad: there are paddings for ", padded,
                " axes, but ", x.shape(), " has ", x.dim());
  Plan plan{.from = x.shape(), .to = x.shape(), .maps = {}, .strides = {}};
  std::vector<std::vector<int64_t>> map_of(static_cast<std::size_t>(x.dim()));
  for (int64_t axis = 0; axis < x.dim(); ++axis) {
    const int64_t i = axis - (x.dim() - padded);
    const int64_t lo = i < 0 ? 0 : p.lo[static_cast<std::size_t>(i)];
    const int64_t hi = i < 0 ? 0 : p.hi[static_cast<std::size_t>(i)];
    check_axis(x, p, axis, lo, hi);
    plan.to = plan.to.with(axis, x.size(axis) + lo + hi);
    std::vector<int64_t>& map = map_of[static_cast<std::size_t>(axis)];
    for (int64_t o = 0; o < plan.to[axis]; ++o)
      map.push_back(source_of(p.mode, o - lo, x.size(axis)));
  }
  std::vector<int64_t> order = memory_order(x.dim());
  const auto is_whole = [&](int64_t axis) {
    const std::vector<int64_t>& map = map_of[static_cast<std::size_t>(axis)];
    return std::is_sorted(map.begin(), map.end()) && plan.to[axis] == x.size(axis) &&
           (map.empty() || (map.front() == 0 && map.back() == x.size(axis) - 1));
  };
  while (!order.empty() && is_whole(order.back())) {
    plan.run *= x.size(order.back());
    order.pop_back();
  }
  plan.outermost_is_whole = order.empty() || is_whole(order.front());
  int64_t stride = plan.run;
  plan.strides.resize(order.size());
  for (std::size_t i = order.size(); i-- > 0;) {
    plan.strides[i] = stride;
    stride *= x.size(order[i]);
  }
  for (const int64_t axis : order) plan.maps.push_back(map_of[static_cast<std::size_t>(axis)]);
  return plan;
}

// Calls visit(source offset or kNowhere, target offset) for the runs whose first mapped index is
// `first`.
template <class Visit>
void for_each_run(const Plan& plan, int64_t first, const Visit& visit) {
  const std::size_t axes = plan.maps.size();
  int64_t per_first = plan.run;
  for (std::size_t i = 1; i < axes; ++i) per_first *= static_cast<int64_t>(plan.maps[i].size());
  if (per_first == 0) return;
  int64_t target = first * per_first;
  std::vector<std::size_t> index(axes, 0);
  index[0] = static_cast<std::size_t>(first);
  for (;;) {
    int64_t source = 0;
    for (std::size_t i = 0; i < axes && source != kNowhere; ++i) {
      const int64_t position = plan.maps[i][index[i]];
      source = position == kNowhere ? kNowhere : source + position * plan.strides[i];
    }
    visit(source, target);
    target += plan.run;
    std::size_t axis = axes;
    while (axis > 1 && ++index[axis - 1] == plan.maps[axis - 1].size()) index[--axis] = 0;
    if (axis <= 1) return;
  }
}

template <class T>
void forward(const Plan& plan, const T* x, T value, T* y) {
  parallel_for(static_cast<int64_t>(plan.maps[0].size()), [&](int64_t first) {
    for_each_run(plan, first, [&](int64_t source, int64_t target) {
      if (source == kNowhere)
        std::fill(y + target, y + target + plan.run, value);
      else
        std::copy(x + source, x + source + plan.run, y + target);
    });
  });
}

template <class T>
void backward(const Plan& plan, const T* dy, T* dx) {
  const auto one = [&](int64_t first) {
    for_each_run(plan, first, [&](int64_t source, int64_t target) {
      if (source == kNowhere) return;
      for (int64_t i = 0; i < plan.run; ++i) dx[source + i] += dy[target + i];
    });
  };
  const auto count = static_cast<int64_t>(plan.maps[0].size());
  // Tasks share no element only if the axis that is cut is not padded itself.
  if (plan.outermost_is_whole) return parallel_for(count, one);
  for (int64_t first = 0; first < count; ++first) one(first);
}

}  // namespace

Tensor pad(const Tensor& x, const PadParams& params) {
  check_floating("pad", x);
  Plan plan = make_plan(x, params);
  if (plan.maps.empty()) {  // nothing is added: one map that keeps everything
    plan.maps.push_back({0});
    plan.strides.push_back(plan.run);
  }
  Tensor y(plan.to, x.dtype());
  with_float_type(x, [&]<class T>() {
    forward(plan, x.data<T>(), static_cast<T>(params.value), y.mutable_data<T>());
  });
  return autograd::record({"pad", params}, {x}, y, [plan](const Tensor& dy, autograd::Needs) {
    Tensor dx = zeros(plan.from, dy.dtype());
    with_float_type(dy, [&]<class T>() { backward(plan, dy.data<T>(), dx.mutable_data<T>()); });
    return autograd::Gradients{dx};
  });
}

}  // namespace convkit::ops
