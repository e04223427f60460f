#pragma once

#include <array>
#include <cstdint>
#include <vector>

/// The micro-kernels of convolutions whose groups have few channels (depthwise: one): a window that
/// slides along W. Internal to kernels/.
namespace convkit::kernels {

/// One vector of lanes. Lane l stands for an output channel, or (if `reduce` > 0) for an input
/// channel whose products are added to those of its neighbours when the sum is complete.
struct WindowStrip {
  int64_t x = 0;        ///< floats from the start of a pixel of x
  int64_t x_count = 0;  ///< floats read there
  int64_t y = 0;        ///< floats from the start of a pixel of y
  int64_t y_count = 0;  ///< floats there
  int64_t w = 0;        ///< floats from the start of the packed weights; whole vectors
  /// WindowRead::lookup: lane l takes x[lookup[l]] of the floats read.
  const int32_t* lookup = nullptr;
  /// Not 0: y has y_count floats `y_step` apart, the sums of `reduce` adjacent lanes each; and lane
  /// l takes dy[y_lookup[l]] of the y_span floats there.
  int64_t reduce = 0;
  int64_t y_step = 1;
  int64_t y_span = 0;
  const int32_t* y_lookup = nullptr;
};

/// What lanes take of what a strip reads: each its own float, the one that a lookup names, or all
/// the first.
enum class WindowRead { plain, lookup, broadcast };

/// At most kMaxWindowTaps taps along W that share the numbers they read: output j and tap t meet at
/// position p = j + t.
struct WindowStep {
  int64_t x;     ///< floats from WindowJob::x to position 0
  int64_t w;     ///< floats from a strip's weights to those of the first tap
  int16_t taps;  ///< 1 … kMaxWindowTaps
  /// For window_weight_kernel(): with how many steps from this on it shares taps and valid, and is
  /// taken together: 1, 3 or 4.
  int16_t alike;
  /// Bit p: position p lies inside of the line. For window_weight_kernel(): positions().
  uint32_t valid;
  int64_t lookup;  ///< entries from a strip's lookup to that of this step
};

inline constexpr int kMaxWindowTaps = 4;
/// Limits of window_weight_kernel().
inline constexpr int kMaxGradientTaps = 3;
inline constexpr int64_t kMostGradientOutputs = 64;
inline constexpr int64_t kMostGradientPositions = 96;
inline constexpr int64_t kMostGradientDepth = 64;

/// WindowStep::valid for window_weight_kernel(): positions [first, end) lie inside of the line.
inline uint32_t positions(int64_t first, int64_t end) {
  return static_cast<uint32_t>(end << 16 | first);
}
inline int64_t first_position(uint32_t valid) { return valid & 0xffff; }
inline int64_t end_position(uint32_t valid) { return valid >> 16; }

/// A block of `size` outputs, y_pitch apart in their line, of all strips: for j < size
///
///   y[j] (or, for the gradient, dw) = Σ over lines, runs, c < depth, t < taps with valid bit j +
///   t:
///       x[line.x + run.x + (j + t)·x_pitch + strip.x + c (lane's lookup)]
///     · w[strip.w + line.w + run.w + t·w_step + c·lanes]
///
/// The gradient adds x · y to w instead, y being dy.
struct WindowJob {
  const WindowStrip* strips = nullptr;
  int64_t strip_count = 0;
  const WindowStep* steps = nullptr;
  int64_t step_count = 0;
  const float* x = nullptr;
  int64_t x_pitch = 0;
  /// What to bring into the second-level cache meanwhile: the strips of so many pixels on each of
  /// so many lines, fetch_line floats apart.
  const float* fetch = nullptr;
  int64_t fetch_lines = 1;
  int64_t fetch_line = 0;
  int64_t fetch_pitch = 0;
  int64_t fetch_count = 0;
  const float* fetch_dy = nullptr;  ///< the same for dy, as many pixels as outputs; null: nothing
  /// Not null: the outputs of the next block. Then what is fetched, these pixels too, is fetched in
  /// the order of memory, shared out among the strips, which must be all there are.
  const float* fetch_y = nullptr;
  const float* w = nullptr;
  int64_t w_step = 0;
  float* y = nullptr;
  int64_t y_pitch = 0;
  /// Whether whole vectors go past the caches, where the instruction set can:
  /// ConvEpilogue::streams.
  bool streams = false;
  const float* bias = nullptr;      ///< [strip][lane]; null: zeros
  const float* residual = nullptr;  ///< as y, may be y; null: zeros
  bool clamps = false;              ///< whether to limit what is stored to [low, high]
  float low = 0.0f;
  float high = 0.0f;
  /// For window_weight_kernel() a block is so many lines of so many outputs, at most
  /// kMostGradientOutputs in all, the lines x_line and y_line floats apart; no fewer outputs than
  /// taps, less one.
  int64_t outputs = 0;
  int64_t lines = 1;
  /// Not 0: positions lie so far apart in x that they push each other out of the cache, and each so
  /// many steps, which read floats side by side, should copy them; at most kMostGradientDepth.
  int64_t copied_steps = 0;
  int64_t x_line = 0;
  int64_t y_line = 0;
  const float* dy = nullptr;  ///< the gradient's, in place of y
  float* dw = nullptr;        ///< the gradient's, in place of w; added to
};

/// The micro-kernels of one instruction set.
struct WindowKernels {
  using Run = void (*)(const WindowJob&);
  struct Size {
    int64_t outputs;
    Run forward[3];  ///< [WindowRead]
    Run weight[3];   ///< null where there is none of this size
  };
  int64_t lanes = 1;
  std::vector<Size> sizes;  ///< of blocks, largest first; the last is 1
};

/// Those of the instruction set in use (target.h).
const WindowKernels& window_kernels();
/// The gradient's kernel that keeps the sums of several steps in registers over blocks of any size,
/// rather than dy. Null where WindowKernels::Size::weight is as fast: with 32 registers, and where
/// each channel is read for one output (plain).
WindowKernels::Run window_weight_kernel(WindowRead read);

}  // namespace convkit::kernels
