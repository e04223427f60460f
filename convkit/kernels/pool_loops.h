#pragma once

#include <cstdint>

#include "convkit/kernels/pool.h"

/// The innermost loops of the pools, one set per instruction set. For pool.cc only.
namespace convkit::kernels {

/// A task: positions [begin, end), counted over batch and axes (of the output in forward, of the
/// input in backward), of the channels [channel_begin, channel_end).
struct PoolPart {
  int64_t begin;
  int64_t end;
  int64_t channel_begin;
  int64_t channel_end;
};

template <class T>
struct PoolLoops {
  void (*max_forward)(const PoolGeometry& g, const PoolPart& part, const T* x, T* y,
                      const PoolTaps& taps);
  void (*max_forward_normalized)(const PoolGeometry& g, const PoolPart& part,
                                 const NormalizedChannels<T>& k, const T* x, T* y,
                                 const PoolTaps& taps);
  /// Backward, dx starts with the position part.begin.
  void (*max_backward)(const PoolGeometry& g, const PoolPart& part, const T* dy,
                       const PoolTaps& taps, T* dx);
  void (*avg_forward)(const PoolGeometry& g, const PoolPart& part, const T* x, T* y);
  void (*avg_backward)(const PoolGeometry& g, const PoolPart& part, const T* dy, T* dx);
};

/// The loops for the instruction set of this machine; float and double.
template <class T>
PoolLoops<T> pool_loops();

/// A position of the batch and on the three axes, from its number, and the next one.
struct PoolPosition {
  PoolPosition(int64_t number, const Extents& shape) : extents(shape) {
    for (int axis = kAxes - 1; axis >= 0; --axis) {
      const auto a = static_cast<std::size_t>(axis);
      at[a] = number % extents[a];
      number /= extents[a];
    }
    image = number;
  }
  void advance() {
    if (++at[2] < extents[2]) return;
    at[2] = 0;
    if (++at[1] < extents[1]) return;
    at[1] = 0;
    if (++at[0] < extents[0]) return;
    at[0] = 0;
    ++image;
  }

  Extents extents;
  Extents at{};
  int64_t image = 0;
};

}  // namespace convkit::kernels
