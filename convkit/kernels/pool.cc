#include "convkit/kernels/pool.h"

#include <algorithm>

#include "convkit/base/checked.h"
#include "convkit/base/conv_size.h"
#include "convkit/base/thread_pool.h"
#include "convkit/kernels/pool_loops.h"

namespace convkit::kernels {
namespace {

// lo[o] … hi[o] is what window o spans, the borders forgotten; both never fall as o grows.
template <class Lo, class Hi>
std::vector<PoolReach> reach_of(int64_t in, int64_t out, Lo lo, Hi hi) {
  std::vector<PoolReach> reach;
  reach.reserve(static_cast<std::size_t>(in));
  int64_t first = 0;
  int64_t last = -1;
  for (int64_t i = 0; i < in; ++i) {
    while (first < out && hi(first) < i) ++first;
    while (last + 1 < out && lo(last + 1) <= i) ++last;
    reach.push_back({first, last});
  }
  return reach;
}

constexpr int64_t kElementsPerTask = 32768;  // read or compared
constexpr int64_t kChannelsPerTask = 64;

// Calls run(part) for pieces of [0, positions) in parallel; where there are few positions, also for
// pieces of the channels. `work` is the number of elements read per position and channel.
template <class F>
void for_parts(const PoolGeometry& g, int64_t positions, int64_t work, F&& run) {
  if (positions == 0 || g.channels == 0) return;
  const int64_t grain = std::max<int64_t>(1, kElementsPerTask / (g.channels * work));
  const int64_t tasks = ceil_div(positions, grain);
  const int64_t channels = tasks < 16 ? kChannelsPerTask : g.channels;
  const int64_t blocks = ceil_div(g.channels, channels);
  parallel_for(tasks * blocks, [&](int64_t task) {
    const int64_t begin = task / blocks * grain;
    const int64_t channel = task % blocks * channels;
    run(PoolPart{begin, std::min(positions, begin + grain), channel,
                 std::min(g.channels, channel + channels)});
  });
}

int64_t backward_work(const PoolGeometry& g) {
  return 1 + ceil_div(g.most_taps() * g.out_positions(), std::max<int64_t>(1, g.in_positions()));
}

}  // namespace

PoolAxis sliding_axis(const SlidingAxis& a) {
  PoolAxis axis{.in = a.in, .step = a.dilation, .windows = {}, .reach = {}};
  axis.apart = a.dilation == 1 && a.stride >= a.kernel;
  axis.windows.reserve(static_cast<std::size_t>(a.out));
  const auto lo = [&](int64_t o) { return o * a.stride - a.pad; };
  const int64_t reach = a.dilation * (a.kernel - 1);
  for (int64_t o = 0; o < a.out; ++o) {
    const int64_t outside = lo(o) < 0 ? ceil_div(-lo(o), a.dilation) : 0;
    const int64_t before_end = lo(o) < a.in ? ceil_div(a.in - lo(o), a.dilation) : 0;
    const int64_t before_pad_end =
        lo(o) < a.in + a.pad ? ceil_div(a.in + a.pad - lo(o), a.dilation) : 0;
    PoolWindow window{};
    window.begin = lo(o) + outside * a.dilation;
    window.count = std::max<int64_t>(0, std::min(a.kernel, before_end) - outside);
    window.divisor = a.count_pad ? std::min(a.kernel, before_pad_end) : window.count;
    window.share = 1.0 / static_cast<double>(window.divisor);
    axis.windows.push_back(window);
  }
  axis.reach = reach_of(a.in, a.out, lo, [&](int64_t o) { return lo(o) + reach; });
  return axis;
}

PoolAxis adaptive_axis(int64_t in, int64_t out) {
  PoolAxis axis{.in = in, .step = 1, .windows = {}, .reach = {}};
  axis.windows.reserve(static_cast<std::size_t>(out));
  const auto lo = [&](int64_t o) { return o * in / out; };
  const auto hi = [&](int64_t o) { return ceil_div((o + 1) * in, out) - 1; };
  for (int64_t o = 0; o < out; ++o) {
    const int64_t count = hi(o) - lo(o) + 1;
    axis.windows.push_back({lo(o), count, count, 1.0 / static_cast<double>(count)});
  }
  axis.reach = reach_of(in, out, lo, hi);
  return axis;
}

int64_t PoolGeometry::most_taps() const {
  int64_t taps = 1;
  for (const PoolAxis& axis : axes) {
    int64_t most = 0;
    for (const PoolWindow& window : axis.windows) most = std::max(most, window.count);
    taps = checked_mul(taps, most, "taps of a pool");
  }
  return taps;
}

void override_divisor(PoolGeometry& geometry, int64_t divisor) {
  for (std::size_t axis = 0; axis < geometry.axes.size(); ++axis) {
    // The divisors of the axes are multiplied: one of them carries it.
    for (PoolWindow& window : geometry.axes[axis].windows) {
      window.divisor = axis == 0 ? divisor : 1;
      window.share = 1.0 / static_cast<double>(window.divisor);
    }
  }
}

template <class T>
void max_pool_forward(const PoolGeometry& g, const T* x, T* y, const PoolTaps& taps) {
  const PoolLoops<T> loops = pool_loops<T>();
  for_parts(g, g.out_positions(), 1 + g.most_taps(),
            [&](const PoolPart& part) { loops.max_forward(g, part, x, y, taps); });
}

template <class T>
void max_pool_backward(const PoolGeometry& g, const T* dy, const PoolTaps& taps, T* dx) {
  const PoolLoops<T> loops = pool_loops<T>();
  for_parts(g, g.in_positions(), backward_work(g), [&](const PoolPart& part) {
    loops.max_backward(g, part, dy, taps, dx + part.begin * g.channels);
  });
}

template <class T>
void max_pool_backward(const PoolGeometry& g, const PoolRange& range, const T* dy,
                       const PoolTaps& taps, T* dx) {
  pool_loops<T>().max_backward(g, {range.begin, range.end, 0, g.channels}, dy, taps, dx);
}

template <class T>
void normalized_max_pool_forward(const PoolGeometry& g, const NormalizedChannels<T>& k, const T* x,
                                 T* y, const PoolTaps& taps) {
  const PoolLoops<T> loops = pool_loops<T>();
  for_parts(g, g.out_positions(), 1 + g.most_taps(),
            [&](const PoolPart& part) { loops.max_forward_normalized(g, part, k, x, y, taps); });
}

template <class T>
void avg_pool_forward(const PoolGeometry& g, const T* x, T* y) {
  const PoolLoops<T> loops = pool_loops<T>();
  for_parts(g, g.out_positions(), 1 + g.most_taps(),
            [&](const PoolPart& part) { loops.avg_forward(g, part, x, y); });
}

template <class T>
void avg_pool_backward(const PoolGeometry& g, const T* dy, T* dx) {
  const PoolLoops<T> loops = pool_loops<T>();
  for_parts(g, g.in_positions(), backward_work(g), [&](const PoolPart& part) {
    loops.avg_backward(g, part, dy, dx + part.begin * g.channels);
  });
}

#define CONVKIT_INSTANTIATE_POOL(T)                                                            \
  template void max_pool_forward(const PoolGeometry&, const T*, T*, const PoolTaps&);          \
  template void max_pool_backward(const PoolGeometry&, const T*, const PoolTaps&, T*);         \
  template void max_pool_backward(const PoolGeometry&, const PoolRange&, const T*,             \
                                  const PoolTaps&, T*);                                        \
  template void normalized_max_pool_forward(const PoolGeometry&, const NormalizedChannels<T>&, \
                                            const T*, T*, const PoolTaps&);                    \
  template void avg_pool_forward(const PoolGeometry&, const T*, T*);                           \
  template void avg_pool_backward(const PoolGeometry&, const T*, T*);
CONVKIT_INSTANTIATE_POOL(float)
CONVKIT_INSTANTIATE_POOL(double)

}  // namespace convkit::kernels
