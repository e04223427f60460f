// Where the windows of a pool lie, and the taps that won them, in vectors. Included once per
// instruction set, after <hwy/highway.h>.
#if defined(CONVKIT_KERNELS_POOL_WINDOWS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef CONVKIT_KERNELS_POOL_WINDOWS_INL_H_
#undef CONVKIT_KERNELS_POOL_WINDOWS_INL_H_
#else
#define CONVKIT_KERNELS_POOL_WINDOWS_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "convkit/kernels/columns-inl.h"
#include "convkit/kernels/pool_loops.h"

HWY_BEFORE_NAMESPACE();
namespace convkit::kernels::HWY_NAMESPACE {

inline Extents in_extents(const PoolGeometry& g) {
  return {g.axes[0].in, g.axes[1].in, g.axes[2].in};
}
inline Extents out_extents(const PoolGeometry& g) {
  return {g.axes[0].out(), g.axes[1].out(), g.axes[2].out()};
}

inline const PoolWindow& window_of(const PoolGeometry& g, std::size_t axis, int64_t at) {
  return g.axes[axis].windows[static_cast<std::size_t>(at)];
}

/// Winning taps are counted in vectors of T's width, and kept as bytes or 32-bit integers. Doubles,
/// which serve gradient checks, take the long way.
template <class D, class V, class Tap>
HWY_INLINE void store_taps([[maybe_unused]] D d, V taps, Tap* to) {
  if constexpr (sizeof(hn::TFromD<D>) == 8) {
    HWY_ALIGN int64_t each[hn::MaxLanes(D())];
    hn::Store(taps, hn::RebindToSigned<D>(), each);
    for (std::size_t i = 0; i < hn::Lanes(d); ++i) to[i] = static_cast<Tap>(each[i]);
  } else if constexpr (sizeof(Tap) == 4) {
    hn::StoreU(taps, hn::Rebind<Tap, D>(), to);
  } else {
    hn::StoreU(hn::DemoteTo(hn::Rebind<Tap, D>(), taps), hn::Rebind<Tap, D>(), to);
  }
}
template <class D, class Tap>
HWY_INLINE hn::VFromD<hn::RebindToSigned<D>> load_taps([[maybe_unused]] D d, const Tap* from) {
  if constexpr (sizeof(hn::TFromD<D>) == 8) {
    HWY_ALIGN int64_t each[hn::MaxLanes(D())];
    for (std::size_t i = 0; i < hn::Lanes(d); ++i) each[i] = from[i];
    return hn::Load(hn::RebindToSigned<D>(), each);
  } else if constexpr (sizeof(Tap) == 4) {
    return hn::LoadU(hn::Rebind<Tap, D>(), from);
  } else {
    return hn::PromoteTo(hn::RebindToSigned<D>(), hn::LoadU(hn::Rebind<Tap, D>(), from));
  }
}

/// A row of outputs whose windows hold the input row at hand.
struct SourceRow {
  int64_t line;  // number of its first position
  int64_t tap;   // of the input row within the windows, in rows
  double share;  // 1 / divisor of the two outer axes
};

/// The number of the tap that input `i` is in a window on this axis, or −1.
HWY_INLINE int64_t tap_at(const PoolAxis& axis, const PoolWindow& window, int64_t i) {
  const int64_t distance = i - window.begin;
  if (axis.step == 1) return distance;  // `reach` holds no others then
  if (distance < 0 || distance % axis.step != 0) return -1;
  const int64_t tap = distance / axis.step;
  return tap < window.count ? tap : -1;
}

inline void find_rows(const PoolGeometry& g, const PoolPosition& p, std::vector<SourceRow>& found) {
  found.clear();
  const PoolReach planes = g.axes[0].reach[static_cast<std::size_t>(p.at[0])];
  const PoolReach rows = g.axes[1].reach[static_cast<std::size_t>(p.at[1])];
  for (int64_t d = planes.first; d <= planes.last; ++d) {
    const PoolWindow& plane = window_of(g, 0, d);
    const int64_t plane_tap = tap_at(g.axes[0], plane, p.at[0]);
    if (plane_tap < 0) continue;
    for (int64_t h = rows.first; h <= rows.last; ++h) {
      const PoolWindow& row = window_of(g, 1, h);
      const int64_t row_tap = tap_at(g.axes[1], row, p.at[1]);
      if (row_tap < 0) continue;
      const int64_t line =
          ((p.image * g.axes[0].out() + d) * g.axes[1].out() + h) * g.axes[2].out();
      found.push_back({line, plane_tap * row.count + row_tap, plane.share * row.share});
    }
  }
}

/// Consecutive input positions that the same window holds, or one that none does.
struct WindowRun {
  int64_t begin;  // number of the first position
  int64_t count;
  int64_t source;  // offset of the window's output, or −1
  int64_t tap;     // what tap of the window the first position is
};

/// Calls visit(run) for runs that cover the input positions [begin, end), where windows are apart:
/// an input position has one at most, and shares it with its neighbours.
template <class F>
HWY_INLINE void for_window_runs(const PoolGeometry& g, int64_t begin, int64_t end, F&& visit) {
  PoolPosition position(begin, in_extents(g));
  std::vector<SourceRow> rows;
  const PoolAxis& axis = g.axes[2];
  for (int64_t number = begin; number < end;) {
    if (number == begin || position.at[2] == 0) find_rows(g, position, rows);
    const PoolReach reach = axis.reach[static_cast<std::size_t>(position.at[2])];
    WindowRun run{number, 1, -1, 0};
    if (!rows.empty() && reach.first <= reach.last) {
      const PoolWindow& window = window_of(g, 2, reach.first);
      const int64_t tap = position.at[2] - window.begin;
      run = {number, std::min(window.count - tap, end - number),
             (rows[0].line + reach.first) * g.channels, rows[0].tap * window.count + tap};
    }
    visit(run);
    number += run.count;
    position.at[2] += run.count - 1;  // a window ends where the row does, at the latest
    position.advance();
  }
}

}  // namespace convkit::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // CONVKIT_KERNELS_POOL_WINDOWS_INL_H_
