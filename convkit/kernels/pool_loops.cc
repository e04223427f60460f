#include "convkit/kernels/pool_loops.h"

#include <cstddef>
#include <limits>
#include <type_traits>
#include <vector>

// Machines older than AVX2 run the portable loops; AVX3_DL adds nothing for these.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "convkit/kernels/pool_loops.cc"
#include "hwy/foreach_target.h"
// After it, since both are read once per target:
#include "hwy/highway.h"

#include "convkit/kernels/columns-inl.h"

HWY_BEFORE_NAMESPACE();
namespace convkit::kernels::HWY_NAMESPACE {
namespace {

// The taps of one output position: counts per axis, and distances in elements.
struct Taps {
  Extents count;
  Extents distance;
  int64_t first;  // offset of the first tap in x
};

Extents in_extents(const PoolGeometry& g) { return {g.axes[0].in, g.axes[1].in, g.axes[2].in}; }
Extents out_extents(const PoolGeometry& g) {
  return {g.axes[0].out(), g.axes[1].out(), g.axes[2].out()};
}

const PoolWindow& window_of(const PoolGeometry& g, std::size_t axis, int64_t at) {
  return g.axes[axis].windows[static_cast<std::size_t>(at)];
}

Taps taps_of(const PoolGeometry& g, const PoolPosition& p) {
  Taps taps{};
  int64_t stride = g.channels;
  int64_t offset = 0;
  for (std::size_t axis = kAxes; axis-- > 0;) {
    const PoolWindow& window = window_of(g, axis, p.at[axis]);
    taps.count[axis] = window.count;
    taps.distance[axis] = g.axes[axis].step * stride;
    offset += window.begin * stride;
    stride *= g.axes[axis].in;
  }
  taps.first = offset + p.image * stride;
  return taps;
}

// Winning taps are counted in vectors of T's width, and kept as bytes or 32-bit integers. Doubles,
// which serve gradient checks, take the long way.
template <class D, class V, class Tap>
HWY_INLINE void store_taps(D d, V taps, Tap* to) {
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
HWY_INLINE hn::VFromD<hn::RebindToSigned<D>> load_taps(D d, const Tap* from) {
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

struct NoTap {};

template <class T, class Tap>
void max_forward(const PoolGeometry& g, const PoolPart& part, const T* x, T* y, Tap* kept) {
  PoolPosition position(part.begin, out_extents(g));
  for (int64_t number = part.begin; number < part.end; ++number, position.advance()) {
    const Taps taps = taps_of(g, position);
    const T* const from = x + taps.first;
    const int64_t at = number * g.channels;
    for_columns<T>(part.channel_begin, part.channel_end, [&](auto d, int64_t c) HWY_ATTR {
      const hn::RebindToSigned<decltype(d)> di;
      auto best = hn::Set(d, -std::numeric_limits<T>::infinity());
      auto winner = hn::Zero(di);
      auto tap = hn::Zero(di);
      const auto one = hn::Set(di, 1);
      const T* plane = from + c;
      for (int64_t i = 0; i < taps.count[0]; ++i, plane += taps.distance[0]) {
        const T* row = plane;
        for (int64_t j = 0; j < taps.count[1]; ++j, row += taps.distance[1]) {
          const T* element = row;
          for (int64_t k = 0; k < taps.count[2]; ++k, element += taps.distance[2]) {
            const auto value = hn::LoadU(d, element);
            const auto wins = hn::Or(hn::Gt(value, best), hn::IsNaN(value));
            best = hn::IfThenElse(wins, value, best);
            if constexpr (!std::is_same_v<Tap, NoTap>) {
              winner = hn::IfThenElse(hn::RebindMask(di, wins), tap, winner);
              tap = hn::Add(tap, one);
            }
          }
        }
      }
      hn::StoreU(best, d, y + at + c);
      if constexpr (!std::is_same_v<Tap, NoTap>) store_taps(d, winner, kept + at + c);
    });
  }
}

template <class T>
void avg_forward(const PoolGeometry& g, const PoolPart& part, const T* x, T* y) {
  PoolPosition position(part.begin, out_extents(g));
  for (int64_t number = part.begin; number < part.end; ++number, position.advance()) {
    const Taps taps = taps_of(g, position);
    const T* const from = x + taps.first;
    T divisor = 1;
    for (std::size_t axis = 0; axis < kAxes; ++axis)
      divisor *= static_cast<T>(window_of(g, axis, position.at[axis]).divisor);
    T* const to = y + number * g.channels;
    for_columns<T>(part.channel_begin, part.channel_end, [&](auto d, int64_t c) HWY_ATTR {
      // Rows are summed on their own: shorter chains of roundings over large windows.
      auto sum = hn::Zero(d);
      const T* plane = from + c;
      for (int64_t i = 0; i < taps.count[0]; ++i, plane += taps.distance[0]) {
        const T* row = plane;
        for (int64_t j = 0; j < taps.count[1]; ++j, row += taps.distance[1]) {
          auto row_sum = hn::Zero(d);
          const T* element = row;
          for (int64_t k = 0; k < taps.count[2]; ++k, element += taps.distance[2])
            row_sum = hn::Add(row_sum, hn::LoadU(d, element));
          sum = hn::Add(sum, row_sum);
        }
      }
      hn::StoreU(hn::Div(sum, hn::Set(d, divisor)), d, to + c);
    });
  }
}

// An output position whose window holds the input position at hand: its offset in dy, the number
// of the tap in that window, and 1 / divisor.
template <class T>
struct Source {
  int64_t offset;
  int64_t tap;
  T factor;
};

// The window of output `o` on one axis holds input `i` as its tap number `tap`.
struct Hit {
  bool inside;
  int64_t tap;
};
HWY_INLINE Hit hit(const PoolAxis& axis, const PoolWindow& window, int64_t i) {
  const int64_t distance = i - window.begin;
  if (axis.step == 1) return {distance >= 0 && distance < window.count, distance};
  const int64_t tap = distance / axis.step;
  return {distance >= 0 && distance % axis.step == 0 && tap < window.count, tap};
}

template <class T>
void find_sources(const PoolGeometry& g, const PoolPosition& p, std::vector<Source<T>>& sources) {
  sources.clear();
  const auto reach = [&](std::size_t axis) {
    return g.axes[axis].reach[static_cast<std::size_t>(p.at[axis])];
  };
  const PoolReach planes = reach(0);
  const PoolReach rows = reach(1);
  const PoolReach columns = reach(2);
  const int64_t per_image = g.axes[0].out() * g.axes[1].out() * g.axes[2].out();
  for (int64_t od = planes.first; od <= planes.last; ++od) {
    const PoolWindow& plane = window_of(g, 0, od);
    const Hit d = hit(g.axes[0], plane, p.at[0]);
    if (!d.inside) continue;
    for (int64_t oh = rows.first; oh <= rows.last; ++oh) {
      const PoolWindow& row = window_of(g, 1, oh);
      const Hit h = hit(g.axes[1], row, p.at[1]);
      if (!h.inside) continue;
      const int64_t line = (od * g.axes[1].out() + oh) * g.axes[2].out();
      for (int64_t ow = columns.first; ow <= columns.last; ++ow) {
        const PoolWindow& column = window_of(g, 2, ow);
        const Hit w = hit(g.axes[2], column, p.at[2]);
        if (!w.inside) continue;
        const T divisor = static_cast<T>(plane.divisor) * static_cast<T>(row.divisor) *
                          static_cast<T>(column.divisor);
        sources.push_back({(p.image * per_image + line + ow) * g.channels,
                           (d.tap * row.count + h.tap) * column.count + w.tap, T{1} / divisor});
      }
    }
  }
}

// Gathering over outputs needs no order among tasks, unlike scattering to inputs.
template <class T, class Tap>
void max_backward(const PoolGeometry& g, const PoolPart& part, const T* dy, const Tap* kept,
                  T* dx) {
  PoolPosition position(part.begin, in_extents(g));
  std::vector<Source<T>> sources;
  for (int64_t number = part.begin; number < part.end; ++number, position.advance()) {
    find_sources(g, position, sources);
    T* const to = dx + number * g.channels;
    for_columns<T>(part.channel_begin, part.channel_end, [&](auto d, int64_t c) HWY_ATTR {
      const hn::RebindToSigned<decltype(d)> di;
      auto sum = hn::Zero(d);
      for (const Source<T>& source : sources) {
        const auto tap = hn::Set(di, static_cast<hn::TFromD<decltype(di)>>(source.tap));
        const auto won = hn::Eq(load_taps(d, kept + source.offset + c), tap);
        sum = hn::Add(
            sum, hn::IfThenElseZero(hn::RebindMask(d, won), hn::LoadU(d, dy + source.offset + c)));
      }
      hn::StoreU(sum, d, to + c);
    });
  }
}

template <class T>
void avg_backward(const PoolGeometry& g, const PoolPart& part, const T* dy, T* dx) {
  PoolPosition position(part.begin, in_extents(g));
  std::vector<Source<T>> sources;
  for (int64_t number = part.begin; number < part.end; ++number, position.advance()) {
    find_sources(g, position, sources);
    T* const to = dx + number * g.channels;
    for_columns<T>(part.channel_begin, part.channel_end, [&](auto d, int64_t c) HWY_ATTR {
      auto sum = hn::Zero(d);
      for (const Source<T>& source : sources)
        sum = hn::MulAdd(hn::LoadU(d, dy + source.offset + c), hn::Set(d, source.factor), sum);
      hn::StoreU(sum, d, to + c);
    });
  }
}

template <class T>
void max_forward_any(const PoolGeometry& g, const PoolPart& part, const T* x, T* y,
                     const PoolTaps& taps) {
  if (taps.narrow != nullptr) return max_forward<T>(g, part, x, y, taps.narrow);
  if (taps.wide != nullptr) return max_forward<T>(g, part, x, y, taps.wide);
  max_forward<T, NoTap>(g, part, x, y, nullptr);
}

template <class T>
void max_backward_any(const PoolGeometry& g, const PoolPart& part, const T* dy,
                      const PoolTaps& taps, T* dx) {
  if (taps.narrow != nullptr) return max_backward<T>(g, part, dy, taps.narrow, dx);
  max_backward<T>(g, part, dy, taps.wide, dx);
}

template <class T>
PoolLoops<T> loops() {
  return {&max_forward_any<T>, &max_backward_any<T>, &avg_forward<T>, &avg_backward<T>};
}

PoolLoops<float> loops_of_float() { return loops<float>(); }
PoolLoops<double> loops_of_double() { return loops<double>(); }

}  // namespace
}  // namespace convkit::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convkit::kernels {

HWY_EXPORT(loops_of_float);
HWY_EXPORT(loops_of_double);

template <>
PoolLoops<float> pool_loops() {
  return HWY_DYNAMIC_DISPATCH(loops_of_float)();
}
template <>
PoolLoops<double> pool_loops() {
  return HWY_DYNAMIC_DISPATCH(loops_of_double)();
}

}  // namespace convkit::kernels
#endif  // HWY_ONCE
