#include "convkit/kernels/pool.h"

#include <algorithm>
#include <cmath>

#include "convkit/infer/elements.h"
#include "convkit/infer/operators.h"
#include "convkit/infer/window.h"

namespace convkit::infer {
namespace {

using graph::Op;

struct Pool {
  Windows windows;
  Tensor y;  ///< of the type the kernels compute in
  kernels::PoolGeometry geometry;
};

Pool pool_of(const Call& call, const Tensor& x, bool count_pad) {
  CONVKIT_CHECK(x.dim() >= 3 && x.dim() <= 2 + kernels::kAxes, ShapeError,
                "the input has the shape ", x.shape(), "; a pool takes (N, C) and 1 to ",
                kernels::kAxes, " spatial axes");
  Pool pool;
  pool.windows = windows_of(call, x.shape(), call.integers("kernel_shape"));
  Integers extents = {x.size(0), x.size(1)};
  extents.insert(extents.end(), pool.windows.out.begin(), pool.windows.out.end());
  // Before the windows are listed: a file may ask for any number of them.
  pool.y = make(Shape(extents), x.dtype());
  pool.geometry = pool_geometry(pool.windows, x.shape(), count_pad);
  return pool;
}

// The place of each winner in the input, counted through the whole tensor, from the number of its
// tap in the window.
Tensor places_of(const Pool& pool, const Shape& x, const std::vector<int32_t>& taps,
                 bool column_major) {
  const kernels::PoolGeometry& g = pool.geometry;
  Tensor places = make(pool.y.shape(), DType::int64);
  int64_t* to = places.mutable_data<int64_t>();
  std::size_t at = 0;
  const int64_t positions = g.axes[0].in * g.axes[1].in * g.axes[2].in;
  for (int64_t n = 0; n < x[0]; ++n)
    for (const kernels::PoolWindow& d : g.axes[0].windows)
      for (const kernels::PoolWindow& h : g.axes[1].windows)
        for (const kernels::PoolWindow& w : g.axes[2].windows)
          for (int64_t c = 0; c < g.channels; ++c, ++at) {
            const int64_t tap = taps[at];
            const int64_t on_w = std::max<int64_t>(w.count, 1);
            const int64_t on_h = std::max<int64_t>(h.count, 1);
            const int64_t in_w = w.begin + tap % on_w * g.axes[2].step;
            const int64_t in_h = h.begin + tap / on_w % on_h * g.axes[1].step;
            const int64_t in_d = d.begin + tap / on_w / on_h * g.axes[0].step;
            const int64_t place = column_major ? in_d + g.axes[0].in * (in_h + g.axes[1].in * in_w)
                                               : in_w + g.axes[2].in * (in_h + g.axes[1].in * in_d);
            to[at] = (n * g.channels + c) * positions + place;
          }
  return places;
}

// |x|^p summed over windows or everything has its p-th root taken.
Tensor powers(const Tensor& x, double p) {
  Tensor y = make(x.shape(), x.dtype());
  in_type(x, [&]<class T>() {
    const T* from = x.data<T>();
    T* to = y.mutable_data<T>();
    for (int64_t i = 0; i < x.numel(); ++i)
      to[i] = static_cast<T>(std::pow(std::abs(static_cast<double>(from[i])), p));
  });
  return y;
}

}  // namespace

Tensors run_max_pool(const Call& call) {
  const Tensor& given = call.input(0);
  // Small integers are floats, too.
  const Tensor x = for_kernels(given);
  const Pool pool = pool_of(call, x, false);
  Tensor y = pool.y;
  if (y.numel() == 0) return {y.to(given.dtype()), make(y.shape(), DType::int64)};
  std::vector<int32_t> taps;
  kernels::PoolTaps kept;
  if (call.wants(1)) {
    taps.resize(static_cast<std::size_t>(y.numel()));
    kept.wide = taps.data();
  }
  in_type(x, [&]<class T>() {
    kernels::max_pool_forward(pool.geometry, x.data<T>(), y.mutable_data<T>(), kept);
  });
  Tensors outputs = {y.to(given.dtype())};
  if (call.wants(1))
    outputs.push_back(places_of(pool, x.shape(), taps, call.flag("storage_order")));
  return outputs;
}

Tensors run_average_pool(const Call& call) {
  need_floating(call, 0);
  const bool is_norm = call.op() == Op::lp_pool;
  const double p = is_norm ? static_cast<double>(call.integer("p")) : 1;
  CONVKIT_CHECK(p >= 1, ValueError, "p (", p, ") must be at least 1");
  Tensor x = for_kernels(call.input(0));
  if (is_norm) x = powers(x, p);
  Pool pool = pool_of(call, x, !is_norm && call.flag("count_include_pad"));
  if (is_norm) kernels::override_divisor(pool.geometry, 1);
  Tensor y = pool.y;
  if (y.numel() > 0)
    in_type(x, [&]<class T>() {
      kernels::avg_pool_forward(pool.geometry, x.data<T>(), y.mutable_data<T>());
    });
  if (is_norm) y = powers(y, 1 / p);
  return {y.to(call.input(0).dtype())};
}

Tensors run_global_pool(const Call& call) {
  const Tensor& x = call.input(0);
  need_floating(call, 0);
  need_rank(call, 0, 2);
  const bool is_max = call.op() == Op::global_max_pool;
  const bool is_norm = call.op() == Op::global_lp_pool;
  const double p = is_norm ? static_cast<double>(call.integer("p")) : 1;
  CONVKIT_CHECK(p >= 1, ValueError, "p (", p, ") must be at least 1");
  const LayoutView view =
      x.dim() == 2 ? LayoutView{x.size(0), x.size(1), 1} : layout_view(x.shape());
  Integers extents(static_cast<std::size_t>(x.dim()), 1);
  extents[0] = view.batch;
  extents[1] = view.channels;
  Tensor y = make(Shape(extents), x.dtype());
  for (int64_t n = 0; n < view.batch; ++n)
    for (int64_t c = 0; c < view.channels; ++c) {
      double result = is_max ? -INFINITY : 0;
      for (int64_t s = 0; s < view.spatial; ++s) {
        double value = 0;
        load(x.dtype(), x.raw_data(), (n * view.spatial + s) * view.channels + c, 1, 1, &value);
        if (is_max) {
          result = std::isnan(value) || value > result ? value : result;
        } else {
          result += is_norm ? std::pow(std::abs(value), p) : value;
        }
      }
      if (is_norm) result = std::pow(result, 1 / p);
      if (call.op() == Op::global_average_pool) result /= static_cast<double>(view.spatial);
      store(y.dtype(), y.raw_mutable_data(), n * view.channels + c, 1, 1, &result);
    }
  return {y};
}

}  // namespace convkit::infer
