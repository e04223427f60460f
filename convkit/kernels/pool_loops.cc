#include "convkit/kernels/pool_loops.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <type_traits>
#include <vector>

#include "convkit/base/task_memory.h"

// Machines older than AVX2 run the portable loops; AVX3_DL adds nothing for these.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "convkit/kernels/pool_loops.cc"
#include "hwy/foreach_target.h"
// After it, since both are read once per target:
#include "hwy/highway.h"

#include "convkit/kernels/columns-inl.h"
#include "convkit/kernels/dispatch_loops.h"
#include "convkit/kernels/pool_windows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace convkit::kernels::HWY_NAMESPACE {
namespace {

// The taps of one output position: counts per axis, and distances in elements.
struct Taps {
  Extents count;
  Extents distance;
  int64_t first;  // offset of the first tap in x
};

Taps taps_of(const PoolGeometry& g, const PoolPosition& p) {
  Taps taps{};
  int64_t stride = g.in_pitch > 0 ? g.in_pitch : g.channels;
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

struct NoTap {};

// What a max pool compares: the elements as they are, or what batch norm and ReLU make of them.
template <class T>
struct AsTheyAre {
  static constexpr bool kRectifies = false;
  template <class D>
  struct Column {
    HWY_INLINE hn::VFromD<D> operator()(D d, const T* element) const {
      return hn::LoadU(d, element);
    }
  };
  template <class D>
  HWY_INLINE Column<D> at(D /*d*/, int64_t /*channel*/) const {
    return {};
  }
};
template <class T>
struct Normalized {
  static constexpr bool kRectifies = true;
  template <class D>
  struct Column {
    hn::VFromD<D> center, gain, shift;
    HWY_INLINE hn::VFromD<D> operator()(D d, const T* element) const {
      return relu_of(d, hn::MulAdd(hn::Sub(hn::LoadU(d, element), center), gain, shift));
    }
  };
  template <class D>
  HWY_INLINE Column<D> at(D d, int64_t channel) const {
    return {hn::LoadU(d, k.center + channel), hn::LoadU(d, k.gain + channel),
            hn::LoadU(d, k.shift + channel)};
  }
  NormalizedChannels<T> k;
};

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

// Keeps what a window came to. A maximum of 0 came through a ReLU that was shut: then no tap
// learns.
template <class Reader, class Tap, class D>
HWY_INLINE void store_max(D d, hn::VFromD<D> best, hn::VFromD<hn::RebindToSigned<D>> winner,
                          hn::TFromD<D>* y, Tap* kept) {
  hn::StoreU(best, d, y);
  if constexpr (!std::is_same_v<Tap, NoTap>) {
    const hn::RebindToSigned<D> di;
    if constexpr (Reader::kRectifies) {
      const auto shut = hn::RebindMask(di, hn::Le(best, hn::Zero(d)));
      winner = hn::IfThenElse(shut, hn::Set(di, std::numeric_limits<Tap>::max()), winner);
    }
    store_taps(d, winner, kept);
  }
}

// The maxima of the channels [channel, channel + lanes) over one window, in PyTorch's words for
// NaN.
template <class Reader, class T, class Tap, class D>
HWY_NOINLINE void max_of_window(D d, const Reader& reader, int64_t channel, const Taps& taps,
                                const T* from, T* y, Tap* kept) {
  const hn::RebindToSigned<D> di;
  const auto read = reader.at(d, channel);
  auto best = hn::Set(d, -std::numeric_limits<T>::infinity());
  auto winner = hn::Zero(di);
  auto tap = hn::Zero(di);
  for_taps(taps, from, [&](const T* element) HWY_ATTR {
    take<Tap>(d, read(d, element), tap, best, winner);
    if constexpr (!std::is_same_v<Tap, NoTap>) tap = hn::Add(tap, hn::Set(di, 1));
  });
  store_max<Reader>(d, best, winner, y, kept);
}

// How far the taps of a window lie from its first one. Neighbours mostly have the same distances.
class Distances {
 public:
  Distances(const PoolGeometry& g, std::pmr::memory_resource* memory) : list_(memory) {
    list_.reserve(static_cast<std::size_t>(std::min<int64_t>(g.most_taps(), 64)));
  }

  const std::pmr::vector<int64_t>& of(const Taps& taps) {
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
  std::pmr::vector<int64_t> list_;
};

// Comparing with NaN takes as many instructions again. So the values are also added up: where the
// sum is no number (which ∞ − ∞ can bring about, too), the window is done again with care.
template <class Reader, class T, class Tap>
void max_forward(const PoolGeometry& g, const PoolPart& part, const Reader& reader, const T* x,
                 T* y, Tap* kept) {
  PoolPosition position(part.begin, out_extents(g));
  TaskMemory memory;
  Distances distances(g, &memory);
  const int64_t width = part.channel_end - part.channel_begin;
  const int64_t pitch = g.out_pitch > 0 ? g.out_pitch : g.channels;
  for (int64_t number = part.begin; number < part.end; ++number, position.advance()) {
    const Taps taps = taps_of(g, position);
    const std::pmr::vector<int64_t>& list = distances.of(taps);
    const auto count = static_cast<int64_t>(list.size());
    const int64_t* const far = list.data();
    const T* const from = x + taps.first + part.channel_begin;
    const int64_t at = number * pitch + part.channel_begin;
    const auto with_care = [&](auto d, int vectors, int64_t c) HWY_ATTR {
      for (int i = 0; i < vectors; ++i, c += static_cast<int64_t>(hn::Lanes(d)))
        max_of_window(d, reader, part.channel_begin + c, taps, from + c, y + at + c,
                      std::is_same_v<Tap, NoTap> ? kept : kept + at + c);
    };
    if (count == 0) {
      for_columns<T>(0, width, [&](auto d, int64_t c) HWY_ATTR { with_care(d, 1, c); });
      continue;
    }
    for_strips<T>(width, [&](auto d, auto vectors, int64_t c) HWY_ATTR {
      constexpr int kVectors = decltype(vectors)::value;
      using D = decltype(d);
      const hn::RebindToSigned<D> di;
      const auto lanes = static_cast<int64_t>(hn::Lanes(d));
      typename Reader::template Column<D> read[kVectors];
      hn::VFromD<D> best[kVectors];
      hn::VFromD<decltype(di)> winner[kVectors];
      hn::VFromD<D> sum[kVectors];
      for (int i = 0; i < kVectors; ++i) {
        read[i] = reader.at(d, part.channel_begin + c + i * lanes);
        best[i] = read[i](d, from + c + i * lanes);
        winner[i] = hn::Zero(di);
        sum[i] = best[i];
      }
      for (int64_t t = 1; t < count; ++t) {
        const T* const element = from + far[t] + c;
        const auto tap = hn::Set(di, static_cast<hn::TFromD<decltype(di)>>(t));
        for (int i = 0; i < kVectors; ++i) {
          const auto value = read[i](d, element + i * lanes);
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
        store_max<Reader>(d, best[i], winner[i], y + to,
                          std::is_same_v<Tap, NoTap> ? kept : kept + to);
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
  const int64_t pitch = g.out_pitch > 0 ? g.out_pitch : g.channels;
  PoolPosition position(part.begin, out_extents(g));
  for (int64_t number = part.begin; number < part.end; ++number, position.advance()) {
    const Taps taps = taps_of(g, position);
    const T* const from = x + taps.first;
    T divisor = 1;
    for (std::size_t axis = 0; axis < kAxes; ++axis)
      divisor *= static_cast<T>(window_of(g, axis, position.at[axis]).divisor);
    T* const to = y + number * pitch;
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
    T* const to = dx + (number - part.begin) * g.channels + part.channel_begin;
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

// Gradient and winners are read once for all positions of a window.
template <class T, class Tap>
void max_backward_apart(const PoolGeometry& g, const PoolPart& part, const T* dy, const Tap* kept,
                        T* dx) {
  const int64_t width = part.channel_end - part.channel_begin;
  for_window_runs(g, part.begin, part.end, [&](const WindowRun& run) HWY_ATTR {
    T* const to = dx + (run.begin - part.begin) * g.channels + part.channel_begin;
    if (run.source < 0) return static_cast<void>(std::fill_n(to, width, T{0}));
    const int64_t at = run.source + part.channel_begin;
    for_strips<T>(width, [=, &g](auto d, auto vectors, int64_t c) HWY_ATTR {
      constexpr int kVectors = decltype(vectors)::value;
      const hn::RebindToSigned<decltype(d)> di;
      const auto lanes = static_cast<int64_t>(hn::Lanes(d));
      hn::VFromD<decltype(d)> gradient[kVectors];
      hn::VFromD<decltype(di)> winner[kVectors];
      for (int i = 0; i < kVectors; ++i) {
        gradient[i] = hn::LoadU(d, dy + at + c + i * lanes);
        winner[i] = load_taps(d, kept + at + c + i * lanes);
      }
      for (int64_t t = 0; t < run.count; ++t) {
        const auto tap = hn::Set(di, static_cast<hn::TFromD<decltype(di)>>(run.tap + t));
        for (int i = 0; i < kVectors; ++i) {
          const auto won = hn::RebindMask(d, hn::Eq(winner[i], tap));
          hn::StoreU(hn::IfThenElseZero(won, gradient[i]), d, to + t * g.channels + c + i * lanes);
        }
      }
    });
  });
}

template <class T, class Tap>
void max_backward(const PoolGeometry& g, const PoolPart& part, const T* dy, const Tap* kept,
                  T* dx) {
  if (g.is_apart()) return max_backward_apart(g, part, dy, kept, dx);
  gather(g, part, dx, AddWon<T, Tap>{dy, kept});
}

template <class T>
void avg_backward(const PoolGeometry& g, const PoolPart& part, const T* dy, T* dx) {
  gather(g, part, dx, AddShare<T>{dy});
}

template <class Reader, class T>
void max_forward_as(const PoolGeometry& g, const PoolPart& part, const Reader& reader, const T* x,
                    T* y, const PoolTaps& taps) {
  if (taps.narrow != nullptr) return max_forward(g, part, reader, x, y, taps.narrow);
  if (taps.wide != nullptr) return max_forward(g, part, reader, x, y, taps.wide);
  max_forward(g, part, reader, x, y, static_cast<NoTap*>(nullptr));
}

template <class T>
void max_forward_any(const PoolGeometry& g, const PoolPart& part, const T* x, T* y,
                     const PoolTaps& taps) {
  max_forward_as(g, part, AsTheyAre<T>(), x, y, taps);
}

template <class T>
void max_forward_normalized(const PoolGeometry& g, const PoolPart& part,
                            const NormalizedChannels<T>& k, const T* x, T* y,
                            const PoolTaps& taps) {
  max_forward_as(g, part, Normalized<T>{k}, x, y, taps);
}

template <class T>
void max_backward_any(const PoolGeometry& g, const PoolPart& part, const T* dy,
                      const PoolTaps& taps, T* dx) {
  if (taps.narrow != nullptr) return max_backward<T>(g, part, dy, taps.narrow, dx);
  max_backward<T>(g, part, dy, taps.wide, dx);
}

template <class T>
PoolLoops<T> loops_of() {
  return {&max_forward_any<T>, &max_forward_normalized<T>, &max_backward_any<T>, &avg_forward<T>,
          &avg_backward<T>};
}

PoolLoops<float> loops() { return loops_of<float>(); }

}  // namespace
}  // namespace convkit::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convkit::kernels {

CONVKIT_DISPATCH_LOOPS(PoolLoops, pool_loops)

}  // namespace convkit::kernels
#endif  // HWY_ONCE
