#pragma once

#include <cstdint>
#include <vector>

#include "convkit/base/memory.h"
#include "convkit/kernels/conv_fft_plan.h"

/// The weights of an FFT convolution in the layout of FftProduct, there and back. Internal to
/// kernels/.
namespace convkit::kernels {

/// One filter for each pair of channels that meet. A *unit* is what is multiplied at once: a group,
/// or a block of channels of a depthwise convolution. In memory, with a gap of nothing:
///
///   spectra   [unit][frequency pair][vector of filters]{re, im}
class FftFilters {
 public:
  /// Backward-input reads the same weights with its kernel turned round and channels exchanged.
  FftFilters(const ConvGeometry& geometry, Direction direction, const FftCut& cut,
             const FftTile& tile);

  int64_t units() const { return units_; }
  /// Channels of a unit on either side; the last depthwise unit may have fewer.
  int64_t unit_channels() const { return unit_channels_; }
  const std::vector<FrequencyPair>& pairs() const { return pairs_; }
  /// Floats of a frequency pair. Never a multiple of 4 KiB: all pairs of a filter would share few
  /// sets of the caches.
  int64_t step() const {
    const int64_t floats = vectors_ * 2 * lanes_;
    return floats % 1024 == 0 ? floats + 2 * lanes_ : floats;
  }
  int64_t unit_floats() const { return static_cast<int64_t>(pairs_.size()) * step(); }

  /// Conjugate spectra of all filters, divided by the number of points. On several threads.
  void transform(const float* weights, float* spectra) const;
  /// Filters from the sums of FftProductKernels::gradient of one unit. On several threads.
  void restore(int64_t unit, const float* spectra, float* weights) const;

 private:
  // Where the first tap of the filters in a pair of vectors lies in the weights, as [part][lane];
  // −1: nowhere.
  std::vector<int64_t> origins(int64_t unit, int64_t vector) const;
  // Vectors of filters that a unit has; fewer than vectors_ in the last depthwise unit.
  int64_t unit_vectors(int64_t unit) const;
  template <class Visit>
  void visit_taps(const Visit& visit) const;

  const FftTile& tile_;
  FftLanes kind_;
  int64_t lanes_;
  bool exchanged_;
  Extents kernel_;
  int64_t group_in_;  // as the weights are stored
  int64_t group_out_;
  int64_t in_;  // as the problem sees them
  int64_t out_;
  int64_t units_;
  int64_t unit_channels_;
  int64_t channels_;
  int64_t vectors_;  // of filters in a unit
  std::vector<FrequencyPair> pairs_;
};

}  // namespace convkit::kernels
