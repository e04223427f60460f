#include "convkit/kernels/pool_loops.h"

#include <algorithm>
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

struct NoTap {};

// The maxima so far of a vector of channels, and the taps that hold them.
template <class Tap, class D>
HWY_INLINE void take(D /*d*/, hn::VFromD<D> value, hn::VFromD<hn::RebindToSigned<D>> tap,
                     hn::VFromD<D>& best, hn::VFromD<hn::RebindToSigned<D>>& winner) {
  const auto wins = hn::Or(hn::Gt(value, best), hn::IsNaN(value));
  best = hn::IfThenElse(wins, value, best);
  if constexpr (!std::is_same_v<Tap, NoTap>)
    winner = hn::IfThenElse(hn::RebindMask(hn::RebindToSigned<D>(), wins), tap, winner);
}

// Calls visit(tap pointer) for all taps of a window, `from` being the first.
template <class T, class F>
HWY_INLINE void for_taps(const Taps& taps, const T* from, F&& visit) {
  for (int64_t i = 0; i < taps.count[0]; ++i, from += taps.distance[0]) {
    const T* row = from;
    for (int64_t j = 0; j < taps.count[1]; ++j, row += taps.distance[1]) {
      const T* element = row;
      for (int64_t k = 0; k < taps.count[2]; ++k, element += taps.distance[2]) visit(element);
    }
  }
}

// The maxima of the channels [channel, channel + lanes) over one window, in PyTorch's words for
// NaN.
template <class T, class Tap, class D>
void max_of_window(D d, const Taps& taps, const T* from, T* y, Tap* kept) {
  const hn::RebindToSigned<D> di;
  auto best = hn::Set(d, -std::numeric_limits<T>::infinity());
  auto winner = hn::Zero(di);
  auto tap = hn::Zero(di);
  for_taps(taps, from, [&](const T* element) HWY_ATTR {
    take<Tap>(d, hn::LoadU(d, element), tap, best, winner);
    if constexpr (!std::is_same_v<Tap, NoTap>) tap = hn::Add(tap, hn::Set(di, 1));
  });
  hn::StoreU(best, d, y);
  if constexpr (!std::is_same_v<Tap, NoTap>) store_taps(d, winner, kept);
}

// How far the taps of a window lie from its first one. Neighbours mostly have the same distances.
class Distances {
 public:
  explicit Distances(const PoolGeometry& g) {
    list_.reserve(static_cast<std::size_t>(std::min<int64_t>(g.most_taps(), 64)));
  }

  const std::vector<int64_t>& of(const Taps& taps) {
    if (taps.count == count_) return list_;
    count_ = taps.count;
    list_.clear();
    for (int64_t i = 0; i < taps.count[0]; ++i)
      for (int64_t j = 0; j < taps.count[1]; ++j)
        for (int64_t k = 0; k < taps.count[2]; ++k)
          list_.push_back(i * taps.distance[0] + j * taps.distance[1] + k * taps.distance[2]);
    return list_;
  }

 private:
  Extents count_ = {-1, -1, -1};
  std::vector<int64_t> list_;
};

// Comparing with NaN takes as many instructions again. So the values are also added up: where the
// sum is no number (which ∞ − ∞ can bring about, too), the window is done again with care.
template <class T, class Tap>
void max_forward(const PoolGeometry& g, const PoolPart& part, const T* x, T* y, Tap* kept) {
  PoolPosition position(part.begin, out_extents(g));
  Distances distances(g);
  const int64_t width = part.channel_end - part.channel_begin;
  for (int64_t number = part.begin; number < part.end; ++number, position.advance()) {
    const Taps taps = taps_of(g, position);
    const std::vector<int64_t>& list = distances.of(taps);
    const auto count = static_cast<int64_t>(list.size());
    const int64_t* const far = list.data();
    const T* const from = x + taps.first + part.channel_begin;
    const int64_t at = number * g.channels + part.channel_begin;
    const auto with_care = [&](auto d, int vectors, int64_t c) HWY_ATTR {
      for (int i = 0; i < vectors; ++i, c += static_cast<int64_t>(hn::Lanes(d)))
        max_of_window<T>(d, taps, from + c, y + at + c,
                         std::is_same_v<Tap, NoTap> ? kept : kept + at + c);
    };
    if (count == 0) {
      for_columns<T>(0, width, [&](auto d, int64_t c) HWY_ATTR { with_care(d, 1, c); });
      continue;
    }
    for_strips<T>(width, [&](auto d, auto vectors, int64_t c) HWY_ATTR {
      constexpr int kVectors = decltype(vectors)::value;
      const hn::RebindToSigned<decltype(d)> di;
      const auto lanes = static_cast<int64_t>(hn::Lanes(d));
      hn::VFromD<decltype(d)> best[kVectors];
      hn::VFromD<decltype(di)> winner[kVectors];
      hn::VFromD<decltype(d)> sum[kVectors];
      for (int i = 0; i < kVectors; ++i) {
        best[i] = hn::LoadU(d, from + c + i * lanes);
        winner[i] = hn::Zero(di);
        sum[i] = best[i];
      }
      for (int64_t t = 1; t < count; ++t) {
        const T* const element = from + far[t] + c;
        const auto tap = hn::Set(di, static_cast<hn::TFromD<decltype(di)>>(t));
        for (int i = 0; i < kVectors; ++i) {
          const auto value = hn::LoadU(d, element + i * lanes);
          const auto wins = hn::Gt(value, best[i]);
          best[i] = hn::IfThenElse(wins, value, best[i]);
          if constexpr (!std::is_same_v<Tap, NoTap>)
            winner[i] = hn::IfThenElse(hn::RebindMask(di, wins), tap, winner[i]);
          sum[i] = hn::Add(sum[i], value);
        }
      }
      auto total = sum[0];
      for (int i = 1; i < kVectors; ++i) total = hn::Add(total, sum[i]);
      if (!hn::AllFalse(d, hn::IsNaN(total))) return with_care(d, kVectors, c);
      for (int i = 0; i < kVectors; ++i) {
        const int64_t to = at + c + i * lanes;
        hn::StoreU(best[i], d, y + to);
        if constexpr (!std::is_same_v<Tap, NoTap>) store_taps(d, winner[i], kept + to);
      }
    });
  }
}

// Calls visit(first tap of a row) for all rows of a window.
template <class T, class F>
HWY_INLINE void for_tap_rows(const Taps& taps, const T* from, F&& visit) {
  for (int64_t i = 0; i < taps.count[0]; ++i, from += taps.distance[0]) {
    const T* row = from;
    for (int64_t j = 0; j < taps.count[1]; ++j, row += taps.distance[1]) visit(row);
  }
}

// Rows of a window are summed on their own: shorter chains of roundings over large windows.
template <class T>
void avg_forward(const PoolGeometry& g, const PoolPart& part, const T* x, T* y) {
  const Wide<T> wide;
  const auto lanes = static_cast<int64_t>(hn::Lanes(wide));
  PoolPosition position(part.begin, out_extents(g));
  for (int64_t number = part.begin; number < part.end; ++number, position.advance()) {
    const Taps taps = taps_of(g, position);
    const T* const from = x + taps.first;
    T divisor = 1;
    for (std::size_t axis = 0; axis < kAxes; ++axis)
      divisor *= static_cast<T>(window_of(g, axis, position.at[axis]).divisor);
    T* const to = y + number * g.channels;
    int64_t done = part.channel_begin;
    for (; done + 4 * lanes <= part.channel_end; done += 4 * lanes) {
      auto sum0 = hn::Zero(wide);
      auto sum1 = sum0;
      auto sum2 = sum0;
      auto sum3 = sum0;
      for_tap_rows(taps, from + done, [&](const T* element) HWY_ATTR {
        auto row0 = hn::Zero(wide);
        auto row1 = row0;
        auto row2 = row0;
        auto row3 = row0;
        for (int64_t k = 0; k < taps.count[2]; ++k, element += taps.distance[2]) {
          row0 = hn::Add(row0, hn::LoadU(wide, element));
          row1 = hn::Add(row1, hn::LoadU(wide, element + lanes));
          row2 = hn::Add(row2, hn::LoadU(wide, element + 2 * lanes));
          row3 = hn::Add(row3, hn::LoadU(wide, element + 3 * lanes));
        }
        sum0 = hn::Add(sum0, row0);
        sum1 = hn::Add(sum1, row1);
        sum2 = hn::Add(sum2, row2);
        sum3 = hn::Add(sum3, row3);
      });
      const auto by = hn::Set(wide, divisor);
      hn::StoreU(hn::Div(sum0, by), wide, to + done);
      hn::StoreU(hn::Div(sum1, by), wide, to + done + lanes);
      hn::StoreU(hn::Div(sum2, by), wide, to + done + 2 * lanes);
      hn::StoreU(hn::Div(sum3, by), wide, to + done + 3 * lanes);
    }
    for_columns<T>(done, part.channel_end, [&](auto d, int64_t c) HWY_ATTR {
      auto sum = hn::Zero(d);
      for_tap_rows(taps, from + c, [&](const T* element) HWY_ATTR {
        auto row = hn::Zero(d);
        for (int64_t k = 0; k < taps.count[2]; ++k, element += taps.distance[2])
          row = hn::Add(row, hn::LoadU(d, element));
        sum = hn::Add(sum, row);
      });
      hn::StoreU(hn::Div(sum, hn::Set(d, divisor)), d, to + c);
    });
  }
}

// A row of outputs whose windows hold the input row at hand.
struct SourceRow {
  int64_t line;  // number of its first position
  int64_t tap;   // of the input row within the windows, in rows
  double share;  // 1 / divisor of the two outer axes
};

// The number of the tap that input `i` is in a window on this axis, or −1.
HWY_INLINE int64_t tap_at(const PoolAxis& axis, const PoolWindow& window, int64_t i) {
  const int64_t distance = i - window.begin;
  if (axis.step == 1) return distance;  // `reach` holds no others then
  if (distance < 0 || distance % axis.step != 0) return -1;
  const int64_t tap = distance / axis.step;
  return tap < window.count ? tap : -1;
}

void find_rows(const PoolGeometry& g, const PoolPosition& p, std::vector<SourceRow>& found) {
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

// A window that holds the input position at hand.
struct Source {
  int64_t element;  // offset of its output
  int64_t tap;      // what tap of it the input position is
  double share;     // 1 / divisor
};

void find_sources(const PoolGeometry& g, const std::vector<SourceRow>& rows, int64_t i,
                  std::vector<Source>& found) {
  found.clear();
  const PoolAxis& axis = g.axes[2];
  const PoolReach reach = axis.reach[static_cast<std::size_t>(i)];
  for (const SourceRow& row : rows) {
    for (int64_t o = reach.first; o <= reach.last; ++o) {
      const PoolWindow& window = axis.windows[static_cast<std::size_t>(o)];
      const int64_t tap = tap_at(axis, window, i);
      if (tap < 0) continue;
      found.push_back(
          {(row.line + o) * g.channels, row.tap * window.count + tap, row.share * window.share});
    }
  }
}

// Gathering over outputs needs no order among tasks, unlike scattering to inputs. add(tag, source,
// first channel, sum) gives the sum with that source's part.
template <class T, class Add>
HWY_INLINE void gather(const PoolGeometry& g, const PoolPart& part, T* dx, const Add& add) {
  PoolPosition position(part.begin, in_extents(g));
  std::vector<SourceRow> rows;
  std::vector<Source> sources;
  const int64_t width = part.channel_end - part.channel_begin;
  for (int64_t number = part.begin; number < part.end; ++number, position.advance()) {
    if (number == part.begin || position.at[2] == 0) find_rows(g, position, rows);
    find_sources(g, rows, position.at[2], sources);
    const Source* const begin = sources.data();
    const Source* const end = begin + sources.size();
    T* const to = dx + number * g.channels + part.channel_begin;
    for_strips<T>(width, [=, &add](auto d, auto vectors, int64_t c) HWY_ATTR {
      constexpr int kVectors = decltype(vectors)::value;
      const auto lanes = static_cast<int64_t>(hn::Lanes(d));
      hn::VFromD<decltype(d)> sum[kVectors];
      for (int i = 0; i < kVectors; ++i) sum[i] = hn::Zero(d);
      for (const Source* source = begin; source != end; ++source)
        for (int i = 0; i < kVectors; ++i)
          sum[i] = add(d, *source, part.channel_begin + c + i * lanes, sum[i]);
      for (int i = 0; i < kVectors; ++i) hn::StoreU(sum[i], d, to + c + i * lanes);
    });
  }
}

template <class T, class Tap>
struct AddWon {
  const T* dy;
  const Tap* kept;
  template <class D, class V>
  HWY_INLINE V operator()(D d, const Source& source, int64_t channel, V sum) const {
    const hn::RebindToSigned<D> di;
    const int64_t at = source.element + channel;
    const auto wanted = hn::Set(di, static_cast<hn::TFromD<decltype(di)>>(source.tap));
    const auto won = hn::RebindMask(d, hn::Eq(load_taps(d, kept + at), wanted));
    return hn::Add(sum, hn::IfThenElseZero(won, hn::LoadU(d, dy + at)));
  }
};

template <class T>
struct AddShare {
  const T* dy;
  template <class D, class V>
  HWY_INLINE V operator()(D d, const Source& source, int64_t channel, V sum) const {
    return hn::MulAdd(hn::LoadU(d, dy + source.element + channel),
                      hn::Set(d, static_cast<T>(source.share)), sum);
  }
};

// Where windows are apart, an input position has one source at most, and its neighbours in the
// window the same one: gradient and winners are read once for all of them.
template <class T, class Tap>
void max_backward_apart(const PoolGeometry& g, const PoolPart& part, const T* dy, const Tap* kept,
                        T* dx) {
  PoolPosition position(part.begin, in_extents(g));
  std::vector<SourceRow> rows;
  const int64_t width = part.channel_end - part.channel_begin;
  int64_t run = 1;
  for (int64_t number = part.begin; number < part.end; number += run) {
    const int64_t column = position.at[2];
    if (number == part.begin || column == 0) find_rows(g, position, rows);
    const PoolReach reach = g.axes[2].reach[static_cast<std::size_t>(column)];
    T* const to = dx + number * g.channels + part.channel_begin;
    if (rows.empty() || reach.last < reach.first) {
      run = 1;
      std::fill_n(to, width, T{0});
      position.advance();
      continue;
    }
    const PoolWindow& window = window_of(g, 2, reach.first);
    run = std::min(window.begin + window.count - column, part.end - number);
    const int64_t at = (rows[0].line + reach.first) * g.channels + part.channel_begin;
    const int64_t first = rows[0].tap * window.count + column - window.begin;
    for_strips<T>(width, [&](auto d, auto vectors, int64_t c) HWY_ATTR {
      constexpr int kVectors = decltype(vectors)::value;
      const hn::RebindToSigned<decltype(d)> di;
      const auto lanes = static_cast<int64_t>(hn::Lanes(d));
      hn::VFromD<decltype(d)> gradient[kVectors];
      hn::VFromD<decltype(di)> winner[kVectors];
      for (int i = 0; i < kVectors; ++i) {
        gradient[i] = hn::LoadU(d, dy + at + c + i * lanes);
        winner[i] = load_taps(d, kept + at + c + i * lanes);
      }
      for (int64_t t = 0; t < run; ++t) {
        const auto tap = hn::Set(di, static_cast<hn::TFromD<decltype(di)>>(first + t));
        for (int i = 0; i < kVectors; ++i) {
          const auto won = hn::RebindMask(d, hn::Eq(winner[i], tap));
          hn::StoreU(hn::IfThenElseZero(won, gradient[i]), d, to + t * g.channels + c + i * lanes);
        }
      }
    });
    for (int64_t t = 0; t < run; ++t) position.advance();
  }
}

template <class T, class Tap>
void max_backward(const PoolGeometry& g, const PoolPart& part, const T* dy, const Tap* kept,
                  T* dx) {
  if (g.axes[0].apart && g.axes[1].apart && g.axes[2].apart)
    return max_backward_apart(g, part, dy, kept, dx);
  gather(g, part, dx, AddWon<T, Tap>{dy, kept});
}

template <class T>
void avg_backward(const PoolGeometry& g, const PoolPart& part, const T* dy, T* dx) {
  gather(g, part, dx, AddShare<T>{dy});
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
PoolLoops<T> loops_of() {
  return {&max_forward_any<T>, &max_backward_any<T>, &avg_forward<T>, &avg_backward<T>};
}

PoolLoops<float> loops() { return loops_of<float>(); }

}  // namespace
}  // namespace convkit::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convkit::kernels {

HWY_EXPORT(loops);

template <>
PoolLoops<float> pool_loops() {
  return HWY_DYNAMIC_DISPATCH(loops)();
}
// double serves gradient checks, not speed: one body, for the instructions any machine has, is
// enough.
template <>
PoolLoops<double> pool_loops() {
  return HWY_STATIC_DISPATCH(loops_of)<double>();
}

}  // namespace convkit::kernels
#endif  // HWY_ONCE
