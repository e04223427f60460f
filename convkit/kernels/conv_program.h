#pragma once

#include <cstdint>
#include <functional>
#include <limits>

#include "convkit/base/export.h"
#include "convkit/kernels/cache.h"
#include "convkit/kernels/conv_geometry.h"
#include "convkit/kernels/elementwise.h"

/// A convolution made ready to run. What depends on the geometry alone is computed once, what
/// depends on the weights once per set of weights, and only the rest at each run.
namespace convkit::kernels {

/// What becomes of a sum before it is stored:
///
///   out = function(min(max(sum + bias[channel] + residual, low), high))
///
/// where the limits alone cover ReLU (low = 0) and ReLU6 (low = 0, high = 6). NaN stays NaN.
struct ConvEpilogue {
  const float* bias = nullptr;      ///< [out_channels]; null: zeros
  const float* residual = nullptr;  ///< as the output, may be the output itself; null: zeros
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();
  const UnaryFunction* function = nullptr;  ///< applied last; null: the identity
  /// Floats from position to position of the output, and of the residual; 0: out_channels. More
  /// leaves what lies between the channels of two positions as it is, so that the output can be a
  /// slice of the channels of a larger tensor. For programs that take_out_pitch() only.
  int64_t out_pitch = 0;

  bool clamps() const {
    return low != -std::numeric_limits<float>::infinity() ||
           high != std::numeric_limits<float>::infinity();
  }
  /// Whether `count` outputs of `channels` each go past the caches: those that are far, and read by
  /// nothing else at once.
  bool streams(const float* y, int64_t count, int64_t channels) const {
    return residual == nullptr && function == nullptr &&
           is_far(y, count, out_pitch > 0 ? out_pitch : channels);
  }
  /// Applies the function to outputs that lack only it, on this thread: what a task has stored is
  /// near still.
  void finish(float* y, int64_t count) const {
    if (function != nullptr) apply(*function, count, y);
  }
};

/// What a program does, counted by kind, for the planner to estimate its time (conv_cost.h). The
/// unit is a vector of the instruction set in use.
struct ConvWork {
  double products = 0.0;    ///< multiply-adds, what fills up vectors and tiles included
  double calls = 0.0;       ///< micro-kernels called
  double transforms = 0.0;  ///< numbers that a transform or a copy takes and gives
  double weights = 0.0;     ///< packed weights read, each time one comes from afar
  double tensors = 0.0;     ///< elements of the tensors, each read or written once
  double packing = 0.0;     ///< packed weights written by pack

  ConvWork& operator+=(const ConvWork& other);
};

/// Writes the weights of output channels [first, first + count), in their memory order, to `rows`.
using ReadWeightRows = std::function<void(int64_t first, int64_t count, float* rows)>;

/// One direction of one geometry, computed by one algorithm. Immutable, so that several threads may
/// run it at once. Operands, in the memory layout of conv_geometry.h:
///
///   direction         first   second   out
///   forward           x       w        y
///   backward_input    dy      w        dx
///   backward_weight   x       dy       dw
class CONVKIT_API ConvProgram {
 public:
  ConvProgram() = default;
  virtual ~ConvProgram() = default;
  ConvProgram(const ConvProgram&) = delete;
  ConvProgram& operator=(const ConvProgram&) = delete;

  /// Floats of the second operand as this program reads it; 0: as it is.
  virtual int64_t packed_floats() const { return 0; }
  /// Turns the second operand into packed_floats() floats at `packed`, on several threads.
  virtual void pack(const float* second, float* packed) const;
  /// As pack, on weights that come a few output channels at a time: calls `read` from several
  /// threads at once. False, with nothing done, where this program needs all weights side by side.
  virtual bool pack_rows(const ReadWeightRows& read, float* packed) const;
  /// The inverse of pack: the weights of output channels [first, first + count), in their memory
  /// order. False where they cannot be had from what is packed, bit for bit.
  virtual bool unpack_rows(const float* packed, int64_t first, int64_t count, float* rows) const;
  /// Overwrites all of `out`, on several threads. `second` is packed if packed_floats() > 0. The
  /// epilogue belongs to forward; the gradients take an empty one, unless takes_out_pitch().
  virtual void run(const float* first, const float* second, const ConvEpilogue& epilogue,
                   float* out) const = 0;

  /// Whether run() follows ConvEpilogue::out_pitch, in both directions that write positions; then
  /// backward-input takes the whole epilogue too, with a bias of in_channels.
  virtual bool takes_out_pitch() const { return false; }
  /// Neighbours along W of which run_pooled stores the largest; 0: this program has no run_pooled.
  virtual int64_t pool_window() const { return 0; }
  /// As run without a residual and a function, followed by a maximum over windows side by side:
  /// `out` is [batch][out D][out H][⌊out W / window⌋][out_channels].
  virtual void run_pooled(const float* first, const float* second, const ConvEpilogue& epilogue,
                          float* out) const;

  virtual ConvWork work() const = 0;

  /// Packs into memory of its own, then runs; or as run does, but on the operand as it is.
  virtual void pack_and_run(const float* first, const float* second, const ConvEpilogue& epilogue,
                            float* out) const;
};

}  // namespace convkit::kernels
