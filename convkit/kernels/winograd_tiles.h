#pragma once

#include <algorithm>
#include <cstdint>

#include "convkit/base/checked.h"
#include "convkit/kernels/conv_geometry.h"
#include "convkit/kernels/winograd_axes.h"
#include "convkit/kernels/winograd_transform.h"

/// Where the tiles of Winograd's convolution lie. Internal to kernels/.
namespace convkit::kernels {

/// The tiles of one depth of the outputs, over a batch. Tiles that are short along an axis come
/// apart from the others, so that those which have a point are one range:
///
///   short along H | whole | short along W | short along both
///
/// each in the order of memory.
class WinogradTiles {
 public:
  /// The first output of a tile.
  struct Place {
    int64_t n;
    int64_t h;
    int64_t w;
  };
  /// Indices [first, end) of tiles.
  struct Range {
    int64_t first;
    int64_t end;
    int64_t count() const { return end - first; }
    Range within(const Range& other) const {
      const int64_t begin = std::clamp(first, other.first, other.end);
      return {begin, std::clamp(end, begin, other.end)};
    }
  };

  WinogradTiles() = default;
  WinogradTiles(const WinogradKernels& kernels, int64_t batch, const Extents& out)
      : tile_(kernels.tile), out_h_(out[1]), out_w_(out[2]) {
    const auto whole = [&](int64_t size, int tile) {
      return kernels.shortens ? size / tile : ceil_div(size, tile);
    };
    whole_h_ = whole(out_h_, tile_.out_h);
    whole_w_ = whole(out_w_, tile_.out_w);
    const int64_t rest_h = ceil_div(out_h_, tile_.out_h) - whole_h_;
    const int64_t rest_w = ceil_div(out_w_, tile_.out_w) - whole_w_;
    whole_first_ = batch * rest_h * whole_w_;
    short_w_first_ = whole_first_ + batch * whole_h_ * whole_w_;
    short_both_first_ = short_w_first_ + batch * whole_h_ * rest_w;
    count_ = short_both_first_ + batch * rest_h * rest_w;
  }

  int64_t count() const { return count_; }
  bool has_short() const { return whole_first_ > 0 || short_w_first_ < count_; }
  Place place(int64_t tile) const {
    const int64_t last_h = whole_h_ * tile_.out_h;
    const int64_t last_w = whole_w_ * tile_.out_w;
    if (tile < whole_first_) return {tile / whole_w_, last_h, tile % whole_w_ * tile_.out_w};
    if (tile >= short_both_first_) return {tile - short_both_first_, last_h, last_w};
    if (tile >= short_w_first_) {
      const int64_t i = tile - short_w_first_;
      return {i / whole_h_, i % whole_h_ * tile_.out_h, last_w};
    }
    const int64_t i = tile - whole_first_;
    return {i / whole_w_ / whole_h_, i / whole_w_ % whole_h_ * tile_.out_h,
            i % whole_w_ * tile_.out_w};
  }
  /// Outputs of a tile that exist.
  WinogradSize size(const Place& at) const {
    return {static_cast<int>(std::min<int64_t>(tile_.out_h, out_h_ - at.h)),
            static_cast<int>(std::min<int64_t>(tile_.out_w, out_w_ - at.w))};
  }
  /// The tiles that have a point: whole ones do, short ones not all.
  Range with_point(int64_t point) const {
    const bool all_h =
        in_short(point / tile_.in_w(), out_h_ - whole_h_ * tile_.out_h, tile_.in_h());
    const bool all_w =
        in_short(point % tile_.in_w(), out_w_ - whole_w_ * tile_.out_w, tile_.in_w());
    return {all_h ? 0 : whole_first_, !all_w ? short_w_first_ : all_h ? count_ : short_both_first_};
  }
  /// Sum over all points of the tiles that have them.
  int64_t products() const {
    int64_t sum = 0;
    for (int64_t point = 0; point < tile_.points(); ++point) sum += with_point(point).count();
    return sum;
  }

 private:
  // Whether tiles of so many outputs along an axis have this one of its points (WinogradKernels).
  static bool in_short(int64_t point, int64_t outputs, int points) {
    return outputs <= 0 || point <= outputs || point == points - 1;
  }

  WinogradTile tile_ = {};
  int64_t out_h_ = 0;
  int64_t out_w_ = 0;
  int64_t whole_h_ = 0;  // whole tiles along an axis
  int64_t whole_w_ = 0;
  int64_t whole_first_ = 0;
  int64_t short_w_first_ = 0;
  int64_t short_both_first_ = 0;
  int64_t count_ = 0;
};

inline constexpr int kMostTilePixels = 36;

/// `step` floats or a few more: streams a multiple of 4 KiB apart would share sets of the caches.
inline int64_t kept_apart(int64_t step) { return step % 1024 < 48 ? step + 48 : step; }

/// A tensor [n][D][pixels][channels], its pixels `steps` apart, and zeros of as many channels for
/// what lies outside.
struct WinogradPicture {
  const float* data;
  const Extents& size;
  WinogradSteps steps;
  int64_t channels;
  const float* zeros;

  /// pixels[i·columns + j]: the pixel (h + i, w + j) of picture n at `depth`.
  void gather(const WinogradTiles::Place& first, int64_t depth, int rows, int columns,
              const float** pixels) const {
    const float* const plane = data + (first.n * size[0] + depth) * size[1] * size[2] * channels;
    for (int i = 0; i < rows; ++i)
      for (int j = 0; j < columns; ++j) {
        const int64_t h = first.h + i;
        const int64_t w = first.w + j;
        const bool inside = h >= 0 && h < size[1] && w >= 0 && w < size[2];
        *pixels++ = inside ? plane + (h * steps.h + w * steps.w) * channels : zeros;
      }
  }
};

}  // namespace convkit::kernels
