#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "convkit/base/export.h"
#include "convkit/kernels/conv_geometry.h"
#include "convkit/kernels/conv_program.h"

/// Several convolutions as one, so that what lies between them stays in a core's cache.
namespace convkit::kernels {

/// One layer's operands.
struct ChainLayer {
  const float* packed = nullptr;  ///< weights as ConvChain::pack leaves them
  ConvEpilogue epilogue;          ///< a residual only at the last layer
};

/// Forward of an inverted residual (Sandler et al., "MobileNetV2: Inverted Residuals and Linear
/// Bottlenecks", 2018, section 3), or its last two layers:
///
///   y = pointwise(depthwise(pointwise(x)))   or   y = pointwise(depthwise(x))
///
/// where pointwise is a dense 1×1 convolution. The channels between are several times those of x
/// and y, and large pictures of them would go out to memory and back. Here a task computes a range
/// of rows of y in bands, and the rows in between that a band needs live in a buffer of some
/// hundred kilobytes; of the rows that two bands read, only those at the border of two tasks are
/// computed twice. Each sum has the terms and the order it has in the layer alone, so the bits are
/// the same however rows are cut; tasks and bands depend on the geometry alone.
class CONVKIT_API ConvChain {
 public:
  /// Empty if these layers make a chain that is faster than one layer after another; otherwise why
  /// not, in words.
  static std::string why_not(std::span<const ConvGeometry> layers);

  /// For layers for which why_not is empty, or would be for larger pictures or batches.
  explicit ConvChain(std::span<const ConvGeometry> layers);

  std::size_t size() const { return layers_.size(); }
  /// A layer's packed weights, as in ConvProgram.
  int64_t packed_floats(std::size_t layer) const;
  void pack(std::size_t layer, const float* w, float* packed) const;
  /// Overwrites all of y, on several threads. The last layer's residual may be y.
  void run(const float* x, std::span<const ChainLayer> layers, float* y) const;

  /// How it is cut, for people to read.
  std::string reason() const;

 private:
  // Some rows of y, and what they need. Rows of the depthwise layer's input are counted in the
  // picture unless said otherwise.
  struct Band {
    int64_t first = 0;                   // row of y
    int64_t window = 0;                  // the first row read
    int64_t kept = 0;                    // rows that the band before has left in the buffer,
    int64_t kept_from = 0;               // from this row of the buffer on
    int64_t fresh = 0;                   // the first row to compute
    const ConvProgram* widen = nullptr;  // null: nothing to compute
    const ConvProgram* depthwise = nullptr;
    const ConvProgram* narrow = nullptr;
  };
  using Programs = std::map<std::vector<int64_t>, std::unique_ptr<ConvProgram>>;

  void cut();
  const ConvProgram* pointwise_program(std::size_t layer, int64_t rows);
  const ConvProgram* depthwise_program(int64_t first, int64_t rows);
  void run_task(int64_t task, const float* x, std::span<const ChainLayer> layers, float* y) const;

  std::vector<ConvGeometry> layers_;
  std::vector<Programs> programs_;  // of each layer
  int64_t band_rows_ = 1;
  std::vector<std::vector<Band>> tasks_;  // of one picture
  int64_t wide_floats_ = 0;               // of the buffers before and after the depthwise layer
  int64_t filtered_floats_ = 0;
};

}  // namespace convkit::kernels
