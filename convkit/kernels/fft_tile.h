#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "convkit/kernels/conv_geometry.h"
#include "convkit/kernels/fft.h"

/// Transforms of a piece of a picture in up to three dimensions. Internal to kernels/.
namespace convkit::kernels {

/// A frequency and its negative, as elements of a tile; they are the same one where 2·k = 0.
struct FrequencyPair {
  int32_t plus;
  int32_t minus;
};

/// The transform over a tile of D × H × W elements (fft.h), several of which may lie side by side:
///
///   element i of vector v begins at float (i · vectors + v) · 2 · lanes
///
/// Elements are not dense: lines a power of two apart would share few sets of the caches. A long
/// axis is done as a transform of n1 columns of n2 with twiddle factors between (Bailey, FFTs in
/// external or hierarchical memory, 1990), so that each line stays in the first-level cache. The
/// order of the frequencies within such an axis is [k mod n1][k / n1]; who multiplies spectra
/// element by element does not care.
class FftTile {
 public:
  /// Every extent must satisfy is_fft_length, their product kMostElements.
  explicit FftTile(const Extents& extents);
  static constexpr int64_t kMostElements = int64_t{1} << 18;

  const Extents& extents() const { return extents_; }
  int64_t points() const { return extents_[0] * extents_[1] * extents_[2]; }
  /// Elements with the gaps between them.
  int64_t elements() const { return elements_; }
  int64_t floats(int64_t vectors) const { return elements_ * vectors * 2 * kernels_.lanes; }
  /// Floats from one of several such tiles to the next: products read some at once, which a
  /// multiple of 4 KiB would put into the same few sets of the first-level cache.
  int64_t slot_floats(int64_t vectors) const {
    const int64_t least = 2 * kernels_.lanes;
    return floats(vectors) % 1024 < least ? floats(vectors) + least : floats(vectors);
  }
  /// The element of place i on an axis; the element of (d, h, w) is the sum of the three.
  int64_t element(int axis, int64_t i) const {
    const Axis& a = axes_[static_cast<std::size_t>(axis)];
    return i / a.inner * a.outer_step + i % a.inner * a.inner_step;
  }
  /// Elements along W are neighbours within runs of this many places.
  int64_t run_length() const { return axes_[2].inner; }
  /// All frequencies, each once, with its negative.
  std::vector<FrequencyPair> frequency_pairs() const;

  /// Transforms vector `vector` of the `vectors` in `tile`, in place. Elements at or beyond `used`
  /// must be zeros on input. The inverse is not divided by points(), and right for elements below
  /// `used` only. `scratch` holds scratch_floats().
  void forward(float* tile, int64_t vectors, int64_t vector, const Extents& used,
               float* scratch) const;
  void inverse(float* tile, int64_t vectors, int64_t vector, const Extents& used,
               float* scratch) const;
  int64_t scratch_floats() const { return 4 * kernels_.lanes * longest_; }

  /// Passes over the elements that a transform makes.
  static int64_t pass_count(const Extents& extents);
  /// Lines along an axis of that extent, divided by its places.
  static double lines_per_element(int64_t extent);

 private:
  // outer · inner places; outer is 1 for an axis that is one line.
  struct Axis {
    int64_t outer;
    int64_t inner;
    int64_t outer_step;
    int64_t inner_step;
    FftPlan columns;  // of length outer
    FftPlan rows;     // of length inner
    std::vector<float> twiddles;
  };

  void transform_axis(const Axis& axis, float* from, int64_t vector_floats, bool inverse,
                      float* scratch) const;

  Extents extents_;
  const FftKernels& kernels_;
  std::vector<Axis> axes_;
  int64_t elements_ = 0;
  int64_t longest_ = 1;
};

}  // namespace convkit::kernels
