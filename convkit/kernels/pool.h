#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "convkit/base/export.h"
#include "convkit/kernels/conv_geometry.h"

/// Max and average pools on plain pointers, sliding or adaptive alike: an output position is known
/// by its window of input positions on each of the three axes. Tensors are channels-last:
///
///   x, dx  [batch][in D][in H][in W][channels]     y, dy  [batch][out D][out H][out W][channels]
///
/// All outputs are overwritten and must not overlap inputs; pointers need no alignment. The same
/// bits come out whatever the number of threads.
namespace convkit::kernels {

/// The input positions begin, begin + step, … (`count` of them) of one output position on one axis;
/// all lie inside the input. What the average is divided by is the product over the axes.
struct PoolWindow {
  int64_t begin;
  int64_t count;
  int64_t divisor;
  double share;  ///< 1 / divisor
};

/// The outputs first … last (none when last < first) that an input position may contribute to.
struct PoolReach {
  int64_t first;
  int64_t last;
};

/// One axis of a pool. Make it with sliding_axis or adaptive_axis.
struct PoolAxis {
  int64_t in = 1;
  int64_t step = 1;                 ///< between the taps of a window: the dilation
  std::vector<PoolWindow> windows;  ///< one per output position
  std::vector<PoolReach> reach;     ///< one per input position
  bool apart = false;               ///< windows hold neighbours, and none of another's

  int64_t out() const { return static_cast<int64_t>(windows.size()); }
};

/// Windows of `kernel` taps, `dilation` apart, the o-th from o·stride − pad on, without what lies
/// outside of [0, in). The divisor counts the taps inside, or with `count_pad` also those in the
/// padding of `pad` on both ends (but never those beyond, which ceil_mode may reach).
struct SlidingAxis {
  int64_t in = 1;
  int64_t out = 1;
  int64_t kernel = 1;
  int64_t stride = 1;
  int64_t pad = 0;
  int64_t dilation = 1;
  bool count_pad = false;
};
CONVKIT_API PoolAxis sliding_axis(const SlidingAxis& axis);

/// `out` windows that cover the input evenly: ⌊o·in / out⌋ … ⌈(o + 1)·in / out⌉ − 1; in, out ≥ 1,
/// and in·out fits into 63 bits.
CONVKIT_API PoolAxis adaptive_axis(int64_t in, int64_t out);

struct PoolGeometry {
  int64_t batch = 1;
  int64_t channels = 1;
  std::array<PoolAxis, kAxes> axes;  ///< D, H, W
  /// Floats from position to position of x and of y; 0: channels. More are for slices of the
  /// channels of larger tensors; forward only, and max pools then keep no taps.
  int64_t in_pitch = 0;
  int64_t out_pitch = 0;

  int64_t in_positions() const { return batch * axes[0].in * axes[1].in * axes[2].in; }
  int64_t out_positions() const { return batch * axes[0].out() * axes[1].out() * axes[2].out(); }
  /// No two windows hold the same position, and each holds neighbours.
  bool is_apart() const { return axes[0].apart && axes[1].apart && axes[2].apart; }
  /// The most taps any window has.
  int64_t most_taps() const;
};

/// Makes `divisor` (not 0) what every average is divided by.
CONVKIT_API void override_divisor(PoolGeometry& geometry, int64_t divisor);

/// Where max pools keep, for each output element, which tap of its window won: its number in the
/// window's own row-major order. At most one is set; without any, nothing is kept.
struct PoolTaps {
  uint8_t* narrow = nullptr;  ///< enough when most_taps() ≤ 256
  int32_t* wide = nullptr;    ///< enough when most_taps() ≤ 2³¹
};

/// y = the largest of each window; among equals the first, and a NaN wins (the last of several), as
/// in PyTorch. A window without taps gives −∞.
template <class T>
void max_pool_forward(const PoolGeometry& geometry, const T* x, T* y, const PoolTaps& taps);
/// dx = Σ of dy over the windows that each input position won.
template <class T>
void max_pool_backward(const PoolGeometry& geometry, const T* dy, const PoolTaps& taps, T* dx);

/// The same of the input positions [begin, end) alone, counted over batch and axes, on the calling
/// thread: for who goes on with a block while the cache holds it. dx starts with position `begin`.
struct PoolRange {
  int64_t begin;
  int64_t end;
};
template <class T>
void max_pool_backward(const PoolGeometry& geometry, const PoolRange& range, const T* dy,
                       const PoolTaps& taps, T* dx);

/// What makes n(x) = max((x − center)·gain + shift, 0) of each channel, `channels` values each:
/// batch norm and ReLU.
template <class T>
struct NormalizedChannels {
  const T* center;
  const T* gain;
  const T* shift;
};
/// y = the max pool of n(x), which is never stored. Windows whose maximum is 0 keep no winner: the
/// ReLU was shut, so max_pool_backward leaves them out and gives the gradient before the ReLU. Taps
/// are narrow up to most_taps() = 255, or wide up to 2³¹ − 1.
template <class T>
void normalized_max_pool_forward(const PoolGeometry& geometry, const NormalizedChannels<T>& k,
                                 const T* x, T* y, const PoolTaps& taps);

/// y = the sum of each window / its divisor.
template <class T>
void avg_pool_forward(const PoolGeometry& geometry, const T* x, T* y);
/// dx = Σ of dy / divisor over the windows that hold each input position.
template <class T>
void avg_pool_backward(const PoolGeometry& geometry, const T* dy, T* dx);

#define CONVKIT_DECLARE_POOL(T)                                                             \
  extern template CONVKIT_API void max_pool_forward(const PoolGeometry&, const T*, T*,      \
                                                    const PoolTaps&);                       \
  extern template CONVKIT_API void max_pool_backward(const PoolGeometry&, const T*,         \
                                                     const PoolTaps&, T*);                  \
  extern template CONVKIT_API void max_pool_backward(const PoolGeometry&, const PoolRange&, \
                                                     const T*, const PoolTaps&, T*);        \
  extern template CONVKIT_API void normalized_max_pool_forward(                             \
      const PoolGeometry&, const NormalizedChannels<T>&, const T*, T*, const PoolTaps&);    \
  extern template CONVKIT_API void avg_pool_forward(const PoolGeometry&, const T*, T*);     \
  extern template CONVKIT_API void avg_pool_backward(const PoolGeometry&, const T*, T*);
CONVKIT_DECLARE_POOL(float)
CONVKIT_DECLARE_POOL(double)
#undef CONVKIT_DECLARE_POOL

}  // namespace convkit::kernels
