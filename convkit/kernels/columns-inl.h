// Loops over the channels of one row, in vectors of any width. Included once per instruction set,
// after <hwy/highway.h>.
#if defined(CONVKIT_KERNELS_COLUMNS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef CONVKIT_KERNELS_COLUMNS_INL_H_
#undef CONVKIT_KERNELS_COLUMNS_INL_H_
#else
#define CONVKIT_KERNELS_COLUMNS_INL_H_
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

HWY_BEFORE_NAMESPACE();
namespace convkit::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// The widest vector the kernels use: at most 16 lanes, whatever the machine.
template <class T>
using Wide = hn::CappedTag<T, 16>;

template <class T, int kLanes, class F>
HWY_INLINE void columns_left(int64_t column, int64_t width, F&& f) {
  if constexpr (hn::MaxLanes(Wide<T>()) > kLanes) {
    if (column + kLanes <= width) {
      f(hn::CappedTag<T, kLanes>(), column);
      column += kLanes;
    }
  }
  if constexpr (kLanes > 1) columns_left<T, kLanes / 2>(column, width, f);
}

/// Calls f(tag, column) for consecutive vectors that cover [begin, width): full ones, then halves,
/// quarters, ... for the rest, so that no element outside is touched.
template <class T, class F>
HWY_INLINE void for_columns(int64_t begin, int64_t width, F&& f) {
  const Wide<T> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t column = begin;
  for (; column + lanes <= width; column += lanes) f(d, column);
  if (column < width) columns_left<T, 8>(column, width, f);
}

/// Calls f(tag, count, column) for strips of `count` (4, then 1: an integral constant) vectors side
/// by side that cover [0, width): for sums down the rows, which stay in registers.
template <class T, class F>
HWY_INLINE void for_strips(int64_t width, F&& f) {
  const Wide<T> d;
  const auto strip = 4 * static_cast<int64_t>(hn::Lanes(d));
  int64_t column = 0;
  for (; column + strip <= width; column += strip) f(d, std::integral_constant<int, 4>(), column);
  for_columns<T>(column, width, [&f](auto each, int64_t c) HWY_ATTR {
    f(each, std::integral_constant<int, 1>(), c);
  });
}

/// Strips pay where rows are so short that one strip after the other still reads memory in its
/// order. Where rows share a page without being neighbours in it, the processor's prefetcher takes
/// that for chance, and memory arrives at half its speed (measured at 256 channels).
template <class T>
bool has_short_rows(int64_t width) {
  return static_cast<std::size_t>(width) * sizeof(T) <= 512;
}

/// max(v, 0) as the functions of elementwise.h have it: NaN passes.
template <class D, class V>
HWY_INLINE V relu_of(D d, V v) {
  return hn::IfThenZeroElse(hn::Lt(v, hn::Zero(d)), v);
}

}  // namespace convkit::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // CONVKIT_KERNELS_COLUMNS_INL_H_
